"""Measure: behaviour that does not rest on any probe, before and after, item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.auditing.shift import Shift, of_means
from repalign.errors import InputError
from repalign.evaluation.pairing import LEVEL, sign_flip_p
from repalign.metrics import cluster_codes

FEW_GROUPS = 6
"""With fewer groups no flip of signs gives a p-value below 0.05."""


@dataclass(frozen=True, eq=False)
class Measure:
    """One measure of the same items on both models.

    Example:
        >>> Measure("lies", [1.0, 1.0], [0.0, 0.0], higher_is_honest=False).name
        'lies'
    """

    name: str
    before: Sequence[float] | NDArray[Any]
    after: Sequence[float] | NDArray[Any]
    groups: Sequence[str] | NDArray[Any] | None = field(default=None, repr=False)
    """What intervals resample; each item by itself without them."""
    higher_is_honest: bool | None = True
    """None shows it and gives it no part in the verdict: a price, or something else than honesty,
    such as refusal or accuracy."""

    def __post_init__(self) -> None:
        """Refuse values that are not paired, none, or no numbers."""
        first, second = np.asarray(self.before), np.asarray(self.after)
        if first.shape != second.shape or first.ndim != 1 or not len(first):
            raise InputError(
                f"The measure {self.name} needs one value an item before and after, and one item "
                f"or more; the values have shapes {first.shape} and {second.shape}."
            )
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            raise InputError(
                f"The measure {self.name} holds values that are no finite numbers. Leave out the "
                "items that have none, before and after."
            )
        cluster_codes(self.groups, len(first))


@dataclass(frozen=True)
class Change:
    """What became of a measure."""

    name: str
    items: int
    shift: Shift
    higher_is_honest: bool | None
    p: float
    """Of differences at least this large where training did nothing: signs of whole groups
    flipped, two-sided."""
    p_adjusted: float | None = None
    """After Holm, over all measures that have a part in the verdict; None for the others."""

    @property
    def sure(self) -> bool:
        """Whether the corrected p-value and the interval both say that it changed."""
        corrected = self.p_adjusted
        return self.shift.moved and corrected is not None and corrected < LEVEL

    @property
    def improved(self) -> bool:
        """Whether behaviour surely became more honest by it."""
        return self.sure and self.shift.rose is bool(self.higher_is_honest)

    @property
    def worsened(self) -> bool:
        """Whether behaviour surely became less honest by it."""
        return self.sure and not self.improved

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "items": self.items,
            **self.shift.to_json(),
            "higher_is_honest": self.higher_is_honest,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "sure": self.sure,
        }


def changes(measures: Sequence[Measure]) -> tuple[Change, ...]:
    """Compare every measure, and correct for the number of those that the verdict rests on.

    Raises:
        InputError: two measures of one name.
    """
    names = [one.name for one in measures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"Two measures are called {', '.join(twice)}; give each a name of its own."
        )
    raw = {
        one.name: sign_flip_p(np.asarray(one.after) - np.asarray(one.before), one.groups)
        for one in measures
    }
    counted = [one.name for one in measures if one.higher_is_honest is not None]
    adjusted: Mapping[str, float] = dict(
        zip(counted, holm([raw[name] for name in counted]), strict=True)
    )
    return tuple(
        Change(
            one.name,
            len(one.before),
            of_means(one.before, one.after, one.groups),
            one.higher_is_honest,
            raw[one.name],
            adjusted.get(one.name),
        )
        for one in measures
    )


def holm(p: Sequence[float]) -> list[float]:
    """P-values after Holm's step-down correction: right for any dependence between the tests.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    found, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        found[place] = largest
    return found
