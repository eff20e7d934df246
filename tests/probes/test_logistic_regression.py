"""Logistic regression against scikit-learn's, in the space of the rows as given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from probes import LogisticRegression
from probes.ridge_coordinates import RidgeCoordinates


def uneven(n: int, d: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 4 == 0).astype(int)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.geomspace(0.01, 100, d) + 3.0
    return X + 0.3 * np.outer(y, np.geomspace(0.01, 100, d)), y


@pytest.mark.parametrize(("n", "d"), [(300, 20), (30, 30), (40, 90)])
@pytest.mark.parametrize("C", [0.001, 0.1, 10.0])
def test_same_scores_as_scikit_learn(n: int, d: int, C: float) -> None:
    X, y = uneven(n, d)
    solver = Reference(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    theirs = make_pipeline(StandardScaler(), solver).fit(X, y)
    ours = LogisticRegression(C=C).fit(X, y)
    new = uneven(50, d, seed=1)[0]
    for rows in (X, new):
        np.testing.assert_allclose(
            ours.decision_function(rows), theirs.decision_function(rows), atol=1e-4
        )
    np.testing.assert_allclose(
        ours.predict_proba(new), expit(np.outer(ours.decision_function(new), [-1, 1])), atol=1e-12
    )


def test_intercept_alone_gives_the_base_rate() -> None:
    """A penalised intercept would pull the probability towards one half."""
    X = np.array([[1.0], [-1.0]] * 10)
    y = [0, 0, 1, 1] + [0] * 16
    probe = LogisticRegression(C=1e-6).fit(X, y)
    np.testing.assert_allclose(probe.predict_proba([[0.0]]), [[0.9, 0.1]], atol=1e-6)


def test_extreme_rows_keep_probabilities_finite() -> None:
    probe = LogisticRegression(C=1e3).fit([[-1.0], [-0.9], [0.9], [1.0]], [0, 0, 1, 1])
    np.testing.assert_allclose(probe.predict_proba([[-1e6], [1e6]]), [[1, 0], [0, 1]])


@pytest.mark.parametrize(("n", "d"), [(30, 6), (6, 30)])
def test_coordinates_are_a_change_of_variables(n: int, d: int) -> None:
    """Scores, penalty and curvature at the reference point, checked in the raw weights."""
    X = np.random.default_rng(0).normal(size=(n, d))
    space = RidgeCoordinates.of(X, curvature=0.25, ridge=2.0)
    point = np.random.default_rng(1).normal(size=space.size)
    local = space.local_weights(point)
    weights = space.weights(local)
    np.testing.assert_allclose(X @ weights, space.rows @ local, atol=1e-6)
    assert weights @ weights == pytest.approx(local @ local, rel=1e-6)
    reference = 0.25 * np.sum((X @ weights) ** 2) + 2.0 * weights @ weights
    assert point @ point == pytest.approx(reference, rel=1e-6)
