"""Transfer: how readouts do on topics that they were not fitted on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from repalign.activations import Activations, mean_by_example
from repalign.metrics import Estimate, auroc_statistic
from repalign.metrics.estimate import RESAMPLES, bootstrap_counts, cluster_codes
from repalign.probing.cross_validation import first_rows
from repalign.probing.pooling import Pooled, example_auroc

POLARITIES = {1: "affirmed", -1: "negated"}


@dataclass(frozen=True)
class LeftOut:
    """One topic, scored by the readout that was fitted on the others."""

    auroc: Estimate
    by_polarity: Mapping[str, Estimate]

    @property
    def flipped(self) -> bool:
        """Whether the direction surely points the wrong way here, or does for one polarity."""
        return any(part.high < 0.5 for part in (self.auroc, *self.by_polarity.values()))


@dataclass(frozen=True)
class Transfer:
    """Left-out topics, every topic against every other, and what pooling gains."""

    left_out: Mapping[str, LeftOut]
    matrix: Mapping[tuple[str, str], Estimate]
    """Fitted on the first topic alone, scored on the second."""
    mean: Estimate
    """Mean over left-out topics of the pooled readout."""
    best_single: str
    """The topic whose readout does best on the other topics, chosen with hindsight."""
    best_single_mean: Estimate
    """Its mean over the other topics."""
    difference: Estimate
    """The pooled readout's mean over the same topics, less that."""


def judge(pooled: Pooled, topics: Mapping[str, Activations], seed: int) -> Transfer:
    """Score every topic with the readouts that did not see it.

    Args:
        pooled: the readouts.
        topics: labelled activations of each topic.
        seed: of the resampling of groups.
    """
    scored = {topic: readout.score(topics[topic]) for topic, readout in pooled.left_out.items()}
    alone = {
        (fitted, topic): pooled.single[fitted].score(part)
        for fitted in pooled.topics
        for topic, part in topics.items()
        if fitted != topic
    }
    pooled_draws = {t: _draws(topics[t], scores, seed) for t, scores in scored.items()}
    single_draws = {pair: _draws(topics[pair[1]], s, seed) for pair, s in alone.items()}
    means = {
        fitted: np.mean([single_draws[fitted, t] for t in topics if t != fitted], axis=0)
        for fitted in pooled.topics
    }
    best = max(means, key=lambda topic: means[topic][0])
    same = np.mean([pooled_draws[t] for t in topics if t != best], axis=0)
    n_groups = sum(len(np.unique(part.groups)) for part in topics.values())
    return Transfer(
        left_out={t: _left_out(topics[t], scores, seed) for t, scores in scored.items()},
        matrix={pair: example_auroc(topics[pair[1]], s, seed=seed) for pair, s in alone.items()},
        mean=_estimate(np.mean(list(pooled_draws.values()), axis=0), n_groups),
        best_single=best,
        best_single_mean=_estimate(means[best], n_groups),
        difference=_estimate(same - means[best], n_groups),
    )


def _left_out(part: Activations, scores: np.ndarray, seed: int) -> LeftOut:
    by_polarity = {}
    for polarity, name in POLARITIES.items():
        rows = part.polarity == polarity
        if rows.any() and len(np.unique(part.labels[rows])) == 2:
            by_polarity[name] = example_auroc(part.rows(rows), scores[rows], seed=seed)
    return LeftOut(example_auroc(part, scores, seed=seed), by_polarity)


def _draws(part: Activations, scores: np.ndarray, seed: int) -> np.ndarray:
    """AUROC on the rows as given, then on `RESAMPLES` resamples of groups.

    The same seed gives the same resamples for every readout, so differences are paired.
    """
    first = first_rows(part.example)
    statistic = auroc_statistic(
        part.labels[first], mean_by_example(scores, part.example), part.polarity[first]
    )
    counts = bootstrap_counts(cluster_codes(part.groups[first], len(first)), RESAMPLES, seed)
    return np.concatenate([statistic(np.ones((1, len(first)))), statistic(counts)])


def _estimate(draws: np.ndarray, n: int) -> Estimate:
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return Estimate(float(draws[0]), float(low), float(high), n)
