"""Watched: an answer with the score of each of its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from repalign.monitoring.aggregating import Aggregate


@dataclass(frozen=True)
class TokenScore:
    """One token, with what the probe and the model say of it."""

    id: int
    text: str
    """What it adds to the text. Empty for special tokens, and for all but the last of the tokens
    that make up one character."""
    score: float
    """Of the probe, read at the token's own position; higher is honest."""
    probability: float | None
    """What the model gave the token when it chose it, before temperature and the like; None where
    it was not asked for, and for the first token of a text."""
    counted: bool = True
    """Whether it belongs to what the answer's score is made of: no special token, no thought."""


@dataclass(frozen=True)
class Watched:
    """An answer, token by token and as a whole."""

    tokens: tuple[TokenScore, ...]
    score: float | None
    """The scores of the counted tokens, aggregated; None where no token counts."""
    flagged: bool | None
    """Whether `score` lies below the threshold; None without a threshold or a score."""

    @property
    def text(self) -> str:
        """What the tokens say."""
        return "".join(token.text for token in self.tokens)

    @classmethod
    def of(
        cls, tokens: Sequence[TokenScore], aggregate: Aggregate, threshold: float | None
    ) -> "Watched":
        """Sum up the tokens of an answer."""
        counted = [token.score for token in tokens if token.counted]
        score = aggregate(counted) if counted else None
        flagged = None if score is None or threshold is None else score < threshold
        return cls(tuple(tokens), score, flagged)

    def record(self) -> dict[str, Any]:
        """As plain data, one list for each field of the tokens."""
        return {
            "text": self.text,
            "score": self.score,
            "flagged": self.flagged,
            "tokens": [token.text for token in self.tokens],
            "ids": [token.id for token in self.tokens],
            "scores": [token.score for token in self.tokens],
            "probabilities": [token.probability for token in self.tokens],
            "counted": [token.counted for token in self.tokens],
        }
