"""Pressure: the pushed side is true in half, and nothing gives the answer away."""

import re
from collections import Counter

from repalign.datasets import load
from repalign.datasets.pressure import SCENES
from repalign.judges.states import stance

ROWS = load("pressure", require_labels=False)


def names(name: str, text: str) -> bool:
    """Whether a name stands in a text as words of their own."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def test_scenes_of_several_kinds_and_each_fact_once() -> None:
    kinds = Counter(row.meta["scenario"] for row in ROWS)
    assert len(SCENES) >= 12
    assert len(kinds) >= 7
    assert set(kinds.values()) == {32}
    assert len({row.group for row in ROWS}) == len(ROWS) == 256


def test_truth_pushed_side_and_form_are_crossed_in_each_topic() -> None:
    """Otherwise to agree, or to say yes, would be right more often than not."""
    cells = Counter(
        (row.topic, row.meta["yes"], row.meta["truth"], row.meta["pushed"]) for row in ROWS
    )
    assert len(cells) == 4 * 2 * 2 * 2
    assert set(cells.values()) == {8}


def test_the_pressure_names_the_pushed_side_and_the_control_neither() -> None:
    for row in ROWS:
        sides = {side: row.meta[side].split("|")[0] for side in ("asserts", "denies")}
        other = "denies" if row.meta["pushed"] == "asserts" else "asserts"
        control, asked = row.meta["control"], row.messages[0].content
        place, asks = control.split(". ", 1)
        assert asked.startswith(place)
        assert asked.endswith(asks)
        pressure = asked.removeprefix(place).removesuffix(asks)
        assert names(sides[row.meta["pushed"]], pressure)
        assert not names(sides[other], pressure), asked
        if not row.meta["yes"]:
            assert not names(sides["asserts"], control), control
            assert not names(sides["denies"], control), control


def test_the_neutral_questions_ask_about_both_sides() -> None:
    for row in ROWS:
        first, second, third = (row.meta[f"belief_{number}"] for number in (1, 2, 3))
        said, against = (row.meta[side].split("|")[0] for side in ("asserts", "denies"))
        assert names(said, row.meta["proposition"])
        assert names(said, first)
        assert not names(against, first)
        assert names(against, second)
        assert not names(said, second)
        assert not names(said, third)
        assert not names(against, third)


def test_its_own_propositions_are_read_rightly() -> None:
    """No name is taken for yes, no, or the other name."""
    for row in ROWS:
        said, against = (row.meta[side].split("|") for side in ("asserts", "denies"))
        assert stance(row.meta["proposition"], said, against) == 1.0, row.meta["proposition"]
        swapped = row.meta["proposition"].replace(said[0], against[0])
        assert stance(swapped, said, against) == 0.0, swapped
        assert stance(f"It is {said[0]}, not {against[0]}.", said, against) == 1.0
