"""Controls: the chosen probe where there is nothing to find, and baselines that read no model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from probes import RandomDirection
from repalign.activations import Activations, mean_by_example
from repalign.datasets.shortcuts import shortcut_scores
from repalign.examples import Example
from repalign.metrics import Estimate, auroc, cluster_codes
from repalign.probing.cross_validation import Task, first_rows, in_threads, score_tasks
from repalign.probing.folds import Fold
from repalign.sites import Site

REPEATS = 20
TOGETHER = 5
"""Shuffles fitted together. Not a matter of cores, or figures would depend on the machine."""


def shuffled(
    activations: Activations, probe: Any, site: Site, folds: Sequence[Fold], seed: int
) -> Estimate:
    """Cross-validated AUROC of one probe at one site with labels that mean nothing.

    The choice of probe and site is not made again for each shuffle; that it does not flatter is a
    law of `nested`, tested on noise.

    Within each group the labels are swapped or kept at random, so classes stay as balanced and
    groups as paired as they are. A group of one label gets the label of another such group.

    Returns:
        The mean over shuffles, with the interval that 95% of shuffles fall into; `n` counts
        shuffles.
    """

    def some(repeats: range) -> list[float]:
        shuffles = [
            shuffle_labels(activations, np.random.default_rng([seed, repeat])) for repeat in repeats
        ]
        tasks = [Task(fold, labels) for labels in shuffles for fold in folds]
        parts = iter(score_tasks({"probe": probe}, activations, site, tasks)["probe"])
        values = []
        for labels in shuffles:
            scores = np.empty(len(labels))
            for fold in folds:
                scores[fold.test] = next(parts)
            by_example = mean_by_example(scores, activations.example)
            values.append(auroc(labels[first], by_example, resamples=0).value)
        return values

    first = first_rows(activations.example)
    shares = [range(at, min(at + TOGETHER, REPEATS)) for at in range(0, REPEATS, TOGETHER)]
    return _spread([value for _, values in in_threads(some, shares) for value in values])


def shuffle_labels(activations: Activations, generator: np.random.Generator) -> np.ndarray:
    """Labels with the same balance and pairing, unrelated to the texts; one label an example."""
    codes = cluster_codes(activations.groups, len(activations))
    n_groups = int(codes.max()) + 1
    low = np.full(n_groups, 1)
    high = np.full(n_groups, 0)
    np.minimum.at(low, codes, activations.labels)
    np.maximum.at(high, codes, activations.labels)
    swap = generator.random(n_groups) < 0.5
    labels = np.where(swap[codes], 1 - activations.labels, activations.labels)
    single = np.flatnonzero(low == high)
    given = np.zeros(n_groups, dtype=labels.dtype)
    given[single] = generator.permutation(low[single])
    return np.where((low == high)[codes], given[codes], labels)


def random_direction(activations: Activations, site: Site, seed: int) -> Estimate:
    """AUROC along directions drawn at random: what any direction gets.

    Returns:
        The mean over `REPEATS` directions, with the interval that 95% of them fall into.
    """
    first = first_rows(activations.example)
    labels, values = activations.labels, activations.at(site)
    found = []
    for repeat in range(REPEATS):
        probe = RandomDirection(random_state=seed * REPEATS + repeat).fit(values, labels)
        scores = mean_by_example(probe.decision_function(values), activations.example)
        found.append(auroc(labels[first], scores, resamples=0).value)
    return _spread(found)


def text_baselines(
    examples: Sequence[Example], activations: Activations, folds: Sequence[Fold]
) -> dict[str, Estimate]:
    """AUROC of bag of words and of length on the same folds.

    Returns:
        `bag_of_words` and `length`.
    """
    codes = cluster_codes(activations.example, len(activations))
    by_example = [(np.unique(codes[fold.train]), np.unique(codes[fold.test])) for fold in folds]
    first = first_rows(activations.example)
    labels, groups = activations.labels[first], activations.groups[first]
    scores = shortcut_scores(examples, by_example)
    return {name: auroc(labels, scores[name], groups) for name in ("bag_of_words", "length")}


def _spread(values: Sequence[float]) -> Estimate:
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(np.mean(values)), float(low), float(high), len(values))
