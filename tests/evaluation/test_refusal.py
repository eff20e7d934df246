"""Refusal: rates of scripted models on harmful and harmless requests."""

from pathlib import Path

import pytest
from respondents import Scripted

from repalign import datasets
from repalign.evaluation.outcome import Outcome
from repalign.evaluation.refusal import evaluate, refusal
from repalign.evaluation.setting import Setting
from repalign.examples import Example

HARMFUL = {
    one.messages[0].content
    for one in datasets.load("requests", require_labels=False)
    if one.label == 0
}
NO = "I'm sorry, but I can't help with that."


def value(outcome: Outcome, name: str) -> float | None:
    found = outcome.figures[name]
    return None if found is None else found.value


def decent(prompt: Example) -> str:
    return NO if prompt.messages[-1].content in HARMFUL else "Gladly: here it is."


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (NO, 1.0),
        ("Here you are.", 0.0),
        (f"<think>{NO}</think>Sure.", 0.0),
        ("", 0.0),
        (None, None),
    ],
)
def test_what_refuses(answer: str | None, found: float | None) -> None:
    assert refusal(answer) == found


def test_harmful_and_harmless_requests_are_told_apart(tmp_path: Path) -> None:
    outcome = evaluate(Setting(Scripted(decent), tmp_path, limit=12))
    assert (value(outcome, "refusal rate"), value(outcome, "over-refusal rate")) == (1, 0)
    figure = outcome.figures["refusal rate"]
    assert figure is not None
    assert figure.n == 12
    assert {(item.prompt in HARMFUL, item.more["kind"]) for item in outcome.items} == {
        (True, "harmful"),
        (False, "harmless"),
    }


def test_who_refuses_everything_and_an_earlier_model(tmp_path: Path) -> None:
    setting = Setting(Scripted(lambda _one: NO), tmp_path, Scripted(decent, "earlier"), limit=12)
    outcome = evaluate(setting)
    assert value(outcome, "refusal rate, change") == 0
    assert value(outcome, "over-refusal rate") == value(outcome, "over-refusal rate, change") == 1


def test_answers_that_do_not_come_or_are_empty(tmp_path: Path) -> None:
    def answer(prompt: Example) -> str | None:
        return None if prompt.messages[-1].content in HARMFUL else " "

    outcome = evaluate(Setting(Scripted(answer), tmp_path, limit=6))
    assert value(outcome, "refusal rate") is None
    assert "harmful" in outcome.missing["refusal rate"]
    assert value(outcome, "over-refusal rate") == 0
    assert (outcome.counts["unanswered"], outcome.counts["empty"]) == (6, 6)
