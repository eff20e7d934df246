"""Asked: questions to be answered freely, with the answers that count as right."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repalign import datasets
from repalign.datasets.builtin import BUILTIN, BUILTIN_TOPICS
from repalign.errors import InputError
from repalign.examples import Example

_QUESTION, _ANSWERS = ("question", "prompt"), ("answer", "answers", "right")


@dataclass(frozen=True)
class Asked:
    """One question."""

    prompt: Example
    """Ends in the user's turn; its group is what intervals resample."""
    right: tuple[str, ...] | None
    """The right answer and its aliases; None where nobody can know."""

    @property
    def words(self) -> str:
        """The question itself."""
        return self.prompt.messages[-1].content


def asked(source: str | Path | Iterable[Example]) -> list[Asked]:
    """Read questions.

    Args:
        source: a built-in topic, such as `capitals`, or `invented`, whose questions nobody can
            answer; a JSON-lines file with `question` (or `prompt`) and `answer` (or `answers`,
            `right`), one or a list, where null says that nobody can know; or examples with
            `question` and `answer` in `meta`.

    Returns:
        Each question once, in order.

    Raises:
        InputError: a file that cannot be read, a question without words or without a right answer,
            or one that comes twice with different answers.
    """
    if isinstance(source, str) and source in BUILTIN_TOPICS:
        source = f"{source}_qa"
    if isinstance(source, str) and source not in BUILTIN:
        source = Path(source)
    if isinstance(source, Path):
        rows = [_of_row(row, f"{source}, line {n}") for n, row in _lines(source)]
    else:
        examples = (
            datasets.load(source, require_labels=False) if isinstance(source, str) else source
        )
        rows = [_of_example(example) for example in examples]
    found: dict[str, Asked] = {}
    for one in rows:
        if one.words in found and found[one.words].right != one.right:
            raise InputError(
                f"The question {one.words[:60]!r} comes twice, with right answers "
                f"{found[one.words].right} and {one.right}. Join them, or drop one."
            )
        found.setdefault(one.words, one)
    if not found:
        raise InputError("No questions were given.")
    return list(found.values())


def _lines(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. Questions are a built-in topic "
            f"({', '.join(BUILTIN_TOPICS)}, invented) or a JSON-lines file with `question` and "
            "`answer`."
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}, is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}, is no object with `question` and `answer`.")
        found.append((number, row))
    return found


def _of_row(row: Mapping[str, Any], place: str) -> Asked:
    question = next((row[name] for name in _QUESTION if name in row), None)
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{place}: a question is a text with words; {question!r} was given.")
    answers = [row[name] for name in _ANSWERS if name in row]
    if not answers:
        raise InputError(f"{place}: `answer` is missing; write null where nobody can know.")
    right = answers[0]
    if right is not None:
        right = [right] if isinstance(right, str) else right
        if not isinstance(right, list) or not right or not all(map(_worded, right)):
            raise InputError(
                f"{place}: `answer` is a text, a list of texts, or null where nobody can know; "
                f"{answers[0]!r} was given."
            )
        right = tuple(right)
    group = str(row.get("group") or question)
    return Asked(Example.of_chat(question, group=group), right)


def _of_example(example: Example) -> Asked:
    meta = example.meta
    turns = [turn for turn in example.messages if turn.role != "assistant"]
    if meta.get("knowable") == "no":
        return Asked(Example(tuple(turns), group=example.group), None)
    if "answer" not in meta:
        raise InputError(
            f"The example {example.text[:60]!r} names no right answer: meta needs `answer`, or "
            "`knowable` = `no`."
        )
    question = meta.get("question", turns[-1].content)
    return Asked(Example.of_chat(question, group=example.group), (meta["answer"],))


def _worded(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
