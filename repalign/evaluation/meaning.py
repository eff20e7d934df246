"""Meaning: how like two answers are, and whether one says what the other says.

What is here knows words and nothing else; `cross_encoder` has models for both.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from repalign.verdicts import normal, without_thought

Texts = Sequence[tuple[str, str]]
_EMPTY = frozenset(
    normal(
        "is are was were be been being am it its s this that these those there of in on at to for "
        "from by with as and or which who what you he she they we"
    ).split()
)
"""Words that carry no answer by themselves; articles are gone already. `no` and `not` do."""


@runtime_checkable
class Similarity(Protocol):
    """Says how like texts are."""

    @property
    def name(self) -> str:
        """As reports name it."""
        ...

    def similarities(self, pairs: Texts) -> Float[np.ndarray, " pair"]:
        """How like the two texts of each pair are, from 0 to 1."""
        ...


@runtime_checkable
class Entailment(Protocol):
    """Says whether an answer says what another one says."""

    @property
    def name(self) -> str:
        """As reports name it."""
        ...

    def entails(self, question: str, pairs: Texts) -> Bool[np.ndarray, " pair"]:
        """Whether, as an answer to the question, the first text says what the second says."""
        ...


class Lexical:
    """Both by words alone: needs no model, and takes every other wording for another meaning."""

    @property
    def name(self) -> str:
        """As reports name it."""
        return "lexical"

    def similarities(self, pairs: Texts) -> Float[np.ndarray, " pair"]:
        """Words that both texts have, over words that either has; 1 where neither has any.

        Example:
            >>> Lexical().similarities([("Paris, France", "In Paris")]).tolist()
            [0.3333333333333333]
        """
        return np.array([_overlap(_words(one), _words(other)) for one, other in pairs])

    def entails(self, question: str, pairs: Texts) -> Bool[np.ndarray, " pair"]:
        """Whether every word of the second text is in the first.

        Words such as `is` and `of` do not count, and neither do words of the question, where both
        texts have others.

        Example:
            >>> asked = "Which country is the city of Lyon in?"
            >>> Lexical().entails(asked, [("The city of Lyon is in France.", "France")]).tolist()
            [True]
        """
        asked = _words(question)
        found = []
        for one, other in pairs:
            first, second = _words(one) - _EMPTY, _words(other) - _EMPTY
            if first - asked and second - asked:
                first, second = first - asked, second - asked
            found.append(second <= first)
        return np.array(found, dtype=bool)


def _words(text: str) -> frozenset[str]:
    return frozenset(normal(without_thought(text)).split())


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    either = one | other
    return len(one & other) / len(either) if either else 1.0
