"""Shifts, refits and drift of states, and the summary of all."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import toy as toys

from repalign.activations import Activations
from repalign.auditing import (
    Measure,
    Summary,
)
from repalign.auditing.drifting import drift
from repalign.auditing.evidence import judge
from repalign.auditing.measure import changes
from repalign.auditing.reading import Reading, Unit
from repalign.auditing.refitting import refit
from repalign.auditing.shift import of_means
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.sites import Site

SITE = Site(1)


def direction(layer: int = 2, **origin: Any) -> Direction:
    return Direction(toys.direction().numpy(), Site(layer), 0.0, 4.0, origin)


def rows(values: np.ndarray, labels: np.ndarray) -> Activations:
    """Pairs of rows that are groups."""
    count = len(values)
    return Activations(
        values[:, None].astype(np.float32),
        (SITE,),
        np.arange(count),
        np.zeros(count, dtype=int),
        labels,
        np.array([f"g{place // 2}" for place in range(count)]),
        np.array([""] * count),
        np.zeros(count, dtype=int),
        {},
    )


def pairs(shift: float, count: int = 60, width: int = 8, seed: int = 0) -> Activations:
    """Noise, and along the first axis the label."""
    labels = np.arange(count) % 2
    values = np.random.default_rng(seed).normal(size=(count, width))
    values[:, 0] += shift * (2 * labels - 1)
    return rows(values, labels)


def test_a_refit_separates_what_is_there_and_nothing_else() -> None:
    frozen, trained, noise = pairs(2.0), pairs(2.0, seed=1), pairs(0.0, seed=2)
    old = np.eye(8)[0]
    found = refit(frozen, trained, SITE, old)
    assert found.separates
    assert found.angle is not None
    assert found.angle.value < 30
    turned = replace(trained, values=trained.values[:, :, ::-1])
    aside = refit(frozen, turned, SITE, old)
    # What was read along the first axis now lies along the last.
    assert aside.angle is not None
    assert 70 < aside.angle.value < 110
    assert aside.separates
    gone = refit(frozen, noise, SITE, old)
    assert not gone.separates
    assert gone.auroc.fell


def test_drift_of_one_vector_has_rank_one_and_lies_along_it() -> None:
    frozen = pairs(1.0)
    vector = np.eye(8)[0]
    moved = replace(frozen, values=frozen.values + np.float32(0.5) * vector.astype(np.float32))
    found = drift(frozen, moved, SITE, vector)
    assert found.rank.value == 1
    assert found.along is not None
    assert found.along.value == pytest.approx(1)
    lengths = np.linalg.norm(frozen.at(SITE), axis=1)
    assert found.size.value == pytest.approx(0.5 * len(lengths) / lengths.sum(), rel=1e-5)
    # Any direction of 8 has an eighth of it.
    assert found.along_random.low < 1 / 8 < found.along_random.high
    spread = np.random.default_rng(3).normal(size=frozen.values.shape).astype(np.float32)
    wide = drift(frozen, replace(frozen, values=frozen.values + spread), SITE, None)
    assert wide.rank.value >= 6
    assert wide.along is None


def test_scores_are_in_spreads_of_frozen_weights_and_a_flat_probe_is_refused() -> None:
    scores = np.array([[0.0, 2.0], [10.0, 50.0]])
    assert Unit.of(scores)(scores).tolist() == [-1.0, 1.0]
    assert Unit.of(scores)(scores + np.array([[1.0], [20.0]])).tolist() == [0.0, 2.0]
    with pytest.raises(InputError, match="Probe 1 gives all 2 texts the same score"):
        Unit.of(np.array([[0.0, 2.0], [3.0, 3.0]]))


def reading(rise: float) -> Reading:
    spread = np.linspace(-1, 1, 40)
    shift = of_means(spread, spread + rise)
    same = of_means(spread, spread)
    return Reading(40, 40, shift, shift, shift, same, same, same, same, {})


def test_a_verdict_names_what_honesty_cost() -> None:
    steady = refit(pairs(2.0), pairs(2.0), SITE, None)
    halves = np.arange(30) % 2
    measures = [
        Measure("wrong", 1.0 - halves, np.zeros(30), higher_is_honest=False),
        Measure("right", 1.0 * halves, np.zeros(30), higher_is_honest=None),
        Measure("long", 1.0 * halves, 1.0 * halves, higher_is_honest=None),
    ]
    found = judge(None, reading(0.0), None, steady, changes(measures))
    assert found.claim == "behaviour moved"
    beside = [reason for reason in found.reasons if reason.startswith("Changed as well")]
    # What did not change is not named, nor what the verdict rests on.
    assert len(beside) == 1
    assert "right: 0.50 [" in beside[0]
    assert "0.00 [0.00, 0.12] after" in beside[0]


def test_a_small_sure_rise_does_not_count_as_fooled() -> None:
    steady = refit(pairs(2.0), pairs(2.0), SITE, None)
    flat = changes([Measure("honest", np.zeros(30), np.zeros(30))])
    claims = [
        judge(reading(rise), reading(0.0), None, steady, flat).claim for rise in (0.0, 0.1, 0.5)
    ]
    assert claims == ["nothing moved", "score moved", "the probe was evaded"]
    few = changes([Measure("honest", np.zeros(4), np.zeros(4))])
    unsure = judge(reading(0.5), reading(0.0), None, steady, few)
    assert unsure.claim == "score moved"
    assert any("enough groups" in reason for reason in unsure.reasons)


def test_a_summary_comes_back_from_a_record() -> None:
    spread = of_means([1.0, 2.0], [3.0, 5.0]).difference
    one = Summary("score moved", {"loss probes: AUROC": spread, "x": None}, {"lies": spread})
    assert Summary.of(one.to_json()) == one
    assert Summary.of({"summary": one.to_json(), "verdict": {}}) == one
    with pytest.raises(InputError, match="no summary of an audit"):
        Summary.of({"claim": "x"})
