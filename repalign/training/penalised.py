"""penalised(): a trainer of TRL whose loss also holds penalties on the states of its model."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from repalign import architectures
from repalign.architectures import Architecture
from repalign.errors import InputError, MissingExtraError, RepalignError
from repalign.models.hooking import attached
from repalign.sites import Site

# Inside a block, activation checkpointing either recomputes without the hook or hands out states
# that carry no gradient.
_STREAMS = ("resid_pre", "resid_post")


@runtime_checkable
class Penalty(Protocol):
    """A function of the states at a site that is added to the loss of a trainer."""

    @property
    def site(self) -> Site:
        """Where the states are read."""
        ...

    @property
    def width(self) -> int:
        """The width of the states that it reads."""
        ...

    @property
    def weight(self) -> float:
        """Its factor in the loss."""
        ...

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    def __call__(self, policy: Tensor, mask: Tensor) -> Tensor:
        """The unweighted penalty of states `[batch pos d_model]` at the kept positions.

        It must be a mean over them, since accumulation of gradients is scaled as for a mean.
        """
        ...


def penalised(trainer_class: type, penalties: Sequence[Penalty]) -> type:
    """Make a trainer that adds penalties to the loss of another.

    Everything else is the trainer's own: arguments, data, logs, checkpoints. Each penalty reads the
    pass of the model that carries gradient, so never the reference, which DPO with an adapter runs
    through the same blocks. Its mean is logged, unweighted, as `penalty/<name>`. Evaluation has no
    penalty: `eval_loss` is the trainer's.

    Positions that count: with `SFTTrainer` the tokens that the loss is taken on; with `DPOTrainer`
    those of the chosen completion. The mean is over the positions of a process's batch: with
    completions of different lengths, accumulation steps and processes weigh alike and not by their
    tokens.

    Args:
        trainer_class: `SFTTrainer` or `DPOTrainer` of TRL, or a subclass whose `compute_loss`
            scales as theirs.
        penalties: what to add. With none, or with weight 0 throughout, the loss is the trainer's
            own, bit for bit, and no hook is placed.

    Returns:
        A subclass of the trainer. Making one raises `InputError` for a site that the model lacks,
        a direction of another width, and a site ahead of every weight that is trained.
        `compute_loss` raises `InputError` for batches without an attention mask (packed or
        padding-free) and for a batch in which no position counts, and `RepalignError` unless
        exactly one pass through a site carries gradient.

    Raises:
        InputError: another trainer, something that is no penalty, or a site inside a block.
        MissingExtraError: TRL is not installed.

    Example:
        >>> from repalign.training import Projection, penalised
        >>> from trl import DPOTrainer                                       # doctest: +SKIP
        >>> Trainer = penalised(DPOTrainer, [Projection(direction, 0.5)])    # doctest: +SKIP
        >>> Trainer(model, args=args, train_dataset=pairs).train()           # doctest: +SKIP
    """
    method = _method(trainer_class)
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            raise InputError(
                f"{penalty!r} is no penalty. Give a sequence of penalties, such as "
                "[Projection(direction, weight=0.5)]."
            )
        if penalty.site.stream not in _STREAMS:
            raise InputError(
                f"{penalty.name} reads {penalty.site}, which lies inside a block, where activation "
                f"checkpointing can take the gradient away. Take a direction at "
                f"{' or '.join(_STREAMS)}."
            )
    return type(
        f"Penalised{trainer_class.__name__}",
        (_Penalised, trainer_class),
        {
            "__module__": trainer_class.__module__,
            "__doc__": f"`{trainer_class.__name__}` with penalties on states in its loss.",
            "penalties": tuple(penalties),
            "_method": method,
        },
    )


@dataclass(frozen=True)
class _Method:
    """What differs between trainers: the positions that count, and who scales for accumulation."""

    kept: Callable[[Mapping[str, Any]], Tensor]
    # Whether the trainer, given a count of items, leaves the division by the number of accumulation
    # steps to the loss (TRL does so for its own auxiliary loss of mixtures of experts).
    divides_by_steps: bool


def _trained_on(inputs: Mapping[str, Any]) -> Tensor:
    return inputs["labels"] != -100


def _chosen(inputs: Mapping[str, Any]) -> Tensor:
    # The chosen rows are stacked on the rejected ones.
    mask = inputs["completion_mask"].bool()
    kept = mask.clone()
    kept[len(mask) // 2 :] = False
    return kept


def _method(trainer_class: type) -> _Method:
    try:
        from trl import DPOTrainer, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]
    except ImportError as error:
        raise MissingExtraError(
            "Training needs the package trl. Install it with: pip install 'repalign[train]'"
        ) from error
    known = {SFTTrainer: _Method(_trained_on, True), DPOTrainer: _Method(_chosen, False)}
    # Some of TRL's experimental trainers inherit from these two, with other losses and scales.
    experimental = [kind for kind in trainer_class.mro() if "trl.experimental" in kind.__module__]
    for kind, method in known.items():
        if issubclass(trainer_class, kind) and not experimental:
            return method
    raise InputError(
        f"{trainer_class.__name__} cannot be penalised. Give the class SFTTrainer or DPOTrainer of "
        "trl, or a subclass of one; other trainers come in a later version."
    )


@dataclass
class _Passes:
    """What passed one site while a loss was computed."""

    seen: list[str] = field(default_factory=list)
    with_gradient: list[Tensor] = field(default_factory=list)

    def keep(self, states: Tensor) -> None:
        if torch.is_grad_enabled() and states.requires_grad:
            self.seen.append("with gradient")
            self.with_gradient.append(states)
        elif torch.is_grad_enabled():
            self.seen.append("cut off from every trained weight")
        else:
            self.seen.append("under no_grad")

    def policy(self, site: Site) -> Tensor:
        if len(self.with_gradient) != 1:
            seen = ", ".join(f"{count} {kind}" for kind, count in Counter(self.seen).items())
            raise RepalignError(
                f"A penalty at {site} needs exactly one pass that carries gradient; this loss made "
                f"{len(self.with_gradient)} (passes seen: {seen or 'none'}). With none, the "
                "penalty would change nothing; with several, the policy's cannot be told from the "
                "others. Train weights that lie ahead of the site, or take another trainer."
            )
        return self.with_gradient[0]


class _Penalised:
    """Goes ahead of a trainer of TRL in the order of inheritance."""

    penalties: tuple[Penalty, ...]
    _method: _Method
    # The trainer's own.
    model: Any
    accelerator: Any
    current_gradient_accumulation_steps: int
    _metrics: dict[str, dict[str, list[float]]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._active = [penalty for penalty in self.penalties if penalty.weight]
        if self._active:
            network = self.accelerator.unwrap_model(self.model)
            self._architecture = architectures.find(network)
            for penalty in self._active:
                _check(penalty, self._architecture, network)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The trainer's loss, plus the penalties where gradient is on."""
        base: Any = super()
        if not self._active or not torch.is_grad_enabled():
            return base.compute_loss(
                model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
            )
        mask = self._kept(inputs)
        passes = {penalty.site: _Passes() for penalty in self._active}
        keepers = {site: kept.keep for site, kept in passes.items()}
        with attached(self._architecture, keepers, first=False):
            result = base.compute_loss(
                model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
            )
        loss = result[0] if return_outputs else result
        divide = self._method.divides_by_steps and num_items_in_batch is not None
        steps = self.current_gradient_accumulation_steps if divide else 1
        for penalty, name in zip(self._active, _names(self._active), strict=True):
            value = penalty(*_aligned(penalty, passes[penalty.site].policy(penalty.site), mask))
            self._log(name, value)
            loss = loss + penalty.weight * value.to(loss.device) / steps
        return (loss, result[1]) if return_outputs else loss

    def _kept(self, inputs: Mapping[str, Any]) -> Tensor:
        if "attention_mask" not in inputs:
            raise InputError(
                "This batch has no attention mask: it is packed or padding-free, so one row holds "
                "several texts. Penalties need a text a row: set packing=False and "
                "padding_free=False."
            )
        return self._method.kept(inputs)

    def _log(self, name: str, value: Tensor) -> None:
        mode = "train" if self.model.training else "eval"
        mean = self.accelerator.gather(value.detach()).mean().item()
        self._metrics[mode][f"penalty/{name}"].append(mean)


def _aligned(penalty: Penalty, policy: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    if policy.shape[:2] != mask.shape:
        raise InputError(
            f"{penalty.name} reads states {list(policy.shape[:2])} (rows, positions), but the "
            f"batch is {list(mask.shape)}. Adapters that put tokens of their own before the text, "
            "and training that splits a text over devices, cannot be penalised."
        )
    return policy, mask.to(policy.device)


def _names(penalties: Sequence[Penalty]) -> list[str]:
    """Their names in logs; where two are called the same, the later ones are numbered."""
    found: Counter[str] = Counter()
    names = []
    for penalty in penalties:
        found[penalty.name] += 1
        count = found[penalty.name]
        names.append(penalty.name if count == 1 else f"{penalty.name}_{count}")
    return names


def _check(penalty: Penalty, architecture: Architecture, network: Any) -> None:
    site = penalty.site
    architecture.check(site)
    if penalty.width != architecture.d_model:
        raise InputError(
            f"{penalty.name} reads states of width {penalty.width}; this model has "
            f"{architecture.d_model}. Take a direction of this model."
        )
    # Checkpointing has the embeddings' output require gradient where no weight ahead does, and then
    # the penalty would change nothing and say nothing.
    blocks = architecture.layers[: site.layer + (site.stream == "resid_post")]
    ahead = [network.get_input_embeddings(), *blocks]
    if not any(weight.requires_grad for module in ahead for weight in module.parameters()):
        raise InputError(
            f"{penalty.name} reads {site}, and no weight ahead of it is trained, so it would "
            "change nothing. Train weights of earlier layers, or take a direction at a later site."
        )
