"""compare(): what changed, question by question."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from repalign.errors import InputError
from repalign.metrics import Estimate, mean


@runtime_checkable
class Measured(Protocol):
    """What has one value a question: `Choices`, `Answers`, `Ratings`."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the values; the first is the usual one."""
        ...

    @property
    def keys(self) -> Sequence[Any]:
        """What was asked, and how."""
        ...

    @property
    def groups(self) -> np.ndarray:
        """What intervals resample."""
        ...

    def items(self, what: str = ...) -> np.ndarray:
        """One value a question."""
        ...


def compare(after: Measured, before: Measured, what: str | None = None) -> Estimate:
    """The mean difference `after − before` on the same questions, resampled by group.

    Paired: what makes one question easier than another cancels out, so a difference can be sure
    where the two intervals overlap.

    Args:
        after: such as choices made while something was written.
        before: the same questions put to the plain model.
        what: which measure. For `Choices` `log_odds` (unless given), `accuracy`, `mc1` or `mc2`;
            for `Answers` `length` or `repetition`; for `Ratings` their score, over the questions
            that were rated both times.

    Returns:
        The difference; `n` counts the groups that it rests on.

    Raises:
        InputError: different questions, orders, raters or generation settings; no such measure; or
            ratings without one question that was rated both times.
    """
    if type(after) is not type(before):
        raise InputError(f"{type(after).__name__} cannot be compared with {type(before).__name__}.")
    if len(after.keys) != len(before.keys):
        raise InputError(
            f"{len(after.keys)} questions cannot be compared with {len(before.keys)}: differences "
            "are taken question by question."
        )
    pairs = enumerate(zip(after.keys, before.keys, strict=True))
    other = next((index for index, (one, two) in pairs if one != two), None)
    if other is not None:
        raise InputError(
            f"Question {other} is not the same before and after, or was put in another way: "
            f"{before.keys[other]} and {after.keys[other]}. Ask both times with the same "
            "questions, in one order, and the same settings."
        )
    what = after.measures[0] if what is None else what
    difference = after.items(what) - before.items(what)
    kept = ~np.isnan(difference)
    if not kept.any():
        raise InputError(f"No question has a {what} both before and after.")
    return mean(difference[kept], after.groups[kept])
