"""Curiosity: three calls, every slot filled, and what came of those that were not answered."""

from pathlib import Path

import pytest
from respondents import Scripted

from repalign.answering import Settings
from repalign.errors import InputError
from repalign.examples import Example, Message
from repalign.knowledge.curiosity import NOTHING, about_doubts, about_merging, curious

# Words that a filling by search and replace would trip over.
TRICKY = "What is the [answer] to {doubts} of %s, {0} and the request?"


def _which(prompt: Example) -> str:
    words = prompt.messages[-1].content
    return "merged" if "noted down" in words else "doubts" if "Do not fulfil" in words else "raw"


def _says(prompt: Example) -> str:
    return f"said in {_which(prompt)}: [confusion] {{raw}} answer"


def test_every_slot_is_filled_once_whatever_stands_in_the_texts() -> None:
    prompt = Example.of_chat(TRICKY)
    raw, doubts = "The answer is {doubts}. [answer]", "I am puzzled by {raw} and [confusion]."
    second = about_doubts(prompt).messages[-1].content
    third = about_merging(prompt, raw, doubts).messages[-1].content
    assert second.count(TRICKY) == 1
    assert [third.count(part) for part in (TRICKY, raw, doubts)] == [1, 1, 1]
    assert third.index(TRICKY) < third.index(raw) < third.index(doubts)
    # Without what was filled in nothing is left that looks like a slot.
    for part in (TRICKY, raw, doubts):
        second, third = second.replace(part, ""), third.replace(part, "")
    assert not set("[]{}%<>") & set(second + third)


def test_the_template_itself_stays_as_it_is() -> None:
    prompt = Example.of_chat("Q")
    first, other = (
        about_merging(prompt, one, "D").messages[-1].content for one in ("R1", "a longer R2")
    )
    assert first.replace("R1", "a longer R2") == other


def test_what_stands_before_the_request_is_kept() -> None:
    turns = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello"))
    prompt = Example((*turns, Message("user", "Now?")))
    for made in (about_doubts(prompt), about_merging(prompt, "a", "b")):
        assert made.messages[:-1] == turns
        assert made.messages[-1].role == "user"


def test_three_calls_build_on_one_another(tmp_path: Path) -> None:
    who = Scripted(_says)
    prompts = [Example.of_chat(f"Request {i}") for i in range(2)]
    found = curious(who, prompts, keep=tmp_path)
    assert [_which(Example.of_chat(words)) for words in who.asked] == [
        *["raw"] * 2,
        *["doubts"] * 2,
        *["merged"] * 2,
    ]
    assert str(found[1].raw) in who.asked[5]
    assert str(found[1].doubts) in who.asked[5]
    assert "Request 1" in who.asked[5]
    assert "Request 0" not in who.asked[5]
    assert found[1].merged == _says(Example.of_chat(who.asked[5]))
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {
        "raw.jsonl",
        "doubts.jsonl",
        "merged.jsonl",
    }
    again = Scripted(lambda _prompt: pytest.fail("asked again"))
    assert curious(again, prompts, keep=tmp_path) == found


def test_a_call_that_is_not_answered_is_an_error_of_that_request_alone() -> None:
    def some(prompt: Example) -> str | None:
        lost = {"Request 0": "raw", "Request 1": "doubts", "Request 2": "merged"}
        words = prompt.messages[-1].content
        gone = any(name in words and _which(prompt) == call for name, call in lost.items())
        return None if gone else _says(prompt)

    who = Scripted(some)
    found = curious(who, [Example.of_chat(f"Request {i}") for i in range(4)])
    assert [one.error for one in found] == ["went away"] * 3 + [None]
    assert [one.merged is None for one in found] == [True, True, True, False]
    assert (found[0].raw, found[0].doubts is not None) == (None, True)
    assert sum(_which(Example.of_chat(words)) == "merged" for words in who.asked) == 2
    (nothing,) = curious(Scripted(lambda _prompt: None), [Example.of_chat("Q")])
    assert (nothing.merged, nothing.error) == (None, "went away")


def test_thoughts_are_left_out_of_the_third_call() -> None:
    words = about_merging(Example.of_chat("Q"), "<think>secret</think>A", "<think>only").messages
    assert "secret" not in words[-1].content
    assert NOTHING in words[-1].content


def test_refusals() -> None:
    with pytest.raises(InputError, match="role 'text'"):
        about_doubts(Example.of_text("It is"))
    with pytest.raises(InputError, match="role 'assistant'"):
        curious(Scripted(_says), [Example.of_chat("Q", "A")])
    with pytest.raises(InputError, match="3 were asked"):
        curious(Scripted(_says), [Example.of_chat("Q")], Settings(samples=3, temperature=1.0))
