"""Texts with a question about one of their facts, and complete lists."""

from collections import Counter

from repalign import datasets
from repalign.datasets.facts import table
from repalign.datasets.lists import closed
from repalign.datasets.pairs import Claim
from repalign.datasets.topics import TOPICS


def test_the_answer_is_what_the_table_says_of_the_subject_asked_about() -> None:
    facts = {
        TOPICS[topic].wording.ask(Claim(fact.subject, fact.object, fact.object)): fact
        for topic in ("cities", "capitals", "currencies", "spanish")
        for fact in table(topic)
    }
    for example in datasets.load("passages"):
        fact = facts[example.meta["question"]]
        assert fact.object == example.meta["answer"]
        assert fact.subject in example.meta["context"]
        assert example.text == f"{example.meta['context']}\n\n{example.meta['question']}"


def test_other_objects_of_the_sort_asked_for_stand_in_each_text() -> None:
    for example in datasets.load("passages"):
        objects = {fact.object for fact in table(example.topic)} - {example.meta["answer"]}
        assert sum(name in example.meta["context"] for name in objects) >= 4


def test_no_fact_is_asked_for_twice_and_the_answer_stands_anywhere() -> None:
    rows = datasets.load("passages")
    assert len({row.group for row in rows}) == len(rows) == 180
    assert set(Counter(row.topic for row in rows).values()) == {45}
    texts = [(row.meta["context"], row.meta["answer"]) for row in rows]
    places = Counter(8 * text.index(answer) // len(text) for text, answer in texts)
    assert set(places) == set(range(8))
    assert max(places.values()) < 45, "of 180"


def test_lists_have_no_name_twice_and_each_its_single_questions() -> None:
    assert len(closed()) == len({one.name for one in closed()}) >= 24
    for one in closed():
        names = [name.lower() for names in one.members for name in names]
        assert len(set(names)) == len(names) >= 3, one.name
        assert len(one.singles) == 2
    rows = datasets.load("lists")
    assert Counter(row.meta["variant"] for row in rows) == {"multiple": 36, "single": 72}
    assert all(len(row.meta["members"].split("\n")) == int(row.meta["answers"]) for row in rows)
