"""verify_export(): whether an export predicts the same next tokens as the hooks do."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from repalign import spans
from repalign.datasets import load
from repalign.errors import CheckError, InputError
from repalign.examples import Example
from repalign.exports.gguf import read_gguf
from repalign.exports.lora import with_adapter
from repalign.exports.vllm_lens import read_vllm_lens
from repalign.interventions import Intervention, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

ALLOWED = 1e-3
"""The divergence of one token, in nats, that no exported float32 model may reach."""
# Of coarser formats rounding alone makes more, since edited weights are rounded anew.
_COARSE = 5e-2
_SHARE = 0.1
# Below it the interventions do nothing that rounding would not.
_NOTHING = 1e-9
_TEXTS, _LONGEST, _TOGETHER = 12, 48, 4


@dataclass(frozen=True)
class Verification:
    """Divergences of next-token distributions, KL(hooked ‖ other) in nats, over attended tokens."""

    exported: str
    """What was compared."""
    tokens: int
    mean: float
    """Of the export."""
    worst: float
    effect_mean: float
    """Of the model without interventions: what an export that does nothing would show."""
    effect_worst: float
    agreement: float
    """Share of tokens after which export and hooks find the same token likeliest."""
    allowed: float = ALLOWED
    """What `worst` has to stay under: 0.001, or 0.05 in bfloat16 and float16."""

    @property
    def passed(self) -> bool:
        """Each token diverges by less than allowed, and the mean is within a tenth of the effect's.

        The second so that an export of something small does not pass by doing nothing.
        """
        return self.worst < self.allowed and self.mean <= _SHARE * self.effect_mean

    def __str__(self) -> str:
        """Print the figures in two lines."""
        verdict = "same as the hooks" if self.passed else "NOT the same as the hooks"
        return (
            f"{self.exported}: {verdict}\n"
            f"next-token KL from the hooked model over {self.tokens} tokens: mean {self.mean:.2e}, "
            f"max {self.worst:.2e} (allowed {self.allowed:g}); of the model without interventions: "
            f"mean {self.effect_mean:.2e}, max {self.effect_worst:.2e}; same likeliest token "
            f"{self.agreement:.1%}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "passed": self.passed}


def verify_export(
    model: LanguageModel,
    interventions: Mapping[Site, Intervention],
    exported: LanguageModel | Path | str,
    texts: Sequence[str] | None = None,
) -> Verification:
    """Compare an export with the model under `intervene`, token by token.

    Args:
        model: the model that was exported from.
        interventions: what was exported.
        exported: a model, or what was written: a folder of a baked model or of an adapter, a
            `.gguf` control vector, or a `.json` of vllm-lens. Vectors are added by our own hooks:
            this checks the file, not the server that will read it.
        texts: plain texts to compare on; ordinary ones by default.

    Returns:
        The figures; look at `passed`.

    Raises:
        CheckError: the interventions change nothing, so there is nothing to verify, or something
            is not a number.
        InputError: nothing lies at the path, or something else than an export.
    """
    other, writes = _opened(model, exported)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for tokens in _batches(model, texts):
        plain = _predicted(model, tokens, {})
        hooked = _predicted(model, tokens, interventions)
        found = _predicted(other, tokens, writes)
        same = hooked.argmax(dim=-1) == found.argmax(dim=-1)
        parts.append((_kl(hooked, found), _kl(hooked, plain), same.numpy()))
    export, effect, agreed = (np.concatenate(part) for part in zip(*parts, strict=True))
    name = exported.name if isinstance(exported, LanguageModel) else str(exported)
    if not np.isfinite(export).all() or not np.isfinite(effect).all():
        raise CheckError(f"{name}: some divergences are not numbers, in the export or the hooks.")
    if effect.max() < _NOTHING:
        raise CheckError(
            f"{name}: under these interventions {model.name} predicts what it predicts without, so "
            "there is nothing to verify. Is the coefficient 0, or the last thing that reads the "
            "stream before it?"
        )
    return Verification(
        name,
        len(export),
        float(export.mean()),
        float(export.max()),
        float(effect.mean()),
        float(effect.max()),
        float(agreed.mean()),
        ALLOWED if model.dtype in (torch.float32, torch.float64) else _COARSE,
    )


def _opened(
    model: LanguageModel, exported: LanguageModel | Path | str
) -> tuple[LanguageModel, Mapping[Site, Intervention]]:
    """The model to run, and what to write to it meanwhile."""
    if isinstance(exported, LanguageModel):
        return exported, {}
    path = Path(exported).expanduser()
    if path.suffix == ".gguf":
        return model, read_gguf(path, model)
    if path.suffix == ".json":
        return model, read_vllm_lens(path, model)
    if (path / "adapter_config.json").is_file():
        return with_adapter(model, path), {}
    if (path / "config.json").is_file():
        loaded = LanguageModel.load(path, dtype=model.dtype, device=str(model.device))
        loaded.allow_failed = model.allow_failed
        return loaded, {}
    raise InputError(
        f"{path} is no export: give a folder with a model or a PEFT adapter, a .gguf control "
        "vector or a .json of vllm-lens."
    )


def _batches(model: LanguageModel, texts: Sequence[str] | None) -> Iterator[Tokens]:
    context = model.architecture.context
    if texts is not None:
        examples: Iterable[Example] = [Example.of_text(text) for text in texts]
    else:
        benign = load("benign")
        rows = [benign[i] for i in range(0, len(benign), len(benign) // _TEXTS)][:_TEXTS]
        examples = rows
        if model.tokenizer.chat_template is None:
            examples = [Example.of_text(row.messages[-1].content) for row in rows]
    whole = spans.Span.parse("all")
    found = [reading.ids for reading in spans.read_all(model.tokenizer, list(examples), whole)]
    longest = min(_LONGEST if texts is None else sys.maxsize, context or sys.maxsize)
    ids = sorted((row[:longest] for row in found), key=len)
    for start in range(0, len(ids), _TOGETHER):
        yield Tokens.pad(ids[start : start + _TOGETHER], model.pad_id)


def _predicted(
    model: LanguageModel, tokens: Tokens, interventions: Mapping[Site, Intervention]
) -> Float[Tensor, "token vocab"]:
    """Log-probabilities after every attended token, float64, on the CPU."""
    with intervene(model, interventions) if interventions else nullcontext():
        logits = model.logits(tokens)
    kept = logits.cpu()[tokens.attended.cpu()]
    return torch.log_softmax(kept.double(), dim=-1)


def _kl(
    wanted: Float[Tensor, "token vocab"], found: Float[Tensor, "token vocab"]
) -> Float[np.ndarray, " token"]:
    """KL(wanted ‖ found) for each token; rounding may not make it negative."""
    return (wanted.exp() * (wanted - found)).sum(dim=-1).clamp(min=0).numpy()
