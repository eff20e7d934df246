"""Asked: questions to be answered freely, with the answers that count as right."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from repalign import datasets
from repalign.datasets.builtin import BUILTIN, BUILTIN_TOPICS
from repalign.datasets.files import Table, read_table
from repalign.errors import InputError
from repalign.examples import Example

log = logging.getLogger("repalign")
_QUESTION = ("question", "prompt")
_RIGHT = ("answer", "answers", "right", "correct answers", "ground_truth", "mc2_targets")
_WRONG = ("wrong", "alternative", "false_answer", "incorrect answers", "mc2_targets")
_FREE = {"capitals": "country_capitals"}
"""Topics whose questions to choose answers of are too hard, or odd, to be asked freely."""


@dataclass(frozen=True)
class Asked:
    """One question."""

    prompt: Example
    """Ends in the user's turn; its group is what intervals resample."""
    right: tuple[str, ...] | None
    """The right answer and its aliases; None where nobody can know."""
    wrong: tuple[str, ...] = ()
    """Answers that are wrong, where some are known."""

    @property
    def words(self) -> str:
        """The question itself."""
        return self.prompt.messages[-1].content


def asked(source: str | Path | Iterable[Example], *, knowable: bool = True) -> list[Asked]:
    """Read questions.

    Args:
        source: a built-in topic, such as `cities` (`capitals` asks for those of countries), or
            `invented`, whose questions nobody can answer; a file (.jsonl, .json, .csv, .tsv,
            .parquet) with `question` (or `prompt`) and `answer` (or `answers`, `right`, `Correct
            Answers`, `ground_truth`): a text, a list of texts, texts with `;` between them where
            the column is named in the plural, or nothing where nobody can know; `wrong` (or
            `alternative`, `false_answer`, `Incorrect Answers`) in the same way; or examples with
            `question` and `answer` in `meta`.
        knowable: False says that nobody can know any of them, whatever answers stand there.

    Returns:
        Each question once, in order.

    Raises:
        InputError: a file that cannot be read, a question without words or without a right answer,
            or one that comes twice with different answers.
    """
    if isinstance(source, str) and source in BUILTIN_TOPICS:
        source = _FREE.get(source, f"{source}_qa")
    if isinstance(source, str) and source not in BUILTIN:
        source = Path(source).expanduser()
    if isinstance(source, Path):
        rows = _of_table(_table(source), knowable)
    else:
        examples = (
            datasets.load(source, require_labels=False) if isinstance(source, str) else source
        )
        rows = [_of_example(example, knowable) for example in examples]
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


def _table(path: Path) -> Table:
    try:
        return read_table(path)
    except InputError as error:
        raise InputError(
            f"{error} Questions are a built-in topic ({', '.join(BUILTIN_TOPICS)}, invented) or a "
            "file with `question` and `answer`."
        ) from error


def _of_table(table: Table, knowable: bool) -> list[Asked]:
    columns = {column.lower(): column for column in table.columns}
    question = next((columns[name] for name in _QUESTION if name in columns), None)
    right = next((columns[name] for name in _RIGHT if name in columns), None)
    wrong = next((columns[name] for name in _WRONG if name in columns), None)
    if question is None or (right is None and knowable):
        lacking = "`question`" if question is None else "`answer`"
        raise InputError(
            f"{table.name} has no column {lacking}; its columns are {', '.join(table.columns)}. "
            "Rename the one that is meant; leave a row's `answer` empty where nobody can know."
        )
    found = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        place = f"{table.name}, {table.unit} {number}"
        words = row.get(question)
        if not isinstance(words, str) or not words.strip():
            raise InputError(f"{place}: a question is a text with words; {words!r} was given.")
        if right is not None and right not in row and knowable:
            raise InputError(f"{place}: `{right}` is missing; write null where nobody can know.")
        answers = _texts(row.get(right), right, place, 1) if right and knowable else ()
        findable = tuple(text for text in answers if any(map(str.isalnum, text)))
        if answers and not findable:
            # Natural Questions has an answer of three dashes.
            log.warning("%s is left out: %r holds no letter or digit to look for.", place, answers)
            continue
        group = str(row.get("group") or words.strip())
        found.append(
            Asked(
                Example.of_chat(words.strip(), group=group),
                findable or None,
                _texts(row.get(wrong), wrong, place, 0) if wrong else (),
            )
        )
    return found


def _texts(cell: object, column: str, place: str, wanted: int) -> tuple[str, ...]:
    """The texts in a cell; none where it is empty. `wanted` is what a table of targets marks."""
    nothing = ("", []) if wanted == 0 else ("",)
    if cell is None or cell in nothing or (isinstance(cell, float) and math.isnan(cell)):
        return ()
    if isinstance(cell, Mapping):
        # TruthfulQA's own table has a blank target.
        cell = [text for text, mark in cell.items() if mark == wanted and text.strip()]
    if isinstance(cell, str):
        # A semicolon at the end ends nothing.
        plural = column.lower().endswith("answers")
        cell = [text for text in cell.split(";") if text.strip()] if plural else [cell]
    if not isinstance(cell, list | tuple) or not cell or not all(map(_worded, cell)):
        raise InputError(
            f"{place}: `{column}` is a text, a list of texts, or null where nobody can know; "
            f"{cell!r} was given."
        )
    return tuple(text.strip() for text in cell)


def _of_example(example: Example, knowable: bool) -> Asked:
    meta = example.meta
    turns = [turn for turn in example.messages if turn.role != "assistant"]
    if meta.get("knowable") == "no" or not knowable:
        return Asked(Example(tuple(turns), group=example.group), None)
    if "answer" not in meta:
        raise InputError(
            f"The example {example.text[:60]!r} names no right answer: meta needs `answer`, or "
            "`knowable` = `no`."
        )
    question = meta.get("question", turns[-1].content)
    aliases = filter(None, meta.get("aliases", "").split("|"))
    return Asked(
        Example.of_chat(question, group=example.group),
        (meta["answer"], *aliases),
        (meta["alternative"],) if "alternative" in meta else (),
    )


def _worded(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())
