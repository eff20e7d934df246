"""The trade-off law: golden numbers of the forms, and fits that find what made the data."""

import numpy as np
import pytest

from repalign.errors import InputError
from repalign.steering import (
    behaviour,
    fit_behaviour,
    fit_helpfulness,
    helpfulness,
    useful_range,
)

AT = np.linspace(-3, 3, 9)


def test_golden_numbers() -> None:
    found = behaviour(np.array([0.9, np.arctanh(-0.8)]), np.array([1.0]))
    assert found[0] == pytest.approx(-0.196041, abs=1e-6)
    bell = helpfulness(np.array([0.4 / 0.6, 0.5]), np.array([0.0, 1.0, 2.0]))
    assert bell == pytest.approx([0.6, 0.571429, 0.5], abs=1e-6)
    choices = helpfulness(np.array([0.25, 1.0]), np.array([0.0, 2.0]), 0.25, 0.5)
    assert choices == pytest.approx([0.25 + 0.5 / 1.25, 0.25 + 0.5 / 1.75])


@pytest.mark.parametrize(("slope", "offset"), [(0.7, -0.4), (-0.3, 1.2)])
def test_a_tanh_is_found_again(slope: float, offset: float) -> None:
    curve = behaviour(np.array([slope, offset]), AT)
    fit = fit_behaviour(AT, np.repeat(curve[:, np.newaxis], 12, axis=1))
    assert fit.values == pytest.approx([slope, offset], abs=1e-5)
    assert fit.r_squared == pytest.approx(1.0)
    assert fit.parameters["a"].n == 12


@pytest.mark.parametrize(("floor", "height"), [(0.0, 1.0), (0.25, 0.5)])
def test_a_bell_is_found_again(floor: float, height: float) -> None:
    curve = helpfulness(np.array([0.8, 0.6]), AT, floor, height)
    items = np.repeat(curve[:, np.newaxis], 5, axis=1)
    fit = fit_helpfulness(AT, items, floor=floor, height=height)
    assert fit.values == pytest.approx([0.8, 0.6], abs=1e-4)


def test_intervals_hold_the_truth_and_shrink_with_more_groups() -> None:
    generator = np.random.default_rng(3)

    def width(n: int) -> float:
        own = generator.normal(0.2, 0.8, size=n)
        items = np.tanh(0.5 * AT[:, np.newaxis] + own)
        fit = fit_behaviour(AT, items)
        slope = fit.parameters["a"]
        assert slope.low < slope.value < slope.high
        return slope.high - slope.low

    assert width(400) < 0.5 * width(25)


def test_rows_of_one_group_count_once() -> None:
    generator = np.random.default_rng(0)
    items = np.tanh(0.5 * AT[:, np.newaxis] + generator.normal(0, 1, size=10))
    groups = [str(i) for i in range(10)] * 20
    once = fit_behaviour(AT, items)
    often = fit_behaviour(AT, np.tile(items, 20), groups)
    assert often.parameters["b"].n == 10
    wide = once.parameters["b"].high - once.parameters["b"].low
    assert often.parameters["b"].high - often.parameters["b"].low == pytest.approx(wide, rel=0.3)


def test_a_flat_curve_explains_nothing_and_has_no_end() -> None:
    fit = fit_helpfulness(AT, np.full((9, 4), 0.6))
    assert np.isnan(fit.r_squared)
    assert fit.to_json()["r_squared"] is None
    assert useful_range(fit) > 100


def test_useful_range_is_where_the_bell_has_lost_its_share() -> None:
    curve = helpfulness(np.array([0.8, 0.6]), AT)
    reach = useful_range(fit_helpfulness(AT, curve[:, np.newaxis].repeat(3, axis=1)), 0.9)
    kept = helpfulness(np.array([0.8, 0.6]), np.array([reach, 0.0]))
    assert kept[0] / kept[1] == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(
    ("at", "values", "message"),
    [
        (np.array([0.0, 1.0]), np.zeros((2, 3)), "three coefficients"),
        (np.array([0.0, 1.0, 1.0]), np.zeros((3, 3)), "three coefficients"),
        (AT, np.full((9, 3), 1.2), "lies from -1 to 1"),
        (AT, np.full((9, 3), np.nan), "lies from -1 to 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(at: np.ndarray, values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_behaviour(at, values)


def test_a_share_outside_0_and_1_is_refused() -> None:
    fit = fit_helpfulness(AT, np.full((9, 4), 0.6))
    with pytest.raises(InputError, match="between 0 and 1"):
        useful_range(fit, 1.0)
