"""Examples: what can only be a mistake is refused where it is made."""

from typing import Any

import pytest

from repalign.errors import InputError
from repalign.examples import Example, Message, labelled


def test_a_text_is_kept_letter_by_letter() -> None:
    example = Example.of_text("  Two < nine.\n", 1, "g", topic="numbers", polarity="negated")
    assert example.messages == (("text", "  Two < nine.\n"),)
    assert example.text == "  Two < nine.\n"
    assert (example.label, example.group, example.topic) == (1, "g", "numbers")
    assert not example.is_chat


def test_a_chat_has_its_turns_in_order() -> None:
    example = Example.of_chat("Q?", "A.", 0, system="Be kind.")
    assert [tuple(message) for message in example.messages] == [
        ("system", "Be kind."),
        ("user", "Q?"),
        ("assistant", "A."),
    ]
    assert example.is_chat
    assert example.text == "Be kind.\nQ?\nA."


def test_an_absent_answer_is_no_turn_and_an_empty_one_is() -> None:
    assert [message.role for message in Example.of_chat("Q?").messages] == ["user"]
    assert [message.role for message in Example.of_chat("Q?", "").messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("meta", "polarity"),
    [({"polarity": "affirmed"}, 1), ({"polarity": "negated"}, -1), ({}, 0), ({"polarity": "?"}, 0)],
)
def test_polarity_is_a_sign(meta: Any, polarity: int) -> None:
    assert Example.of_text("It is so.", **meta).polarity == polarity


def test_meta_cannot_be_changed() -> None:
    example = Example.of_text("It is so.", topic="a")
    with pytest.raises(TypeError):
        example.meta["topic"] = "b"  # type: ignore[index]


@pytest.mark.parametrize(
    ("messages", "label", "message"),
    [
        ((), None, "at least one message"),
        ((Message("robot", "Hi."),), None, "role 'robot' is not one of text, system, user"),
        ((Message("text", "A."), Message("user", "B.")), None, "whole text by itself"),
        ((Message("text", " \n\t"),), None, "every message of this one is empty"),
        ((Message("text", "A."),), 2, "label is 1, 0 or None; this example has 2"),
        ((Message("text", "A."),), -1, "this example has -1"),
    ],
)
def test_mistakes_are_refused(messages: Any, label: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Example(messages, label)


def test_labelled_wants_both_labels_on_every_row() -> None:
    true, false = Example.of_text("A.", 1), Example.of_text("B.", 0)
    assert labelled(iter([true, false])) == [true, false]
    with pytest.raises(
        InputError, match=r"1 of 3 examples have no label \(the first is number 2\)"
    ):
        labelled([true, false, Example.of_text("C.")])
    with pytest.raises(InputError, match=r"both labels, 1 and 0; 2 examples .* labels \['1'\]"):
        labelled([true, true])
    with pytest.raises(InputError, match="0 examples"):
        labelled([])
