"""Clamp and KeepNorm: projections within bounds, lengths as they were."""

import math

import directed
import families
import numpy as np
import pytest
import torch
import toy as toys
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions import Ablate, Add, Clamp, Conditional, KeepNorm, Patch, intervene
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.tokens import Tokens

FORMATS = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
DIRECTION = directed.made(scale=2.0, midpoint=0.5)
VECTOR = torch.from_numpy(DIRECTION.vector).double()


def _states(dtype: torch.dtype) -> Tensor:
    """States whose projections lie evenly from -6 to 6, in units of the states."""
    along = torch.linspace(-6, 6, 25).double()
    across = torch.randn(25, toys.WIDTH).double()
    across -= torch.outer(across @ VECTOR, VECTOR)
    return (across + torch.outer(along, VECTOR)).to(dtype).unsqueeze(0)


def _step(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps * 10 if dtype != torch.float64 else 1e-6


@pytest.mark.parametrize("dtype", FORMATS)
def test_projections_are_moved_to_the_bounds_and_no_further(dtype: torch.dtype) -> None:
    states = _states(dtype)
    # -1 and 0.5 in units of the scale, 2, from the midpoint, 0.5: -1.5 and 1.5 of the states.
    found = Clamp(DIRECTION, -1.0, 0.5)(states)
    assert found.dtype == dtype
    before, after = states.double() @ VECTOR, found.double() @ VECTOR
    assert (after - before.clamp(-1.5, 1.5)).abs().max() < _step(dtype)
    moved = found.double() - states.double()
    assert (moved - torch.outer((moved @ VECTOR)[0], VECTOR)).abs().max() < _step(dtype)
    inside = (before > -1.49) & (before < 1.49)
    assert 0 < int(inside.sum()) < 25
    assert torch.equal(found[inside], states[inside])
    # As the direction measures it.
    measured = DIRECTION.project(found.double().numpy())
    assert measured.min() >= -1.0 - _step(dtype)
    assert measured.max() <= 0.5 + _step(dtype)


def test_one_bound_leaves_the_other_side_alone() -> None:
    states = _states(torch.float64)
    before = states @ VECTOR
    low, high = Clamp(DIRECTION, low=0.0)(states), Clamp(DIRECTION, high=0.0)(states)
    assert torch.allclose(low @ VECTOR, before.clamp(min=0.5), atol=1e-6)
    assert torch.allclose(high @ VECTOR, before.clamp(max=0.5), atol=1e-6)


def test_equal_bounds_give_every_state_one_projection(model: LanguageModel, ragged: Tokens) -> None:
    site = Site(2)
    plain = model.capture(ragged, [site])[site]
    with intervene(model, {site: Clamp(DIRECTION, 0.75, 0.75)}):
        found = model.capture(ragged, [site])[site]
    assert DIRECTION.project(found.numpy()) == pytest.approx(np.full((2, 4), 0.75), abs=1e-5)
    ablate = Ablate.of(DIRECTION)
    assert torch.allclose(ablate(found), ablate(plain), atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan), (math.inf, math.inf)]
)
def test_bounds_that_cannot_be_meant_are_refused(low: float, high: float) -> None:
    with pytest.raises(InputError, match=f"from low to high; {low} and {high} were given"):
        Clamp(DIRECTION, low, high)
    with pytest.raises(InputError, match="without bounds changes nothing"):
        Clamp(DIRECTION)
    with pytest.raises(InputError, match="from low to high"):
        Clamp(DIRECTION, high=-math.inf)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("inner", [Add(DIRECTION, 3.0), Ablate.of(DIRECTION)])
def test_states_keep_their_length_and_take_the_new_bearing(
    dtype: torch.dtype, inner: Add | Ablate
) -> None:
    states = _states(dtype)
    found, bare = KeepNorm(inner)(states), inner(states)
    assert found.dtype == dtype
    lengths = states.double().norm(dim=-1)
    assert torch.allclose(found.double().norm(dim=-1), lengths, rtol=_step(dtype))
    alike = torch.cosine_similarity(found.double(), bare.double(), dim=-1)
    assert torch.allclose(alike, torch.ones_like(alike), atol=_step(dtype))
    assert (found.double() - states.double()).norm(dim=-1).median() > 0.1


def test_a_state_moved_to_zero_stays_there() -> None:
    states = VECTOR.float().view(1, 1, -1) * 3
    gone = KeepNorm(lambda x: x * 0)(states)
    assert torch.equal(gone, torch.zeros_like(gone))


def test_the_lengths_are_kept_in_a_pass_also_where_the_inner_one_asks_for_the_pass(
    model: LanguageModel, ragged: Tokens
) -> None:
    site, earlier = Site(2), Site(0)
    plain = model.capture(ragged, [site, earlier])
    readout = Readout((earlier,), DIRECTION.vector[None], 0.0, Span("all"))
    scores = plain[earlier] @ VECTOR.float()
    threshold = float(scores.median())
    inner = Conditional(Add(DIRECTION, 3.0), readout, threshold)
    with intervene(model, {site: KeepNorm(inner)}):
        found = model.capture(ragged, [site])[site]
    with intervene(model, {site: inner}):
        bare = model.capture(ragged, [site])[site]
    moved = (found - plain[site]).abs().amax(dim=-1) > 1e-4
    assert torch.equal(moved, scores < threshold)
    assert 0 < int(moved.sum()) < moved.numel()
    lengths = plain[site].norm(dim=-1)
    assert torch.allclose(found.norm(dim=-1), lengths, rtol=1e-5)
    assert not torch.allclose(bare.norm(dim=-1), lengths, rtol=1e-2)


def test_keep_norm_asks_for_what_the_inner_one_asks_for() -> None:
    patch = KeepNorm(Patch(torch.zeros(1, 2, 4)))
    assert (patch.by_prompt, patch.by_row, hasattr(patch, "at")) == (True, True, True)
    plain = KeepNorm(Add(DIRECTION, 1.0))
    assert not any(hasattr(plain, name) for name in ("by_prompt", "by_row", "at", "reads"))


@pytest.mark.parametrize("name", ["gpt2", "opt", "bloom", "falcon", "gemma2", "mixtral", "mamba"])
def test_clamping_and_keeping_lengths_hold_in_other_families(name: str, ragged: Tokens) -> None:
    model = families.unchecked(name)
    for stream in model.architecture.streams:
        site = Site(1, stream)
        direction = directed.made(1, model.architecture.width(site), 2.0, 0.1)
        plain = model.capture(ragged, [site])[site]
        with intervene(model, {site: Clamp(direction, 0.25, 0.25)}):
            found = model.capture(ragged, [site])[site]
        assert direction.project(found.numpy()) == pytest.approx(np.full((2, 4), 0.25), abs=1e-5)
        with intervene(model, {site: KeepNorm(Add(direction, 1.0))}):
            found = model.capture(ragged, [site])[site]
        assert torch.allclose(found.norm(dim=-1), plain.norm(dim=-1), rtol=1e-4)
        assert not torch.allclose(found, plain, atol=1e-2)
