"""H2: grades and comparisons of plain and curious answers, counted by hand."""

from pathlib import Path

import pytest
from respondents import Scripted

from repalign.datasets.limits import requests
from repalign.errors import InputError
from repalign.evaluation.h2 import evaluate
from repalign.evaluation.setting import Setting
from repalign.evaluation.suites import SUITES
from repalign.examples import Example
from repalign.judges import ByModel

LIMIT = 4


def _model(prompt: Example) -> str:
    words = prompt.messages[-1].content
    if "noted down" in words:
        return "curious answer"
    return "doubts" if "Do not fulfil" in words else "plain answer"


def _grades(overall: int) -> str:
    return f"Explanation: {overall}\nSolution: 1\nGuidance: 10\nOverall: {overall}"


def _judge(prompt: Example) -> str:
    words = prompt.messages[-1].content
    if "The first answer" in words:
        first, second = (words.find(f"{way} answer") for way in ("curious", "plain"))
        return "first" if first < second else "second"
    return _grades(8 if "curious answer" in words else 2)


def _evaluated(tmp_path: Path, model=_model, judge=_judge):
    setting = Setting(
        Scripted(model), tmp_path, judge=ByModel(Scripted(judge, "judge")), limit=LIMIT
    )
    return evaluate(setting)


def test_grades_parts_bands_and_gain(tmp_path: Path) -> None:
    found = _evaluated(tmp_path)
    values = {name: one.value for name, one in found.figures.items() if one is not None}
    assert values == {
        "raw": 2.0,
        "raw explanation": 2.0,
        "raw solution": 1.0,
        "raw guidance": 10.0,
        "raw 1-3": 1.0,
        "raw 4-6": 0.0,
        "raw 7-10": 0.0,
        "curious": 8.0,
        "curious explanation": 8.0,
        "curious solution": 1.0,
        "curious guidance": 10.0,
        "curious 1-3": 0.0,
        "curious 4-6": 0.0,
        "curious 7-10": 1.0,
        "gain": pytest.approx(3.0),
        "difference": 6.0,
        "win": 1.0,
        "tie": 0.0,
        "lose": 0.0,
        "win rate": 1.0,
    }
    shown = found.controls["first shown wins"]
    assert shown is not None
    assert shown.value == 0.5
    assert not found.missing
    item = found.items[0]
    assert (item.scores["raw"], item.scores["curious"], item.scores["win"]) == (2.0, 8.0, 1.0)
    assert (item.answer, item.more["curious answer"]) == ("plain answer", "curious answer")
    assert {name: one["judge"] for name, one in found.judged.items()} == dict.fromkeys(
        ("h2", "prefers"), "judge"
    )
    assert found.judged["prefers"]["unread"] == 0


def test_gain_is_of_means_and_not_a_mean_of_gains(tmp_path: Path) -> None:
    places = {}

    def judge(prompt: Example) -> str:
        words = prompt.messages[-1].content
        if "The first answer" in words:
            return "first"
        request = words.split("Request: ")[1].split("\n")[0]
        place = places.setdefault(request, len(places))
        return _grades(((1, 9, 4, 6), (3, 9, 6, 10))["curious answer" in words][place % 4])

    found = _evaluated(tmp_path, judge=judge)
    gain, difference, raw = (found.figures[name] for name in ("gain", "difference", "raw"))
    assert gain is not None
    assert difference is not None
    assert raw is not None
    # 28 / 20 - 1; the mean of 2, 0, 0.5 and 0.67 would be 0.79.
    assert gain.value == pytest.approx(0.4)
    assert difference.value == pytest.approx(2.0)
    assert raw.value == pytest.approx(5.0)
    bands = [found.figures[f"raw {name}"] for name in ("1-3", "4-6", "7-10")]
    assert [one and one.value for one in bands] == [0.25, 0.5, 0.25]
    # A judge that says first whatever it sees: no wins, and the control shows it.
    won = [found.figures[name] for name in ("win", "tie", "lose", "win rate")]
    assert [one and one.value for one in won] == [0.0, 1.0, 0.0, 0.5]
    shown = found.controls["first shown wins"]
    assert shown is not None
    assert shown.value == 1.0


def test_what_is_missing_is_counted_and_in_no_figure(tmp_path: Path) -> None:
    asked = [one.messages[-1].content for one in requests()]
    kept = [item.prompt for item in _evaluated(tmp_path / "first").items]
    assert set(kept) <= set(asked)

    def model(prompt: Example) -> str | None:
        words = prompt.messages[-1].content
        if kept[0] in words and "noted down" in words:
            return None
        if kept[1] == words:
            return "<think>hm"
        return _model(prompt)

    def judge(prompt: Example) -> str | None:
        words = prompt.messages[-1].content
        if kept[2] in words and "The first answer" not in words:
            return _grades(11)
        if kept[3] in words and "The first answer" in words:
            return None
        return _judge(prompt)

    found = _evaluated(tmp_path / "second", model, judge)
    assert dict(found.counts) == {
        "unanswered": 1,
        "empty": 1,
        "unruled": 2,
        "pairs unruled": 1,
        "win": 1,
        "tie": 0,
        "lose": 0,
    }
    numbers = {name: one.n for name, one in found.figures.items() if one is not None}
    assert (numbers["raw"], numbers["curious"], numbers["gain"], numbers["win"]) == (2, 2, 1, 1)
    assert [set(item.scores) & {"raw", "curious", "win"} for item in found.items] == [
        {"raw"},
        {"curious"},
        {"win"},
        {"raw", "curious"},
    ]


def test_a_judge_that_says_nothing_useful_leaves_every_figure_out_and_says_so(
    tmp_path: Path,
) -> None:
    found = _evaluated(tmp_path, judge=lambda _prompt: "I would rather not.")
    assert set(found.figures.values()) == {None}
    assert set(found.missing) == {*found.figures, "first shown wins"}
    assert (found.counts["unruled"], found.counts["pairs unruled"]) == (8, 4)
    assert found.judged["h2"]["agreement"] is None


def test_words_are_refused_before_the_model_is_asked(tmp_path: Path) -> None:
    model = Scripted(_model)
    with pytest.raises(InputError, match="how honest and helpful"):
        SUITES["h2"](Setting(model, tmp_path))
    assert not model.asked
