"""Metrics: the figures are the textbook's, and the intervals rest on groups, not on rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from repalign.errors import InputError
from repalign.metrics import Estimate, auroc, mean, recall_at_fpr, threshold_at

# Few distinct values, so that ties are common.
scored = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def _split(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = zip(*rows, strict=True)
    return np.array(labels), np.array(scores, dtype=float)


@given(scored)
@settings(deadline=None)
def test_auroc_is_scikit_learns(rows: list[tuple[int, int]]) -> None:
    labels, scores = _split(rows)
    found = auroc(labels, scores, resamples=0).value
    assert found == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(scored)
@settings(deadline=None)
def test_auroc_counts_pairs(rows: list[tuple[int, int]]) -> None:
    labels, scores = _split(rows)
    up, down = scores[labels == 1], scores[labels == 0]
    pairs = np.sign(up[:, None] - down[None, :]) / 2 + 0.5
    assert auroc(labels, scores, resamples=0).value == pytest.approx(pairs.mean(), abs=1e-12)


@given(scored, st.sampled_from([np.exp, np.arctan, lambda x: 3 * x - 7, lambda x: x**3]))
@settings(deadline=None)
def test_only_the_order_of_scores_counts(
    rows: list[tuple[int, int]], rising: Callable[[np.ndarray], np.ndarray]
) -> None:
    labels, scores = _split(rows)
    plain, changed = (auroc(labels, s, resamples=50) for s in (scores, rising(scores)))
    assert changed == plain


@given(scored)
@settings(deadline=None)
def test_turning_the_labels_or_the_scores_round_mirrors_auroc(rows: list[tuple[int, int]]) -> None:
    labels, scores = _split(rows)
    plain = auroc(labels, scores, resamples=0).value
    assert auroc(1 - labels, scores, resamples=0).value == pytest.approx(1 - plain, abs=1e-12)
    assert auroc(labels, -scores, resamples=0).value == pytest.approx(1 - plain, abs=1e-12)


@given(scored, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_rows_does_not_count(rows: list[tuple[int, int]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert auroc(*_split(shuffled), resamples=0).value == pytest.approx(
        auroc(*_split(rows), resamples=0).value, abs=1e-12
    )


def test_strata_are_compared_within() -> None:
    labels, scores = [0, 1, 0, 1], [0.0, 1.0, 10.0, 11.0]
    assert auroc(labels, scores).value == 0.75
    assert auroc(labels, scores, strata=["a", "a", "b", "b"]).value == 1.0


def test_rows_of_a_group_are_one_observation() -> None:
    generator = np.random.default_rng(0)
    labels = np.tile([0, 1], 20)
    scores = labels + generator.normal(size=40) * 1.5
    names = np.array([f"g{i}" for i in range(40)])
    once = auroc(labels, scores, names)
    many = np.repeat(np.arange(40), 25)
    grouped = auroc(labels[many], scores[many], names[many])
    ungrouped = auroc(labels[many], scores[many])
    # Repeating rows adds no knowledge: the interval of the groups stays as it was, that of the rows
    # shrinks by the root of 25.
    assert grouped.value == pytest.approx(once.value)
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert (grouped.n, ungrouped.n) == (40, 1000)
    assert grouped.high - grouped.low > 3.5 * (ungrouped.high - ungrouped.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Groups of two rows that share most of their noise; true AUROC by the normal model.
    generator = np.random.default_rng(1)
    trials, groups, shift = 250, 60, 1.0
    noise_of_group, noise_of_row = 0.9, 0.4359
    truth = 0.76025  # Phi(1 / sqrt(2))
    hits = naive_hits = 0
    for _ in range(trials):
        labels = np.repeat(np.arange(groups) % 2, 2)
        codes = np.repeat(np.arange(groups), 2)
        scores = (
            shift * labels
            + noise_of_group * generator.normal(size=groups)[codes]
            + noise_of_row * generator.normal(size=len(codes))
        )
        right = auroc(labels, scores, codes, resamples=200)
        naive = auroc(labels, scores, resamples=200)
        hits += right.low <= truth <= right.high
        naive_hits += naive.low <= truth <= naive.high
    assert 0.90 <= hits / trials <= 0.985
    # Without groups it would promise too much: the test would see groups that are ignored.
    assert naive_hits / trials < 0.87


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, scores = np.tile([0, 1], 30), np.random.default_rng(0).normal(size=60)
    assert auroc(labels, scores, seed=1) == auroc(labels, scores, seed=1)
    assert auroc(labels, scores, seed=1) != auroc(labels, scores, seed=2)


def test_a_lower_level_gives_a_narrower_interval() -> None:
    labels, scores = np.tile([0, 1], 30), np.random.default_rng(0).normal(size=60)
    wide, narrow = (auroc(labels, scores, level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert (wide.level, narrow.level) == (0.95, 0.5)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 1], [0.1, 0.2], "both labels; all 2 rows"),
        ([0, 1], [0.1, float("nan")], "1 of 2 scores"),
        ([0, 1], [0.1, float("inf")], "1 of 2 scores"),
        ([0, 2], [0.1, 0.2], r"Labels are 0 and 1; found \[0, 2\]"),
        ([-1, 1], [0.1, 0.2], r"found \[-1, 1\]"),
        ([0, 1, 1], [0.1, 0.2], r"shapes are \(3,\) and \(2,\)"),
        ([], [], "both labels"),
    ],
)
def test_auroc_refuses_what_it_cannot_rank(labels: Any, scores: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        auroc(labels, scores)


def test_groups_must_be_as_many_as_rows() -> None:
    with pytest.raises(InputError, match="1 groups were given for 2 rows"):
        auroc([0, 1], [0.0, 1.0], ["a"])


def test_mean_is_the_mean_with_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    found = mean(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(
        (found.value - half, found.value + half), abs=0.04
    )


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_mean_refuses_nothing_and_nan(values: list[float]) -> None:
    with pytest.raises(InputError, match="finite"):
        mean(values)


# Rates as people write them, and shares that are exact multiples of 1/n.
rates = st.one_of(
    st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.5, 0.99]), st.floats(0, 1, exclude_max=True)
)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=60), rates)
def test_ties_never_push_the_rate_above_the_one_asked_for(scores: list[int], fpr: float) -> None:
    values = np.array(scores, dtype=float)
    cut = threshold_at(values, fpr)
    assert np.mean(values < cut) <= fpr + 1e-9


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=60), rates)
def test_the_threshold_is_the_highest_that_keeps_the_rate(scores: list[int], fpr: float) -> None:
    values = np.array(scores, dtype=float)
    cut = threshold_at(values, fpr)
    higher = np.unique(values[values > cut])
    if len(higher):
        assert np.mean(values < higher[0]) > fpr - 1e-9


def test_a_share_that_is_a_whole_number_of_texts_is_met_exactly() -> None:
    # 0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996 in floating point.
    scores = np.arange(100.0)
    for fpr in (0.01, 0.05, 0.07, 0.29, 0.57):
        assert np.mean(scores < threshold_at(scores, fpr)) == pytest.approx(fpr)


@pytest.mark.parametrize(
    ("scores", "fpr"), [([], 0.1), ([float("nan")], 0.1), ([1.0], 1.0), ([1.0], -0.1)]
)
def test_threshold_refuses(scores: list[float], fpr: float) -> None:
    with pytest.raises(InputError):
        threshold_at(scores, fpr)


def test_recall_at_fpr_by_hand() -> None:
    # Of 20 benign texts one may be flagged: all below the second smallest, 2. Of the dishonest
    # -1, 1, 2, 30 two lie below it; the tie with it does not count.
    found = recall_at_fpr(np.arange(1.0, 21.0), [-1.0, 1.0, 2.0, 30.0], 0.05)
    assert (found.value.value, found.fpr.value, found.recall.value) == (2.0, 0.05, 0.5)
    assert (found.value.n, found.fpr.n, found.recall.n) == (20, 20, 4)
    assert found.recall.low < 0.5 < found.recall.high
    assert found.value.low == 1.0


def test_recall_intervals_rest_on_groups() -> None:
    generator = np.random.default_rng(0)
    benign, dishonest = generator.normal(2, 1, size=200), generator.normal(size=40)
    rows = np.repeat(np.arange(40), 20)
    once = recall_at_fpr(benign, dishonest, 0.05)
    grouped = recall_at_fpr(benign, dishonest[rows], 0.05, rows)
    ungrouped = recall_at_fpr(benign, dishonest[rows], 0.05)

    def width(estimate: Estimate) -> float:
        return estimate.high - estimate.low

    assert grouped.recall.n == 40
    assert width(grouped.recall) == pytest.approx(width(once.recall), rel=0.2)
    assert width(grouped.recall) > 1.3 * width(ungrouped.recall)


@pytest.mark.parametrize("dishonest", [[], [0.0, float("nan")]])
def test_recall_refuses_scores_that_would_count_as_missed(dishonest: list[float]) -> None:
    # NaN is below no threshold: it would pass for a lie that went unseen.
    with pytest.raises(InputError, match="finite"):
        recall_at_fpr([1.0, 2.0], dishonest, 0.05)


def test_an_estimate_prints_and_goes_to_json() -> None:
    estimate = Estimate(0.93123, 0.9, 0.95, 200)
    assert str(estimate) == "0.931 [0.900, 0.950]"
    assert estimate.to_json() == {
        "value": 0.93123,
        "low": 0.9,
        "high": 0.95,
        "n": 200,
        "level": 0.95,
    }
