"""Deferral: how good a cascade is whose small model hands over what it is least sure of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import RESAMPLES, Estimate, bootstrapped, cluster_codes

Values = Sequence[float] | Sequence[int] | NDArray[Any]


def deferral_curve(unsure: Values, small: Values, large: Values) -> NDArray[np.float64]:
    """The mean quality where the 0, 1, …, n least sure answers are handed to the large model.

    Answers that are equally sure are handed over in every order at once: each has their mean gain.

    Args:
        unsure: of the small model's answers; higher is handed over sooner.
        small: quality of its answers.
        large: quality of the large model's answers to the same questions.

    Returns:
        n + 1 values: the first is the small model alone, the last the large one alone.

    Raises:
        InputError: unequal lengths, no answers, or values that are not finite.

    Example:
        >>> deferral_curve([0.9, 0.1], [0, 1], [1, 1]).tolist()
        [0.5, 1.0, 1.0]
    """
    scores, before, after = _checked(unsure, small, large)
    return _curve(_codes(scores), before, after, np.ones(len(scores)))


def deferral_area(
    unsure: Values,
    small: Values,
    large: Values,
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The area under quality against the share of answers handed over (arXiv 2404.10136).

    To hand over at random gives half of the sum of both qualities. The trapezoid rule is ours.

    Args:
        unsure: of the small model's answers; higher is handed over sooner.
        small: quality of its answers.
        large: quality of the large model's answers to the same questions.
        groups: what the interval resamples; each question by itself without them.
        level: coverage of the interval.
        resamples: how many.

    Raises:
        InputError: as `deferral_curve`.

    Example:
        >>> deferral_area([0.9, 0.1], [0, 1], [1, 1]).value
        0.875
    """
    scores, before, after = _checked(unsure, small, large)
    codes = _codes(scores)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([_area(_curve(codes, before, after, row)) for row in weights])

    rows = cluster_codes(groups, len(scores))
    return bootstrapped(statistic, rows, level=level, resamples=resamples)


def _area(curve: NDArray[np.float64]) -> float:
    return float((curve[:-1] + curve[1:]).mean() / 2)


def _codes(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place of each answer's score among all, from the least sure on."""
    return np.unique(-scores, return_inverse=True)[1].reshape(-1)


def _curve(
    codes: NDArray[np.intp],
    small: NDArray[np.float64],
    large: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    counts = np.bincount(codes, weights)
    gains = np.bincount(codes, weights * (large - small))
    kept = counts > 0
    each = np.repeat(gains[kept] / counts[kept], counts[kept].astype(int))
    return (float(weights @ small) + np.r_[0.0, np.cumsum(each)]) / weights.sum()


def _checked(*given: Values) -> tuple[NDArray[np.float64], ...]:
    arrays = tuple(np.asarray(one, dtype=np.float64) for one in given)
    shapes = {one.shape for one in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 1 or not len(arrays[0]):
        raise InputError(
            "Uncertainty and the qualities of both models are one number a question, at least "
            f"one; their shapes are {', '.join(str(one.shape) for one in arrays)}."
        )
    if not all(np.isfinite(one).all() for one in arrays):
        raise InputError("Uncertainty and qualities have to be finite; these hold NaN or infinity.")
    return arrays
