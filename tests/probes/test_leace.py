"""LEACE: the theorem, its converse, and values of the authors' own implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from probes import LEACE

KINDS = pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas", "pinv"])


def labelled(n: int = 240, d: int = 6, classes: int = 2, seed: int = 0) -> tuple[Any, Any]:
    """Correlated rows, classes of unequal size with well separated means."""
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, size=n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3.0 * rng.normal(size=(classes, d))[y]
    return X, y


@KINDS
@pytest.mark.parametrize("classes", [2, 3])
def test_no_linear_predictor_learns_the_label(covariance: Any, classes: int) -> None:
    X, y = labelled(classes=classes)
    majority = np.bincount(y).max() / len(y)
    erased = LEACE(covariance).fit_transform(X, y)
    for learner in (LogisticRegression(C=1e4, max_iter=5000), LinearSVC(C=1e-2)):
        assert learner.fit(X, y).score(X, y) > majority + 0.15
        assert learner.fit(erased, y).score(erased, y) <= majority + 1e-9
    weights = LogisticRegression(C=1e4, solver="newton-cholesky", tol=1e-8).fit(erased, y).coef_
    assert np.abs(weights).max() < 1e-4


@KINDS
@pytest.mark.parametrize(("n", "d"), [(240, 6), (30, 80)])
def test_classes_have_one_mean_and_it_is_the_old_one(covariance: Any, n: int, d: int) -> None:
    X, y = labelled(n, d)
    erased = LEACE(covariance).fit_transform(X, y)
    assert np.linalg.norm(X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)) > 1.0
    for label in (0, 1):
        np.testing.assert_allclose(erased[y == label].mean(axis=0), X.mean(axis=0), atol=1e-9)


@KINDS
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_idempotent_and_of_low_rank(covariance: Any, classes: int) -> None:
    X, y = labelled(classes=classes)
    eraser = LEACE(covariance).fit(X, y)
    new = labelled(seed=1)[0]
    once = eraser.transform(new)
    np.testing.assert_allclose(eraser.transform(once), once, atol=1e-9)
    assert np.linalg.matrix_rank(new - once, tol=1e-8) == classes - 1
    assert eraser.removed_.shape == eraser.readout_.shape == (classes - 1, 6)
    np.testing.assert_allclose(eraser.readout_ @ eraser.removed_.T, np.eye(classes - 1), atol=1e-9)


@KINDS
def test_nothing_is_left_for_a_second_eraser(covariance: Any) -> None:
    X, y = labelled()
    erased = LEACE(covariance).fit_transform(X, y)
    again = LEACE(covariance).fit(erased, y)
    assert again.removed_.shape == (0, 6)
    np.testing.assert_array_equal(again.transform(erased), erased)


@pytest.mark.parametrize(("n", "d"), [(240, 6), (20, 35)])
def test_pinv_commutes_with_affine_maps(n: int, d: int) -> None:
    X, y = labelled(n, d)
    rng = np.random.default_rng(3)
    matrix, shift = np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d), rng.normal(size=d)
    moved = X @ matrix + shift
    expected = LEACE("pinv").fit_transform(X, y) @ matrix + shift
    np.testing.assert_allclose(LEACE("pinv").fit_transform(moved, y), expected, atol=1e-7)


def test_equals_the_whitening_form_of_the_paper() -> None:
    """W = S^-1/2, U an orthonormal basis of W S_xz: x - W^+ U U^T W (x - mean)."""
    X, y = labelled(classes=3)
    centred = X - X.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(X))
    whiten, colour = (axes * values**power @ axes.T for power in (-0.5, 0.5))
    cross = whiten @ centred.T @ np.eye(3)[y] / len(X)
    basis = np.linalg.svd(cross, full_matrices=False)[0][:, :2]
    expected = X - centred @ (colour @ basis @ basis.T @ whiten).T
    np.testing.assert_allclose(LEACE("pinv").fit_transform(X, y), expected, atol=1e-9)


def test_no_other_eraser_moves_the_rows_less() -> None:
    """Every oblique projection that removes the mean difference erases; ours is the nearest."""
    X, y = labelled()
    erased = LEACE("pinv").fit_transform(X, y)
    moved = np.mean(np.sum((erased - X) ** 2, axis=1))
    difference = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    centred = X - X.mean(axis=0)
    rng = np.random.default_rng(0)
    for reader in (difference, *(difference + rng.normal(size=(20, 6)))):
        other = np.outer(centred @ reader, difference) / (reader @ difference)
        means = [(X - other)[y == label].mean(axis=0) for label in (0, 1)]
        np.testing.assert_allclose(means[0], means[1], atol=1e-9)
        assert moved <= np.mean(np.sum(other**2, axis=1)) + 1e-9


def test_values_of_the_authors_implementation() -> None:
    """concept-erasure 0.2.4, `LeaceFitter(shrinkage=False, constrain_cov_trace=False)`."""
    X = [[2, 1, 0], [0, 3, 1], [1, 0, 4], [5, 1, 3], [3, 4, 0], [4, 2, 5]]
    expected = [
        [3.30295123, 1.43431708, 0.43431708],
        [1.35963649, 3.45321216, 1.45321216],
        [2.83741227, 0.61247076, 4.61247076],
        [3.50593846, 0.50197949, 2.50197949],
        [1.76021234, 3.58673745, -0.41326255],
        [2.2338492, 1.41128307, 4.41128307],
    ]
    erased = LEACE("pinv").fit_transform(X, [0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(erased, expected, atol=1e-7)


def test_float32_stays_float32_and_agrees() -> None:
    X, y = labelled()
    exact = LEACE().fit_transform(X, y)
    single = LEACE().fit_transform(X.astype(np.float32), y)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-4)


def test_uninformative_and_constant_features_are_left_alone() -> None:
    """The labels are uncorrelated with feature 1 and feature 2 is constant."""
    X = np.array([[0.0, 1.0, 0.1], [0.0, -1.0, 0.1], [4.0, 1.0, 0.1], [4.0, -1.0, 0.1]])
    erased = LEACE("pinv").fit_transform(X, [0, 0, 1, 1])
    np.testing.assert_allclose(erased, X * [0, 1, 1] + [2.0, 0.0, 0.0], atol=1e-9)
