"""Samples: questions and requests of repalign as Inspect wants them."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser

from repalign import datasets
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.datasets.limits import REQUIRED
from repalign.errors import InputError, unknown
from repalign.examples import limited
from repalign.knowledge import Asked, asked

NOBODY = "(nobody can know)"
"""Shown as the target of a question without an answer."""
SEED = 0
"""Of the choice of questions; the same questions are asked in every run."""


def questions(
    data: str | Sequence[str], limit: int | None, instruction: str | None
) -> list[Sample]:
    """Questions to be answered freely; data sets take turns, so that any beginning has all.

    Args:
        data: built-in topics, `invented`, or files as `knowledge.asked` reads them.
        limit: groups of questions of each data set; None takes all.
        instruction: put in front of each question.

    Raises:
        InputError: a data set that does not exist or cannot be read.
    """
    parts = [
        [_question(name, number, row, instruction) for number, row in _asked(name, limit)]
        for name in _names(data)
    ]
    return _in_turns(parts)


def disputed(data: str | Sequence[str], limit: int | None) -> list[Sample]:
    """Questions of which a right answer and a wrong one are known, in turns of the data sets.

    Raises:
        InputError: a data set that does not exist, cannot be read, or knows no wrong answers.
    """
    parts = []
    for name in _names(data):
        rows = [(number, row) for number, row in _asked(name, limit) if row.right and row.wrong]
        if not rows:
            raise InputError(
                f"{name} has no question with both a right answer and a wrong one, which the user "
                "is to name; a file has it in a column `wrong`."
            )
        parts.append([_question(name, number, row, None) for number, row in rows])
    return _in_turns(parts)


def beyond(categories: str | Sequence[str] | None) -> list[Sample]:
    """Requests that an assistant cannot fulfil, in turns of the categories.

    Raises:
        InputError: a category that does not exist.
    """
    wanted = list(REQUIRED) if categories is None else _names(categories)
    for category in wanted:
        if category not in REQUIRED:
            raise unknown("category", category, REQUIRED)
    parts: dict[str, list[Sample]] = {category: [] for category in wanted}
    for one in datasets.load("limits", require_labels=False):
        category, words = one.meta["category"], one.messages[-1].content
        if category in parts:
            about = _about("limits", one.group, words, None)
            about |= {"category": category, "required": one.meta["required"]}
            parts[category].append(
                Sample(
                    input=[ChatMessageUser(content=words)],
                    target=one.meta["required"],
                    id=one.group.replace(":", "-"),
                    metadata=about,
                )
            )
    return _in_turns(list(parts.values()))


def _question(name: str, number: int, row: Asked, instruction: str | None) -> Sample:
    asks = row.words if instruction is None else f"{instruction.rstrip()}\n\n{row.words}"
    right = None if row.right is None else list(row.right)
    return Sample(
        input=[ChatMessageUser(content=asks)],
        target=NOBODY if right is None else right,
        id=f"{Path(name).stem}-{number}",
        metadata={
            **_about(name, row.prompt.group, row.words, right),
            **({"wrong": list(row.wrong)} if row.wrong else {}),
        },
    )


def _about(data: str, group: str, question: str, right: list[str] | None) -> dict[str, Any]:
    """What scorers and metrics read; `right` None says that there is no answer."""
    return {"data": data, "group": group, "question": question, "right": right}


def _names(data: str | Sequence[str]) -> list[str]:
    names = data.split(",") if isinstance(data, str) else list(data)
    found = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not found:
        raise InputError("No data set was named; leave `data` out to take those of the package.")
    return found


def _asked(name: str, limit: int | None) -> list[tuple[int, Asked]]:
    """The questions of a data set that are asked, with their numbers in it."""
    if limit is not None and limit < 1:
        raise InputError(f"A limit is 1 or more groups of questions; {limit} was given.")
    if not Path(name).suffix and name not in (*BUILTIN_TOPICS, "invented"):
        raise unknown("data set of questions", name, (*BUILTIN_TOPICS, "invented"))
    rows = asked(name)
    prompts = [row.prompt for row in rows]
    kept = {one.group for one in (prompts if limit is None else limited(prompts, limit, SEED))}
    return [(n, row) for n, row in enumerate(rows, start=1) if row.prompt.group in kept]


def _in_turns(parts: Sequence[Sequence[Sample]]) -> list[Sample]:
    return [one for one in chain.from_iterable(zip_longest(*parts)) if one is not None]
