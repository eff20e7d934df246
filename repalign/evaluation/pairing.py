"""pair(): two runs compared item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.evaluation.outcome import Item
from repalign.metrics import Estimate, cluster_codes
from repalign.metrics.estimate import paired

LEVEL = 0.05
"""A difference is called sure when its p-value is below this and its 95% interval excludes 0."""
_EXACT = 14
"""Up to this many groups every flip of signs is tried."""
_DRAWS = 9_999


@dataclass(frozen=True)
class Difference:
    """One score of the same items in two runs."""

    items: int
    """With this score in both runs."""
    first: Estimate
    second: Estimate
    difference: Estimate
    """First less second, item by item; resampled by group."""
    p: float
    """Of differences at least this large where neither run is better, two-sided."""

    @property
    def sure(self) -> bool:
        """Whether both the interval and the p-value say that the runs differ."""
        apart = self.difference.low > 0 or self.difference.high < 0
        return apart and self.p < LEVEL

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "items": self.items,
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "difference": self.difference.to_json(),
            "p": self.p,
            "sure": self.sure,
        }


@dataclass(frozen=True)
class Pairing:
    """One suite in two runs."""

    paired: int
    """Items of one id and one prompt in both."""
    only_first: int
    only_second: int
    changed: tuple[str, ...] = ()
    """Ids under which the runs asked different things; these items are left out."""
    scores: Mapping[str, Difference] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "paired": self.paired,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "changed": list(self.changed),
            "scores": {name: one.to_json() for name, one in self.scores.items()},
        }


def pair(
    first: Mapping[str, Sequence[Item]], second: Mapping[str, Sequence[Item]]
) -> dict[str, Pairing]:
    """Compare two runs suite by suite, on the items that both hold.

    Paired: what makes one item harder than another cancels out, so a difference can be sure where
    the intervals of the two runs overlap.

    Args:
        first: the items of each suite of one run; ids are unique within a suite.
        second: the same of another.

    Returns:
        For every suite of either run, in the order of the first.
    """
    return {
        suite: _pair(first.get(suite, ()), second.get(suite, ()))
        for suite in dict.fromkeys([*first, *second])
    }


def sign_flip_p(
    differences: Sequence[float] | NDArray[Any],
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    seed: int = 0,
) -> float:
    """The two-sided p-value of a mean difference by flipping the signs of whole groups.

    Where two runs do not differ, each group's difference is as likely to have the other sign. All
    flips are tried for up to 14 groups that differ, and 9,999 drawn ones for more. Unlike an
    interval from resampling it stays right for a handful of groups: of two groups none differ
    surely, whatever they say.

    Example:
        >>> sign_flip_p([1.0, 1.0]), sign_flip_p([1.0] * 8)
        (0.5, 0.0078125)
    """
    array = np.asarray(differences, dtype=np.float64)
    sums = np.bincount(cluster_codes(groups, len(array)), weights=array)
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    # Sums in another order differ in their last bits, and must still count as equal.
    least = abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
    if len(sums) <= _EXACT:
        flips = 1 - 2 * (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1)
        return float((np.abs(flips @ sums) >= least).mean())
    generator = np.random.default_rng(seed)
    block, reached = max(1, 4_000_000 // len(sums)), 0
    for start in range(0, _DRAWS, block):
        size = (min(block, _DRAWS - start), len(sums))
        drawn = 1 - 2 * generator.integers(0, 2, size=size, dtype=np.int8)
        reached += int((np.abs(drawn @ sums) >= least).sum())
    return (1 + reached) / (1 + _DRAWS)


def _pair(first: Sequence[Item], second: Sequence[Item]) -> Pairing:
    other = {item.id: item for item in second}
    both = [(item, other[item.id]) for item in first if item.id in other]
    same = [(one, two) for one, two in both if one.prompt == two.prompt]
    names = dict.fromkeys(name for one, two in same for name in one.scores if name in two.scores)
    return Pairing(
        paired=len(same),
        only_first=len(first) - len(both),
        only_second=len(second) - len(both),
        changed=tuple(one.id for one, two in both if one.prompt != two.prompt),
        scores={name: _difference(name, same) for name in names},
    )


def _difference(name: str, pairs: Sequence[tuple[Item, Item]]) -> Difference:
    kept = [(one, two) for one, two in pairs if name in one.scores and name in two.scores]
    groups = [one.group for one, _ in kept]
    first, second = np.array([(one.scores[name], two.scores[name]) for one, two in kept]).T
    return Difference(
        len(kept),
        *paired(first, second, groups),
        p=sign_flip_p(first - second, groups),
    )
