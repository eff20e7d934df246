import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.metrics.rejection import prr

UNSURE, RIGHT = [0.1, 0.9, 0.3, 0.2, 0.4, 0.8], [1, 0, 1, 1, 0, 1]
rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=12)


def test_golden_number_with_the_shuffles_that_published_ones_rest_on() -> None:
    assert prr(UNSURE, RIGHT, shuffles=1000).value == pytest.approx(0.833420, abs=1e-6)
    # The areas are 0.869444 and 0.911111; a random order has a mean quality of 2/3.
    exact = (0.8694444444 - 2 / 3) / (0.9111111111 - 2 / 3)
    assert prr(UNSURE, RIGHT).value == pytest.approx(exact)


def test_the_best_order_is_one_and_the_worst_is_below_nothing() -> None:
    quality = np.array([0.1, 0.4, 0.5, 0.9])
    assert prr(-quality, quality).value == pytest.approx(1.0)
    assert prr(quality, quality).value < 0
    assert prr([1.0] * 4, quality).value == pytest.approx(0.0)


@given(rows)
def test_scales_do_not_matter_nor_the_order_of_the_rows(found: list[tuple[int, int]]) -> None:
    unsure, quality = np.array(found, dtype=float).T
    assume(np.ptp(quality) > 0)
    value = prr(unsure, quality, resamples=0).value
    assert value <= 1 + 1e-9
    assert prr(np.exp(unsure), 3 * quality - 2, resamples=0).value == pytest.approx(value)
    back = slice(None, None, -1)
    assert prr(unsure[back], quality[back], resamples=0).value == pytest.approx(value)


def test_resampled_rows_stand_beside_themselves() -> None:
    one = prr(UNSURE, RIGHT, resamples=0).value
    twice = prr(np.repeat(UNSURE, 2), np.repeat(RIGHT, 2), [str(i // 2) for i in range(12)])
    assert twice.n == 6
    assert twice.low < one < twice.high


def test_the_interval_of_chance_holds_zero() -> None:
    generator = np.random.default_rng(0)
    found = prr(generator.random(300), generator.random(300))
    assert found.low < 0 < found.high


def test_only_the_last_share_is_held_back() -> None:
    # Kept sizes 2 and 3 of 3: means 0.5 and 2/3; the best order 1 and 2/3.
    expected = ((0.5 + 2 / 3) / 2 - 2 / 3) / ((1 + 2 / 3) / 2 - 2 / 3)
    found = prr([0.1, 0.2, 0.3], [1, 0, 1], max_rejection=0.67)
    assert found.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("unsure", "quality", "more", "said"),
    [
        ([0.1, 0.2], [1.0], {}, "one number an answer"),
        ([], [], {}, "one number an answer"),
        ([0.1, np.nan], [1.0, 0.0], {}, "finite"),
        ([0.1, 0.2], [1.0, 1.0], {}, "All 2 answers are of quality 1"),
        ([0.1, 0.2], [1.0, 0.0], {"max_rejection": 0.0}, "share above 0"),
    ],
)
def test_bad_input_is_refused(unsure: list, quality: list, more: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        prr(unsure, quality, **more)
