"""Kept: answers on disk, a line for each batch, so that no question is asked twice."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repalign.errors import InputError

FORMAT = "repalign answers 1"


class Kept:
    """A JSON-lines file: a first line that says what determines the answers, then the answers.

    A line holds a whole batch; one that a killed process left torn is dropped.
    """

    def __init__(self, path: Path, determined_by: Mapping[str, Any]) -> None:
        """Begin a file, or go on with one of the same answers.

        Args:
            path: of the file.
            determined_by: model, settings, questions: whatever would change an answer.

        Raises:
            InputError: the file holds answers to something else, or is no such file.
        """
        self.path = path
        self.rows: dict[int, dict[str, Any]] = {}
        header = {"format": FORMAT, **determined_by}
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        # What follows the last line break was torn.
        whole, torn = lines[:-1], bool(lines and lines[-1])
        if not whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_line(header), encoding="utf-8")
            return
        self._check(whole[0], json.loads(_line(header)))
        for line in whole[1:]:
            self.rows |= {row["question"]: row for row in json.loads(line)}
        if torn:
            path.write_bytes(b"\n".join(whole) + b"\n")

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Keep a batch; each row names its question by number."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(rows))
        self.rows |= {row["question"]: row for row in rows}

    def _check(self, line: bytes, header: dict[str, Any]) -> None:
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise InputError(f"{self.path} is no file of answers. Give another path.")
        other = [name for name in header if found.get(name) != header[name]]
        if other:
            raise InputError(
                f"{self.path} holds answers of another "
                + ", ".join(f"{name} ({found.get(name)!r}, now {header[name]!r})" for name in other)
                + ". Give another path, or delete it."
            )


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
