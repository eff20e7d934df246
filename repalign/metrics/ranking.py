"""AUROC: how well scores tell two classes apart."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import RESAMPLES, Estimate, bootstrapped, cluster_codes

Vector = Sequence[float] | NDArray[Any]
Groups = Sequence[str] | NDArray[Any] | None


def auroc(
    labels: Sequence[int] | NDArray[Any],
    scores: Vector,
    groups: Groups = None,
    *,
    strata: Groups = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The chance that a row of label 1 scores above a row of label 0, ties counting half.

    Args:
        labels: 0 or 1, one a row.
        scores: higher = label 1.
        groups: what the interval resamples; each row by itself without them.
        strata: compare rows only within the same one, such as affirmed or negated; everywhere
            without them.
        level: coverage of the interval.
        resamples: how many; 0 leaves the interval out (both ends are the value), for choosing
            among many.
        seed: of the resampling.

    Returns:
        The area under the ROC curve with a cluster-bootstrap interval.

    Raises:
        InputError: one class only, unequal lengths or scores that are not finite.

    Example:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
        0.75
    """
    statistic = auroc_statistic(labels, scores, strata)
    codes = cluster_codes(groups, len(labels))
    return bootstrapped(statistic, codes, level=level, resamples=resamples, seed=seed)


def auroc_statistic(
    labels: Sequence[int] | NDArray[Any], scores: Vector, strata: Groups = None
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """AUROC as a function of row weights, for resampling it beside another statistic.

    Args:
        labels: 0 or 1, one a row.
        scores: higher = label 1.
        strata: compare rows only within the same one.

    Returns:
        From weights `[resample row]` to AUROC `[resample]`, NaN where a resample has one class.
    """
    truth, values = _checked(labels, scores)
    strata_codes = np.zeros(len(truth), dtype=np.intp)
    if strata is not None:
        strata_codes = cluster_codes(strata, len(truth))
    counters = [
        _counter(truth, values, np.flatnonzero(strata_codes == code))
        for code in range(int(strata_codes.max()) + 1)
    ]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        counted = [counter(weights) for counter in counters]
        wins, pairs = (np.sum(part, axis=0) for part in zip(*counted, strict=True))
        return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    return statistic


def _counter(
    truth: NDArray[np.int64], values: NDArray[np.float64], rows: NDArray[np.intp]
) -> Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Count, for weights `[resample row]`, the rightly ranked pairs of some rows and all pairs."""
    order = rows[np.argsort(values[rows], kind="stable")]
    ordered = values[order]
    # Rows of equal score share the negatives strictly below them and half of those beside them.
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = truth[order] == 1

    def count(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sorted_weights = weights[:, order]
        up = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        down = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
        below = np.cumsum(down, axis=1) - down
        return (up * (below + down / 2)).sum(axis=1), up.sum(axis=1) * down.sum(axis=1)

    return count


def _checked(
    labels: Sequence[int] | NDArray[Any], scores: Vector
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth = np.asarray(labels)
    values = np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise InputError(
            f"Labels and scores are one number a row; their shapes are {truth.shape} and "
            f"{values.shape}."
        )
    if not np.isfinite(values).all():
        raise InputError(f"{int((~np.isfinite(values)).sum())} of {len(values)} scores are NaN.")
    found = set(np.unique(truth).tolist())
    if not found <= {0, 1}:
        raise InputError(f"Labels are 0 and 1; found {sorted(found)}.")
    if len(found) < 2:
        raise InputError(f"AUROC needs both labels; all {len(truth)} rows have {found}.")
    return truth.astype(np.int64), values
