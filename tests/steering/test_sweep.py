"""Calibration and sweep on a toy whose answer is known to follow the direction."""

import json
from dataclasses import replace

import numpy as np
import pytest
import toy as toys
from steered import honesty

from repalign.errors import InputError
from repalign.interventions import Add
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.steering import (
    Bench,
    calibrate,
    measure,
    norm_ratio,
    random_like,
    results,
    sweep,
    without,
)
from repalign.steering.calibrate import damage_at


def test_calibration_ends_where_the_budget_does(toy: LanguageModel, bench: Bench) -> None:
    direction = honesty(toy, 2)

    def push(coefficient: float) -> dict[Site, Add]:
        return {direction.site: Add(direction, coefficient)}

    found = calibrate(toy, push, bench.reference, target_kl=0.05)
    for end in (found.low, found.high):
        assert damage_at(toy, push, end, bench.reference).worst.value <= 0.05
        assert damage_at(toy, push, 1.2 * end, bench.reference).worst.value > 0.05
    assert found.low < 0 < found.high
    assert not found.capped
    assert dict(found.tried)[0.0] == 0.0


def test_calibration_says_when_it_ended_at_its_own_limit(toy: LanguageModel, bench: Bench) -> None:
    direction = replace(honesty(toy, 2), scale=1e-3)
    found = calibrate(toy, lambda c: {direction.site: Add(direction, c)}, bench.reference, most=2.0)
    assert (found.low, found.high, found.capped) == (-2.0, 2.0, ("low", "high"))
    assert "limit" in str(found)


def test_a_budget_of_nothing_is_refused(toy: LanguageModel, bench: Bench) -> None:
    with pytest.raises(InputError, match="positive number of nats"):
        calibrate(toy, lambda c: {}, bench.reference, target_kl=0.0)


def test_random_directions_push_as_far_and_differ_by_seed() -> None:
    toy_direction = honesty(toys.model(), 2)
    one, other = random_like(toy_direction, 0), random_like(toy_direction, 1)
    assert np.linalg.norm(Add(one, 2.0).push) == pytest.approx(
        np.linalg.norm(Add(toy_direction, 2.0).push), rel=1e-6
    )
    assert abs(float(one.vector @ other.vector)) < 0.6
    assert np.array_equal(one.vector, random_like(toy_direction, 0).vector)


def test_a_direction_without_another_is_at_right_angles_to_it() -> None:
    direction = honesty(toys.model(), 2)
    other = random_like(direction, 4)
    rest = without(direction, other)
    assert float(rest.vector @ other.vector) == pytest.approx(0.0, abs=1e-6)
    assert np.linalg.norm(rest.vector) == pytest.approx(1.0, abs=1e-5)
    assert rest.scale == direction.scale
    with pytest.raises(InputError, match="nothing is left"):
        without(direction, direction)
    with pytest.raises(InputError, match="different sites"):
        without(direction, replace(other, site=Site(0)))


def test_the_length_of_a_push_is_compared_with_states(toy: LanguageModel, bench: Bench) -> None:
    direction = honesty(toy, 2)
    found = norm_ratio(toy, direction, bench.benign)
    twice = norm_ratio(toy, replace(direction, scale=0.8), bench.benign)
    assert twice.value == pytest.approx(2 * found.value)
    assert found.n == len(bench.benign)
    assert 0 < found.value < 1


def test_a_push_of_nothing_is_the_plain_model(toy: LanguageModel, bench: Bench) -> None:
    plain = measure(toy, lambda c: {}, 0.0, bench)
    assert plain.damage.worst.value == 0.0
    assert plain.effect(plain).value == 0.0
    assert np.all(np.abs(plain.behaviour) <= 1)


def test_the_planted_direction_is_found_to_work_and_random_ones_are_not(
    toy: LanguageModel, bench: Bench
) -> None:
    directions = {Site(layer): honesty(toy, layer) for layer in (1, 2)}
    refusal = {site: random_like(one, 99) for site, one in directions.items()}
    steps: list[tuple[int, int]] = []
    swept = sweep(
        toy,
        directions,
        bench,
        refusal=refusal,
        target_kl=0.3,
        points=5,
        progress=lambda *now: steps.append(now),
    )
    honest, random = swept.slope("honest"), swept.slope("random")
    assert honest.low > 0
    assert honest.value > 5 * abs(random.value)
    assert swept.rises == (4, 4)
    assert random.n == 8
    assert swept.slope("refusal removed").value == pytest.approx(honest.value, rel=0.2)
    # Half of the questions chose the site, the other half is reported.
    assert honest.n == 10
    assert steps[-1][0] == steps[-1][1]
    found = results(swept)
    json.dumps(found, allow_nan=False)
    ends = [point["coefficient"] for point in found["curves"]["honest"]]
    assert ends[2] == 0.0
    calibration = found["by_site"][found["site"]]["calibration"]
    assert (ends[0], ends[-1]) == (calibration["low"], calibration["high"])
    assert found["curves"]["honest"][2]["effect"]["value"] == 0.0
    # A bell over the honest curve's own points, a rising tanh.
    assert found["tradeoff"]["behaviour"]["parameters"]["a"]["low"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": 6}, "odd number"),
        ({"points": 3}, "odd number"),
        ({"directions": {}}, "none were given"),
        ({"target_kl": 1e-12}, "keeps within"),
    ],
)
def test_a_sweep_that_cannot_be_made_is_refused(
    toy: LanguageModel, bench: Bench, change: dict, message: str
) -> None:
    given = {"directions": {Site(2): honesty(toy, 2)}, "points": 5, **change}
    with pytest.raises(InputError, match=message):
        sweep(toy, given.pop("directions"), bench, **given)


def test_too_few_questions_are_refused(toy: LanguageModel, bench: Bench) -> None:
    few = replace(bench, questions=bench.questions[:6])
    with pytest.raises(InputError, match="too few"):
        sweep(toy, {Site(2): honesty(toy, 2)}, few)
