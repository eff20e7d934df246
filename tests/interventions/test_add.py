"""Add and Shift: what is added is exactly what was said."""

import directed
import numpy as np
import pytest
import torch
import toy as toys

from repalign.errors import InputError
from repalign.interventions import Add, Shift, intervene
from repalign.models import LanguageModel
from repalign.sites import STREAMS, Site
from repalign.tokens import Tokens

FORMATS = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("piecewise", [False, True])
def test_adding_nothing_changes_no_bit(
    model: LanguageModel, ragged: Tokens, stream: str, piecewise: bool
) -> None:
    plain = model.logits(ragged)
    nothing = Add(directed.made(), 0.0, piecewise)
    with intervene(model, dict.fromkeys(model.sites(stream), nothing)):
        assert torch.equal(model.logits(ragged), plain)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("coefficient", [1.0, -2.5])
def test_adding_moves_the_projection_by_the_coefficient_times_the_scale(
    model: LanguageModel, ragged: Tokens, stream: str, coefficient: float
) -> None:
    direction = directed.made(scale=3.0)
    vector = torch.from_numpy(direction.vector)
    site = Site(1, stream)
    plain = model.capture(ragged, [site])[site]
    with intervene(model, {site: Add(direction, coefficient)}):
        moved = model.capture(ragged, [site])[site]
    assert torch.allclose((moved - plain) @ vector, torch.tensor(coefficient * 3.0), atol=1e-4)
    # And nothing at right angles to it.
    rest = (moved - plain) - coefficient * 3.0 * vector
    assert rest.abs().max() < 1e-5


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_push_is_that_of_the_formula_in_every_format(dtype: torch.dtype) -> None:
    states = (torch.randn(2, 3, toys.WIDTH) * 4).to(dtype)
    direction = directed.made(scale=2.0)
    push = torch.from_numpy(direction.vector).double() * 3.0
    assert Add(direction, 1.5).push == pytest.approx(push.numpy(), abs=1e-6)
    found = Add(direction, 1.5)(states)
    assert found.dtype == dtype
    # One rounding of the push and one of the sum.
    step = torch.finfo(dtype).eps if dtype != torch.float64 else 1e-7
    assert ((found.double() - states.double() - push).abs() < step * 20).all()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("coefficient", [1.5, -1.5])
def test_piecewise_pushes_each_state_to_the_side_where_it_lies(
    dtype: torch.dtype, coefficient: float
) -> None:
    direction = directed.made(scale=2.0)
    vector = torch.from_numpy(direction.vector).double()
    states = (torch.randn(2, 30, toys.WIDTH) * 4).to(dtype)
    push = coefficient * 2.0 * vector
    sign = torch.sign(states.double() @ push)
    assert {-1.0, 1.0} <= set(sign.flatten().tolist())
    wanted = states.double() + sign.unsqueeze(-1) * push
    found = Add(direction, coefficient, piecewise=True)(states)
    assert found.dtype == dtype
    step = torch.finfo(dtype).eps if dtype != torch.float64 else 1e-7
    assert ((found.double() - wanted).abs() < step * 20).all()
    # Away from the middle, whatever the sign of the coefficient.
    assert ((found.double() @ vector).abs() > (states.double() @ vector).abs()).all()


def test_piecewise_leaves_a_state_in_the_middle() -> None:
    zero = torch.zeros(1, 1, toys.WIDTH)
    assert torch.equal(Add(directed.made(), 2.0, piecewise=True)(zero), zero)


@pytest.mark.parametrize("dtype", FORMATS)
def test_shift_adds_its_vector(dtype: torch.dtype) -> None:
    vector = np.linspace(-2, 2, toys.WIDTH).astype(np.float32)
    states = torch.randn(2, 3, toys.WIDTH).to(dtype)
    found = Shift(vector, -0.5)(states)
    assert found.dtype == dtype
    wanted = states + torch.from_numpy(-0.5 * vector).to(dtype)
    assert torch.equal(found, wanted)
    assert Shift(vector, -0.5).push == pytest.approx(-0.5 * vector)
    assert Shift(vector, 0.0)(states) is states


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(InputError, match=f"finite number.*{number} was given"):
        Add(directed.made(), number)
    vector = np.ones(toys.WIDTH, dtype=np.float32)
    with pytest.raises(InputError, match="finite numbers"):
        Shift(vector, number)
    vector[3] = number
    with pytest.raises(InputError, match="finite numbers"):
        Shift(vector)


@pytest.mark.parametrize("piecewise", [False, True])
def test_a_push_too_long_for_the_format_is_refused_where_it_would_make_nan(
    piecewise: bool,
) -> None:
    states = torch.zeros(1, 1, toys.WIDTH)
    assert Add(directed.made(), 1e6, piecewise)(states).isfinite().all()
    if not piecewise:
        with pytest.raises(InputError, match=r"infinite or NaN in torch.float16.*too large"):
            Add(directed.made(), 1e6)(states.half())
    with pytest.raises(InputError, match="too large"), np.errstate(over="ignore"):
        Add(directed.made(), 1e39, piecewise)(states)
