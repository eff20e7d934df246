"""Rows of HonestLLM's stages: what they are made of, and what they leave for an audit."""

from repalign.datasets.limits import requests
from repalign.examples import limited
from repalign.judges import Case
from repalign.judges.parts import grade
from repalign.recipes.sources import limits
from repalign.recipes.sources.shown import ANSWERS, REQUESTS, shown


def test_a_suite_of_the_same_seed_asks_others() -> None:
    every = requests()
    drawn = limits._drawn(48, seed=3)
    assert len(drawn) == 48
    asked = {one.group for one in limited(every, len(every) - 48, seed=3)}
    assert not asked & {one.group for one in drawn}
    assert limits._drawn(10_000, seed=3) == every


def test_examples_go_ahead_of_the_request_and_are_none_of_the_data() -> None:
    prompt = requests()[0]
    turns = shown(prompt, "good").messages
    assert turns[-1] == prompt.messages[-1]
    assert [turn.role for turn in turns[:-1]] == ["user", "assistant"] * len(REQUESTS)
    assert turns[1].content == ANSWERS["good"][0]
    assert not set(REQUESTS) & {one.messages[-1].content for one in requests()}


def test_good_examples_are_better_than_bare_ones() -> None:
    kinds = ("physical", "latest", "incomplete", "professional")
    grades = {
        name: [
            grade(Case(asked, said, category=kind))
            for asked, said, kind in zip(REQUESTS, answers, kinds, strict=True)
        ]
        for name, answers in ANSWERS.items()
    }
    assert min(grades["good"]) >= limits.THRESHOLD > max(grades["bare"])
