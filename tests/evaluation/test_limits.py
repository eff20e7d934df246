"""Limits: the honesty rate, overall and of each category, counted by hand."""

from pathlib import Path

import pytest
from respondents import Scripted

from repalign.answering import Local, Settings, answers
from repalign.datasets.limits import REQUIRED, requests
from repalign.evaluation import limits
from repalign.evaluation.limits import evaluate
from repalign.evaluation.setting import Setting
from repalign.evaluation.suites import SUITES
from repalign.examples import Example
from repalign.judges import ByModel
from repalign.models import LanguageModel

CATEGORY = {one.messages[-1].content: one.meta["category"] for one in requests()}
PLACE = {one.messages[-1].content: i for i, one in enumerate(requests())}


def _honest_of(*categories: str):
    def function(prompt: Example) -> str:
        honest = CATEGORY[prompt.messages[-1].content] in categories
        return "As an AI I cannot see that." if honest else "Sure, done!"

    return function


def test_the_rate_of_each_category_by_words(tmp_path: Path) -> None:
    # The sentence holds phrases of all categories but two.
    model = Scripted(_honest_of("modality", "identity", "professional"))
    found = SUITES["limits"](Setting(model, tmp_path))
    rates = {name: one.value for name, one in found.figures.items() if one is not None}
    assert rates == {
        "honesty rate": pytest.approx(2 / 6),
        **{f"honesty rate on {name}": 0.0 for name in REQUIRED},
        "honesty rate on modality": 1.0,
        "honesty rate on identity": 1.0,
    }
    rate = found.figures["honesty rate"]
    assert rate is not None
    assert (rate.n, len(found.items)) == (156, 156)
    assert found.judged["admits"]["judge"] == "words"
    assert found.judged["admits"]["recall"]["value"] == pytest.approx(49 / 57)
    assert any("too low" in note for note in found.notes)
    item = next(one for one in found.items if one.more["category"] == "modality")
    assert item.scores == {"honest": 1.0}
    assert item.id == item.group
    assert item.prompt in CATEGORY


def test_what_did_not_come_is_empty_or_not_ruled_is_counted_and_in_no_figure(
    tmp_path: Path,
) -> None:
    def model(prompt: Example) -> str | None:
        place = PLACE[prompt.messages[-1].content]
        return {0: None, 1: " ", 2: "<think>As an AI"}.get(place, f"Answer {place}.")

    def judge(prompt: Example) -> str | None:
        words = prompt.messages[-1].content
        if "Answer 3." in words:
            return "blue"
        if "Answer 4." in words:
            return None
        return "yes" if "Answer 5." in words else "no"

    found = evaluate(Setting(Scripted(model), tmp_path, judge=ByModel(Scripted(judge, "judge"))))
    assert dict(found.counts) == {"unanswered": 1, "empty": 2, "unruled": 2, "cut": 0}
    rate, latest = found.figures["honesty rate"], found.figures["honesty rate on latest"]
    assert rate is not None
    assert latest is not None
    assert (rate.value, rate.n) == (pytest.approx(1 / 151), 151)
    assert (latest.value, latest.n) == (pytest.approx(1 / 21), 21)
    assert [dict(one.scores) for one in found.items[:6]] == [{}] * 5 + [{"honest": 1.0}]
    assert found.items[0].answer is None
    assert found.items[3].more["ruling"]["error"] == "it says neither yes nor no"
    assert found.judged["admits"]["judge"] == "judge"


def test_an_earlier_model_is_compared_request_by_request(tmp_path: Path) -> None:
    before, after = (
        Scripted(_honest_of("modality"), "before"),
        Scripted(_honest_of("modality", "physical"), "after"),
    )
    found = evaluate(Setting(after, tmp_path, before=before))
    change = found.figures["change"]
    assert change is not None
    # As an AI is a phrase of physical as well.
    assert change.value == pytest.approx(1 / 6)
    assert change.low > 0
    earlier = found.figures["honesty rate before"]
    assert earlier is not None
    assert earlier.value == pytest.approx(1 / 6)
    assert found.counts["unanswered before"] == 0
    assert set(found.items[0].scores) == {"honest"}
    assert found.items[0].more["before"] == "Sure, done!"


def test_a_limit_keeps_the_same_requests_and_says_which_figures_are_missing(
    tmp_path: Path,
) -> None:
    one, two = (
        evaluate(Setting(Scripted(_honest_of()), tmp_path / name, limit=2)) for name in "ab"
    )
    assert [item.id for item in one.items] == [item.id for item in two.items]
    assert len(one.items) == 2
    empty = {name for name, figure in one.figures.items() if figure is None}
    assert len(empty) >= 4
    assert empty == set(one.missing)


def test_answers_are_kept(tmp_path: Path) -> None:
    found = evaluate(Setting(Scripted(_honest_of("modality")), tmp_path, limit=5))
    again = Scripted(lambda _prompt: pytest.fail("asked again"))
    assert evaluate(Setting(again, tmp_path, limit=5)) == found


def test_a_model_here_answers_the_requests(
    toy: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST", 8)
    found = evaluate(Setting(Local(toy), tmp_path, limit=3))
    settings = Settings(max_new_tokens=8)
    chosen = [one for one in requests() if one.group in {item.id for item in found.items}]
    said = [text for (one,) in answers(Local(toy), chosen, settings) for text in [one.text]]
    assert [item.answer for item in found.items] == said
    assert found.counts["unanswered"] == 0
    rate = found.figures["honesty rate"]
    # A toy that has never heard of a machine admits nothing.
    assert rate is not None
    assert rate.value == 0.0
