"""Methods: what differs between the trainers of TRL, which is where the tokens lie in a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional

from repalign.errors import InputError, MissingExtraError
from repalign.training.penalties import Where

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a batch lie, as the policy's pass sees it."""

    ids: Int[Tensor, "row pos"]
    attended: Bool[Tensor, "row pos"]
    """Every token that is no padding."""
    completion: Bool[Tensor, "row pos"] | None
    """The completions; None where a trainer does not tell them from prompts."""
    chosen: Bool[Tensor, " row"] | None = None
    """Rows that are wanted, where the trainer tells."""
    text: Int[Tensor, "row pos"] | None = None
    """Which text a token belongs to, where one row holds several; None where a row is a text."""


@dataclass(frozen=True)
class Method:
    """A trainer of TRL."""

    layout: Callable[[Inputs], Layout]
    span: Where
    """Which tokens count where a penalty does not say."""
    spans: tuple[Where, ...]
    """Those that the trainer can tell apart."""
    pairs: bool = False
    """Whether a row of the data set is two rows of the batch, chosen ones first."""
    generates: bool = False
    """Whether completions are generated while training, so that no collator sees the batch."""


def _sft(inputs: Inputs) -> Layout:
    completion = inputs["labels"] != -100
    if "attention_mask" in inputs:
        return Layout(inputs["input_ids"], inputs["attention_mask"].bool(), completion)
    if "position_ids" not in inputs:
        raise InputError(
            "This batch is packed or padding-free, and has no position_ids to tell its texts apart "
            "by. Leave the collator to the trainer, or set packing=False and padding_free=False."
        )
    # Several texts in one row, each with positions from 0; padding is a run of texts of one token.
    begins = inputs["position_ids"] == 0
    ends = functional.pad(begins[:, 1:], (0, 1), value=True)
    return Layout(
        inputs["input_ids"],
        ~(begins & ends),
        completion,
        text=begins.flatten().cumsum(0).sub(1).reshape(begins.shape),
    )


def _halves(rows: int, device: torch.device) -> Tensor:
    return torch.arange(rows, device=device) < rows // 2


def _dpo(inputs: Inputs) -> Layout:
    completion = inputs["completion_mask"].bool()
    chosen = _halves(len(completion), completion.device)
    return Layout(inputs["input_ids"], inputs["attention_mask"].bool(), completion, chosen)


def _reward(inputs: Inputs) -> Layout:
    attended = inputs["attention_mask"].bool()
    return Layout(inputs["input_ids"], attended, None, _halves(len(attended), attended.device))


def _kto(inputs: Inputs) -> Layout:
    completion = inputs["completion_mask"].bool()
    chosen = inputs["label"].bool().to(completion.device)
    return Layout(inputs["input_ids"], inputs["attention_mask"].bool(), completion, chosen)


def _generated(inputs: Inputs) -> Layout:
    prompt, completion = inputs["prompt_mask"], inputs["completion_mask"]
    own = completion * inputs["tool_mask"] if "tool_mask" in inputs else completion
    return Layout(
        torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
        torch.cat([prompt, completion], dim=1).bool(),
        torch.cat([torch.zeros_like(prompt), own], dim=1).bool(),
    )


def _stacked(inputs: Inputs) -> Layout:
    width = max(inputs[f"{side}_input_ids"].shape[1] for side in ("chosen", "rejected"))

    def both(name: str, fill: int) -> Tensor:
        sides = [inputs[f"{side}_{name}"] for side in ("chosen", "rejected")]
        padded = [functional.pad(one, (0, width - one.shape[1]), value=fill) for one in sides]
        return torch.cat(padded)

    attended = both("attention_mask", 0).bool()
    completion = (both("labels", -100) != -100) & attended
    # The padding's id is the trainer's own; it takes no part in a comparison of texts.
    return Layout(
        both("input_ids", 0), attended, completion, _halves(len(attended), attended.device)
    )


_EVERY: tuple[Where, ...] = ("chosen", "rejected", "prompt", "completion", "all")
_WITHOUT_SIDES: tuple[Where, ...] = ("prompt", "completion", "all")
# By their full names, for importing those of trl.experimental warns.
_METHODS: Mapping[str, Method] = {
    "trl.trainer.sft_trainer.SFTTrainer": Method(_sft, "completion", _WITHOUT_SIDES),
    "trl.trainer.dpo_trainer.DPOTrainer": Method(_dpo, "chosen", _EVERY, pairs=True),
    "trl.trainer.kto_trainer.KTOTrainer": Method(_kto, "chosen", _EVERY),
    "trl.trainer.reward_trainer.RewardTrainer": Method(
        _reward, "chosen", ("chosen", "rejected", "all"), pairs=True
    ),
    "trl.trainer.grpo_trainer.GRPOTrainer": Method(
        _generated, "completion", _WITHOUT_SIDES, generates=True
    ),
    "trl.trainer.rloo_trainer.RLOOTrainer": Method(
        _generated, "completion", _WITHOUT_SIDES, generates=True
    ),
    "trl.experimental.orpo.orpo_trainer.ORPOTrainer": Method(
        _stacked, "chosen", _EVERY, pairs=True
    ),
    "trl.experimental.cpo.cpo_trainer.CPOTrainer": Method(_stacked, "chosen", _EVERY, pairs=True),
}


def of(trainer_class: type) -> Method:
    """The method of a trainer's class.

    Raises:
        InputError: a class that is none of the trainers and inherits from none, or one of
            trl.experimental that puts another loss into a trainer it inherits from.
        MissingExtraError: TRL is not installed.
    """
    try:
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Training needs the package trl. Install it with: pip install 'repalign[train]'"
        ) from error
    for kind in trainer_class.mro():
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in _METHODS:
            return _METHODS[name]
        if kind.__module__.startswith("trl.experimental"):
            break
    allowed = ", ".join(name.rsplit(".", 1)[1] for name in _METHODS)
    raise InputError(
        f"{trainer_class.__name__} cannot be penalised. Give one of these classes of trl, or a "
        f"subclass of one: {allowed}."
    )


@dataclass(frozen=True)
class Selection:
    """The positions of a batch on which a penalty acts."""

    index: Int[Tensor, " kept"]
    """Into the positions of all rows, one row after another."""
    text: Int[Tensor, " kept"]
    """Which text each belongs to: 0, 1, …"""
    positions: int
    """Positions of the span with those of rows that are left out: what a mean is taken over."""
    texts: int
    """Texts of the span, likewise."""
    shape: tuple[int, int]
    """Rows and positions of the batch."""


def select(
    method: Method, layout: Layout, span: Where | None, label: int | None, labels: Tensor | None
) -> Selection:
    """Find the positions of a span in the rows of a label.

    Args:
        method: which trainer it is.
        layout: of the batch.
        span: which tokens; the method's own choice where None.
        label: only rows (where rows hold several texts: only texts) with this label.
        labels: the label of each row of the data set in the batch.

    Raises:
        InputError: the span has no token in the whole batch.
    """
    span = span or method.span
    region, rows = _region(method, layout, span)
    if not bool(region.any()):
        raise InputError(
            f"No position of this batch is kept: no row has a token of the span {span!r}, every "
            "completion in it is empty. Look for rows without a completion, or raise max_length."
        )
    shape = (region.shape[0], region.shape[1])
    text = layout.text
    if text is None:
        text = torch.arange(shape[0], device=region.device)[:, None].expand(shape)
    kept = region if rows is None else region & rows[:, None]
    if label is not None:
        assert labels is not None
        each = (labels.repeat(2) if method.pairs else labels).to(region.device)
        # Padding at the end of a padding-free row counts as texts that have no label.
        kept = kept & (each == label)[text.clamp(max=len(each) - 1)]
    index = kept.flatten().nonzero().squeeze(1)
    _, compact = text.flatten()[index].unique(return_inverse=True)
    return Selection(
        index,
        compact,
        int(region.sum()),
        len(text[region].unique()),
        shape,
    )


def _region(method: Method, layout: Layout, span: Where) -> tuple[Tensor, Tensor | None]:
    """The positions that a mean is taken over, and the rows among them that count."""
    completion = layout.completion
    if span == "all":
        return layout.attended, None
    if span in ("prompt", "completion"):
        assert completion is not None
        return (completion if span == "completion" else layout.attended & ~completion), None
    chosen = layout.chosen
    assert chosen is not None
    rows = chosen if span == "chosen" else ~chosen
    region = layout.attended if completion is None else completion
    # Of pairs each side has its half of the rows; elsewhere a batch may have none of one kind.
    return (region & rows[:, None], None) if method.pairs else (region, rows)
