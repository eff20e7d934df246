import numpy as np
import pytest

from repalign.errors import InputError
from repalign.metrics.reliability import calibration_error


def test_bins_are_weighed_by_their_rows() -> None:
    stated = [0.95, 0.95, 0.95, 0.15]
    # Bins off by 0.95 - 2/3 and 0.15 - 1, three rows and one.
    expected = 0.75 * abs(0.95 - 2 / 3) + 0.25 * 0.85
    assert calibration_error(stated, [1, 1, 0, 1]).value == pytest.approx(expected)


def test_one_bin_compares_the_means_and_opposite_errors_cancel_there() -> None:
    assert calibration_error([0.9, 0.1], [0, 1], bins=1).value == pytest.approx(0.0)
    assert calibration_error([0.9, 0.1], [0, 1], bins=2).value == pytest.approx(0.9)


def test_sure_and_right_is_no_error_and_a_confidence_of_one_has_a_bin() -> None:
    assert calibration_error([1.0, 0.0], [1, 0]).value == 0


def test_a_calibrated_model_is_near_zero_and_an_overconfident_one_is_not() -> None:
    generator = np.random.default_rng(0)
    stated = generator.random(4000)
    right = generator.random(4000) < stated
    assert calibration_error(stated, right).value < 0.03
    over = calibration_error(np.full(4000, 0.9), generator.random(4000) < 0.6)
    assert over.low < 0.3 < over.high


@pytest.mark.parametrize(
    ("stated", "right", "bins", "said"),
    [
        ([], [], 10, "one a row"),
        ([0.5], [1, 0], 10, "one a row"),
        ([1.5], [1], 10, "between 0 and 1"),
        ([0.5], [1], 0, "at least one bin"),
    ],
)
def test_bad_input_is_refused(stated: list, right: list, bins: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        calibration_error(stated, right, bins=bins)
