import numpy as np
import pytest

from repalign.errors import InputError
from repalign.metrics.deferral import deferral_area, deferral_curve


def test_a_small_table_by_hand() -> None:
    """The second of three is handed over first: 1/3, then 2/3, then (the third) 1, then all."""
    curve = deferral_curve([0.2, 0.9, 0.5], [1, 0, 0], [1, 1, 1])
    np.testing.assert_allclose(curve, [1 / 3, 2 / 3, 1, 1])
    area = deferral_area([0.2, 0.9, 0.5], [1, 0, 0], [1, 1, 1])
    assert area.value == pytest.approx((1 / 2 + 5 / 6 + 1) / 3)


def test_answers_equally_sure_are_handed_over_in_every_order_at_once() -> None:
    curve = deferral_curve([1.0, 1.0], [0, 1], [1, 1])
    np.testing.assert_allclose(curve, [0.5, 0.75, 1.0])
    assert deferral_area([1, 1], [0, 1], [1, 1]).value == pytest.approx(0.75), "as at random"


def test_the_ends_are_the_two_models_and_a_worse_large_model_only_harms() -> None:
    curve = deferral_curve([0.3, 0.1, 0.2], [1, 1, 0], [0, 0, 0.5])
    assert (curve[0], curve[-1]) == pytest.approx((2 / 3, 1 / 6))
    better = deferral_area([0.1, 0.2, 0.9], [1, 1, 0], [0, 0, 0.5]).value
    assert better > deferral_area([0.3, 0.1, 0.2], [1, 1, 0], [0, 0, 0.5]).value


def test_the_interval_resamples_groups() -> None:
    unsure, small = np.arange(40) % 7, np.arange(40) % 2
    rows = deferral_area(unsure, small, np.ones(40))
    pairs = deferral_area(unsure, small, np.ones(40), [str(i // 2) for i in range(40)])
    assert (rows.n, pairs.n) == (40, 20)
    assert rows.low < rows.value == pairs.value < rows.high


@pytest.mark.parametrize(
    ("unsure", "small", "large", "said"),
    [([1.0], [1, 0], [1, 1], "shapes"), ([np.nan], [1], [1], "finite"), ([], [], [], "one")],
)
def test_bad_input_is_refused(unsure: list, small: list, large: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        deferral_area(unsure, small, large)
