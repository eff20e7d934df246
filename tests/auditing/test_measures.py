"""Measures of behaviour, paired and corrected for their number; items that training had not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy as toys

from repalign.answering import Local
from repalign.answering.asking import silent
from repalign.auditing import (
    Measure,
)
from repalign.auditing.asking import cells, evaluated, measures, trained_on
from repalign.auditing.measure import changes, holm
from repalign.auditing.shift import of_auroc, of_means
from repalign.errors import InputError
from repalign.evaluation.evaluating import Evaluated
from repalign.evaluation.outcome import Item, Outcome
from repalign.models import LanguageModel


def test_a_difference_is_paired() -> None:
    before = np.linspace(-5, 5, 40)
    found = of_means(before, before + 0.1)
    assert (found.difference.low, found.difference.high) == pytest.approx((0.1, 0.1))
    assert found.rose
    assert not found.fell
    labels = np.arange(40) % 2
    worse = of_auroc(labels, labels + 0.0, np.zeros(40))
    assert (worse.before.value, worse.after.value, worse.difference.value) == (1.0, 0.5, -0.5)


def test_holm_corrects_and_measures_without_a_sign_count_for_nothing() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    up = np.ones(12)
    found = changes(
        [
            Measure("honest", 0 * up, up),
            Measure("lies", 0 * up, up, higher_is_honest=False),
            Measure("price", 0 * up, up, higher_is_honest=None),
        ]
    )
    assert [one.improved for one in found] == [True, False, False]
    assert [one.worsened for one in found] == [False, True, False]
    assert found[0].p_adjusted == pytest.approx(2 * found[0].p)
    assert found[2].p_adjusted is None
    # Twenty measures of which one has a p of 0.004: not surely anything.
    many = [Measure(f"m{place}", 0 * up, np.tile([1, -1], 6)) for place in range(19)]
    nine = changes([*many, Measure("few", np.zeros(9), np.ones(9))])
    assert nine[-1].p < 0.05
    assert not nine[-1].sure
    with pytest.raises(InputError, match="Two measures are called honest"):
        changes([Measure("honest", up, up), Measure("honest", up, up)])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [([1.0], [1.0, 2.0], "shapes"), ([], [], "shapes"), ([np.nan], [1.0], "finite")],
)
def test_values_that_are_not_paired_are_refused(
    before: list[float], after: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Measure("x", before, after)


def item(id: str, kind: str, right: bool) -> Item:
    scores = {name: float(kind == name) for name in ("correct", "wrong", "idk")}
    return Item(
        id, id, f"prompt {id}", kind, scores, {"right": ["x"] if right else None, "verdict": kind}
    )


def test_items_of_suites_become_paired_measures_and_nine_cells() -> None:
    then = (item("a", "wrong", True), item("b", "correct", True), item("c", "wrong", False))
    now = (item("a", "idk", True), item("b", "wrong", True), item("c", "idk", False))
    other = replace(item("d", "wrong", True), prompt="asked otherwise")
    runs = [
        Evaluated({"honesty": Outcome({}, side)}, {})
        for side in ((*then, other), (*now, replace(other, prompt="asked")))
    ]
    found = {one.name: one for one in measures(runs[0], runs[1])}
    states = found["honesty: states what is wrong"]
    assert (list(states.before), list(states.after)) == ([1, 0], [0, 1])
    assert states.higher_is_honest is False
    assert list(found["honesty: declines what nobody can know"].after) == [1]
    assert found["honesty: answers rightly"].higher_is_honest is None
    counted = cells(runs[0], runs[1])
    assert counted is not None
    assert {cell for cell, count in counted["counts"].items() if count} == {"4", "8"}
    assert cells(Evaluated({}, {}), runs[1]) is None


def test_what_training_had_among_its_prompts_is_left_out() -> None:
    then = (item("a", "wrong", True), item("b", "correct", True), item("c", "wrong", False))
    runs = [Evaluated({"honesty": Outcome({}, then)}, {}) for _ in range(2)]
    seen = {"prompt b", "prompt c", "another"}
    found = {one.name: one for one in measures(runs[0], runs[1], seen)}
    assert list(found["honesty: states what is wrong"].before) == [1]
    assert "honesty: declines what nobody can know" not in found
    counted = cells(runs[0], runs[1], seen)
    assert counted is not None
    assert sum(counted["counts"].values()) == 1
    assert trained_on(runs[0], seen) == 2


def test_two_models_are_asked_the_same_and_kept_answers_cost_nothing(
    toy: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        evaluated(model, ["honesty"], tmp_path / name, 2, 0, silent)
        for model, name in ((toy, "before"), (toys.model(), "after"))
    ]
    found = {one.name: one for one in measures(runs[0], runs[1])}
    assert len(found["honesty: states what is wrong"].before) >= 2
    for one in found.values():
        assert list(one.before) == list(one.after)

    def nothing(_self: Local, prompts: Any, _settings: Any, skip: Any = ()) -> Any:
        assert len(skip) == len(prompts)
        return iter(())

    monkeypatch.setattr(Local, "replies", nothing)
    again = evaluated(toy, ["honesty"], tmp_path / "before", 2, 0, silent)
    assert again.outcomes["honesty"].items == runs[0].outcomes["honesty"].items
    assert evaluated(toy, [], tmp_path, 2, 0, silent).outcomes == {}


def test_openness_about_limits_counts_for_honesty() -> None:
    # As `evaluation.limits` names its score, which its own test pins.
    sides = [
        Outcome({}, tuple(replace(item(name, "", True), scores={"honest": value}) for name in "ab"))
        for value in (0.0, 1.0)
    ]
    runs = [Evaluated({"limits": side}, {}) for side in sides]
    (found,) = measures(runs[0], runs[1])
    assert (found.name, found.higher_is_honest) == ("limits: is open about its limits", True)
    assert (list(found.before), list(found.after)) == ([0.0, 0.0], [1.0, 1.0])
