"""Shares at the ends of their range: where resampling finds no spread the interval is exact."""

import numpy as np
import pytest
from scipy.stats import beta

from repalign.metrics import Estimate, mean, recall_at_fpr
from repalign.metrics.estimate import paired


def _end(groups: int) -> float:
    """The upper end of Clopper and Pearson for none of so many."""
    return float(beta(1, groups).ppf(0.975))


def _ends(found: Estimate) -> tuple[float, float]:
    return found.low, found.high


def test_a_mean_of_booleans_is_a_share() -> None:
    assert _ends(mean(np.zeros(12, dtype=bool))) == pytest.approx((0, _end(12)))
    assert _ends(mean([True] * 12)) == pytest.approx((1 - _end(12), 1))
    # Rows of a group say the same thing many times.
    assert _ends(mean([False] * 12, ["a", "b"] * 6)) == pytest.approx((0, _end(2)))
    some = np.arange(12) < 3
    assert mean(some) == mean(some.astype(float))


def test_a_mean_of_numbers_that_are_all_0_has_no_spread() -> None:
    assert _ends(mean([0.0] * 12)) == (0, 0)


def test_what_catches_none_or_all_of_a_few_texts_is_not_sure_of_it() -> None:
    benign = np.linspace(0, 1, 100)
    assert _ends(recall_at_fpr(benign, [2.0] * 8, 0.05).recall) == pytest.approx((0, _end(8)))
    found = recall_at_fpr(benign, [-1.0] * 8, 0.001)
    assert _ends(found.recall) == pytest.approx((1 - _end(8), 1))
    assert _ends(found.fpr) == pytest.approx((0, _end(100)))
    # The threshold is 0 here and no share: its ends are among the texts.
    assert found.value.value == 0
    assert found.value.high in benign


@pytest.mark.parametrize(
    ("first", "second", "value", "ends"),
    [
        (0.0, 0.0, 0, (-_end(9), _end(9))),
        (1.0, 1.0, 0, (-_end(9), _end(9))),
        (1.0, 0.0, 1, (1 - _end(9), 1)),
        (0.0, 1.0, -1, (-1, _end(9) - 1)),
    ],
)
def test_a_difference_of_shares_that_is_the_same_in_every_row_is_opened(
    first: float, second: float, value: float, ends: tuple[float, float]
) -> None:
    found = paired([first] * 9, [second] * 9)[2]
    assert found.value == value
    assert _ends(found) == pytest.approx(ends)


def test_pairs_that_differ_both_ways_and_other_numbers_are_resampled_alone() -> None:
    generator = np.random.default_rng(0)
    for values in (generator.integers(0, 2, (2, 40)).astype(float), generator.normal(size=(2, 40))):
        first, second, difference = paired(*values)
        assert (first, second) == (mean(values[0]), mean(values[1]))
        assert difference == mean(values[0] - values[1])
    assert _ends(paired([0.0, 2.0], [0.0, 2.0])[2]) == (0, 0)


def test_the_interval_of_a_rare_difference_covers_it() -> None:
    """In most draws no pair differs; an interval of no width would miss what is there."""
    generator = np.random.default_rng(1)
    chance, rows, covered = 0.03, 20, 0
    for _ in range(200):
        changed = generator.random(rows) < chance
        found = paired(changed.astype(float), np.zeros(rows))[2]
        covered += found.low <= chance <= found.high
    assert covered >= 0.93 * 200
