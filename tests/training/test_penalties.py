"""Penalties: what each computes of given states, and its gradient there."""

from typing import Any

import numpy as np
import pytest
import torch
import trainers as tr
from torch import Tensor

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.monitoring import Aggregate
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.training import (
    Constant,
    Movement,
    Penalty,
    ProbeScore,
    Projection,
    Ramp,
    Reroute,
    Retain,
    Stairs,
    Target,
    Together,
    circuit_breaker,
    delta,
    lorra,
)

WIDTH = 6
SITE = Site(1)


def _direction(scale: float = 1.0, site: Site = SITE, seed: int = 0) -> Direction:
    vector = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return Direction(vector / np.linalg.norm(vector), site, 0.2, scale)


def _unit(direction: Direction) -> Tensor:
    return torch.from_numpy(direction.vector).double()


def _states(seed: int, rows: int = 5) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(rows, WIDTH, generator=drawn, dtype=torch.float64, requires_grad=True)


def _text(rows: int = 5) -> Tensor:
    return torch.arange(rows)


def _at(penalty: Penalty, policy: Tensor, reference: Tensor | None = None) -> Tensor:
    before = None if reference is None else dict.fromkeys(penalty.sites, reference)
    return penalty(dict.fromkeys(penalty.sites, policy), before, _text(len(policy)))


def test_projection_is_the_hinge_of_the_direction() -> None:
    direction, states = _direction(0.7), _states(1)
    expected = np.maximum(0, 0.3 - direction.project(states.detach().numpy()))
    assert 0 < (expected > 0).sum() < 5
    found = _at(Projection(direction, 1.0, 0.3), states).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_gradient_of_the_hinge_is_the_direction_or_nothing() -> None:
    direction, reference = _direction(0.5), _states(2)
    unit = _unit(direction)
    # Moved by 0.3 and by 0.7 along the direction; asked is 1.0 · scale = 0.5.
    policy = reference.detach() + torch.tensor([0.3, 0.7, -0.2, 0.49, 0.51])[:, None] * unit
    policy.requires_grad_()
    values = _at(Movement(direction, 1.0, margin=1.0), policy, reference)
    np.testing.assert_allclose(values.detach(), [0.2, 0, 0.7, 0.01, 0], atol=1e-6)
    values.sum().backward()
    active = torch.tensor([1.0, 0, 1, 1, 0])[:, None]
    torch.testing.assert_close(policy.grad, -active.double() * unit)
    assert reference.grad is None


def test_linear_movement_pays_up_to_the_clip() -> None:
    direction, reference = _direction(0.5), _states(2)
    moved = torch.tensor([-3.0, -0.1, 0.2, 0.9, 5.0])
    policy = (reference.detach() + moved[:, None] * _unit(direction)).requires_grad_()
    values = _at(Movement(direction, 1.0, form="linear", clip=2.0), policy, reference)
    np.testing.assert_allclose(values.detach(), [3.0, 0.1, -0.2, -0.9, -1.0], atol=1e-6)
    values.sum().backward()
    assert policy.grad is not None
    assert not policy.grad[4].any()
    torch.testing.assert_close(policy.grad[0], -_unit(direction))


def test_target_is_the_distance_from_the_reference_moved_along() -> None:
    direction, reference = _direction(0.5), _states(3)
    there = (reference.detach() + 4.0 * 0.5 * _unit(direction)).requires_grad_()
    values = _at(Target(direction, 1.0, alpha=4.0), there, reference)
    np.testing.assert_allclose(values.detach(), np.zeros(5), atol=1e-6)
    # At the target there is no direction to go, and no NaN either.
    exact = _at(Target(direction, 1.0, alpha=0.0), reference.detach().requires_grad_(), reference)
    exact.sum().backward()
    values.sum().backward()
    assert there.grad is not None
    assert there.grad.isfinite().all()
    assert reference.grad is None
    away = there.detach() + torch.tensor([3.0, 4.0, 0, 0, 0, 0])
    found = _at(Target(direction, 1.0, alpha=4.0), away, reference)
    np.testing.assert_allclose(found, np.full(5, 5.0), rtol=1e-6)


def test_retain_leaves_the_direction_free() -> None:
    direction, reference = _direction(), _states(4)
    unit = _unit(direction)
    off = torch.linalg.qr(torch.stack([unit, torch.eye(WIDTH, dtype=torch.float64)[0]], 1))[0][:, 1]
    policy = reference.detach() + 7.0 * unit + 2.0 * off
    found = _at(Retain(direction, 1.0), policy, reference)
    np.testing.assert_allclose(found, np.full(5, 4.0), rtol=1e-5)
    np.testing.assert_allclose(
        _at(Retain((), 1.0, SITE), policy, reference), np.full(5, 53.0), rtol=1e-5
    )
    still = reference.detach().requires_grad_()
    values = _at(Retain((), 1.0, SITE, squared=False), still, reference)
    values.sum().backward()
    assert not values.any()
    assert still.grad is not None
    assert not still.grad.any()


def test_reroute_is_the_cosine_where_it_is_positive() -> None:
    reference = torch.eye(WIDTH, dtype=torch.float64)[:3]
    policy = torch.stack([reference[0] * 5, -reference[1], reference[2] + reference[0]])
    found = _at(Reroute(SITE, 1.0), policy, reference)
    np.testing.assert_allclose(found, [1.0, 0.0, 0.5**0.5], atol=1e-7)


def test_several_sites_are_averaged() -> None:
    first, second = _direction(), _direction(2.0, Site(3), seed=1)
    states = {SITE: _states(5), Site(3): _states(6)}
    found = Projection([first, second], 1.0, 1.0)(states, None, _text())
    expected = [
        Projection(one, 1.0, 1.0)({one.site: states[one.site]}, None, _text())
        for one in (first, second)
    ]
    torch.testing.assert_close(found, (expected[0] + expected[1]) / 2)


@pytest.mark.parametrize("how", ["mean", "max", "top-2", "rolling-2", "top-5"])
def test_a_probes_score_is_aggregated_as_the_monitor_does(how: str) -> None:
    coef = np.random.default_rng(0).normal(size=(2, WIDTH))
    readout = Readout((SITE, Site(2)), coef, 0.4, Span.parse("answer"))
    states = {SITE: _states(1, 7), Site(2): _states(2, 7)}
    text = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    pairs = zip(states.values(), coef, strict=True)
    scores = np.sum([each.detach().numpy() @ part for each, part in pairs], axis=0) + 0.4
    aggregate = Aggregate.parse(how)
    expected = [max(0.0, 1.5 - aggregate(list(part))) for part in (scores[:3], scores[3:])]
    penalty = ProbeScore(readout, 1.0, how, margin=1.5)
    found = penalty(states, None, text)
    assert max(expected) > 0
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-6)
    np.testing.assert_allclose(
        penalty.watched(states)[f"score/{penalty.name}"].detach(), scores, rtol=1e-6
    )
    assert not len(penalty({site: s[:0] for site, s in states.items()}, None, text[:0]))


def test_schedules() -> None:
    assert [Constant()(step) for step in (0, 9)] == [1.0, 1.0]
    assert [Ramp(1.0, 0.5, 10)(step) for step in (0, 5, 10, 99)] == [1.0, 0.75, 0.5, 0.5]
    assert [Stairs(((0, 0.0), (3, 2.0)))(step) for step in (0, 2, 3, 4)] == [0.0, 0.0, 2.0, 2.0]
    with pytest.raises(InputError, match="at least one step"):
        Ramp(0.0, 1.0, 0)
    for steps in ((), ((1, 0.0),), ((0, 1.0), (0, 2.0))):
        with pytest.raises(InputError, match="begin at 0 and rise"):
            Stairs(steps)


def test_presets_are_what_they_are_named_for() -> None:
    made = delta(_direction(), margin=0.3)
    assert (made.weight, made.auto_weight) == (None, 0.3)
    moving, still = made.parts
    assert isinstance(moving, Movement)
    assert isinstance(still, Retain)
    assert (moving.weight, moving.margin, still.weight) == (1.0, 0.3, 0.1)
    assert "RECONSTRUCTION" in (delta.__doc__ or "")
    assert isinstance(lorra(_direction()), Target)
    assert lorra(_direction()).alpha == 5.0

    turning, keeping = circuit_breaker(SITE, [Site(0), SITE], steps=150).parts
    assert (turning.label, keeping.label) == (0, 1)
    # c_cb = alpha (1 − t/300), c_ret = alpha t/300.
    for step in (0, 30, 150):
        assert turning.schedule(step) == pytest.approx(1 - step / 300)
        assert keeping.schedule(step) == pytest.approx(step / 300)
    assert keeping.sites == (Site(0), SITE)
    record = circuit_breaker(SITE).record()
    assert record["weight"] == 10.0
    assert record["parts"][0]["schedule"] == "Ramp(start=1.0, end=0.0, steps=300)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Projection(_direction()), "a weight or an auto_weight"),
        (lambda: Projection(_direction(), 1.0, auto_weight=0.1), "and not both"),
        (lambda: Projection(_direction(), -1.0), "weight of a penalty"),
        (lambda: Projection(_direction(), float("nan")), "weight of a penalty"),
        (lambda: Movement(_direction(), auto_weight=float("inf")), "weight of a penalty"),
        (lambda: Projection(_direction(), 1.0, float("nan")), "A margin"),
        (lambda: Movement(_direction(), 1.0, clip=0.0), "A clip of 0.0"),
        (lambda: Projection([], 1.0), "at least one site"),
        (lambda: Projection([_direction(), _direction(seed=1)], 1.0), "one direction a site"),
        (lambda: Reroute((), 1.0), "at least one site"),
        (lambda: Retain(_direction(), 1.0, SITE), "give two penalties for both"),
        (lambda: Retain(_direction(), auto_weight=0.1), "zero at step 0"),
        (lambda: Reroute(SITE, 1.0, label=2), "label of a penalty is 0 or 1"),
        (lambda: Together((), 1.0), "at least one penalty"),
        (lambda: Together((Reroute(SITE, 1.0),)), "a weight or an auto_weight"),
        (lambda: Together((Reroute(SITE, auto_weight=1.0),), 1.0), "relative to the others"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_records_name_the_direction_and_the_settings() -> None:
    direction = _direction()
    record = Movement(direction, 2.0, 0.5, span="rejected").record()
    assert record == {
        "penalty": "Movement",
        "directions": {"site": "L1.resid_post", "fingerprint": direction.fingerprint},
        "weight": 2.0,
        "margin": 0.5,
        "form": "hinge",
        "clip": 1.0,
        "auto_weight": None,
        "schedule": "Constant(factor=1.0)",
        "span": "rejected",
        "label": None,
        "name": "movement_L1.resid_post",
    }


def test_a_penalty_of_ones_own() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Small(Penalty):
        weight: float | None = None

        @property
        def sites(self) -> tuple[Site, ...]:
            return (SITE,)

        def __call__(self, policy: Any, reference: Any, text: Any) -> Tensor:
            return policy[SITE].square().mean(dim=-1)

    assert Small(1.0).name == "small_L1.resid_post"
    assert _at(Small(1.0), torch.ones(3, WIDTH)).tolist() == [1.0] * 3
    assert tr.random().site == Site(2)
