"""LDA against scikit-learn and against the formula written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from probes import LDA
from probes.covariance import inverse_times, ledoit_wolf_shrinkage


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


@pytest.mark.parametrize(("n", "d"), [(150, 8), (12, 40)])
def test_ledoit_wolf_is_lda_with_that_shrinkage_of_the_correlation(n: int, d: int) -> None:
    """The case of fewer rows than features takes another route to the same solution."""
    X, y = correlated(n, d)
    standard = X / within(X, y).std(axis=0)
    amount = ledoit_wolf(within(standard, y), assume_centered=True)[1]
    assert 0.0 < amount < 1.0
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=amount).fit(standard, y)
    prior = np.log(y.mean() / (1 - y.mean()))
    np.testing.assert_allclose(
        LDA().fit(X, y).decision_function(X) + prior,
        theirs.decision_function(standard),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize(("n", "d"), [(60, 10), (10, 60), (30, 30), (2, 5)])
def test_shrinkage_is_scikit_learns(n: int, d: int) -> None:
    rows = np.random.default_rng(n).normal(size=(n, d)) * np.geomspace(1, 3, d)
    expected = ledoit_wolf(rows, assume_centered=True)[1]
    assert ledoit_wolf_shrinkage(rows) == pytest.approx(expected, abs=1e-12)


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


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "pinv"])
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
