"""Lists: questions with several right answers, all of them known, beside ones with one."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from repalign.examples import Example


class Closed(NamedTuple):
    """A list that is complete, and questions about the same matter that have one answer."""

    name: str
    question: str
    members: tuple[tuple[str, ...], ...]
    """Each with its other names."""
    singles: tuple[tuple[str, tuple[str, ...]], ...]
    """Questions, each with its right answer and that one's other names."""


@cache
def closed() -> tuple[Closed, ...]:
    """Every list."""
    path = files("repalign.datasets").joinpath("texts", "lists.jsonl")
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return tuple(
        Closed(
            row["name"],
            row["question"],
            tuple(tuple(member) for member in row["members"]),
            tuple((one["question"], tuple(one["answer"])) for one in row["singles"]),
        )
        for row in rows
    )


def questions() -> list[Example]:
    """Return for each list the question for all of it, and those that have one answer.

    `meta` holds `question`, the number of right `answers`, and `members`: lines of right answers,
    each with `|` between its names. A list and its single questions are one group.
    """
    found = []
    for one in closed():
        found.append(_asked(one.name, one.question, one.members))
        found += [_asked(one.name, question, (answer,)) for question, answer in one.singles]
    return found


def _asked(name: str, question: str, members: Sequence[Sequence[str]]) -> Example:
    return Example.of_chat(
        question,
        None,
        None,
        f"lists:{name}",
        topic="lists",
        variant="single" if len(members) == 1 else "multiple",
        question=question,
        answer=members[0][0],
        answers=str(len(members)),
        members="\n".join("|".join(member) for member in members),
    )
