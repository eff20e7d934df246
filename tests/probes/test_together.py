"""Many problems fitted together are each fitted as if alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from probes import (
    CCS,
    LDA,
    ContrastPCA,
    LogisticRegression,
    MeanDifference,
    Problem,
    fit_together,
    logistic_problems,
    logistic_single,
    logistic_solver,
)

STRENGTHS = (10.0, 0.001, 0.1, 1000.0)


def correlated(n: int, d: int) -> tuple[Any, Any]:
    """Rows of very uneven, correlated features, and labels that a third of the features carry."""
    rng = np.random.default_rng(n + d)
    honest = rng.random(n) < 0.4
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + np.outer(honest, np.arange(d) % 3 == 0)
    return X * np.geomspace(0.01, 100, d) + 5.0, honest


def folds(n: int, honest: Any) -> list[Problem]:
    """Overlapping subsets of different sizes, one unbalanced, one twice with other labels."""
    rng = np.random.default_rng(1)
    order = rng.permutation(n)
    subsets = [np.sort(np.delete(order, range(k, n, 4))) for k in range(4)]
    few = np.concatenate([np.flatnonzero(honest)[:5], np.flatnonzero(~honest)])
    problems = [Problem(rows, honest[rows]) for rows in [*subsets, few, order]]
    shuffled = [Problem(rows, honest[rng.permutation(rows)]) for rows in subsets[:2]]
    return [*problems, *shuffled]


def reference(X: Any, problem: Problem, C: float) -> Any:
    """scikit-learn's scores of all rows, at the optimum."""
    rows, honest = problem
    solver = Reference(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    return make_pipeline(StandardScaler(), solver).fit(X[rows], honest).decision_function(X)


def assert_same(scores: Any, wanted: Any) -> None:
    """Equal to 1e-4, absolutely up to a score of 1 and relatively beyond."""
    np.testing.assert_array_less(np.abs(scores - wanted) / np.maximum(1, np.abs(wanted)), 1e-4)


@pytest.mark.parametrize(("n", "d"), [(160, 12), (90, 80), (60, 90)])
def test_every_problem_and_strength_has_the_scores_of_scikit_learn(n: int, d: int) -> None:
    """Fails if rows of the other folds count, or one standardisation serves all of them."""
    X, honest = correlated(n, d)
    problems = folds(n, honest)
    estimators = {f"C={C}": LogisticRegression(C=C) for C in STRENGTHS}
    found = fit_together(estimators, X, problems)
    assert list(found) == list(estimators)
    for C, scores in zip(STRENGTHS, found.values(), strict=True):
        for problem, score in zip(problems, scores, strict=True):
            used = np.concatenate([problem.rows for problem in problems])
            assert_same((X @ score.weights + score.offset)[used], reference(X, problem, C)[used])


def test_no_problem_was_left_to_the_solver_for_single_ones(monkeypatch: Any) -> None:
    """The scores above would be right although nothing of the shared solver worked."""
    monkeypatch.setattr(logistic_problems, "logistic_score", None)
    for n, d in [(160, 12), (90, 80), (60, 90)]:
        X, honest = correlated(n, d)
        estimators = {f"C={C}": LogisticRegression(C=C) for C in STRENGTHS}
        fit_together(estimators, X, folds(n, honest))


@pytest.mark.parametrize(("n", "d"), [(80, 10), (40, 60)])
def test_features_that_do_not_vary(n: int, d: int) -> None:
    """One constant everywhere, one on the rows of one problem only, and one almost so."""
    X, honest = correlated(n, d)
    first, second = np.arange(n - 10), np.arange(10, n)
    X[:, 0] = 7.0
    X[first, 1] = 3.0
    X[first, 2] = 3.0 + 1e-6 * X[first, 2]
    problems = [Problem(rows, honest[rows]) for rows in (first, second, first)]
    found = LogisticRegression(C=1.0).fit_problems(X, problems)
    for problem, score in zip(problems, found, strict=True):
        alone = LogisticRegression(C=1.0).fit(X[problem.rows], problem.honest)
        assert score.weights[0] == 0.0
        assert_same(X @ score.weights + score.offset, alone.decision_function(X))
    assert found[0].weights[1] == 0.0
    assert found[1].weights[1] != 0.0


def test_a_row_may_be_drawn_twice() -> None:
    X, honest = correlated(50, 6)
    drawn = [np.random.default_rng(seed).integers(0, 50, 60) for seed in range(3)]
    problems = [Problem(rows, honest[rows]) for rows in drawn]
    found = LogisticRegression().fit_problems(X, problems)
    for problem, score in zip(problems, found, strict=True):
        assert_same(X @ score.weights + score.offset, reference(X, problem, 0.1))


def test_equal_strengths_in_any_order() -> None:
    X, honest = correlated(60, 8)
    problems = folds(60, honest)
    estimators = {name: LogisticRegression(C=C) for name, C in [("a", 1.0), ("b", 0.1), ("c", 1)]}
    found = fit_together(estimators, X, problems)
    np.testing.assert_array_equal(found["a"][0].weights, found["c"][0].weights)
    assert_same(X @ found["b"][0].weights + found["b"][0].offset, reference(X, problems[0], 0.1))


def test_work_is_divided_without_changing_the_scores(monkeypatch: Any) -> None:
    X, honest = correlated(60, 8)
    problems = folds(60, honest)
    whole = LogisticRegression().fit_problems(X, problems)
    monkeypatch.setattr(logistic_problems, "CELLS", 3 * len(X))
    for one, other in zip(whole, LogisticRegression().fit_problems(X, problems), strict=True):
        assert_same(X @ one.weights + one.offset, X @ other.weights + other.offset)


def test_what_the_shared_solver_does_not_reach_is_solved_alone(monkeypatch: Any) -> None:
    X, honest = correlated(60, 8)
    problems = folds(60, honest)
    monkeypatch.setattr(logistic_solver, "MAX_STEPS", 2)
    for problem, score in zip(
        problems, LogisticRegression().fit_problems(X, problems), strict=True
    ):
        assert_same(X @ score.weights + score.offset, reference(X, problem, 0.1))
    monkeypatch.setattr(logistic_single, "MAX_STEPS", 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        LogisticRegression().fit_problems(X, problems)
    named = [str(warning.message).split(" stopped short")[0] for warning in caught]
    assert named == [f"problem {place} (C=0.1)" for place in range(len(problems))]


def test_other_estimators_get_what_they_use() -> None:
    """Each is fitted on the rows of a problem, with the groups of those rows."""
    X, honest = correlated(60, 8)
    honest = np.arange(60) % 2 == 0
    groups = np.array([f"g{row // 2}" for row in range(60)])
    problems = [Problem(rows, honest[rows]) for rows in (np.arange(40), np.arange(20, 60)[::-1])]
    estimators: dict[str, Any] = {
        "pca": ContrastPCA(),
        "theirs": LinearDiscriminantAnalysis(),
        "lda": LDA(),
        "ccs": CCS(random_state=0),
        "mean": MeanDifference(),
    }
    found = fit_together(estimators, X, problems, groups=groups)
    assert list(found) == list(estimators)
    for name, estimator in estimators.items():
        for (rows, labels), score in zip(problems, found[name], strict=True):
            known = {"groups": groups[rows]} if "groups" in getattr(estimator, "uses", ()) else {}
            alone = estimator.fit(X[rows], labels.astype(int), **known)
            np.testing.assert_allclose(score.weights, alone.coef_[0], rtol=1e-6, atol=1e-12)
            assert score.offset == pytest.approx(float(alone.intercept_[0]), rel=1e-6)


def test_an_estimator_is_handed_the_groups_and_polarity_of_its_rows() -> None:
    seen = []

    class Recording(LogisticRegression):
        uses = frozenset({"groups", "polarity"})

        def fit(self, X: ArrayLike, y: ArrayLike, **held: Any) -> Recording:
            seen.append((np.asarray(X)[:, 0].tolist(), held["groups"], held["polarity"]))
            super().fit(X, y)
            return self

    X, names = np.arange(6.0)[:, np.newaxis], np.array(list("abcdef"))
    problems = [Problem(np.array([4, 0, 1]), np.array([True, False, True]))]
    fit_together({"one": Recording()}, X, problems, groups=names)
    ((rows, groups, polarity),) = seen
    assert (rows, groups.tolist(), polarity) == ([4.0, 0.0, 1.0], ["e", "a", "b"], None)


def test_a_subclass_that_fits_in_its_own_way_is_fitted_that_way() -> None:
    class Upside(LogisticRegression):
        def fit(self, X: ArrayLike, y: ArrayLike) -> Upside:
            super().fit(X, y)
            self.coef_ = -self.coef_
            return self

    X, honest = correlated(60, 8)
    problems = folds(60, honest)
    found = fit_together({"up": Upside(), "plain": LogisticRegression()}, X, problems)
    np.testing.assert_allclose(found["up"][0].weights, -found["plain"][0].weights, atol=1e-4)


def test_refusals_name_the_problem() -> None:
    X, honest = correlated(60, 8)
    problems = [*folds(60, honest), Problem(np.arange(4), np.ones(4, dtype=bool))]
    with pytest.raises(ValueError, match="Problem 8 holds rows of one class"):
        LogisticRegression().fit_problems(X, problems)
    X[problems[0].rows[3]] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        LogisticRegression().fit_problems(X, problems[:1])
    with pytest.raises(ValueError, match="C=-1"):
        fit_together({"bad": LogisticRegression(C=-1)}, X, problems)
    assert fit_together({"none": LogisticRegression()}, X, []) == {"none": []}
