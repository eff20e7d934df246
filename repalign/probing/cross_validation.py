"""Cross-validated scores: every site × probe, and the choice among them on inner folds."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from repalign.activations import Activations, mean_by_example
from repalign.errors import InputError
from repalign.fitting import fit_rows
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
    values, train, test = activations.at(site), fold.train, fold.test
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
    total = sum(len(choices) * (1 + len(folds)) for folds in inner)
    count = iter(range(1, total + 1))

    def fit(choice: Choice, fold: Fold) -> np.ndarray:
        scores = score_fold(probes[choice.probe], activations, choice.site, fold, labels)
        if progress is not None:
            progress(next(count), total)
        return scores

    by_row: dict[Choice, np.ndarray] = {c: np.empty(len(labels)) for c in choices}
    selected = np.empty(len(labels))
    chosen: list[Choice] = []
    for fold, folds in zip(outer, inner, strict=True):
        for choice, scores in in_threads(lambda c, fold=fold: fit(c, fold), choices):
            by_row[choice][fold.test] = scores
        values = dict(
            in_threads(lambda c, folds=folds: _inner_auroc(c, folds, fit, activations), choices)
        )
        best = max(values, key=lambda choice: values[choice])
        chosen.append(best)
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
    choice: Choice,
    folds: Sequence[Fold],
    fit: Callable[[Choice, Fold], np.ndarray],
    activations: Activations,
) -> float:
    rows = np.concatenate([fold.test for fold in folds])
    scores = np.concatenate([fit(choice, fold) for fold in folds])
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

    Linear algebra runs single-threaded meanwhile: many small problems side by side are faster than
    one after the other on several threads.
    """
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(keys, pool.map(function, keys), strict=True)
