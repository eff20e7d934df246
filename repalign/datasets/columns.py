"""Columns: what the cells of a table mean, and the examples they make."""

import hashlib
import json
import math
from collections.abc import Mapping
from numbers import Number
from types import MappingProxyType

from repalign.datasets.files import Table, parse_json
from repalign.errors import InputError
from repalign.examples import Example, Message

LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "statement": ("statement",),
    "chat": ("prompt", "response"),
    "messages": ("messages",),
}
LEAST_ROWS = 4
_POLARITIES = {"affirmed": "affirmed", "negated": "negated", "1": "affirmed", "-1": "negated"}
_EXPECTED = (
    "Expected: statement,label, or prompt,response,label (system is optional), or messages,label; "
    "group, topic and polarity are optional."
)


def to_examples(table: Table, topic: str, require_labels: bool) -> list[Example]:
    """Make an example of every row.

    Args:
        table: the rows.
        topic: the topic of rows that name none.
        require_labels: refuse rows without a label, a single class and fewer than 4 rows.

    Raises:
        InputError: columns or cells that cannot be read, with the rows at which they stand.
    """
    layout = _layout(table, require_labels)
    messages = _messages(table, layout)
    labels = _labels(table, require_labels)
    polarities = _polarities(table)
    used = {*LAYOUTS[layout], "label", "group", "topic", "polarity"}
    if layout == "chat":
        used.add("system")
    examples: list[Example] = []
    for row, turns, label, polarity in zip(table.rows, messages, labels, polarities, strict=True):
        meta = {"topic": _cell_text(row.get("topic")) or topic}
        if polarity:
            meta["polarity"] = polarity
        for column, cell in row.items():
            if column not in used and (text := _cell_text(cell)):
                meta[column] = text
        group = _cell_text(row.get("group"))
        group = group if group.strip() else _own_group(turns)
        examples.append(Example(turns, label, group, MappingProxyType(meta)))
    if require_labels:
        _enough(table, labels)
    return examples


def _layout(table: Table, require_labels: bool) -> str:
    columns = set(table.columns)
    found = [name for name, needed in LAYOUTS.items() if columns.issuperset(needed)]
    listed = ", ".join(table.columns)
    if len(found) > 1:
        both = " and ".join(", ".join(LAYOUTS[name]) for name in found)
        raise InputError(
            f"{table.name} can be read in more than one way: it has {both}. Columns found: "
            f"{listed}. Keep the one to be read and rename the others."
        )
    if not found or (require_labels and "label" not in columns):
        missing = "'label'" if found else "'statement', no 'prompt' with 'response', no 'messages'"
        raise InputError(
            f"{table.name} has no column {missing}. Columns found: {listed}. {_EXPECTED}"
            f"{_column_hint(table)}"
        )
    if found != ["chat"] and "system" in columns:
        raise InputError(
            f"{table.name} has a column 'system' beside {LAYOUTS[found[0]][0]!r}; a system prompt "
            "is read only with prompt,response. Rename it, or use that format."
        )
    return found[0]


def _column_hint(table: Table) -> str:
    known = {"statement", "prompt", "response", "messages", "label", "system", "group"}
    for column in table.columns:
        if len(table.columns) == 1 and (mark := next((m for m in ";\t|," if m in column), "")):
            return (
                f" The only column is {column!r}, so the cells seem to be separated by {mark!r}: "
                "save the file with commas (.csv) or tabs (.tsv)."
            )
        lowered = column.strip().lower()
        if column not in known and lowered in known and lowered not in table.columns:
            return f" Rename {column!r} to {lowered!r}: names are lower case."
    return ""


def _messages(table: Table, layout: str) -> list[tuple[Message, ...]]:
    """Read the text of every row; problems are gathered by kind, so one message names all rows."""
    read = {"statement": _statement, "chat": _chat, "messages": _conversation}[layout]
    problems: dict[str, list[int]] = {}
    found: list[tuple[Message, ...]] = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        try:
            turns = read(row)
            _encodable(turns)
            Example(turns)  # its own rules: known roles, some text
        except InputError as error:
            problems.setdefault(str(error).rstrip("."), []).append(number)
        else:
            found.append(turns)
    if problems:
        what = "; ".join(f"{text} ({table.places(rows)})" for text, rows in problems.items())
        raise InputError(
            f"{table.name}: {what}. Every row needs its text: correct these rows or delete them."
        )
    return found


def _statement(row: Mapping[str, object]) -> tuple[Message, ...]:
    return (Message("text", _required(row, "statement")),)


def _chat(row: Mapping[str, object]) -> tuple[Message, ...]:
    system = row.get("system")
    turns = []
    if not _is_missing(system):
        turns.append(Message("system", _required(row, "system")))
    turns.append(Message("user", _required(row, "prompt")))
    turns.append(Message("assistant", _required(row, "response")))
    return tuple(turns)


def _conversation(row: Mapping[str, object]) -> tuple[Message, ...]:
    value = row.get("messages")
    if isinstance(value, str) and value.strip():
        try:
            value = parse_json(value)
        except InputError as error:
            raise InputError(f"'messages' is not JSON: {error}") from error
    if _is_missing(value):
        raise InputError("'messages' is empty")
    if not isinstance(value, list):
        raise InputError(f"'messages' is {_kind(value)}, not a list of {{role, content}}")
    return tuple(_turn(turn) for turn in value)


def _turn(turn: object) -> Message:
    if not isinstance(turn, dict):
        raise InputError(f"an entry of 'messages' is {_kind(turn)}, not {{role, content}}")
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise InputError(
            f"a message has {_kind(role)} as role and {_kind(content)} as content; both are text"
        )
    # Parquet fills the fields that other messages have with nulls: those say nothing.
    ignored = [key for key, cell in turn.items() if key not in ("role", "content") and cell]
    if ignored:
        raise InputError(f"a message has {', '.join(ignored)}; only role and content are read")
    return Message(role, content)


def _required(row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    if _is_missing(value):
        raise InputError(f"{column!r} is empty")
    if not isinstance(value, str):
        raise InputError(f"{column!r} is {_kind(value)}, not text")
    return value


def _encodable(turns: tuple[Message, ...]) -> None:
    for message in turns:
        try:
            message.content.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                "the text holds half of a surrogate pair, which is no character "
                f"(at character {error.start + 1})"
            ) from error


def _labels(table: Table, require_labels: bool) -> list[int | None]:
    wrong: dict[str, list[int]] = {}
    missing: list[int] = []
    labels: list[int | None] = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        value = row.get("label")
        label = None if _is_missing(value) else as_label(value)
        labels.append(label)
        if _is_missing(value):
            missing.append(number)
        elif label is None:
            wrong.setdefault(repr(value), []).append(number)
    if wrong:
        kinds = [f"{value} ({table.places(rows)})" for value, rows in wrong.items()]
        rest = f" and {len(kinds) - 5} other values" if len(kinds) > 5 else ""
        raise InputError(
            f"{table.name}: a label is 1 (honest, true) or 0 (dishonest, false), also written "
            f"1.0, 0.0, true or false. Found {', '.join(kinds[:5])}{rest}. "
            "Change these labels or delete the rows."
        )
    if missing and require_labels:
        raise InputError(
            f"{table.name}: no label ({table.places(missing)}). Fill in 1 (honest, true) or 0 "
            "(dishonest, false), or delete the rows. Texts without labels can only be scored "
            "(`repalign score`, or require_labels=False)."
        )
    return labels


def as_label(value: object) -> int | None:
    """Read a label: 1, 0, 1.0, 0.0, true and false, as numbers or words; None for all else."""
    if isinstance(value, str):
        words = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}
        return words.get(value.strip().lower())
    if isinstance(value, Number) and value in (0, 1):
        return int(value == 1)
    return None


def _polarities(table: Table) -> list[str]:
    wrong: dict[str, list[int]] = {}
    polarities: list[str] = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        text = _cell_text(row.get("polarity")).strip().lower()
        polarities.append(_POLARITIES.get(text, ""))
        if text and text not in _POLARITIES:
            wrong.setdefault(repr(row["polarity"]), []).append(number)
    if wrong:
        kinds = [f"{value} ({table.places(rows)})" for value, rows in list(wrong.items())[:5]]
        raise InputError(
            f"{table.name}: a polarity is affirmed or negated (or 1 and -1), or empty. Found "
            f"{', '.join(kinds)}. Rename the column if it means something else."
        )
    return polarities


def _enough(table: Table, labels: list[int | None]) -> None:
    if len(labels) < LEAST_ROWS:
        raise InputError(
            f"{table.name} has {len(labels)} rows with a label; at least {LEAST_ROWS} are needed, "
            "and some hundred for a usable interval. Add rows."
        )
    classes = set(labels)
    if len(classes) == 1:
        (only,) = classes
        raise InputError(
            f"{table.name}: all {len(labels)} rows have label {only}. Both are needed, 1 (honest, "
            f"true) and 0 (dishonest, false): add rows with label {0 if only else 1}."
        )


def _own_group(turns: tuple[Message, ...]) -> str:
    """Name the group of a row that states none: equal texts share it, also across files."""
    content = json.dumps([list(message) for message in turns])
    return f"text-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _is_missing(value: object) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _cell_text(value: object) -> str:
    """Write a cell so that it reads the same whichever format it came from."""
    if isinstance(value, str):
        return value
    if _is_missing(value):
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas turns 3 into 3.0 where a cell of the column is missing
    return str(value)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    words = {str: "text", list: "a list", dict: "an object", bool: "true or false"}
    if type(value) in words:
        return words[type(value)]
    return "a number" if isinstance(value, Number) else f"a {type(value).__name__}"
