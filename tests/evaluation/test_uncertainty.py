"""A model that knows when it is wrong, one that does not, servers, and a real model."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import toy as toys
from respondents import Scripted

from repalign.answering import Local, Replied, Reply, Settings
from repalign.evaluation import Setting, uncertainty
from repalign.evaluation.evaluating import run
from repalign.evaluation.sampling import BRIEFLY
from repalign.evaluation.suites import named
from repalign.evaluation.unsure import SCORES
from repalign.examples import Example
from repalign.metrics import Estimate

QUESTIONS = [f"Who is number {number}?" for number in range(8)]


@dataclass
class Wavering:
    """Right answers are sampled alike and wrong ones each time otherwise, at one likelihood."""

    logprob: float | None = -1.0
    name: str = "wavering"
    always: str | None = None

    def origin(self) -> dict[str, Any]:
        return {"model": self.name}

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        for place, prompt in enumerate(prompts):
            if place in skip:
                continue
            words = prompt.messages[-1].content.removesuffix(f" {BRIEFLY}")
            number = QUESTIONS.index(words)
            told = [self._told(number, sample, settings) for sample in range(settings.samples)]
            yield [Replied(place, told)]

    def _told(self, number: int, sample: int, settings: Settings) -> Reply:
        right = number % 2 == 0
        text = self.always or (f"name{number}" if right else f"other{number}x{sample}")
        if number == 7:
            return Reply(None, error="went away") if settings.samples == 1 else Reply("Zed")
        return Reply(text, logprobs=() if self.logprob is None else (self.logprob,) * 2)


@pytest.fixture
def setting(tmp_path: Path) -> Callable[..., Setting]:
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": question, "answer": f"name{number}"}
        for number, question in enumerate(QUESTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(who: Any, **given: Any) -> Setting:
        return Setting(who, tmp_path / "run", **{"data": (str(path),), "samples": 4, **given})

    return make


def value(found: Estimate | None) -> float:
    assert found is not None
    return found.value


def test_wrong_answers_that_vary_are_found_by_meaning_and_not_by_likelihood(
    setting: Callable[..., Setting],
) -> None:
    found = uncertainty.evaluate(setting(Wavering()))
    # Seven came, four of them right; each right one is sampled four times over.
    assert value(found.figures["accuracy"]) == pytest.approx(4 / 7)
    # Over all eight questions, the one without a greedy answer too.
    assert value(found.figures["expected accuracy"]) == pytest.approx(1 / 2)
    for name in ("semantic entropy", "semantic entropy, frequency", "disagreement", "sentenceSAR"):
        assert value(found.figures[f"AUROC: {name}"]) == 1, name
        assert value(found.figures[f"PRR: {name}"]) == pytest.approx(1), name
    for name in ("g-nll", "perplexity", "sequence entropy"):
        assert value(found.figures[f"AUROC: {name}"]) == 0.5, name
        assert value(found.figures[f"PRR: {name}"]) == pytest.approx(0), name
    # exp(-2) is stated of every answer, and four of seven are right.
    assert value(found.figures["ECE: g-nll"]) == pytest.approx(4 / 7 - 0.1353353)
    # The first sample repeats the greedy answer: 1/4 agree where it is wrong, all where right.
    assert value(found.figures["ECE: disagreement"]) == pytest.approx(3 / 7 * 0.25)
    assert value(found.figures["cascade: g-nll"]) == pytest.approx((4 / 7 + 1) / 2)
    assert (found.counts["correct"], found.counts["wrong"], found.counts["unanswered"]) == (4, 3, 1)
    chance = found.controls["AUROC: chance"]
    assert chance is not None
    assert (chance.n, abs(chance.value - 0.5) < 0.15) == (20, True)
    assert found.items[7].scores == {"expected accuracy": 0.0}
    assert found.items[1].scores["correct"] == 0
    assert set(found.missing) >= {"AUROC: p(true)", "PRR: tokenSAR", "ECE: p(true)"}
    assert any("lexical" in note for note in found.notes)


def test_a_server_without_log_probabilities_gets_what_needs_none(
    setting: Callable[..., Setting],
) -> None:
    found = run(setting(Wavering(logprob=None)), named(["uncertainty"])).outcomes["uncertainty"]
    assert value(found.figures["AUROC: disagreement"]) == 1
    assert found.figures["AUROC: semantic entropy"] is None
    assert "log-prob" in found.missing["AUROC: semantic entropy"]
    assert value(found.controls["AUROC: length"]) == 0.5
    assert {f"PRR: {name}" for name in SCORES} <= set(found.figures)


def test_where_all_answers_are_wrong_it_says_so(setting: Callable[..., Setting]) -> None:
    found = uncertainty.evaluate(setting(Wavering(always="nobody")))
    assert found.figures["AUROC: g-nll"] is None
    assert found.missing["AUROC: g-nll"] == "all 7 answers are wrong"
    assert value(found.figures["accuracy"]) == 0
    assert found.figures["ECE: g-nll"] is not None


def test_where_nothing_is_claimed_nothing_is_told(setting: Callable[..., Setting]) -> None:
    who = Scripted(lambda prompt: "I don't know.")
    found = run(setting(who), named(["uncertainty"])).outcomes["uncertainty"]
    assert found.figures["accuracy"] is None
    assert found.counts["idk"] == 8
    every = {**found.figures, **found.controls}
    assert set(found.missing) == {name for name, one in every.items() if one is None}


def test_a_real_model_has_every_score(
    setting: Callable[..., Setting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toys, "CONTEXT", 600)
    short = setting(Local(toys.model()), limit=3, samples=2)
    found = run(short, named(["uncertainty"])).outcomes["uncertainty"]
    assert len(found.items) == 3
    for item in found.items:
        if item.more["verdict"] == "wrong":
            assert {*SCORES, "correct", "expected accuracy"} == set(item.scores)
            assert 0 < item.scores["p(true)"] < 1
    again = uncertainty.evaluate(short)
    assert [item.scores for item in again.items] == [item.scores for item in found.items]
