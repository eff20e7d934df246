import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.metrics.polarity import Polar, separation_accuracy

four = st.tuples(*[st.floats(0, 1)] * 4)


def polar(*rows: tuple[float, float, float, float]) -> Polar:
    return Polar(*np.array(rows, dtype=float).T)


@pytest.mark.parametrize(
    ("row", "consistency", "contradiction"),
    [
        ((1.0, 0.0, 0.0, 1.0), 0.0, 0.0),
        ((0.9, 0.1, 0.2, 0.8), 0.01, 0.26),
        ((0.9, 0.1, 0.1, 0.9), 0.0, 0.18),
        ((0.6, 0.4, 0.3, 0.7), 0.01, 0.46),
        ((0.9, 0.1, 0.9, 0.1), 0.0, 0.82),
        ((0.5, 0.5, 0.5, 0.5), 0.0, 0.5),
    ],
)
def test_golden_numbers(
    row: tuple[float, float, float, float], consistency: float, contradiction: float
) -> None:
    found = polar(row)
    assert found.consistency[0] == pytest.approx(consistency, abs=1e-12)
    assert found.contradiction[0] == pytest.approx(contradiction)


def test_consistency_is_negative_where_the_two_answers_flip_in_opposite_ways() -> None:
    assert polar((0.9, 0.8, 0.1, 0.2)).consistency[0] == pytest.approx(-(0.49 + 0.49) / 2)


@given(st.lists(four, min_size=1, max_size=20))
def test_the_nulls_know_nothing(rows: list[tuple[float, float, float, float]]) -> None:
    found = polar(*rows)
    nulls = found.nulls(seed=3)
    assert nulls["constant"].consistency.tolist() == [0.0] * len(rows)
    assert nulls["constant"].contradiction.tolist() == [0.5] * len(rows)
    assert nulls["contradictory"].consistency.tolist() == [0.0] * len(rows)
    np.testing.assert_allclose(
        nulls["contradictory"].contradiction, found.yes**2 + found.no**2, atol=1e-12
    )
    dealt = nulls["dealt"]
    assert sorted([*dealt.yes, *dealt.no, *dealt.opposite_yes, *dealt.opposite_no]) == sorted(
        value for row in rows for value in row
    )
    assert (np.abs(found.consistency) <= 1).all()
    assert ((found.contradiction >= 0) & (found.contradiction <= 2)).all()


def test_dealing_takes_away_what_a_good_probe_knows() -> None:
    found = polar(*[(0.95, 0.05, 0.05, 0.95)] * 200)
    assert found.mean_contradiction.value == pytest.approx(0.095)
    dealt = found.nulls()["dealt"].mean_contradiction
    assert dealt.low < 0.5 < dealt.high


def test_truth_joins_yes_and_no() -> None:
    found = polar((0.9, 0.3, 0.2, 0.6))
    assert found.truth[0] == pytest.approx(0.8)
    assert found.opposite_truth[0] == pytest.approx(0.3)


def test_separation_accuracy_does_not_know_which_side_is_which() -> None:
    labels, truth = [0, 0, 1, 1, 1], np.array([0.1, 0.6, 0.9, 0.8, 0.7])
    assert separation_accuracy(labels, truth).value == pytest.approx(0.8)
    assert separation_accuracy(labels, 1 - truth).value == pytest.approx(0.8)
    grouped = separation_accuracy(labels, truth, ["a", "a", "b", "b", "b"])
    assert grouped.n == 2


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (([], [], [], []), "at least one"),
        (([0.5], [0.5], [0.5, 0.1], [0.5]), "opposite_yes has 2"),
        (([0.5], [1.5], [0.5], [0.5]), "between 0 and 1; no holds"),
        (([np.nan], [0.5], [0.5], [0.5]), "between 0 and 1; yes holds"),
    ],
)
def test_what_is_no_probability_is_refused(columns: tuple, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Polar(*(np.array(column, dtype=float) for column in columns))


@pytest.mark.parametrize(("labels", "truth"), [([], []), ([0, 2], [0.1, 0.2]), ([0], [0.1, 0.2])])
def test_labels_that_do_not_fit_are_refused(labels: list, truth: list) -> None:
    with pytest.raises(InputError, match="Labels are 0 or 1"):
        separation_accuracy(labels, truth)
