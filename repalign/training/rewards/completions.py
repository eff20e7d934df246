"""Completions: what TRL hands to a reward function, as plain text and checked columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from repalign.errors import InputError

# Of TRL, beside the columns of the data.
_NO_COLUMNS = frozenset({"trainer_state", "log_extra", "log_metric", "environments"})
_MEANING: Mapping[str, str] = {
    "answers": "the accepted answers of each question, a list of texts; none where nobody can know",
    "known": "1 where the model knows the answer, 0 where it does not",
}


def said(completion: Any) -> str:
    """The text of a completion, which TRL gives as a text or as messages.

    Of several messages, such as calls of tools, it is the assistant's last one that answers.

    Example:
        >>> said("Paris."), said([{"role": "assistant", "content": "Paris."}])
        ('Paris.', 'Paris.')
    """
    return completion if isinstance(completion, str) else _last(completion, "assistant")


def asked(prompt: Any) -> str:
    """The question in a prompt: the whole text, or the user's last message."""
    return prompt if isinstance(prompt, str) else _last(prompt, "user")


def _last(messages: Sequence[Mapping[str, Any]], role: str) -> str:
    found = [message.get("content") for message in messages if message.get("role") == role]
    content = found[-1] if found else None
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def column(columns: Mapping[str, Any], name: str, needed_by: str) -> Sequence[Any]:
    """A column of the data.

    Raises:
        InputError: the data have no such column.
    """
    if name not in columns:
        there = ", ".join(sorted(set(columns) - _NO_COLUMNS)) or "none besides the prompt"
        raise InputError(
            f"The reward {needed_by} needs a column {name!r} in the training data: "
            f"{_MEANING[name]}. Columns there: {there}."
        )
    return columns[name]


def accepted(answers: Any, needed_by: str) -> list[str] | None:
    """The accepted answers of a row; None where nobody can know.

    Raises:
        InputError: something else than texts.
    """
    if isinstance(answers, str):
        # As a sequence it would be letters, each of them accepted.
        answers = [answers]
    if answers is not None and not (
        isinstance(answers, Sequence) and all(isinstance(one, str) for one in answers)
    ):
        raise InputError(
            f"The column 'answers' that the reward {needed_by} reads holds {answers!r}; give a "
            "list of texts, or none where nobody can know."
        )
    return list(answers) if answers else None
