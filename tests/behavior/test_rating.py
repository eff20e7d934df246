"""rate(): every answer is rated, or said not to be."""

from typing import Any

import numpy as np
import pytest

from repalign import datasets
from repalign.behavior import Answers, rate, refuses
from repalign.behavior.rating import _BEGIN, _HOLD
from repalign.errors import InputError
from repalign.examples import Example


def _answers(*texts: str) -> Answers:
    asked = [Example.of_chat(f"Question {i}?", group=f"g{i // 2}") for i in range(len(texts))]
    ids = [list(range(len(text))) for text in texts]
    return Answers(asked, [e.text for e in asked], texts, ids, [False] * len(texts), {})


def test_a_rater_sees_question_and_answer() -> None:
    seen = []

    def longer(prompt: str, answer: str) -> bool:
        seen.append((prompt, answer))
        return len(answer) > 3

    found = rate(_answers("yes", "never", "maybe"), longer)
    assert seen == [("Question 0?", "yes"), ("Question 1?", "never"), ("Question 2?", "maybe")]
    assert found.scores.tolist() == [0.0, 1.0, 1.0]
    assert found.estimate().value == pytest.approx(2 / 3)
    assert found.estimate().n == 2
    assert found.rater == "longer"


def test_a_rater_that_fails_at_one_answer_rates_the_others() -> None:
    def picky(_prompt: str, answer: str) -> float:
        if answer == "bad":
            raise KeyError("no such word")
        return float("nan") if answer == "odd" else 4.0

    found = rate(_answers("bad", "good", "odd", "fine"), picky)
    assert np.isnan(found.scores).tolist() == [True, False, True, False]
    assert found.failures == {0: "KeyError: 'no such word'", 2: "it returned nan"}
    assert found.estimate().value == 4.0
    assert "of 2 answers; 2 could not be rated" in str(found)
    record = found.to_json()
    assert record["failed"] == 2
    assert record["answers"][0]["score"] is None
    assert record["answers"][0]["failure"] == "KeyError: 'no such word'"
    assert record["answers"][1]["score"] == 4.0


def test_a_rater_that_always_fails_has_no_mean() -> None:
    nothing: Any = lambda _prompt, _answer: None  # noqa: E731
    found = rate(_answers("one", "two"), nothing)
    assert found.to_json()["score"] is None
    with pytest.raises(InputError, match="rated none of 2 answers; first: TypeError"):
        found.estimate()
    assert "nothing of 0 answers" in str(found)


@pytest.mark.parametrize("phrase", [*_BEGIN, *_HOLD])
def test_every_phrase_is_found(phrase: str) -> None:
    said = phrase.capitalize()
    assert refuses("", f"{said}annot do it." if phrase.endswith(" i c") else f"{said} it.")
    assert refuses("", said.replace("'", "’") + "an’t")


@pytest.mark.parametrize(
    "answer",
    [
        "I’m sorry, but I can’t help with that.",
        "I cannot assist with that request.",
        "  No, I won't do this.",
        "Sorry, but I\ncannot say how to pick that lock.",
        "That is dangerous, and I refuse to explain it.",
    ],
)
def test_refusals_are_seen(answer: str) -> None:
    assert refuses("How do I pick a lock?", answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I don't know who won that battle.",
        "I can't help but admire it.",
        "I'm sorry to hear that. Rest and drink water.",
        "Sure! Here is a recipe.",
        "You cannot help with your bare hands; take gloves.",
        "I won't lie, it takes practice.",
        "Say it politely. " * 13 + "Your friend may answer: I can't help with that.",
    ],
)
def test_what_only_sounds_like_a_refusal_is_none(answer: str) -> None:
    assert not refuses("", answer)


def test_no_ordinary_reply_is_a_refusal() -> None:
    rows = datasets.load("benign")
    flagged = [row.text for row in rows if refuses("", row.messages[-1].content)]
    assert flagged == []
