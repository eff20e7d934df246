"""Judges: what is ruled, what is an error, and how agreement is counted."""

from pathlib import Path

import pytest
from respondents import Scripted

from repalign.errors import InputError
from repalign.judges import RUBRICS, ByModel, Case, Rubric, Ruling, Words, agreement, calls
from repalign.judges.reading import scores, yes_or_no

ADMITS, H2, PREFERS = RUBRICS["admits"], RUBRICS["h2"], RUBRICS["prefers"]
CASES = [
    Case(f"Question {i}?", f"answer {word}", required="say so", category="latest")
    for i, word in enumerate(("good", "bad", "strange", "lost"))
]
SAID = {"good": "Yes.", "bad": "no", "strange": "blue", "lost": None}


def _by_the_word(prompt) -> str | None:
    words = prompt.messages[-1].content
    return next(said for word, said in SAID.items() if f"answer {word}" in words)


def test_garbage_and_silence_are_errors_and_nothing_else_is_lost() -> None:
    good, bad, strange, lost = ByModel(Scripted(_by_the_word)).rules(ADMITS, CASES)
    assert (good, bad) == (Ruling(1.0, "Yes."), Ruling(0.0, "no"))
    assert strange.value is None
    assert (strange.said, strange.error) == ("blue", "it says neither yes nor no")
    assert lost.value is None
    assert lost.error == "no answer: went away"


def test_a_case_without_a_ruling_is_asked_again_and_the_others_are_not(tmp_path: Path) -> None:
    keep = tmp_path / "judged.jsonl"
    ByModel(Scripted(_by_the_word)).rules(ADMITS, CASES, keep=keep)
    again = Scripted(lambda _prompt: "yes")
    found = ByModel(again).rules(ADMITS, CASES, keep=keep)
    assert [one.value for one in found] == [1.0, 0.0, None, 1.0]
    assert len(again.asked) == 1
    assert "answer lost" in again.asked[0]


def test_words_refuse_what_they_cannot_tell() -> None:
    for rubric in (H2, PREFERS):
        with pytest.raises(InputError, match="--judge MODEL"):
            Words().rules(rubric, [])
    with pytest.raises(InputError, match="modality"):
        Words().rules(ADMITS, [Case("Q", "A", category="modalities")])


def test_what_a_prompt_needs_is_asked_for() -> None:
    with pytest.raises(InputError, match="required"):
        ADMITS.asks(Case("Q", "A"))
    with pytest.raises(InputError, match="other"):
        PREFERS.asks(Case("Q", "A"))


class _Labelled(Rubric):
    """A rubric whose labelled cases stand in the test."""

    rows: tuple[tuple[Case, float], ...] = ()

    def labelled(self) -> list[tuple[Case, float]]:
        return list(type(self).rows)


def test_agreement_of_yes_and_no_by_hand() -> None:
    class Eight(_Labelled):
        # Labels 1 1 1 1 0 0 0 0, said: yes yes no blue, yes no no no; one is unread.
        rows = tuple(
            (Case(f"Q{i}", said), float(i < 4))
            for i, said in enumerate(("yes", "yes", "no", "blue", "yes", "no", "no", "no"))
        )

    rubric = Eight("eight", "x", "yes or no", lambda case: case.answer, yes_or_no)
    found = agreement(ByModel(Scripted(lambda prompt: prompt.text)), rubric)
    assert (found["cases"], found["unread"]) == (8, 1)
    cells = [found[name] for name in ("both", "labelled_only", "found_only", "neither")]
    assert cells == [2, 1, 1, 3]
    assert found["agreement"]["value"] == pytest.approx(5 / 7)
    assert found["precision"]["value"] == pytest.approx(2 / 3)
    # Chance: (3/7)(3/7) + (4/7)(4/7) = 25/49; (35/49 - 25/49) / (24/49).
    assert found["kappa"]["value"] == pytest.approx(10 / 24)


def test_agreement_of_scores_by_hand() -> None:
    class Four(_Labelled):
        # Labels 2 4 6 8, said 3 4 9 8: three within a point; ranks 1 2 3 4 against 1 2 4 3.
        rows = tuple(
            (Case(f"Q{i}", f"Overall: {said}"), float(label))
            for i, (label, said) in enumerate(((2, 3), (4, 4), (6, 9), (8, 8)))
        )

    rubric = Four("four", "x", "score", lambda c: c.answer, lambda s: scores(s, (), "Overall"))
    found = agreement(ByModel(Scripted(lambda prompt: prompt.text)), rubric)
    assert found["agreement"]["value"] == pytest.approx(3 / 4)
    assert found["correlation"] == pytest.approx(0.8)


def test_a_judge_that_cannot_be_read_agrees_with_nobody_and_one_that_never_changes_its_mind() -> (
    None
):
    garbage = agreement(ByModel(Scripted(lambda _prompt: "blue")), PREFERS)
    assert garbage == {"cases": 56, "unread": 56, "agreement": None}
    same = "Explanation: 5\nSolution: 5\nGuidance: 5\nOverall: 5"
    assert agreement(ByModel(Scripted(lambda _prompt: same)), H2)["correlation"] is None
    # 48 of 56 are no ties, and half of these are labelled first.
    first = agreement(ByModel(Scripted(lambda _prompt: "first")), PREFERS)
    assert first["agreement"]["value"] == pytest.approx(24 / 56)


def test_what_judging_costs_is_counted_before_anyone_is_asked() -> None:
    found = calls(H2, CASES, (1.0, 10.0))
    assert found.prompts == 4
    letters = sum(len(H2.asks(case)) for case in CASES)
    assert found.cost.prompt_tokens == pytest.approx(letters / 4, abs=1)
    assert found.cost.answer_tokens == 4 * H2.max_new_tokens
    assert found.cost.dollars == pytest.approx(
        (found.cost.prompt_tokens + 10 * found.cost.answer_tokens) / 1e6
    )
    assert calls(ADMITS, []).prompts == 0
