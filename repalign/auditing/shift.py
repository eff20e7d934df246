"""Shift: one figure before and after training, and the paired difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from repalign.metrics import Estimate, auroc_statistic, cluster_codes
from repalign.metrics.estimate import Values, bootstrapped, paired

Groups = Sequence[str] | NDArray[Any] | None


@dataclass(frozen=True)
class Shift:
    """A figure of the same texts, questions or tokens on frozen and on trained weights."""

    before: Estimate
    after: Estimate
    difference: Estimate
    """After less before; both see the same resamples of groups."""

    @property
    def rose(self) -> bool:
        """Whether the interval of the difference lies above 0."""
        return self.difference.low > 0

    @property
    def fell(self) -> bool:
        """Whether the interval of the difference lies below 0."""
        return self.difference.high < 0

    @property
    def moved(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.rose or self.fell

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "difference": self.difference.to_json(),
        }


def of_means(before: Values, after: Values, groups: Groups = None) -> Shift:
    """Of means of one value a row, rows paired; shares where all values are 0 or 1.

    Example:
        >>> of_means([1.0, 2.0], [2.0, 3.0]).difference.value
        1.0
    """
    last, first, difference = paired(after, before, groups)
    return Shift(first, last, difference)


def of_auroc(labels: NDArray[Any], before: Values, after: Values, groups: Groups = None) -> Shift:
    """Of the AUROC of two scores of the same rows.

    Args:
        labels: 0 or 1, one a row.
        before: scores on frozen weights, higher = label 1.
        after: on trained weights.
        groups: what is resampled.
    """
    first, second = auroc_statistic(labels, before), auroc_statistic(labels, after)
    codes = cluster_codes(groups, len(labels))
    return Shift(
        bootstrapped(first, codes),
        bootstrapped(second, codes),
        bootstrapped(lambda weights: second(weights) - first(weights), codes),
    )
