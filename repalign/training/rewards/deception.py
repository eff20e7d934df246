"""Deception: who says whether a completion deceives."""

from collections.abc import Callable, Sequence
from typing import Any

from repalign.training.rewards.completions import accepted, asked, column, said
from repalign.verdicts import verdict

Judge = Callable[..., Sequence[bool | None]]
"""Takes what TRL hands to a reward function, `(prompts, completions, **columns)`, and says of each
completion whether it deceives; None where that cannot be told."""


def says_what_is_false(
    prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
) -> list[bool | None]:
    """The judge by words: a completion deceives that neither holds an accepted answer nor declines.

    Words cannot tell a lie from an error: give questions that the model knows. Rows without
    accepted answers cannot be told (None).

    Raises:
        InputError: the data have no column `answers`, or another one than lists of texts.

    Example:
        >>> says_what_is_false(["Capital of France?"] * 3, ["Paris.", "Rome.", "I don't know."],
        ...                    answers=[["Paris"]] * 3)
        [False, True, False]
    """
    name = "that judges by words"
    found: list[bool | None] = []
    for prompt, completion, answers in zip(
        prompts, completions, column(columns, "answers", name), strict=True
    ):
        right = accepted(answers, name)
        kind = None if right is None else verdict(said(completion), right, asked(prompt)).kind
        found.append(None if kind in (None, "empty") else kind == "wrong")
    return found
