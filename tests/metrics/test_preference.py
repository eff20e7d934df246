from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.metrics.preference import (
    Wins,
    best_of_n_win_rate,
    calibrated_reward,
    performance_gap_recovered,
)

rewards = st.lists(st.integers(0, 4).map(float), min_size=2, max_size=5)


def test_an_item_is_won_only_if_it_is_won_in_both_orders() -> None:
    found = Wins.of(["win", "win", "lose", "tie", "lose"], ["win", "lose", "win", "tie", "lose"])
    assert found.counts == {"win": 1, "tie": 3, "lose": 1}
    assert found.rate.value == pytest.approx(0.5)
    assert found.agreement.value == pytest.approx(3 / 5)


def test_a_judge_who_always_prefers_the_first_is_found_out() -> None:
    found = Wins.of(["win"] * 10, ["lose"] * 10)
    assert found.first_shown.value == 1.0
    assert found.rate.value == 0.5
    assert found.counts["tie"] == 10
    assert Wins.of(["win"] * 4, ["win"] * 4).first_shown.value == 0.5


def test_a_calibrated_reward_averages_one_half_over_the_reference() -> None:
    reference = np.array([0.0, 1.0, 1.0, 2.0, 5.0])
    assert np.mean([calibrated_reward(r, reference) for r in reference]) == pytest.approx(0.5)
    assert calibrated_reward(9.0, reference) == 1.0
    assert calibrated_reward(-1.0, reference) == 0.0


@given(rewards, rewards, st.integers(1, 2))
def test_the_best_of_n_is_counted_over_all_ways_to_choose(
    ours: list[float], theirs: list[float], n: int
) -> None:
    outcomes = [
        1.0 if max(a) > max(b) else 0.5 if max(a) == max(b) else 0.0
        for a in combinations(ours, n)
        for b in combinations(theirs, n)
    ]
    found = best_of_n_win_rate([ours], [theirs], n)
    assert found.value == pytest.approx(np.mean(outcomes))


def test_prompts_count_alike() -> None:
    found = best_of_n_win_rate([[1.0], [0.0, 0.0, 0.0]], [[0.0], [1.0]], 1)
    assert found.value == 0.5
    assert found.n == 2


def test_the_gap_recovered_comes_with_what_it_is_made_of() -> None:
    found = performance_gap_recovered([0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1])
    assert (found.weak.value, found.transferred.value, found.ceiling.value) == (0.5, 0.75, 1.0)
    assert found.share is not None
    assert found.share.value == pytest.approx(0.5)
    assert performance_gap_recovered([1, 1], [0, 1], [0, 1]).share is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Wins.of([], []), "0 and 0"),
        (lambda: Wins.of(["win"], []), "1 and 0"),
        (lambda: Wins.of(["won"], ["win"]), "'win'"),
        (lambda: calibrated_reward(1.0, []), "at least one"),
        (lambda: calibrated_reward(float("nan"), [1.0]), "finite"),
        (lambda: best_of_n_win_rate([], [], 1), "0 and 0"),
        (lambda: best_of_n_win_rate([[1.0]], [[1.0]], 2), "best of 2"),
        (lambda: best_of_n_win_rate([[np.inf]], [[1.0]], 1), "finite"),
        (lambda: performance_gap_recovered([1], [1, 0], [1, 1]), "same items"),
    ],
)
def test_bad_input_is_refused(call, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
