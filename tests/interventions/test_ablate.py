"""Ablate: nothing is left along the directions, and everything else is left."""

from typing import Any

import directed
import families
import numpy as np
import pytest
import torch
import toy as toys

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions import Ablate, intervene
from repalign.models import LanguageModel
from repalign.sites import STREAMS, Site
from repalign.tokens import Tokens

RAGGED = Tokens.pad([[7, 30, 12, 55, 31, 9], [8, 41], [3, 9, 77, 14]], 5)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_ablating_leaves_nothing_along_any_direction_and_the_rest_alone(
    model: LanguageModel, ragged: Tokens, stream: str, count: int
) -> None:
    directions = [directed.made(seed) for seed in range(count)]
    matrix = torch.from_numpy(np.stack([direction.vector for direction in directions], axis=1))
    site = Site(1, stream)
    plain = model.capture(ragged, [site])[site]
    with intervene(model, {site: Ablate.of(*directions)}):
        found = model.capture(ragged, [site])[site]
    assert (found @ matrix).abs().max() < 1e-5
    # Least squares: what was removed is the best approximation by the directions, no more.
    flat = plain.reshape(-1, toys.WIDTH).T.double()
    fit = matrix.double() @ torch.linalg.lstsq(matrix.double(), flat).solution
    assert torch.allclose((flat - fit).T.reshape(plain.shape).float(), found, atol=1e-5)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_the_law_holds_in_every_family_at_every_stream_and_reaches_the_logits(name: str) -> None:
    model = families.unchecked(name)
    plain = model.logits(RAGGED)
    for stream in model.architecture.streams:
        site = Site(1, stream)
        direction = directed.made(2, model.architecture.width(site))
        vector = torch.from_numpy(direction.vector)
        before = model.capture(RAGGED, [site])[site]
        seen: list[torch.Tensor] = []
        with intervene(model, {site: Ablate.of(direction)}):
            with model.hooked({site: lambda x, seen=seen: seen.append(x.clone())}):
                logits = model.logits(RAGGED)
            after = model.capture(RAGGED, [site])[site]
        assert (before @ vector).abs().amax() > 1e-3
        assert (after @ vector).abs().amax() < 1e-5
        assert torch.equal(seen[0], after)
        moved = (logits - plain).abs().amax(dim=-1)
        assert (moved[RAGGED.attended] > 1e-7).all()
    assert torch.equal(model.logits(RAGGED), plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 3])
def test_it_is_computed_finely_and_rounded_once(dtype: torch.dtype, count: int) -> None:
    states = (torch.randn(2, 3, toys.WIDTH) * 10).to(dtype)
    ablate = Ablate.of(*(directed.made(seed) for seed in range(count)))
    found = ablate(states)
    assert found.dtype == dtype
    basis = torch.from_numpy(ablate.basis)
    exact = states.double() - states.double() @ basis @ basis.T
    # Half a unit in the last place of each number: with a basis or a projection that is rounded to
    # bfloat16 too, some are further off.
    allowed = torch.finfo(dtype).eps / 2 * exact.abs() if dtype.itemsize < 4 else 0
    allowed = allowed + (1e-12 if dtype == torch.float64 else 1e-5)
    assert ((found.double() - exact).abs() <= allowed).all()


def test_a_direction_given_twice_removes_one_dimension() -> None:
    # A careless basis would add a dimension made of rounding errors, and remove it too.
    states = torch.randn(2, 3, toys.WIDTH)
    direction = directed.made()
    opposite = Direction(-direction.vector, direction.site, 0.0, 1.0)
    once = Ablate.of(direction)(states)
    for twice in (Ablate.of(direction, direction), Ablate.of(direction, opposite)):
        assert twice.basis.shape == (toys.WIDTH, 1)
        assert torch.allclose(twice(states), once, atol=1e-6)
    assert (once - states).abs().max() > 0.01


def test_the_basis_is_orthonormal_and_spans_the_directions() -> None:
    directions = [directed.made(seed) for seed in range(4)]
    basis = Ablate.of(*directions).basis
    assert basis.T @ basis == pytest.approx(np.eye(4), abs=1e-12)
    for direction in directions:
        assert basis @ (basis.T @ direction.vector) == pytest.approx(direction.vector, abs=1e-6)


def test_ablating_twice_is_ablating_once() -> None:
    states = torch.randn(1, 4, toys.WIDTH)
    ablate = Ablate.of(directed.made(1), directed.made(2))
    assert torch.allclose(ablate(ablate(states)), ablate(states), atol=1e-6)


def test_ablating_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least one direction"):
        Ablate.of()


def test_ablating_the_planted_direction_takes_the_marker_away(model: LanguageModel) -> None:
    vector = toys.direction()
    planted = Direction(vector.numpy(), Site(0), 0.0, 2 * toys.STRENGTH)
    words: Any = model.tokenizer
    sea_is = (words("the sea is true")["input_ids"], words("the sea is false")["input_ids"])
    tokens = Tokens.pad(sea_is, 5)
    last = model.sites()[-1]
    before = model.capture(tokens, [last])[last][:, -1] @ vector
    assert before.tolist() == pytest.approx([toys.STRENGTH, -toys.STRENGTH], abs=1e-4)
    with intervene(model, {Site(0, "resid_pre"): Ablate.of(planted)}):
        after = model.capture(tokens, [last])[last][:, -1] @ vector
    assert after.abs().max() < 1e-4
