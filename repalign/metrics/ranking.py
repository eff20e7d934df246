"""How well scores tell two classes apart: AUROC, and recall at a stated false-positive rate."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import Estimate, bootstrapped, cluster_codes

Vector = Sequence[float] | NDArray[Any]
Groups = Sequence[str] | NDArray[Any] | None


def auroc(
    labels: Sequence[int] | NDArray[Any],
    scores: Vector,
    groups: Groups = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The chance that a row of label 1 scores above a row of label 0, ties counting half.

    Args:
        labels: 0 or 1, one a row.
        scores: higher = label 1.
        groups: what the interval resamples; each row by itself without them.
        level: coverage of the interval.
        seed: of the resampling.

    Returns:
        The area under the ROC curve with a cluster-bootstrap interval.

    Raises:
        InputError: one class only, unequal lengths or scores that are not finite.

    Example:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
        0.75
    """
    truth, values = _checked(labels, scores)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    # Rows of equal score share the number of negatives strictly below and half of those beside them.
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = truth[order] == 1

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        sorted_weights = weights[:, order]
        up = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        down = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
        below = np.cumsum(down, axis=1) - down
        pairs = up.sum(axis=1) * down.sum(axis=1)
        wins = (up * (below + down / 2)).sum(axis=1)
        return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    return bootstrapped(statistic, cluster_codes(groups, len(truth)), level=level, seed=seed)


class Threshold(NamedTuple):
    """A threshold, the false-positive rate it has where it was set, and what it catches."""

    value: Estimate
    fpr: Estimate
    recall: Estimate


def threshold_at(scores: Vector, fpr: float) -> float:
    """The lowest threshold at which at most a share `fpr` of these scores is flagged.

    A text is flagged when its score lies strictly *below* the threshold: scores are higher = honest,
    and what is looked for is dishonesty. Ties never push the rate above `fpr`.

    Raises:
        InputError: no scores, scores that are not finite, or a rate outside 0 to 1.

    Example:
        >>> threshold_at([1.0, 2.0, 3.0, 4.0], 0.25)
        2.0
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    if not 0 <= fpr < 1:
        raise InputError(f"A false-positive rate lies between 0 and 1; {fpr} was given.")
    if len(values) == 0 or not np.isfinite(values).all():
        raise InputError("A threshold needs finite scores of benign texts.")
    return float(values[int(np.floor(fpr * len(values) + 1e-9))])


def recall_at_fpr(
    benign: Vector,
    dishonest: Vector,
    fpr: float,
    groups: Groups = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Threshold:
    """Set a threshold on benign texts and count what it catches among dishonest ones.

    Benign texts and dishonest groups are resampled independently and the threshold is set anew in
    each resample, so the intervals hold the uncertainty of the threshold too.

    Args:
        benign: scores of texts on which every flag is a false positive.
        dishonest: scores of texts that ought to be flagged.
        fpr: the share of benign texts that may be flagged.
        groups: the groups of the dishonest texts.
        level: coverage of the intervals.
        resamples: how many.
        seed: of the resampling.

    Returns:
        The threshold, its false-positive rate on the benign texts, and its recall.
    """
    good, bad = np.asarray(benign, dtype=np.float64), np.asarray(dishonest, dtype=np.float64)
    codes = cluster_codes(groups, len(bad))
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    generator = np.random.default_rng(seed)
    value = threshold_at(good, fpr)
    drawn = np.empty((resamples, 3))
    for row in range(resamples):
        sample = good[generator.integers(len(good), size=len(good))]
        picked = np.concatenate(
            [members[group] for group in generator.integers(len(members), size=len(members))]
        )
        cut = threshold_at(sample, fpr)
        # The rate of a resampled threshold is read on the full benign set: on its own sample it is
        # at most `fpr` by construction and would say nothing.
        drawn[row] = cut, np.mean(good < cut), np.mean(bad[picked] < cut)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    point = (value, float(np.mean(good < value)), float(np.mean(bad < value)))
    counts = (len(good), len(good), len(members))
    return Threshold(
        *(
            Estimate(point[i], float(low[i]), float(high[i]), counts[i], level)
            for i in range(3)
        )
    )


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
