"""Effects: how much more each set of responses costs when weights are gone."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from repalign.attribution.passing import losses
from repalign.attribution.texts import Text, batches, texts_of, tokens_per_pass
from repalign.examples import Example
from repalign.metrics import Estimate, mean
from repalign.models import LanguageModel
from repalign.models.modes import evaluating
from repalign.tokens import Tokens

Change = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Effect:
    """Mean loss of a set's responses, nats a token; intervals resample groups."""

    before: Estimate
    gain: Estimate
    """What the change adds, paired by example."""
    control: Estimate | None
    """What the control adds."""
    beyond: Estimate | None
    """What the change adds beyond the control, paired by example."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def response_loss(
    model: LanguageModel,
    examples: Sequence[Example],
    *,
    span: str = "answer",
    max_tokens: int | None = None,
) -> Float[np.ndarray, " example"]:
    """Negative log-likelihood of each example's response, nats a token.

    Raises:
        InputError: an example without response tokens.
    """
    texts = texts_of(model, examples, span)
    return _measured(model, texts, max_tokens or tokens_per_pass(model))


def effects(
    model: LanguageModel,
    sets: Mapping[str, Sequence[Example]],
    change: Change,
    control: Change | None = None,
    *,
    span: str = "answer",
    max_tokens: int | None = None,
) -> dict[str, Effect]:
    """Measure what a change of the weights does to each set of responses.

    Measure on examples that had no part in choosing the weights.

    Args:
        model: as it is afterwards.
        sets: the responses.
        change: opens the change, such as `lambda: zeroed(model, weights)`.
        control: opens the control, such as `lambda: zeroed(model, random_like(model, weights))`.
        span: which tokens are the response.
        max_tokens: positions of a pass, padding included.

    Returns:
        An effect for each set, by name.

    Raises:
        InputError: a set without examples or an example without response tokens.
    """
    width = max_tokens or tokens_per_pass(model)
    texts = {name: texts_of(model, rows, span, name) for name, rows in sets.items()}

    def measured() -> dict[str, np.ndarray]:
        return {name: _measured(model, rows, width) for name, rows in texts.items()}

    before = measured()
    with change():
        changed = measured()
    controlled = None
    if control is not None:
        with control():
            controlled = measured()
    found = {}
    for name, rows in texts.items():
        groups = [row.group for row in rows]
        plain, now = before[name], changed[name]
        other = None if controlled is None else controlled[name]
        found[name] = Effect(
            mean(plain, groups),
            mean(now - plain, groups),
            None if other is None else mean(other - plain, groups),
            None if other is None else mean(now - other, groups),
        )
    return found


def _measured(
    model: LanguageModel, texts: Sequence[Text], max_tokens: int
) -> Float[np.ndarray, " example"]:
    found = np.zeros(len(texts))
    with evaluating(model.network), torch.no_grad():
        for batch in batches(texts, max_tokens, by_row=True):
            rows = [texts[index] for index in batch]
            tokens = Tokens.pad([row.ids for row in rows], model.pad_id)
            found[batch] = losses(model, tokens, rows).double().cpu().numpy()
    return found
