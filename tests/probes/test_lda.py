"""LDA against scikit-learn and against the formula written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, oas
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from probes import LDA
from probes.covariance import (
    fourth_moment,
    inverse_times,
    ledoit_wolf_shrinkage,
    oas_shrinkage,
)
from probes.linear_probe import Problem


def correlated(n: int, d: int, seed: int = 0) -> tuple[Any, Any]:
    """Rows with correlated features of very different sizes, one class twice the other."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(int)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.geomspace(0.01, 100, d)
    return X + np.outer(y, np.geomspace(0.01, 100, d)), y


def within(X: Any, y: Any) -> Any:
    means = np.stack([X[y == 0].mean(axis=0), X[y == 1].mean(axis=0)])
    return X - means[y]


def test_pinv_is_plain_lda() -> None:
    X, y = correlated(150, 8)
    ours = LDA("pinv").fit(X, y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    prior = np.log(y.mean() / (1 - y.mean()))
    np.testing.assert_allclose(
        ours.decision_function(X) + prior, theirs.decision_function(X), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas"])
@pytest.mark.parametrize(("n", "d"), [(150, 8), (12, 40)])
def test_shrunk_is_lda_with_that_shrinkage_of_the_correlation(
    n: int, d: int, covariance: Any
) -> None:
    """The case of fewer rows than features takes another route to the same solution."""
    X, y = correlated(n, d)
    standard = X / within(X, y).std(axis=0)
    estimate = {"ledoit_wolf": ledoit_wolf, "oas": oas}[covariance]
    amount = estimate(within(standard, y), assume_centered=True)[1]
    assert 0.0 < amount < 1.0
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=amount).fit(standard, y)
    prior = np.log(y.mean() / (1 - y.mean()))
    np.testing.assert_allclose(
        LDA(covariance).fit(X, y).decision_function(X) + prior,
        theirs.decision_function(standard),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize(("n", "d"), [(60, 10), (10, 60), (30, 30), (2, 5)])
def test_shrinkage_is_scikit_learns(n: int, d: int) -> None:
    """Whichever of the two Gram matrices it is computed from."""
    rows = np.random.default_rng(n).normal(size=(n, d)) * np.geomspace(1, 3, d)
    fourth = fourth_moment(rows)
    for gram in (rows.T @ rows, rows @ rows.T):
        expected = ledoit_wolf(rows, assume_centered=True)[1]
        assert ledoit_wolf_shrinkage(gram, n, d, fourth) == pytest.approx(expected, abs=1e-12)
        expected = oas(rows, assume_centered=True)[1]
        assert oas_shrinkage(gram, n, d) == pytest.approx(expected, abs=1e-12)


def test_rows_that_vary_alike_in_all_features_are_shrunk_completely() -> None:
    """The sample covariance is the identity already; the formulas divide by zero."""
    gram = 8.0 * np.eye(4)
    assert ledoit_wolf_shrinkage(gram, 8, 4, fourth=40.0) == 1.0
    assert oas_shrinkage(gram, 8, 4) == 1.0


@pytest.mark.parametrize(("n", "d"), [(60, 10), (10, 60)])
def test_pinv_solves_with_the_pseudo_inverse_of_the_correlation(n: int, d: int) -> None:
    rng = np.random.default_rng(1)
    rows, target = rng.normal(size=(n, d)), rng.normal(size=(d, 2))
    rows = rows - rows.mean(axis=0)
    scale = rows.std(axis=0)[:, np.newaxis]
    correlation = np.corrcoef(rows.T)
    expected = np.linalg.pinv(correlation, rcond=1e-10, hermitian=True) @ (target / scale) / scale
    found = inverse_times(rows, target, np.abs(rows).max(axis=0), "pinv")
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas", "pinv"])
def test_size_of_a_feature_does_not_matter(covariance: Any) -> None:
    """Models have a few features a thousand times larger than the rest."""
    X, y = correlated(60, 8)
    large = X * np.array([1e4, 1, 1e-3, 1, 1, 30, 1, 1])
    one, other = (LDA(covariance).fit(rows, y).decision_function(rows) for rows in (X, large))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_direction_of_loud_noise_is_discounted() -> None:
    """Truth in feature 0; feature 1 is noise that leaks into feature 0 ten times over."""
    rng = np.random.default_rng(0)
    y, noise = np.tile([0, 1], 200), rng.normal(size=400)
    X = np.column_stack([y + 10 * noise, noise]) + 0.1 * rng.normal(size=(400, 2))
    assert LDA().fit(X, y).score(X, y) > 0.65
    assert LDA("pinv").fit(X, y).score(X, y) > 0.65
    weights = LDA("pinv").fit(X, y).coef_[0]
    assert weights[1] / weights[0] == pytest.approx(-10.0, rel=0.1)


def test_classes_without_spread_fall_back_to_the_mean_difference() -> None:
    probe = LDA().fit([[0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [2.0, 2.0]], [0, 0, 1, 1])
    np.testing.assert_allclose(probe.coef_, [[2.0, 1.0]])


def folds_of(data: Any) -> list[Problem]:
    """Outer and inner folds, whole groups each; shuffled labels for the rows of every fold."""
    y, rng = data.y == 1, np.random.default_rng(0)
    subsets = []
    for outer in range(5):
        rows = np.flatnonzero(data.groups % 5 != outer)
        subsets += [rows, *(rows[data.groups[rows] // 5 % 3 != inner] for inner in range(3))]
    genuine = [Problem(rows, y[rows]) for rows in subsets]
    return genuine + [Problem(rows, rng.permutation(honest)) for rows, honest in genuine]


def assert_as_one_by_one(probe: LDA, X: Any, problems: list[Problem]) -> None:
    found = probe.fit_problems(X, problems)
    for (rows, honest), score in zip(problems, found, strict=True):
        expected = LDA(probe.covariance).fit(X[rows], honest).decision_function(X)
        wrong = np.abs(X @ score.weights + score.offset - expected).max()
        assert wrong < 1e-8 * np.abs(expected).max()


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas", "pinv"])
@pytest.mark.parametrize("d", [12, 110, 300])
def test_many_problems_at_once_are_the_fits_one_by_one(covariance: Any, d: int, plant: Any) -> None:
    """At 110 features the inner folds (128 rows) share; at 300 none of the folds can."""
    data = plant(d=d)
    X = np.column_stack([data.X + 1e3, np.full(240, 0.1)])
    assert_as_one_by_one(LDA(covariance), X, folds_of(data))


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas"])
def test_problems_share_the_scatter_and_do_not_fit(
    covariance: Any, plant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constant feature, of which rounding leaves a scatter just off zero, is no obstacle."""
    data = plant()
    X = np.column_stack([data.X, np.full((240, 9), np.linspace(0.1, 7e4, 9))])
    monkeypatch.setattr(LDA, "fit", None)
    assert len(LDA(covariance).fit_problems(X, folds_of(data))) == 40


def test_feature_that_varies_in_left_out_rows_only_is_a_constant(plant: Any) -> None:
    """Subtraction leaves rounding where there is no spread; dividing by its root would be noise.

    So does a class separation of 10^6 spreads, which is taken from the scatter of all rows.
    """
    data = plant(groups=30)
    lone = np.where(data.groups == 0, np.arange(120.0), 0.1)
    apart = 1e6 * data.y + np.random.default_rng(0).normal(size=120)
    for extra in (lone, apart):
        assert_as_one_by_one(LDA(), np.column_stack([data.X, extra]), folds_of(data))


def test_odd_problems_go_the_way_of_fit(plant: Any) -> None:
    """A row chosen twice counts twice; one class is refused."""
    data = plant(groups=10)
    twice = np.append(np.arange(40), [0, 0, 5])
    problems = [*folds_of(data)[:3], Problem(twice, data.y[twice] == 1)]
    assert_as_one_by_one(LDA(), data.X, problems)
    with pytest.raises(ValueError, match="one class"):
        LDA().fit_problems(data.X, [*problems, Problem(np.arange(40), np.ones(40, dtype=bool))])
