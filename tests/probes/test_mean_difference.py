"""Mean difference and the control beside it, the random direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from probes import MeanDifference, RandomDirection
from probes.linear_probe import Problem


def test_unequal_classes_do_not_move_the_line() -> None:
    """A threshold at the mean of all rows would move when a class is counted twice."""
    X = np.array([[0.0, 2.0], [2.0, 0.0], [4.0, 6.0]])
    once = MeanDifference().fit(X, [0, 0, 1])
    np.testing.assert_allclose(once.coef_, [[3.0, 5.0]])
    np.testing.assert_allclose(once.intercept_, [-(3.0 * 2.5 + 5.0 * 3.5)])
    more = MeanDifference().fit(np.vstack([X, X[2:], X[2:]]), [0, 0, 1, 1, 1])
    np.testing.assert_allclose(more.coef_, once.coef_)
    np.testing.assert_allclose(more.intercept_, once.intercept_)


def test_random_direction_finds_nothing_on_average(plant: Any) -> None:
    """Oriented by labels, its training AUROC would always be above 0.5, here 0.68 on average."""
    data = plant()
    aurocs = []
    for seed in range(100):
        probe = RandomDirection(random_state=seed).fit(data.X, data.y)
        aurocs.append(roc_auc_score(data.y, probe.decision_function(data.X)))
    assert abs(np.mean(aurocs) - 0.5) < 3 * np.std(aurocs) / np.sqrt(100)
    assert min(aurocs) < 0.3
    assert max(aurocs) > 0.7


def test_random_direction_ignores_labels_and_obeys_its_seed(plant: Any) -> None:
    data = plant()
    first = RandomDirection(random_state=3).fit(data.X, data.y)
    relabelled = RandomDirection(random_state=3).fit(data.X, 1 - data.y)
    other = RandomDirection(random_state=4).fit(data.X, data.y)
    np.testing.assert_array_equal(first.coef_, relabelled.coef_)
    assert abs(first.coef_ @ other.coef_.T) < 0.99
    assert np.linalg.norm(first.coef_) == pytest.approx(1.0)
    assert first.decision_function(data.X).mean() == pytest.approx(0.0, abs=1e-9)


def test_many_problems_at_once_are_the_fits_one_by_one(plant: Any) -> None:
    """Folds, other labels for the same rows and a row chosen twice, at an offset of 10^4."""
    data = plant()
    X, y = data.X + 1e4, data.y == 1
    rng = np.random.default_rng(0)
    subsets = [np.flatnonzero(data.groups % 5 != fold) for fold in range(5)] + [np.arange(9)]
    problems = [Problem(rows, y[rows]) for rows in subsets]
    problems += [Problem(rows, y[rng.permutation(rows)]) for rows in subsets]
    problems.append(Problem(np.array([0, 0, 3, 1]), np.array([True, True, True, False])))
    found = MeanDifference().fit_problems(X, problems)
    for (rows, honest), score in zip(problems, found, strict=True):
        expected = MeanDifference().fit(X[rows], honest).decision_function(X)
        np.testing.assert_allclose(X @ score.weights + score.offset, expected, atol=1e-6)
    assert MeanDifference().fit_problems(X, []) == []


def test_problem_of_one_class_is_refused_as_by_fit(plant: Any) -> None:
    data = plant(groups=5)
    good, bad = Problem(np.arange(4), data.y[:4] == 1), Problem(np.arange(4), np.ones(4, bool))
    with pytest.raises(ValueError, match="one class"):
        MeanDifference().fit_problems(data.X, [good, bad])
    data.X[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        MeanDifference().fit_problems(data.X, [good])
