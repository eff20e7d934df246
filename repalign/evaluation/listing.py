"""Listing: what an answer that lists several things names, and how much of it is right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from repalign.verdicts import contains, normal, without_thought

_BETWEEN = re.compile(r"[\n;,]|(?<!\w)(?:and|&|as well as)(?!\w)|(?<!\S)(?:\d{1,2}[.)]|[-*•])\s")
_INTRODUCED = re.compile(r"\A[^\n:]*:\s+(?=\S)")


@dataclass(frozen=True)
class Listed:
    """What of a complete list an answer names, and what it names besides."""

    named: tuple[int, ...]
    """Places of the members that it names, in the order of the list."""
    members: int
    """Of the list."""
    besides: tuple[str, ...]
    """What it lists that is no member."""

    @property
    def recall(self) -> float:
        """The share of the list that is named."""
        return len(self.named) / self.members

    @property
    def precision(self) -> float:
        """The share of what is listed that is a member, each counted once; 0 of nothing."""
        told = len(self.named) + len(self.besides)
        return len(self.named) / told if told else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where nothing right is named."""
        if not self.named:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def listed(answer: str, members: Sequence[Sequence[str]]) -> Listed:
    """Read an answer as a list.

    It is cut at commas, semicolons, line breaks, bullets, numbers and `and`; words that end in a
    colon at its beginning introduce it. A part that holds a member names it, whatever else it
    holds; a part that holds none is something besides.

    Args:
        answer: what was said; a thought in it does not count.
        members: the complete list, each with its other names.

    Example:
        >>> found = listed("They are: red, blue and green.", [["red"], ["yellow"], ["blue"]])
        >>> found.named, found.besides
        ((0, 2), ('green',))
    """
    said = _INTRODUCED.sub("", without_thought(answer))
    named: set[int] = set()
    besides: dict[str, None] = {}
    for part in _BETWEEN.split(said):
        # Whole words: `Arctic` is not named by `Antarctic`, nor `molars` by `premolars`.
        here = {
            place
            for place, names in enumerate(members)
            if contains(part, names, whole_words_below=99) is not None
        }
        named |= here
        if not here and normal(part):
            besides[normal(part)] = None
    return Listed(tuple(sorted(named)), len(members), tuple(besides))
