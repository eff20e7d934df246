"""Wins count only in both orders; what was not answered or ruled on is in no figure."""

import json
from pathlib import Path

import pytest
from respondents import Scripted

from repalign.errors import InputError
from repalign.evaluation import Setting, wins
from repalign.examples import Example
from repalign.judges import ByModel, Words

PROMPTS = ("one", "two", "three", "four")


def better(prompt: Example) -> str:
    """Prefers what says `good`; of two alike the first; of `odd` it makes no sense."""
    words = prompt.messages[-1].content
    first = words.partition("The first answer:")[2].partition("The second answer:")[0]
    second = words.partition("The second answer:")[2].partition("Which is better?")[0]
    if "odd" in first + second:
        return "hm"
    return "second" if "good" in second and "good" not in first else "first"


def setting(tmp_path: Path, **given: object) -> Setting:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in PROMPTS))
    ours = {"one": "good", "two": "bad", "three": "bad", "four": "odd"}
    model = Scripted(lambda prompt: ours[prompt.messages[-1].content], "now")
    given = {"data": (str(path),), "judge": ByModel(Scripted(better, "judge")), **given}
    return Setting(model, tmp_path / "run", **given)  # type: ignore[arg-type]


def test_a_win_in_one_order_only_is_a_tie(tmp_path: Path) -> None:
    theirs = {"one": "bad", "two": "good", "three": "bad", "four": "bad"}
    before = Scripted(lambda prompt: theirs[prompt.messages[-1].content], "then")
    found = wins.evaluate(setting(tmp_path, before=before))
    assert {name: found.counts[name] for name in ("win", "tie", "lose", "unruled")} == {
        "win": 1,
        "tie": 1,
        "lose": 1,
        "unruled": 1,
    }
    rate, first = found.figures["win rate"], found.controls["the answer shown first wins"]
    assert rate is not None
    assert first is not None
    assert rate.value == 0.5
    # Shown first, `three` wins both times; the others by what they say.
    assert first.value == pytest.approx((0.5 + 0.5 + 1) / 3)
    scores = {item.prompt: dict(item.scores) for item in found.items}
    assert scores == {"one": {"won": 1.0}, "two": {"won": 0.0}, "three": {"won": 0.5}, "four": {}}


def test_an_answer_that_did_not_come_is_in_no_pair(tmp_path: Path) -> None:
    before = Scripted(lambda p: None if p.messages[-1].content == "one" else "bad", "then")
    found = wins.evaluate(setting(tmp_path, before=before))
    assert found.counts["unanswered"] == 1
    assert found.counts["win"] == 0


def test_it_needs_a_model_before_and_a_judge_that_reads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--before MODEL"):
        wins.evaluate(setting(tmp_path))
    before = Scripted(lambda _: "bad", "then")
    with pytest.raises(InputError, match="Rules by words cannot judge which of two answers"):
        wins.evaluate(setting(tmp_path, before=before, judge=Words()))
