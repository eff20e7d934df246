"""Reliability: whether a stated confidence is how often one is right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import Estimate, bootstrapped, cluster_codes


def calibration_error(
    confidence: Sequence[float] | Sequence[int] | NDArray[Any],
    correct: Sequence[bool] | Sequence[int] | NDArray[Any],
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    bins: int = 10,
    level: float = 0.95,
) -> Estimate:
    """Expected calibration error: how far accuracy and mean confidence differ, bin by bin.

    Bins are of equal width, weighed by their rows. It is above 0 for a perfectly calibrated model
    too, the more so the fewer rows a bin has, and resampling adds to that: the interval lies high.

    Args:
        confidence: 0 to 1, one a row.
        correct: whether the row is right.
        groups: what the interval resamples; each row by itself without them.
        bins: how many.
        level: coverage of the interval.

    Raises:
        InputError: unequal lengths, no rows, or a confidence outside 0 to 1.

    Example:
        >>> round(calibration_error([0.9, 0.9, 0.2, 0.2], [1, 1, 0, 1]).value, 6)
        0.2
    """
    stated, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if stated.shape != right.shape or stated.ndim != 1 or not len(stated):
        raise InputError(
            f"Confidence and correctness are one a row; their shapes are {stated.shape} and "
            f"{right.shape}."
        )
    if not ((stated >= 0) & (stated <= 1)).all():
        raise InputError("A confidence lies between 0 and 1; some given do not.")
    if bins < 1:
        raise InputError(f"There is at least one bin; {bins} were asked for.")
    member = np.eye(bins)[np.minimum((stated * bins).astype(int), bins - 1)]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # A bin's share of rows times what it is off: the difference of two weighed sums.
        gaps = np.abs((weights * (right - stated)) @ member)
        return gaps.sum(axis=1) / weights.sum(axis=1)

    return bootstrapped(statistic, cluster_codes(groups, len(stated)), level=level)
