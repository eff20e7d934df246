"""Contrast PCA: the laws of sign randomisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from probes import ContrastPCA
from probes.contrast_pca import main_axis
from probes.linear_probe import Problem


def shifted_pairs(seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """512 pairs in 64 features that differ by a shift of length 3 and by one noisy axis."""
    rng = np.random.default_rng(seed)
    shift, noisy = np.eye(64)[0], np.eye(64)[1]
    topic = rng.normal(size=(512, 64))
    honest = topic + 3.0 * shift + 2.0 * np.outer(rng.normal(size=512), noisy)
    honest += 0.3 * rng.normal(size=(512, 64))
    X, y = np.vstack([honest, topic]), np.repeat([1, 0], 512)
    return X, y, np.tile(np.arange(512), 2), shift


def test_sign_randomisation_is_what_finds_the_shift() -> None:
    X, y, groups, shift = shifted_pairs()
    probe = ContrastPCA().fit(X, y, groups=groups)
    assert probe.coef_[0] @ shift > 0.9
    plain: Any = PCA(n_components=1).fit(X[y == 1] - X[y == 0]).components_
    assert abs(plain[0] @ shift) < 0.2


def test_expectation_stands_for_the_mean_over_random_signs() -> None:
    """The covariance of flipped differences, averaged over many draws, has our main axis."""
    X, y, *_ = shifted_pairs()
    differences = (X[y == 1] - X[y == 0])[:40, :6]
    rng = np.random.default_rng(0)
    flips = rng.choice([-1.0, 1.0], size=(4000, 40, 1))
    mean = np.mean([np.cov((flip * differences).T, bias=True) for flip in flips], axis=0)
    expected = (1 - 1 / 40) * differences.T @ differences / 40
    np.testing.assert_allclose(mean, expected, atol=0.03 * np.trace(expected))
    drawn = np.linalg.eigh(mean)[1][:, -1]
    assert abs(main_axis(differences)[0] @ drawn) > 0.9999


def test_order_of_and_within_pairs_does_not_matter() -> None:
    X, y, groups, _ = shifted_pairs()
    probe = ContrastPCA().fit(X, y, groups=groups)
    rng = np.random.default_rng(1)
    names = rng.permutation(512)[groups]
    order = rng.permutation(len(y))
    mixed = ContrastPCA().fit(X[order], y[order], groups=names[order])
    np.testing.assert_allclose(mixed.coef_, probe.coef_, atol=1e-10)
    np.testing.assert_allclose(mixed.intercept_, probe.intercept_, atol=1e-10)


def test_global_sign_of_the_data_does_not_change_the_scores() -> None:
    X, y, groups, _ = shifted_pairs()
    one = ContrastPCA().fit(X, y, groups=groups).decision_function(X)
    other = ContrastPCA().fit(-X, y, groups=groups).decision_function(-X)
    np.testing.assert_allclose(other, one, atol=1e-9)


def test_groups_count_once_however_many_rows_they_have() -> None:
    """Repeating the rows of a group, or adding rows that leave its means, changes no axis."""
    X, y, groups, _ = shifted_pairs()
    probe = ContrastPCA().fit(X, y, groups=groups)
    extra = groups < 5
    step = np.linspace(0, 1, 64)
    rows = np.vstack([X, X[extra] + step, X[extra] - step])
    held = np.concatenate([groups, groups[extra], groups[extra]])
    again = ContrastPCA().fit(rows, np.concatenate([y, y[extra], y[extra]]), groups=held)
    np.testing.assert_allclose(again.coef_, probe.coef_, atol=1e-10)
    assert again.explained_ == pytest.approx(probe.explained_)


def test_without_groups_every_honest_row_meets_every_dishonest_row() -> None:
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(30, 5)) + 1.0, np.array([1, 0, 0] * 10)
    X[y == 1] += 0.7
    every = (X[y == 1][:, np.newaxis] - X[y == 0][np.newaxis]).reshape(-1, 5)
    axis, share = main_axis(every)
    probe = ContrastPCA().fit(X, y)
    np.testing.assert_allclose(np.abs(probe.coef_[0]), np.abs(axis), atol=1e-10)
    assert probe.explained_ == pytest.approx(share)


def test_score_is_zero_half_way_between_the_classes() -> None:
    X, y, groups, _ = shifted_pairs()
    middle = (X[y == 1].mean(axis=0) + X[y == 0].mean(axis=0)) / 2
    probe = ContrastPCA().fit(X, y, groups=groups)
    assert probe.decision_function([middle])[0] == pytest.approx(0.0, abs=1e-10)
    assert np.linalg.norm(probe.coef_) == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "d"), [(20, 6), (6, 20)])
def test_main_axis_is_the_first_right_singular_vector(n: int, d: int) -> None:
    rows = np.random.default_rng(3).normal(size=(n, d))
    _, values, axes = np.linalg.svd(rows)
    axis, share = main_axis(rows)
    assert abs(axis @ axes[0]) == pytest.approx(1.0)
    assert share == pytest.approx(values[0] ** 2 / np.sum(values**2))


def folds(y: Any, groups: Any, seed: int = 0) -> list[Problem]:
    """Folds of whole groups, and for each the labels of half of its groups exchanged."""
    rng = np.random.default_rng(seed)
    subsets = [np.flatnonzero(groups % 5 != fold) for fold in range(5)]
    problems = [Problem(rows, y[rows] == 1) for rows in subsets]
    exchanged = rng.random(groups.max() + 1) < 0.5
    return problems + [Problem(rows, honest ^ exchanged[groups[rows]]) for rows, honest in problems]


def assert_as_one_by_one(X: Any, problems: list[Problem], groups: Any) -> None:
    found = ContrastPCA().fit_problems(X, problems, groups=groups)
    for (rows, honest), score in zip(problems, found, strict=True):
        held = None if groups is None else groups[rows]
        expected = ContrastPCA().fit(X[rows], honest, groups=held).decision_function(X)
        wrong = np.abs(X @ score.weights + score.offset - expected).max()
        assert wrong < 1e-8 * np.abs(expected).max()


@pytest.mark.parametrize("pairs", [40, 512])
def test_many_problems_at_once_are_the_fits_one_by_one(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 pairs are fewer than the 64 features, 512 are more; neither is fitted one by one."""
    X, y, groups, _ = shifted_pairs()
    few = groups < pairs
    X, y, groups = X[few] + 1e3, y[few], groups[few]
    assert_as_one_by_one(X, folds(y, groups), groups)
    monkeypatch.setattr(ContrastPCA, "fit", None)
    assert len(ContrastPCA().fit_problems(X, folds(y, groups), groups=groups)) == 10


def test_problems_that_break_groups_go_the_way_of_fit(plant: Any) -> None:
    """Groups of four: split, relabelled in part, a row twice or for another; no groups at all."""
    data = plant(groups=30)
    problems = folds(data.y, data.groups)
    kept = data.polarity == 1
    problems.append(Problem(np.flatnonzero(kept), data.y[kept] == 1))
    problems.append(Problem(np.arange(120), (data.y == 1) ^ (kept & (data.groups < 9))))
    twice = np.append(np.arange(120), [0, 0])
    problems.append(Problem(twice, data.y[twice] == 1))
    instead = np.where(np.arange(120) % 4 == 2, np.arange(120) - 2, np.arange(120))
    problems.append(Problem(instead, data.y[instead] == 1))
    assert_as_one_by_one(data.X, problems, data.groups)
    assert_as_one_by_one(data.X, problems[10:], data.groups)
    assert_as_one_by_one(data.X, problems, None)


def test_bad_groups_are_refused_as_by_fit(plant: Any) -> None:
    data = plant(groups=10)
    problems = folds(data.y, data.groups)
    lonely = np.append(data.groups[:-1], 99)
    with pytest.raises(ValueError, match="1 of 9 groups hold rows of one label only"):
        ContrastPCA().fit_problems(data.X, problems[:1], groups=lonely)
    missing = np.where(data.groups == 7, np.nan, data.groups)
    with pytest.raises(ValueError, match="misses a value"):
        ContrastPCA().fit_problems(data.X, problems, groups=missing)
