"""Moments, and the probes that are fitted from them in parts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from probes import LDA, LEACE, ContrastPCA, MeanDifference
from probes.moments import Moments
from probes.row_subsets import subset_moments
from probes.standardisation import scale_of_variance

Chunks = list[np.ndarray]
fresh: Any = clone  # its annotated result has no methods


def rows_of_three_classes(n: int = 90, d: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 2.0 * y[:, None], y


def assert_same(one: Moments, other: Moments) -> None:
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_allclose(one.means, other.means, rtol=1e-12, atol=1e-12)
    assert one.scatter is not None
    assert other.scatter is not None
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(one.magnitude, other.magnitude)


def test_moments_are_what_they_are_called() -> None:
    X, y = rows_of_three_classes()
    found = Moments.of(X, y)
    means = np.stack([X[y == label].mean(axis=0) for label in range(3)])
    within, centred = X - means[y], X - X.mean(axis=0)
    assert found.counts.tolist() == np.bincount(y).tolist()
    assert found.count == len(X)
    np.testing.assert_allclose(found.means, means)
    np.testing.assert_allclose(found.mean, X.mean(axis=0))
    np.testing.assert_allclose(found.within_scatter(), within.T @ within)
    np.testing.assert_allclose(found.total_scatter(), centred.T @ centred)
    np.testing.assert_array_equal(found.magnitude, np.abs(X).max(axis=0))


@pytest.mark.parametrize("sizes", [[1] * 90, [89, 1], [30, 30, 30], [3, 40, 1, 46]])
@pytest.mark.parametrize("in_order", [False, True])
def test_merged_parts_are_the_whole(sizes: list[int], in_order: bool) -> None:
    """In order of class most parts lack classes, and the first have seen one class only."""
    X, y = rows_of_three_classes()
    if in_order:
        order = np.argsort(y, kind="stable")
        X, y = X[order], y[order]
    ends = np.cumsum(sizes)
    parts = [Moments.of(X[a:b], y[a:b]) for a, b in zip(ends - sizes, ends, strict=True)]
    forward, backward = parts[0], parts[-1]
    for part in parts[1:]:
        forward = forward.merge(part)
    for part in parts[-2::-1]:
        backward = backward.merge(part)
    assert_same(forward, Moments.of(X, y))
    assert_same(backward, Moments.of(X, y))


@pytest.mark.parametrize("parts", [1, 20])
def test_offset_that_all_rows_share_loses_no_digit(parts: int) -> None:
    """Rows are multiples of 1/8, so that adding 10^4 rounds nothing away beforehand."""
    rng = np.random.default_rng(1)
    X = np.round(8 * rng.normal(size=(2000, 3))) / 8
    exact = Moments.of(X).within_scatter()
    pieces = np.array_split(X + 1e4, parts)
    found = Moments.of(pieces[0])
    for piece in pieces[1:]:
        found = found.merge(Moments.of(piece))
    np.testing.assert_allclose(found.within_scatter(), exact, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(found.mean - 1e4, X.mean(axis=0), atol=1e-11)
    moved = X + 1e4
    naive = moved.T @ moved - 2000 * np.outer(moved.mean(axis=0), moved.mean(axis=0))
    assert np.abs(naive / exact - 1).max() > 1e-8


def test_part_taken_out_leaves_the_rest() -> None:
    X, y = rows_of_three_classes()
    whole, part = Moments.of(X, y), np.arange(90) % 3 == 0
    rest = whole.without(Moments.of(X[part], y[part]))
    expected = Moments.of(X[~part], y[~part], classes=[0, 1, 2])
    assert rest is not None
    assert rest.counts.tolist() == expected.counts.tolist()
    np.testing.assert_allclose(rest.means, expected.means)
    np.testing.assert_allclose(rest.within_scatter(), expected.within_scatter(), atol=1e-11)
    gone = whole.without(Moments.of(X[y == 1], y[y == 1]))
    assert gone is not None
    assert gone.counts[1] == 0
    expected = Moments.of(X[y != 1], y[y != 1])
    np.testing.assert_allclose(gone.mean, X[y != 1].mean(axis=0))
    np.testing.assert_allclose(gone.within_scatter(), expected.within_scatter(), atol=1e-11)


def test_what_rounding_would_have_eaten_is_not_given_out() -> None:
    """Feature 1 varies in the part only: its scatter afterwards would be noise, not zero."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[10:, 1], X[:, 2] = 0.1, 0.1
    whole = Moments.of(X)
    assert whole.without(Moments.of(X[:10])) is None
    assert whole.without(Moments.of(X[10:30])) is not None


def test_rounding_below_zero_of_a_constant_feature_is_a_constant() -> None:
    constant = Moments.of(np.full((10, 1), 0.1))
    remaining = constant.reduced(np.array([[1e-33]]))
    assert remaining is not None
    scale = scale_of_variance(np.diagonal(remaining), constant.magnitude, constant=1.0)
    assert scale.tolist() == [1.0]
    varying = Moments.of(np.array([[0.1], [0.2]]))
    assert varying.reduced(varying.within_scatter()) is None


def test_impossible_sums_are_refused() -> None:
    X, y = rows_of_three_classes()
    whole = Moments.of(X, y)
    with pytest.raises(ValueError, match="5 features, the other 4"):
        whole.merge(Moments.of(X[:, :4], y))
    with pytest.raises(ValueError, match="holds a scatter and the other does not"):
        whole.merge(Moments.of(X, y, scatter=False))
    with pytest.raises(ValueError, match="no scatter"):
        Moments.of(X, y, scatter=False).total_scatter()
    with pytest.raises(ValueError, match="7, which is not in classes"):
        Moments.of(X[:2], [0, 7], classes=[0, 1])
    for part in (
        Moments.of(X, y + 1),
        whole,
        Moments.of(X[y == 2].repeat(3, 0), [2] * sum(y == 2) * 3),
    ):
        with pytest.raises(ValueError, match="leave at least one"):
            whole.without(part)


def test_subsets_have_the_moments_of_their_rows() -> None:
    """Nested, overlapping, equal and small subsets; a feature that varies outside one subset."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 4)) + 1e3
    X[6:, 3] = 0.1
    subsets = [np.flatnonzero(np.arange(60) % 5 != fold) for fold in range(5)]
    subsets += [subset[np.arange(48) % 3 != 0] for subset in subsets]
    subsets += [np.arange(6, 60), subsets[0][::-1], np.arange(3), np.arange(50, 60)]
    found = dict(subset_moments(X, subsets))
    assert sorted(found) == list(range(len(subsets)))
    for place, subset in enumerate(subsets):
        expected = Moments.of(X[subset])
        assert found[place].count == len(subset)
        np.testing.assert_allclose(found[place].mean, expected.mean, rtol=1e-14)
        np.testing.assert_allclose(
            found[place].within_scatter(), expected.within_scatter(), rtol=1e-10, atol=1e-10
        )
    # Exactly a constant, not the rounding that a subtraction would have left (about 1e-16).
    assert found[10].within_scatter()[3, 3] < 1e-28


CHUNKINGS: dict[str, Callable[[Any], Chunks]] = {
    "one by one": lambda y: [np.array([row]) for row in range(len(y))],
    "class by class": lambda y: [np.flatnonzero(y == 1), np.flatnonzero(y == 0)],
    "uneven": lambda y: np.split(np.arange(len(y)), [1, 8, 9, 60]),
    "whole": lambda y: [np.arange(len(y))],
}
STREAMED = [
    MeanDifference(),
    LDA("oas"),
    LDA("pinv"),
    LEACE("oas"),
    LEACE("pinv"),
    ContrastPCA(),
]


def streamed(estimator: Any, X: Any, y: Any, chunks: Chunks) -> Any:
    probe = fresh(estimator)
    for chunk in chunks:
        probe.partial_fit(X[chunk], y[chunk])
    return probe


def outputs(fitted: Any, X: Any) -> Any:
    """Scores of a probe, or what an eraser takes from the rows."""
    return X - fitted.transform(X) if hasattr(fitted, "transform") else fitted.decision_function(X)


@pytest.mark.parametrize("estimator", STREAMED, ids=repr)
@pytest.mark.parametrize("chunking", CHUNKINGS)
@pytest.mark.parametrize("d", [12, 120])
def test_fit_in_parts_is_the_fit_on_all(estimator: Any, chunking: str, d: int, plant: Any) -> None:
    """With an offset of 1000, a constant feature and, once, more features than rows."""
    data = plant(groups=20, d=d)
    X = np.column_stack([data.X + 1e3, np.full(80, 0.1)])
    parts = streamed(estimator, X, data.y, CHUNKINGS[chunking](data.y))
    whole = fresh(estimator).fit(X, data.y)
    expected = outputs(whole, X)
    assert np.abs(outputs(parts, X) - expected).max() < 1e-8 * np.abs(expected).max()
    np.testing.assert_array_equal(parts.classes_, whole.classes_)
    assert parts.n_features_in_ == whole.n_features_in_


def test_planted_error_is_seen(plant: Any) -> None:
    """One row counted twice changes the score by far more than the tolerance above."""
    data = plant(groups=20)
    for estimator in STREAMED:
        chunks = [np.arange(40), np.arange(39, 80)]
        expected = outputs(fresh(estimator).fit(data.X, data.y), data.X)
        found = outputs(streamed(estimator, data.X, data.y, chunks), data.X)
        assert np.abs(found - expected).max() > 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("d", [12, 120])
@pytest.mark.parametrize("cuts", [[], [40], [4, 8, 76]])
def test_groups_may_come_in_chunks(cuts: list[int], d: int, plant: Any) -> None:
    data = plant(groups=20, d=d)
    probe = ContrastPCA()
    for chunk in np.split(np.arange(80), cuts):
        probe.partial_fit(data.X[chunk], data.y[chunk], groups=data.groups[chunk])
    whole = ContrastPCA().fit(data.X, data.y, groups=data.groups)
    scores = whole.decision_function(data.X)
    np.testing.assert_allclose(probe.decision_function(data.X), scores, atol=1e-8 * scores.max())
    assert probe.explained_ == pytest.approx(whole.explained_)
    assert probe.explained_ != pytest.approx(ContrastPCA().fit(data.X, data.y).explained_)


def test_group_in_two_chunks_is_refused(plant: Any) -> None:
    data = plant(groups=20)
    probe = ContrastPCA().partial_fit(data.X[:40], data.y[:40], groups=data.groups[:40])
    expected = probe.coef_
    with pytest.raises(ValueError, match=r"1 groups were in an earlier chunk .one: 9."):
        probe.partial_fit(data.X[36:], data.y[36:], groups=data.groups[36:])
    with pytest.raises(ValueError, match="Some chunks have groups"):
        probe.partial_fit(data.X[40:], data.y[40:])
    with pytest.raises(ValueError, match="rows of one label only"):
        probe.partial_fit(data.X[40:41], data.y[40:41], groups=data.groups[40:41])
    np.testing.assert_array_equal(probe.coef_, expected)
    assert probe.groups_ == set(range(10))
    probe.partial_fit(data.X[40:], data.y[40:], groups=data.groups[40:])
    assert not np.array_equal(probe.coef_, expected)


def test_ledoit_wolf_in_parts_is_refused_with_the_way_out(plant: Any) -> None:
    data = plant(groups=5)
    for estimator in (LDA(), LEACE()):
        with pytest.raises(ValueError, match=r"covariance='oas'.* or covariance='pinv'"):
            estimator.partial_fit(data.X, data.y)
        assert not hasattr(estimator, "partial_fit")
        assert hasattr(estimator.set_params(covariance="oas"), "partial_fit")
    with pytest.raises(ValueError, match=r"'full'.* 'pinv'"):
        LDA("full").partial_fit(data.X, data.y)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("estimator", STREAMED, ids=repr)
def test_fit_and_partial_fit_do_not_mix(estimator: Any, plant: Any) -> None:
    """`fit` keeps nothing to add to; and it forgets what was streamed before."""
    data, other = plant(groups=5), plant(groups=5, seed=1)
    fitted = fresh(estimator).fit(data.X, data.y)
    with pytest.raises(ValueError, match="was fitted with fit"):
        fitted.partial_fit(other.X, other.y)
    again = fresh(estimator).partial_fit(other.X, other.y).fit(data.X, data.y)
    np.testing.assert_array_equal(outputs(again, data.X), outputs(fitted, data.X))
    with pytest.raises(ValueError, match="was fitted with fit"):
        again.partial_fit(other.X, other.y)


@pytest.mark.parametrize("estimator", STREAMED, ids=repr)
def test_one_class_so_far_is_said(estimator: Any, plant: Any) -> None:
    data = plant(groups=5)
    probe = fresh(estimator).partial_fit(data.X[data.y == 1], data.y[data.y == 1], classes=[0, 1])
    apply = probe.transform if isinstance(probe, LEACE) else probe.decision_function
    with pytest.raises(NotFittedError, match="of one class"):
        apply(data.X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(fresh(estimator), probe.learned[0])


@pytest.mark.parametrize("estimator", STREAMED, ids=repr)
def test_refused_chunk_leaves_the_probe_as_it_was(estimator: Any, plant: Any) -> None:
    data = plant(groups=10)
    probe = fresh(estimator).partial_fit(data.X[:20], data.y[:20])
    with pytest.raises(ValueError, match="contains NaN"):
        probe.partial_fit(np.where(data.X[20:] > 0, np.nan, 0.0), data.y[20:])
    with pytest.raises(ValueError, match="3 features"):
        probe.partial_fit(data.X[20:, :3], data.y[20:])
    with pytest.raises(ValueError, match="which is not in classes"):
        probe.partial_fit(data.X[20:], data.y[20:], classes=[0])
    if not isinstance(probe, LEACE):
        with pytest.raises(ValueError, match="3 classes"):
            probe.partial_fit(data.X[20:], data.y[20:] + 1)
    probe = pickle.loads(pickle.dumps(probe))
    probe.partial_fit(data.X[20:], data.y[20:])
    expected = outputs(fresh(estimator).fit(data.X, data.y), data.X)
    np.testing.assert_allclose(outputs(probe, data.X), expected, rtol=1e-8, atol=1e-7)


def test_a_stream_is_solved_once_and_again_after_the_next_chunk(
    plant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, solved = plant(groups=10), []
    original = LDA._solve
    monkeypatch.setattr(LDA, "_solve", lambda *args: (solved.append(1), original(*args)))
    probe = streamed(LDA("oas"), data.X, data.y, np.array_split(np.arange(40), 10))
    assert not solved
    first = probe.decision_function(data.X)
    assert (probe.predict(data.X) == data.y).mean() > 0.9
    assert len(solved) == 1
    probe.partial_fit(data.X[:10] + 5.0, data.y[:10])
    assert np.abs(probe.decision_function(data.X) - first).max() > 1e-3
    assert len(solved) == 2


def test_labels_of_any_kind_and_classes_that_come_late(plant: Any) -> None:
    data = plant(groups=10)
    y = np.array(["dishonest", "honest"])[data.y]
    late = [np.flatnonzero(data.y == 0), np.flatnonzero(data.y == 1)]
    probe = streamed(MeanDifference(), data.X, y, late)
    assert probe.classes_.tolist() == ["dishonest", "honest"]
    assert probe.score(data.X, y) > 0.9
    X, three = rows_of_three_classes()
    eraser = streamed(LEACE("pinv"), X, three, [np.flatnonzero(three == k) for k in (1, 2, 0)])
    expected = LEACE("pinv").fit(X, three).transform(X)
    np.testing.assert_allclose(eraser.transform(X), expected, atol=1e-9)
