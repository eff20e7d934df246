"""Kept: answers on disk, a line for each batch, so that no question is asked twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repalign.errors import InputError
from repalign.storage import Lines, differences, plain

FORMAT = "repalign-answers-1"


class Kept:
    """A file of JSON lines: what determines the answers, then the answers batch by batch.

    Several processes may add to one file. A batch whose line was torn or damaged is not there, so
    its prompts are asked again.
    """

    rows: dict[str, dict[str, Any]]
    """What is kept of each prompt, by its key; of two batches the last counts."""

    def __init__(self, path: Path, determined_by: Mapping[str, Any]) -> None:
        """Begin a file, or go on with one of the same answers.

        Args:
            path: of the file.
            determined_by: model, settings: whatever else than the prompt would change an answer.

        Raises:
            InputError: the file holds answers to something else, is no such file, or cannot be
                written.
        """
        self.path = path
        self.rows = {}
        here = {"format": FORMAT, **plain(determined_by)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = Lines(path, here)
        except (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise InputError(
                f"{path} cannot hold answers: {error.strerror}. Give another file."
            ) from error
        if found := differences(self._lines.header, here):
            raise InputError(
                f"{path} holds other answers. What differs is {'; '.join(found)}. Give another "
                "file, or remove this one."
            )
        self.refresh()

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Keep a batch; each row names its prompt by a key, as `prompt`.

        Raises:
            OSError: it could not be written; the file is as it was.
        """
        self._lines.append(_batch(rows))
        self.refresh()

    def refresh(self) -> None:
        """Read what other processes have added."""
        for batch in self._lines.new(_batch):
            self.rows |= {row["prompt"]: row for row in batch}


def _batch(rows: Any) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not all(type(row["prompt"]) is str for row in rows):
        raise TypeError("A batch is a list of rows, each with the key of its prompt.")
    return rows
