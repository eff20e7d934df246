"""Table: the rows of a data file, each with the number by which a user finds it."""

import csv
import difflib
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from repalign.errors import InputError, MissingExtraError

_SHOWN = 5  # row numbers in a message; the rest are counted
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Table:
    """Rows of cells, as they were read and before they mean anything."""

    name: str
    """What the user called it."""
    unit: str
    """What `numbers` count: `line` (the header is line 1) or `row` (the first row is 1)."""
    columns: tuple[str, ...]
    numbers: tuple[int, ...]
    """One per row."""
    rows: tuple[Mapping[str, object], ...]

    def places(self, numbers: Sequence[int]) -> str:
        """Name rows in words: `line 3`, `lines 3, 7 and 9`, `lines 3, 4, 5, 6, 7 and 12 more`."""
        shown = [str(number) for number in numbers[:_SHOWN]]
        if len(numbers) > _SHOWN:
            return f"{self.unit}s {', '.join(shown)} and {len(numbers) - _SHOWN} more"
        if len(shown) == 1:
            return f"{self.unit} {shown[0]}"
        return f"{self.unit}s {', '.join(shown[:-1])} and {shown[-1]}"


def read_table(path: Path) -> Table:
    """Read a .csv, .tsv, .jsonl, .json (a list of objects) or .parquet file.

    Text files are UTF-8; a byte-order mark is skipped. CSV and TSV quote as spreadsheets do: a cell
    that holds the separator, a quote or a line break stands in double quotes, and a quote inside it
    is doubled. Columns without a name (an index that pandas wrote) are left out.

    Raises:
        InputError: there is no such file, its ending is not one of these, or its content is broken.
        MissingExtraError: a Parquet file, and pyarrow is not installed.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name one file in it: {_listing(path)}.")
    if not path.exists():
        raise missing_file(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path} ends in {path.suffix!r}; repalign reads {', '.join(READERS)}. "
            "Convert it, or rename it if it is one of these."
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes). Give a file with one example a row.")
    table = reader(path)
    if not table.rows:
        raise InputError(f"{path} has no rows. Give a file with one example a row.")
    return table


def missing_file(path: Path) -> InputError:
    """Build the error for a file that is not there, naming the files near it."""
    folder = path.parent
    if not folder.is_dir():
        return InputError(
            f"There is no file {path}: its folder {folder} does not exist either. "
            f"Paths are read from {Path.cwd()}."
        )
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        hint = f"Did you mean {' or '.join(str(folder / name) for name in near)}?"
    else:
        hint = f"Data files in {folder.resolve()}: {_listing(folder)}."
    return InputError(f"There is no file {path}. {hint}")


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in READERS)
    names = names or [f"none (repalign reads {', '.join(READERS)})"]
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def _text(path: Path) -> str:
    content = path.read_bytes()
    advice = (
        "Save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8'), or convert it with "
        "iconv -f ENCODING -t UTF-8."
    )
    if content.startswith(_UTF16_MARKS):
        raise InputError(
            f"{path} is not UTF-8: bytes {content[:2].hex(' ')} at offset 0 mark UTF-16. {advice}"
        )
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8: byte {content[error.start]:#04x} at offset {error.start} "
            f"(line {line}). {advice}"
        ) from error


def _unique(name: Path, columns: Sequence[str]) -> None:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise InputError(
            f"{name} has more than one column {', '.join(map(repr, twice))}. "
            f"Columns found: {', '.join(columns)}. Rename or remove all but one."
        )


@contextmanager
def _long_cells() -> Generator[None]:
    """Lift the csv module's limit of 131,072 characters a cell: long dialogues are ordinary."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """Cells with the line on which each record begins; a cell in quotes may span lines."""
    # strict, because a lenient reader takes everything after an unclosed quote for one cell.
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    records: list[tuple[int, list[str]]] = []
    begins = 1
    with _long_cells():
        try:
            for cells in reader:
                records.append((begins, cells))
                begins = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{path}, in the row that begins on line {begins}: {error}. A cell that holds the "
                "separator, a quote or a line break must stand in double quotes, with each quote "
                "inside it doubled."
            ) from error
    while records and not records[-1][1]:
        records.pop()
    return records


def _read_delimited(path: Path, delimiter: str) -> Table:
    records = _records(path, delimiter)
    if not records:
        raise InputError(f"{path} holds only blank lines. Give a file with one example a row.")
    columns = [column.strip() for column in records[0][1]]
    _unique(path, [column for column in columns if column])
    numbers: list[int] = []
    rows: list[dict[str, object]] = []
    ragged: list[tuple[int, int]] = []
    for number, cells in records[1:]:
        if not cells and len(columns) > 1:
            continue
        cells = cells or [""]  # in a file of one column, a blank line is an empty cell
        if len(cells) != len(columns):
            ragged.append((number, len(cells)))
            continue
        numbers.append(number)
        rows.append({column: cell for column, cell in zip(columns, cells, strict=True) if column})
    table = Table(str(path), "line", tuple(filter(None, columns)), tuple(numbers), tuple(rows))
    if ragged:
        first, found = ragged[0]
        others = f" ({len(ragged)} rows differ)" if len(ragged) > 1 else ""
        raise InputError(
            f"{path}: the header has {len(columns)} columns, but line {first} has {found}{others}. "
            "Put cells that hold the separator in double quotes, or fill in the missing cells."
        )
    return table


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InputError(f"The key {twice!r} occurs twice in one object.")
    return cells


def _constant(word: str) -> float:
    if word == "NaN":  # pandas and numpy write missing cells so
        return float("nan")
    raise InputError(f"{word} is not JSON.")


def parse_json(text: str) -> object:
    """Parse one JSON value; a key that occurs twice in an object is an error.

    Raises:
        InputError: the text is not JSON; the message is the parser's, with its position.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except InputError:
        raise
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise InputError(f"{error.msg} ({line}character {error.colno}).") from error
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{error}.") from error
    except RecursionError as error:
        raise InputError("It is nested too deeply.") from error


def _from_objects(path: Path, unit: str, numbers: list[int], values: list[object]) -> Table:
    rows: list[dict[str, object]] = []
    for number, value in zip(numbers, values, strict=True):
        if not isinstance(value, dict):
            raise InputError(
                f"{path}, {unit} {number} is {_shorten(json.dumps(value))}, not an object. Each "
                'row must look like {"statement": "…", "label": 1}.'
            )
        rows.append({str(key): cell for key, cell in value.items()})
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Table(str(path), unit, columns, tuple(numbers), tuple(rows))


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _read_jsonl(path: Path) -> Table:
    numbers: list[int] = []
    values: list[object] = []
    # Only at line feeds: str.splitlines would also cut at U+2028, which may stand inside a string.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values.append(parse_json(line))
        except InputError as error:
            raise InputError(
                f"{path}, line {number} cannot be read as a JSON object. {error} The line begins "
                f"{_shorten(line)!r}. Write one object a line."
            ) from error
        numbers.append(number)
    return _from_objects(path, "line", numbers, values)


def _read_json(path: Path) -> Table:
    try:
        value = parse_json(_text(path))
    except InputError as error:
        hint = " Name a file with one object a line .jsonl." if "Extra" in str(error) else ""
        raise InputError(f"{path} is not JSON: {error}{hint}") from error
    if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
        value = list(value.values())  # objects under names that are no part of them
    if not isinstance(value, list):
        raise InputError(
            f"{path} holds {_shorten(json.dumps(value))}, not a list. Write a list of objects, "
            'such as [{"statement": "…", "label": 1}, …].'
        )
    return _from_objects(path, "row", list(range(1, len(value) + 1)), value)


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {path} needs pyarrow: pip install pyarrow. Or save the data as CSV or JSONL."
        ) from error
    try:
        content = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error} Write it anew.") from error
    columns = tuple(content.column_names)
    _unique(path, columns)
    rows = tuple(content.to_pylist())
    return Table(str(path), "row", columns, tuple(range(1, len(rows) + 1)), rows)


READERS: Mapping[str, Callable[[Path], Table]] = {
    ".csv": partial(_read_delimited, delimiter=","),
    ".tsv": partial(_read_delimited, delimiter="\t"),
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
