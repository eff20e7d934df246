"""Verdict: right, wrong or declined, and by which words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from repalign.errors import InputError
from repalign.verdicts.declining import cue
from repalign.verdicts.matching import choice, contains
from repalign.verdicts.normalising import without_thought


@dataclass(frozen=True)
class Verdict:
    """What an answer is, and why it was taken for that."""

    kind: str
    """`correct`, `wrong`, `idk`, or `empty` where nothing was said, or nothing but a thought."""
    contains: bool
    """Whether it holds the right answer, declined or not."""
    why: str | None = None
    """The phrase that declines, or the right answer found."""


def verdict(
    answer: str | None,
    right: Sequence[str] | None,
    question: str = "",
    *,
    options: Sequence[str] | None = None,
    cues: Mapping[str, Iterable[str]] | None = None,
) -> Verdict:
    """Judge an answer by its words: to decline counts before right, and right before wrong.

    Args:
        answer: what was said; None or blank is `empty`.
        right: the right answer and its aliases; None where nobody can know, so that whatever does
            not decline is wrong.
        question: what was asked.
        options: of a multiple-choice question, in the order of its letters; one of them is among
            `right`.
        cues: phrases that decline; see `declining.cue`.

    Raises:
        InputError: no right answer, or none of the options is one.

    Example:
        >>> verdict("It may be Paris, but I don't know.", ["Paris"])
        Verdict(kind='idk', contains=True, why="i don't know")
    """
    said = without_thought(answer or "")
    if right is None:
        found = None
    elif options is None:
        found = contains(said, right)
    else:
        places = [i for i, option in enumerate(options) if option in right]
        if not places:
            raise InputError(
                f"None of the options {list(options)} is among the right answers {list(right)}."
            )
        taken = choice(said, options)
        found = options[taken] if taken is not None and taken in places else None
    if not said:
        return Verdict("empty", False)
    declined = cue(said, question, cues)
    if declined is not None:
        return Verdict("idk", found is not None, declined)
    return Verdict("wrong" if found is None else "correct", found is not None, found)
