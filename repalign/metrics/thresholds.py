"""Thresholds: what scores catch at a stated share of benign texts flagged by mistake."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repalign.errors import InputError
from repalign.metrics.estimate import (
    RESAMPLES,
    Estimate,
    bootstrap_counts,
    cluster_codes,
    open_ended,
)

Vector = Sequence[float] | NDArray[Any]


class Threshold(NamedTuple):
    """A threshold, the false-positive rate it has where it was set, and what it catches."""

    value: Estimate
    fpr: Estimate
    recall: Estimate


class HeldOut(NamedTuple):
    """Scores, by a probe that was not fitted on them, of dishonest texts and of benign ones."""

    dishonest: NDArray[Any]
    groups: NDArray[Any]
    """The group of each dishonest text."""
    benign: NDArray[Any]


def threshold_at(scores: Vector, fpr: float) -> float:
    """The highest threshold at which at most a share `fpr` of these scores is flagged.

    A text is flagged when its score lies strictly *below* the threshold: higher scores are honest,
    and what is looked for is dishonesty. Ties never push the rate above `fpr`.

    Raises:
        InputError: no scores, scores that are not finite, or a rate outside 0 to 1.

    Example:
        >>> threshold_at([1.0, 2.0, 3.0, 4.0], 0.25)
        2.0
    """
    values = np.asarray(scores, dtype=np.float64)
    if not 0 <= fpr < 1:
        raise InputError(f"A false-positive rate lies from 0 to below 1; {fpr} was given.")
    if len(values) == 0 or not np.isfinite(values).all():
        raise InputError("A threshold needs finite scores of benign texts.")
    return float(_cuts(values[np.newaxis], fpr)[0])


def _cuts(scores: NDArray[np.float64], fpr: float) -> NDArray[np.float64]:
    """The threshold of each row of scores `[resample text]`."""
    # The slack is for shares such as 0.29 of 100, which floating point makes 28.999….
    allowed = min(int(np.floor(fpr * scores.shape[1] + 1e-9)), scores.shape[1] - 1)
    return np.partition(scores, allowed, axis=1)[:, allowed]


def recall_at_fpr(
    benign: Vector,
    dishonest: Vector,
    fpr: float,
    groups: Sequence[str] | NDArray[Any] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Threshold:
    """Set a threshold on benign texts and count what it catches among dishonest ones.

    Args:
        benign: scores of texts on which every flag is a false positive.
        dishonest: scores of texts that ought to be flagged.
        fpr: the share of benign texts that may be flagged.
        groups: the groups of the dishonest texts.
        level: coverage of the intervals.
        seed: of the resampling of benign texts and of groups.

    Returns:
        The threshold, its false-positive rate on the benign texts, and its recall.
    """
    good, bad = np.asarray(benign, dtype=np.float64), np.asarray(dishonest, dtype=np.float64)
    part = HeldOut(bad, cluster_codes(groups, len(bad)), good)
    return held_out_recall(good, [part], fpr, level=level, seed=seed)


def held_out_recall(
    final: Vector, parts: Sequence[HeldOut], fpr: float, *, level: float = 0.95, seed: int = 0
) -> Threshold:
    """The threshold of a probe, and what it catches as measured on data left out.

    The probe that is kept has seen all dishonest texts, so its recall on them would flatter. Recall
    is therefore that of the probes fitted without a topic (or fold), each with its own threshold on
    the same benign texts, on the texts left out; parts count equally. Thresholds are set anew in
    each resample, so the intervals hold their uncertainty too.

    Args:
        final: scores of the benign texts by the probe that is kept.
        parts: for each topic or fold left out.
        fpr: the share of benign texts that may be flagged.
        level: coverage of the intervals.
        seed: of the resampling of benign texts and of groups.

    Returns:
        The threshold of the kept probe, its false-positive rate on the benign texts, and recall.

    Raises:
        InputError: no scores, or scores that are not finite.
    """
    # NaN lies below no threshold: it would pass for a text that was looked at and not flagged.
    if any(not len(p.dishonest) or not np.isfinite(p.dishonest).all() for p in parts):
        raise InputError("Recall needs finite scores of dishonest texts.")
    scores = np.asarray(final, dtype=np.float64)
    cut = threshold_at(scores, fpr)
    drawn = np.random.default_rng(seed).integers(len(scores), size=(RESAMPLES, len(scores)))
    cuts = _cuts(scores[drawn], fpr)
    # The rate of a resampled threshold is read on all benign texts: on its own sample it is at most
    # `fpr` by construction and would say nothing.
    rates = (scores[np.newaxis] < cuts[:, np.newaxis]).mean(axis=1)
    recalls, n_groups, recall = [], 0, []
    for number, part in enumerate(parts):
        codes = cluster_codes(part.groups, len(part.dishonest))
        weights = bootstrap_counts(codes, RESAMPLES, seed + 1 + number)
        flagged = part.dishonest < _cuts(part.benign[drawn], fpr)[:, np.newaxis]
        recalls.append((weights * flagged).sum(axis=1) / weights.sum(axis=1))
        recall.append(np.mean(part.dishonest < threshold_at(part.benign, fpr)))
        n_groups += int(codes.max()) + 1
    tail = [(1 - level) / 2, (1 + level) / 2]

    def estimate(value: float, draws: NDArray[np.float64], n: int) -> Estimate:
        low, high = np.quantile(draws, tail)
        return Estimate(float(value), float(low), float(high), n, level)

    return Threshold(
        estimate(cut, cuts, len(scores)),
        open_ended(estimate(float(np.mean(scores < cut)), rates, len(scores))),
        open_ended(estimate(float(np.mean(recall)), np.mean(recalls, axis=0), n_groups)),
    )
