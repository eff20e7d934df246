"""Given: answers and texts that are there already, as tokens with their scores."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from repalign.activations import Progress, stream
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.monitoring.watched import TokenScore
from repalign.readouts import Readout
from repalign.spans import Reading, Span, pieces
from repalign.tokens import Tokens


def tokens_of(
    model: LanguageModel, reading: Reading, scores: np.ndarray, *, probabilities: bool
) -> list[TokenScore]:
    """The tokens of a text that its span reads.

    Args:
        model: the model.
        reading: the text.
        scores: one for each position read.
        probabilities: whether to run the model for those of the tokens.
    """
    texts = pieces(model.tokenizer, reading)
    known = _probabilities(model, reading) if probabilities else [None] * len(reading.ids)
    return [
        TokenScore(reading.ids[place], texts[place].text, float(score), known[place])
        for place, score in zip(reading.positions, scores, strict=True)
    ]


def scores_of(
    model: LanguageModel,
    readout: Readout,
    examples: Sequence[Example],
    span: Span,
    progress: Progress | None = None,
) -> list[Float[np.ndarray, " token"]]:
    """The score of each token that a span reads; activations are dropped piece by piece."""
    scores: list[np.ndarray] = [np.empty(0)] * len(examples)
    done = 0
    for part in stream(model, examples, readout.sites, span):
        found = readout.score(part)
        # Rows of one example lie together, in the order of its tokens.
        numbers, starts, counts = np.unique(part.example, return_index=True, return_counts=True)
        for number, start, count in zip(numbers, starts, counts, strict=True):
            scores[number] = found[start : start + count]
        done += len(numbers)
        if progress is not None:
            progress(done, len(examples))
    return scores


def _probabilities(model: LanguageModel, reading: Reading) -> list[float | None]:
    """What the model gave each token of a text; None for the first."""
    if len(reading.ids) == 1:
        return [None]
    logits = model.logits(Tokens.pad([reading.ids], model.pad_id))[0, :-1].float()
    ids = torch.tensor(reading.ids[1:], device=logits.device).unsqueeze(1)
    values = logits.gather(1, ids).squeeze(1) - logits.logsumexp(dim=1)
    return [None, *values.exp().tolist()]
