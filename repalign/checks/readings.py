"""The texts that checks read, and how far apart two readings are."""

import math
from collections.abc import Iterable

from torch import Tensor

from repalign import spans
from repalign.examples import Example
from repalign.models import LanguageModel

TEXTS = (
    "Water boils when it is hot.",
    "Seven",
    "A long sentence makes the rows of this batch ragged, which is what the check needs.",
    "Two and two.",
)


def ids(model: LanguageModel) -> list[list[int]]:
    """The token ids of each text."""
    whole, rows = spans.Span.parse("all"), [Example.of_text(text) for text in TEXTS]
    return [list(spans.read(model.tokenizer, row, whole).ids) for row in rows]


def relative(found: Tensor, wanted: Tensor) -> float:
    """Length of the difference, as a share of the length of what was wanted."""
    found, wanted = found.float(), wanted.float()
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-12))


def worst(errors: Iterable[float]) -> float:
    """The largest error; NaN if there is one, which `max` would pass over."""
    found = list(errors)
    return math.nan if any(math.isnan(error) for error in found) else max(found, default=0.0)
