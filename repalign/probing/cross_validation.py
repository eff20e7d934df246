"""Cross-validated scores: every site × probe, and the choice among them on inner folds."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from probes import LinearProbe, Problem
from repalign.activations import Activations, mean_by_example
from repalign.errors import InputError
from repalign.fitting import fit_problems, fit_rows
from repalign.probing.folds import Fold, grouped_folds
from repalign.sites import Site

OUTER_FOLDS, INNER_FOLDS = 5, 3
MIN_GROUPS = 20
"""Fewer groups than this leave folds too small for any figure to mean something."""

Progress = Callable[[int, int], None]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Choice:
    """A probe at a site."""

    probe: str
    site: Site


@dataclass(frozen=True)
class Nested:
    """Out-of-fold scores of every choice, and of the choice that inner folds would have made."""

    labels: np.ndarray
    """One label an example."""
    groups: np.ndarray
    by_choice: Mapping[Choice, np.ndarray]
    """One score an example, fitted without its group."""
    selected: np.ndarray
    """Scores of the probe and site chosen without the fold that is scored."""
    chosen: tuple[Choice, ...]
    """The choice made for each outer fold."""
    folds: tuple[Fold, ...]
    """Outer folds, as row indices."""

    @property
    def best(self) -> Choice:
        """The choice with the highest AUROC over all folds: for use, not for reporting."""
        return max(
            self.by_choice, key=lambda choice: roc_auc_score(self.labels, self.by_choice[choice])
        )


def standardised(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scores in units of the spread of training scores, so that folds can be pooled.

    Each fold has a probe of its own, with its own scale and zero; pooling raw scores would compare
    them across probes. Only training scores are used, so nothing of the test fold leaks in.
    """
    return (scores - reference.mean()) / (reference.std() + 1e-12)


def score_fold(
    probe: Any, activations: Activations, site: Site, fold: Fold, labels: np.ndarray
) -> np.ndarray:
    """Fit on the training rows of a fold and score its test rows, standardised."""
    tasks = [Task(fold, labels)]
    return score_tasks({"probe": probe}, activations, site, tasks)["probe"][0]


class Task(NamedTuple):
    """A fold, and the label of every row (of which the shuffled control has many)."""

    fold: Fold
    labels: np.ndarray


def score_tasks(
    probes: Mapping[str, Any], activations: Activations, site: Site, tasks: Sequence[Task]
) -> dict[str, list[np.ndarray]]:
    """Fit each probe on the training rows of each task and score its test rows, standardised.

    The values of the site are read once, and probes fit all tasks together where they can.
    """
    values = np.asarray(activations.at(site), dtype=np.float64)
    groups, polarity = activations.groups, activations.polarity
    linear = {name: probe for name, probe in probes.items() if _is_linear(probe)}
    problems = [Problem(fold.train, labels[fold.train] == 1) for fold, labels in tasks]
    found = {}
    for name, fitted in fit_problems(linear, values, problems, groups, polarity).items():
        scores = values @ np.stack([score.weights for score in fitted], axis=1)
        # An offset changes no standardised score.
        found[name] = [
            standardised(column[fold.test], column[fold.train])
            for column, (fold, _) in zip(scores.T, tasks, strict=True)
        ]
    for name, probe in probes.items():
        if name not in linear:
            found[name] = [_score_alone(probe, values, activations, task) for task in tasks]
    return found


def _is_linear(probe: Any) -> bool:
    """Whether weights and an offset say all of it: a subclass may score in its own way."""
    return (
        isinstance(probe, LinearProbe)
        and type(probe).decision_function is LinearProbe.decision_function
    )


def _score_alone(
    probe: Any, values: np.ndarray, activations: Activations, task: Task
) -> np.ndarray:
    (train, test), labels = task
    fitted = fit_rows(
        probe, values[train], labels[train], activations.groups[train], activations.polarity[train]
    )
    reference = fitted.decision_function(values[train])
    return standardised(fitted.decision_function(values[test]), reference)


def nested(
    activations: Activations,
    probes: Mapping[str, Any],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Nested:
    """Cross-validate every site × probe, with an honest score for the best of them.

    The figure of the best of many choices is too high, since the choice saw the test rows. So each
    outer fold is scored by the choice that cross-validation *within its training rows* made.

    Args:
        activations: labelled rows; rows of one example are averaged after scoring.
        probes: estimators that have not been fitted, by name.
        seed: of the folds.
        progress: called with fits done and their number.

    Returns:
        Scores for every choice and for the nested selection.

    Raises:
        InputError: fewer than `MIN_GROUPS` groups, or a class found in a single group.
    """
    labels = activations.labels
    n_groups = len(np.unique(activations.groups))
    if n_groups < MIN_GROUPS:
        raise InputError(
            f"{n_groups} groups were given; cross-validation needs at least {MIN_GROUPS} that are "
            "independent of each other. Add examples, or check the group column: rows of one group "
            "always stay together."
        )
    outer = grouped_folds(labels, activations.groups, OUTER_FOLDS, seed)
    inner = [_inner(activations, fold, seed) for fold in outer]
    choices = [Choice(name, site) for site, name in product(activations.sites, probes)]
    tasks = [Task(fold, labels) for folds in [outer, *inner] for fold in folds]
    total = len(choices) * len(tasks)
    count = iter(range(1, total + 1))

    def at_site(site: Site) -> dict[str, list[np.ndarray]]:
        found = score_tasks(probes, activations, site, tasks)
        if progress is not None:
            for _ in range(len(probes) * len(tasks)):
                progress(next(count), total)
        return found

    by_row: dict[Choice, np.ndarray] = {c: np.empty(len(labels)) for c in choices}
    values: dict[Choice, list[float]] = {}
    for site, found in in_threads(at_site, activations.sites):
        for name in probes:
            choice, scores = Choice(name, site), iter(found[name])
            for fold in outer:
                by_row[choice][fold.test] = next(scores)
            values[choice] = [_inner_auroc(scores, folds, activations) for folds in inner]
    chosen = [
        max(choices, key=lambda c, place=place: values[c][place]) for place in range(len(outer))
    ]
    selected = np.empty(len(labels))
    for fold, best in zip(outer, chosen, strict=True):
        selected[fold.test] = by_row[best][fold.test]
    first = first_rows(activations.example)
    return Nested(
        labels=labels[first],
        groups=activations.groups[first],
        by_choice={c: mean_by_example(s, activations.example) for c, s in by_row.items()},
        selected=mean_by_example(selected, activations.example),
        chosen=tuple(chosen),
        folds=tuple(outer),
    )


def _inner(activations: Activations, fold: Fold, seed: int) -> list[Fold]:
    train = fold.train
    folds = grouped_folds(activations.labels[train], activations.groups[train], INNER_FOLDS, seed)
    return [Fold(train[part.train], train[part.test]) for part in folds]


def _inner_auroc(
    fold_scores: Iterator[np.ndarray], folds: Sequence[Fold], activations: Activations
) -> float:
    """AUROC over the folds, each of which takes its scores from the iterator."""
    rows = np.concatenate([fold.test for fold in folds])
    scores = np.concatenate([next(fold_scores) for _ in folds])
    example = activations.example[rows]
    order = np.argsort(rows)
    by_example = mean_by_example(scores[order], example[order])
    labels = activations.labels[rows[order]][first_rows(example[order])]
    return float(roc_auc_score(labels, by_example))


def first_rows(example: np.ndarray) -> np.ndarray:
    """The first row of each example, in ascending order of the examples."""
    return np.unique(example, return_index=True)[1]


def in_threads(
    function: Callable[[Key], Value], keys: Sequence[Key]
) -> Iterator[tuple[Key, Value]]:
    """Call a function for each key on all cores; results in the order of the keys.

    Linear algebra shares the cores meanwhile: many small problems side by side are faster than one
    after the other on several threads.
    """
    cores = os.cpu_count() or 1
    threads = max(1, cores // max(1, len(keys)))
    with threadpool_limits(threads), ThreadPoolExecutor(cores) as pool:
        yield from zip(keys, pool.map(function, keys), strict=True)
