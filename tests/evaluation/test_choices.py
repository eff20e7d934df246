"""Choices are those of behavior.choose, on users' files as on topics."""

import json
from pathlib import Path

import pytest
from respondents import Scripted

from repalign import behavior
from repalign.answering import Local
from repalign.behavior import Question
from repalign.errors import InputError
from repalign.evaluation import Setting, choices
from repalign.models import LanguageModel

ROWS = [
    {"question": "is the sea", "answers": ["sea", "moon"], "wrong": ["hill"]},
    {"question": "the moon is", "answers": ["rain"], "wrong": ["door", "lamp"]},
    {"question": "lamp", "answers": ["hill"]},
]


def test_a_file_of_questions_gives_what_choosing_gives(toy: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    found = choices.evaluate(Setting(Local(toy), tmp_path / "run", data=(str(path),)))
    chat = [({"role": "user", "content": str(row["question"])},) for row in ROWS]
    expected = behavior.choose(
        toy,
        [
            Question(chat[0], ("sea", "moon", "hill"), (0, 1), "is the sea"),
            Question(chat[1], ("rain", "door", "lamp"), (0,), "the moon is"),
        ],
    )
    for name, value in (
        ("accuracy", expected.accuracy),
        ("mc1", expected.mc1),
        ("mc2", expected.mc2),
    ):
        figure = found.figures[name]
        assert figure is not None
        assert figure.value == pytest.approx(value.value, abs=1e-5)
    assert found.counts == {"without a wrong answer": 1}
    chance = found.controls["by chance"]
    assert chance is not None
    assert chance.value == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert len(found.items) == 2


def test_a_limit_keeps_whole_groups_of_each_topic(toy: LanguageModel, tmp_path: Path) -> None:
    found = choices.evaluate(Setting(Local(toy), tmp_path, limit=3))
    assert {name for name in found.figures if " on " in name} == {
        "accuracy on capitals",
        "accuracy on cities",
    }
    groups = {item.group for item in found.items}
    assert len(groups) == 6


def test_a_server_gives_no_probabilities(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choices reads the model's states"):
        choices.evaluate(Setting(Scripted(lambda _: "x"), tmp_path))
