import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.monitoring import Aggregate

SCORES = [4.0, -1.0, 2.0, 0.0, -3.0, 1.0]
FINITE = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mean", 0.5),
        ("max", -3.0),
        ("top-1", -3.0),
        ("top-2", -2.0),
        ("top-3", -4 / 3),
        ("rolling-1", -3.0),
        ("rolling-2", -1.5),  # 0 and -3; neither end of the answer
        ("rolling-3", -2 / 3),
        ("rolling-6", 0.5),
    ],
)
def test_each_aggregate_looks_at_the_low_end(name: str, wanted: float) -> None:
    assert Aggregate.parse(name)(SCORES) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["mean", "max", "top-4", "rolling-4"])
def test_one_token_is_its_own_score(name: str) -> None:
    assert Aggregate.parse(name)([-2.5]) == -2.5


@pytest.mark.parametrize("name", ["top-9", "rolling-9"])
def test_an_answer_shorter_than_asked_for_is_scored_by_its_mean(name: str) -> None:
    assert Aggregate.parse(name)(SCORES) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["mean", "max", "top-3", "rolling-3"])
@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("-inf")]])
def test_no_scores_and_scores_that_are_none_are_refused(name: str, scores: list[float]) -> None:
    with pytest.raises(InputError, match="finite"):
        Aggregate.parse(name)(scores)


@given(FINITE, st.integers(1, 14))
def test_laws(scores: list[float], size: int) -> None:
    worst, mean = Aggregate("max")(scores), Aggregate("mean")(scores)
    top, rolling = Aggregate("top", size)(scores), Aggregate("rolling", size)(scores)
    slack = 1e-9 * (1 + max(map(abs, scores)))
    assert worst == min(scores)
    assert worst - slack <= top <= mean + slack
    assert top - slack <= rolling  # any tokens against tokens in a row
    assert Aggregate("top", size)(scores[::-1]) == pytest.approx(top, abs=slack)
    assert Aggregate("rolling", size)(scores[::-1]) == pytest.approx(rolling, abs=slack)


@given(FINITE, st.integers(1, 14))
def test_a_score_that_falls_never_raises_an_answer(scores: list[float], size: int) -> None:
    lower = np.array(scores)
    lower[len(lower) // 2] -= 1.0
    for name in ("mean", "max", f"top-{size}", f"rolling-{size}"):
        aggregate = Aggregate.parse(name)
        assert aggregate(lower) <= aggregate(scores) + 1e-9


def test_names_are_read_as_they_are_printed() -> None:
    for text in ("mean", "max", "top-3", "rolling-12"):
        assert str(Aggregate.parse(text)) == text
    assert Aggregate.parse("top") == Aggregate("top", 5)
    assert Aggregate.parse(" rolling ") == Aggregate("rolling", 8)


@pytest.mark.parametrize("text", ["median", "top-0", "top-", "mean-3", "max-2", "rolling--1", ""])
def test_names_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"rolling-8"):
        Aggregate.parse(text)
