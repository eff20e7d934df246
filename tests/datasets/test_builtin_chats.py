"""Personas, questions, invented things and benign chat."""

import re
from collections import Counter

import pytest

from repalign.datasets.builtin import BUILTIN, BUILTIN_TOPICS
from repalign.datasets.facts import table


@pytest.mark.parametrize("topic", BUILTIN_TOPICS)
def test_personas_say_the_same_true_statement(topic: str) -> None:
    true = {example.group: example.text for example in BUILTIN[topic].build() if example.label}
    told: dict[str, set[str]] = {}
    for example in BUILTIN[f"{topic}_persona"].build():
        prompt, reply = example.messages
        assert (prompt.role, reply.role) == ("user", "assistant")
        assert reply.content == true[example.group]
        assert (" dishonest " in prompt.content) == (example.label == 0)
        told.setdefault(example.group, set()).add(prompt.content)
    assert told.keys() == true.keys()
    assert len(set().union(*told.values())) == 2, "two prompts, the same for every statement"


@pytest.mark.parametrize("topic", BUILTIN_TOPICS)
def test_every_beginning_of_every_true_statement_is_there(topic: str) -> None:
    statements = [example.text for example in BUILTIN[topic].build() if example.label]
    expected = {
        " ".join(text.split(" ")[:count])
        for text in statements
        for count in range(1, len(text.split(" ")) + 1)
    }
    examples = BUILTIN[f"{topic}_persona_truncated"].build()
    told = Counter(example.messages[1].content for example in examples)
    assert told.keys() == expected
    assert set(told.values()) == {2}, "once by each persona"
    own = {example.group: example.text for example in BUILTIN[topic].build() if example.label}
    assert all(own[e.group].startswith(e.messages[1].content) for e in examples)


@pytest.mark.parametrize("topic", BUILTIN_TOPICS)
def test_answers_are_right_where_the_label_says_so(topic: str) -> None:
    for example in BUILTIN[f"{topic}_qa"].build():
        question, reply = (message.content for message in example.messages)
        gold = example.meta["answer"]
        right = reply.lower() in (f"{gold}.".lower(), f"the {gold}.".lower())
        assert right == (example.label == 1)
        assert example.meta["alternative"] != gold == example.meta["correct"]
        assert question == example.meta["question"]
        assert question.endswith("?")
        assert reply.endswith(".")


@pytest.mark.parametrize("topic", ["cities", "capitals", "currencies", "spanish"])
def test_alternatives_are_wrong(topic: str) -> None:
    facts = {fact.subject: fact for fact in table(topic)}
    for example in BUILTIN[f"{topic}_qa"].build():
        assert facts[example.meta["subject"]].excludes(example.meta["alternative"])


def test_invented_names_are_in_no_table() -> None:
    known = {
        word.lower()
        for name in ("cities", "capitals", "currencies", "spanish")
        for fact in table(name)
        for word in re.findall(r"\w+", f"{fact.subject} {fact.object}")
    }
    examples = BUILTIN["invented"].build()
    names = [example.meta["subject"] for example in examples]
    assert len(set(names)) == len(names) >= 200
    assert not known & {name.lower() for name in names}
    for example in examples:
        assert example.label is None
        assert example.meta["knowable"] == "no"
        assert [message.role for message in example.messages] == ["user"]
        assert example.meta["subject"] in example.text
    assert set(Counter(example.meta["kind"] for example in examples).values()) == {24}


def test_benign_turns_are_200_different_exchanges() -> None:
    examples = BUILTIN["benign"].build()
    assert len(examples) == 200
    for role in (0, 1):
        texts = {example.messages[role].content for example in examples}
        assert len(texts) == 200
        assert all(text == text.strip() for text in texts)
    assert {example.label for example in examples} == {None}
    assert {tuple(m.role for m in example.messages) for example in examples} == {
        ("user", "assistant")
    }
    assert len({example.group for example in examples}) == 200
    assert len({example.meta["kind"] for example in examples}) >= 15, "varied kinds"


def test_benign_turns_vary_in_wording_and_length() -> None:
    """A template or a run of near copies would share openings or lengths."""
    replies = [example.messages[1].content for example in BUILTIN["benign"].build()]
    lengths = sorted(len(reply.split()) for reply in replies)
    assert lengths[20] <= 15
    assert lengths[180] >= 35
    openings = Counter(tuple(reply.split()[:3]) for reply in replies)
    assert max(openings.values()) <= 3
