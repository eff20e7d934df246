"""Interventions: what is written is exactly what was said, and only where it may be."""

from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import CheckError, InputError
from repalign.interventions import Ablate, Add, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

TOKENS = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5)
STREAMS = ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"]


def _direction(
    seed: int = 0, width: int = toys.WIDTH, scale: float = 3.0, **origin: Any
) -> Direction:
    vector = np.random.default_rng(seed).normal(size=width).astype(np.float32)
    return Direction(vector / np.linalg.norm(vector), Site(1), 0.5, scale, origin)


def _read(model: LanguageModel, site: Site) -> Tensor:
    return model.capture(TOKENS, [site])[site]


@pytest.mark.parametrize("stream", STREAMS)
def test_adding_nothing_changes_no_bit(toy: LanguageModel, stream: str) -> None:
    plain = toy.logits(TOKENS)
    with intervene(toy, {site: Add(_direction(), 0.0) for site in toy.sites(stream)}):
        assert torch.equal(toy.logits(TOKENS), plain)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("coefficient", [1.0, -2.5])
def test_adding_moves_the_projection_by_the_coefficient_times_the_scale(
    toy: LanguageModel, stream: str, coefficient: float
) -> None:
    direction = _direction(scale=3.0)
    vector = torch.from_numpy(direction.vector)
    site = Site(1, stream)
    plain = _read(toy, site)
    with intervene(toy, {site: Add(direction, coefficient)}):
        moved = _read(toy, site)
    assert torch.allclose((moved - plain) @ vector, torch.tensor(coefficient * 3.0), atol=1e-4)
    # And nothing at right angles to it.
    rest = (moved - plain) - coefficient * 3.0 * vector
    assert rest.abs().max() < 1e-5


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_ablating_leaves_nothing_along_any_direction_and_the_rest_alone(
    toy: LanguageModel, stream: str, count: int
) -> None:
    directions = [_direction(seed) for seed in range(count)]
    matrix = torch.from_numpy(np.stack([direction.vector for direction in directions], axis=1))
    site = Site(1, stream)
    plain = _read(toy, site)
    with intervene(toy, {site: Ablate.of(*directions)}):
        found = _read(toy, site)
    assert (found @ matrix).abs().max() < 1e-5
    # Least squares: what was removed is the best approximation by the directions, no more.
    flat = plain.reshape(-1, toys.WIDTH).T.double()
    fit = matrix.double() @ torch.linalg.lstsq(matrix.double(), flat).solution
    assert torch.allclose((flat - fit).T.reshape(plain.shape).float(), found, atol=1e-5)


def test_a_direction_given_twice_removes_one_dimension() -> None:
    # A careless basis would add a dimension made of rounding errors, and remove it too.
    states = torch.randn(2, 3, toys.WIDTH)
    direction, opposite = _direction(), _direction()
    opposite = Direction(-opposite.vector, opposite.site, 0.0, 1.0)
    once = Ablate.of(direction)(states)
    assert torch.allclose(Ablate.of(direction, direction)(states), once, atol=1e-6)
    assert torch.allclose(Ablate.of(direction, opposite)(states), once, atol=1e-6)
    assert (once - states).abs().max() > 0.01


def test_ablating_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least one direction"):
        Ablate.of()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_number_format_of_the_states_stays(dtype: torch.dtype) -> None:
    states = torch.randn(1, 2, toys.WIDTH, dtype=dtype) * 10
    added, ablated = Add(_direction(), 1.0)(states), Ablate.of(_direction())(states)
    assert added.dtype == ablated.dtype == dtype
    vector = torch.from_numpy(_direction().vector).double()
    worst = 1e-5 if dtype == torch.float64 else 0.15
    assert (ablated.double() @ vector).abs().max() < worst


def test_ablating_twice_is_ablating_once() -> None:
    states = torch.randn(1, 4, toys.WIDTH)
    ablate = Ablate.of(_direction(1), _direction(2))
    assert torch.allclose(ablate(ablate(states)), ablate(states), atol=1e-6)


def test_nested_interventions_write_in_the_order_of_their_contexts(toy: LanguageModel) -> None:
    direction, site = _direction(), Site(1)
    vector = torch.from_numpy(direction.vector)
    with intervene(toy, {site: Add(direction, 2.0)}), intervene(toy, {site: Ablate.of(direction)}):
        assert (_read(toy, site) @ vector).abs().max() < 1e-5
    with intervene(toy, {site: Ablate.of(direction)}), intervene(toy, {site: Add(direction, 2.0)}):
        assert torch.allclose(_read(toy, site) @ vector, torch.tensor(6.0), atol=1e-4)


def test_the_model_is_as_before_when_the_context_ends(toy: LanguageModel) -> None:
    plain = toy.logits(TOKENS)

    def use_and_fail() -> None:
        with intervene(toy, {Site(1): Add(_direction(), 1.0)}):
            assert not torch.equal(toy.logits(TOKENS), plain)
            raise KeyError

    with pytest.raises(KeyError):
        use_and_fail()
    assert torch.equal(toy.logits(TOKENS), plain)


def test_ablating_the_planted_direction_takes_the_marker_away(toy: LanguageModel) -> None:
    vector = toys.direction()
    planted = Direction(vector.numpy(), Site(0), 0.0, 2 * toys.STRENGTH)
    sea_is = (
        toy.tokenizer("the sea is true")["input_ids"],
        toy.tokenizer("the sea is false")["input_ids"],
    )
    tokens = Tokens.pad(sea_is, 5)
    site = Site(0, "resid_pre")
    last = toy.sites()[-1]
    before = toy.capture(tokens, [last])[last][:, -1] @ vector
    assert before.tolist() == pytest.approx([toys.STRENGTH, -toys.STRENGTH], abs=1e-4)
    with intervene(toy, {site: Ablate.of(planted)}):
        after = toy.capture(tokens, [last])[last][:, -1] @ vector
    assert after.abs().max() < 1e-4


@pytest.mark.parametrize("stream", ["attn_out", "mlp_out", "resid_mid"])
def test_inner_streams_are_refused_in_training_mode(toy: LanguageModel, stream: str) -> None:
    toy.network.train()
    with (
        pytest.raises(InputError, match=r"training mode.*resid_pre or resid_post"),
        intervene(toy, {Site(1, stream): Add(_direction(), 1.0)}),
    ):
        pass
    with intervene(toy, {Site(1): Add(_direction(), 1.0)}):
        pass
    assert toy.network.training


def test_nothing_to_write_is_refused(toy: LanguageModel) -> None:
    with pytest.raises(InputError, match="No interventions"), intervene(toy, {}):
        pass


@pytest.mark.parametrize("make", [lambda d: Add(d, 1.0), Ablate.of])
def test_a_direction_of_another_model_is_refused(toy: LanguageModel, make: Any) -> None:
    other = make(_direction(weights="0123456789abcdef", model="other"))
    with (
        pytest.raises(InputError, match=r"was read from other .*0123456789abcdef.*not from toy"),
        intervene(toy, {Site(1): other}),
    ):
        pass
    narrow = make(_direction(width=8))
    with pytest.raises(InputError, match="width 8; toy has 32"), intervene(toy, {Site(1): narrow}):
        pass
    own = make(_direction(weights=toy.fingerprint))
    with intervene(toy, {Site(1): own}):
        pass


def test_a_model_that_fails_its_checks_is_not_written_to(toy: LanguageModel) -> None:
    with torch.no_grad():
        toy.network.model.layers[2].mlp.down_proj.weight[0, 0] = float("nan")
    with (
        pytest.raises(CheckError, match="identity"),
        intervene(toy, {Site(1): Add(_direction(), 1.0)}),
    ):
        pass
