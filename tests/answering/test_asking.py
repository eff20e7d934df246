"""answers(): what is kept belongs to a prompt's words; what did not come is asked again."""

from pathlib import Path

import pytest
from respondents import Scripted

from repalign.answering import Settings, answers
from repalign.errors import InputError
from repalign.examples import Example


def prompts(*words: str) -> list[Example]:
    return [Example.of_chat(word) for word in words]


def texts(found: list) -> list[str | None]:
    return [one.text for (one,) in found]


def test_a_longer_list_in_another_order_asks_only_what_is_new(tmp_path: Path) -> None:
    keep, who = tmp_path / "a.jsonl", Scripted(lambda prompt: prompt.text.upper())
    answers(who, prompts("a", "b"), keep=keep)
    who.asked.clear()
    assert texts(answers(who, prompts("c", "b", "a"), keep=keep)) == ["C", "B", "A"]
    assert who.asked == ["c"]


def test_the_same_words_twice_are_two_prompts(tmp_path: Path) -> None:
    numbers = iter("12345")
    keep, who = tmp_path / "a.jsonl", Scripted(lambda _: next(numbers))
    first = texts(answers(who, prompts("a", "a", "b"), keep=keep))
    assert first == ["1", "2", "3"]
    assert texts(answers(who, prompts("b", "a", "a"), keep=keep)) == ["3", "1", "2"]


def test_a_reply_that_did_not_come_is_said_and_asked_again(tmp_path: Path) -> None:
    keep, away = tmp_path / "a.jsonl", {"b"}
    who = Scripted(lambda prompt: None if prompt.text in away else prompt.text)
    first = answers(who, prompts("a", "b"), keep=keep)
    assert texts(first) == ["a", None]
    assert first[1][0].error == "went away"
    away.clear()
    who.asked.clear()
    assert texts(answers(who, prompts("a", "b"), keep=keep)) == ["a", "b"]
    assert who.asked == ["b"]


def test_answers_of_another_model_or_other_settings_are_refused(tmp_path: Path) -> None:
    keep = tmp_path / "a.jsonl"
    answers(Scripted(lambda _: "x", "one"), prompts("a"), keep=keep)
    with pytest.raises(InputError, match="model: one there, two here"):
        answers(Scripted(lambda _: "x", "two"), prompts("a"), keep=keep)
    with pytest.raises(InputError, match="max_new_tokens: 64 there, 5 here"):
        answers(Scripted(lambda _: "x", "one"), prompts("a"), Settings(max_new_tokens=5), keep=keep)


def test_progress_counts_what_was_kept_and_no_prompts_are_a_mistake(tmp_path: Path) -> None:
    keep, who, seen = tmp_path / "a.jsonl", Scripted(lambda _: "x"), []
    answers(who, prompts("a", "b"), keep=keep)
    answers(who, prompts("a", "b", "c"), keep=keep, progress=lambda *now: seen.append(now))
    assert seen == [(2, 3), (3, 3)]
    with pytest.raises(InputError, match="No prompts"):
        answers(who, [])
