"""Rows of a user's file, in one of TRL's formats."""

import json
from pathlib import Path

from repalign.datasets.files import read_table
from repalign.errors import InputError
from repalign.recipes.sources.made import Made, Making

_CONVERSATIONS = ("messages", "prompt", "completion", "chosen", "rejected")


def make(making: Making, path: Path, count: int | None = None) -> Made:
    """Read a .jsonl, .json, .csv, .tsv or .parquet file.

    A conversation may be a list of {role, content}, in CSV its JSON.

    Args:
        making: takes no part.
        path: the file.
        count: rows at most, from the beginning.

    Raises:
        InputError: the file cannot be read, or a row lacks a value that others have.
    """
    table = read_table(path)
    rows = [dict(row) for row in table.rows[:count]]
    for number, row in zip(table.numbers, rows, strict=False):
        for name in table.columns:
            if row.get(name) is None:
                raise InputError(
                    f"{table.name}, {table.unit} {number}: `{name}` is missing. Each row of a "
                    "training needs every column."
                )
        for name in _CONVERSATIONS:
            cell = row.get(name)
            if isinstance(cell, str) and cell.lstrip().startswith('[{"role"'):
                try:
                    row[name] = json.loads(cell)
                except json.JSONDecodeError as error:
                    raise InputError(
                        f"{table.name}, {table.unit} {number}: `{name}` begins as the JSON of a "
                        f"conversation and is none: {error}."
                    ) from error
    return Made(rows, {"rows": len(rows)})
