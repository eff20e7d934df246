"""Rejection: how good answers are when the least sure ones are held back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import RESAMPLES, Estimate, bootstrapped, cluster_codes

Values = Sequence[float] | Sequence[int] | NDArray[Any]
_SEED = 42
"""Of the shuffles, as in lm-polygraph."""


def prr(
    uncertainty: Values,
    quality: Values,
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    max_rejection: float = 1.0,
    shuffles: int | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Prediction rejection ratio: 1 where uncertainty orders answers as their quality does.

    The mean quality of the k surest answers, averaged over k, less what a random order has, over
    what the best order gains. 0 is random; it may be negative. Answers that are equally sure share
    their mean quality, where lm-polygraph leaves their order to an unstable sort.

    Args:
        uncertainty: one an answer, higher is less sure.
        quality: one an answer, higher is better; any scale.
        groups: what the interval resamples; each answer by itself without them.
        max_rejection: the largest share of answers that is held back.
        shuffles: None takes the exact mean of a random order, the mean quality; a number takes the
            mean of so many shuffles, as lm-polygraph does with 1000. No interval then.
        level: coverage of the interval.
        resamples: how many.

    Raises:
        InputError: unequal lengths, values that are not finite, or the same quality everywhere.

    Example:
        >>> sure, right = [0.1, 0.9, 0.3, 0.2, 0.4, 0.8], [1, 0, 1, 1, 0, 1]
        >>> round(prr(sure, right, shuffles=1000).value, 6)
        0.83342
    """
    unsure, good = _checked(uncertainty, quality)
    if not 0 < max_rejection <= 1:
        raise InputError(f"max_rejection is a share above 0 and up to 1; {max_rejection} given.")
    by_sureness, by_quality = _Order(unsure), _Order(-good)

    def ratio(weights: NDArray[np.float64]) -> float:
        random = float(weights @ good / weights.sum())
        if shuffles is not None:
            random = _shuffled(good, shuffles, max_rejection)
        best = by_quality.area(good, weights, max_rejection)
        if np.isclose(best, random, rtol=1e-12, atol=1e-12):
            return np.nan
        return (by_sureness.area(good, weights, max_rejection) - random) / (best - random)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([ratio(row) for row in weights])

    return bootstrapped(
        statistic,
        cluster_codes(groups, len(good)),
        level=level,
        resamples=resamples if shuffles is None else 0,
    )


class _Order:
    """Answers from the surest on; those that are equally sure stand together."""

    def __init__(self, uncertainty: NDArray[np.float64]) -> None:
        self.order = np.argsort(uncertainty, kind="stable")
        ordered = uncertainty[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def area(
        self, quality: NDArray[np.float64], weights: NDArray[np.float64], max_rejection: float
    ) -> float:
        """The mean over k of the mean quality of the k surest; weights are whole counts."""
        counts = np.add.reduceat(weights[self.order], self.starts)
        sums = np.add.reduceat((weights * quality)[self.order], self.starts)
        kept = counts > 0
        return _area(np.repeat(sums[kept] / counts[kept], counts[kept].astype(int)), max_rejection)


def _area(ordered: NDArray[np.float64], max_rejection: float) -> float:
    means = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    # At least one answer is held back, or none would be compared.
    return float(means[-max(1, int(max_rejection * len(ordered))) :].mean())


def _shuffled(quality: NDArray[np.float64], shuffles: int, max_rejection: float) -> float:
    # The old generator and the order of its draws are what published numbers rest on.
    generator = np.random.RandomState(_SEED)
    scores, areas = np.arange(len(quality)), []
    for _ in range(shuffles):
        generator.shuffle(scores)
        areas.append(_area(quality[np.argsort(scores)], max_rejection))
    return float(np.mean(areas))


def _checked(
    uncertainty: Values, quality: Values
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    unsure, good = (np.asarray(part, dtype=np.float64) for part in (uncertainty, quality))
    if unsure.shape != good.shape or unsure.ndim != 1 or not len(unsure):
        raise InputError(
            f"Uncertainty and quality are one number an answer; their shapes are {unsure.shape} "
            f"and {good.shape}."
        )
    if not (np.isfinite(unsure).all() and np.isfinite(good).all()):
        raise InputError("Uncertainty and quality have to be finite; these hold NaN or infinity.")
    if np.ptp(good) == 0:
        raise InputError(
            f"All {len(good)} answers are of quality {good[0]:g}: no order is better than another, "
            "and a rejection ratio says nothing."
        )
    return unsure, good
