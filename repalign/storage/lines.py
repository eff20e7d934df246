"""Lines: a file of JSON lines that are only ever added, by any number of processes."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from repalign.errors import InputError
from repalign.storage.files import sync_folder, write_all
from repalign.storage.locks import locked

log = logging.getLogger("repalign")
_Record = TypeVar("_Record")


class Lines:
    """A file whose first line, the header, says what it is; each later line is a record.

    A record is on the disk when `append` returns, and stays whatever happens to its writer. A last
    line that a writer did not finish is passed over, and cut off by the next writer.

    Example:
        >>> def both(path):
        ...     file = Lines(path, {"format": "numbers-1", "of": "someone"})
        ...     file.append([1, 2])
        ...     return file.new(tuple)  # also what other processes have added
    """

    header: Mapping[str, Any]
    """What the file begins with; it may differ from what was given in all but its format."""

    def __init__(
        self, path: Path, header: Mapping[str, Any], before: Callable[[], None] | None = None
    ) -> None:
        """Open a file; where there is none, or no finished first line in it, begin it.

        Args:
            path: of the file, in a folder that is there.
            header: plain data, whose first entry is its `format`.
            before: called under the lock before the header is written.

        Raises:
            InputError: the file is of another format, or cannot be locked.
        """
        self.path = path
        mark = json.dumps({"format": header["format"]}).encode()[:-1]
        with locked(path) as handle:
            begun = _first_line(path)
            if not begun.endswith(b"\n"):
                if not begun.startswith(mark) and not mark.startswith(begun):
                    raise _foreign(path, None, header["format"])
                if before is not None:
                    before()
                os.ftruncate(handle, 0)
                _add(handle, 0, _line(dict(header)))
                sync_folder(path.parent)
        self._read_header(header["format"])

    @classmethod
    def open(cls, path: Path, form: str) -> "Lines | None":
        """Open a file and write nothing; None where there is none, or no finished line in it.

        Raises:
            InputError: it is of another format than `form`.
        """
        if not _first_line(path).endswith(b"\n"):
            return None
        found = cls.__new__(cls)
        found.path = path
        found._read_header(form)
        return found

    def new(self, read: Callable[[Any], _Record]) -> list[_Record]:
        """The records since the last call; all of them in the first one.

        Args:
            read: makes a record of the plain data of a line. A line that is not JSON, or for which
                this raises a ValueError, LookupError or TypeError, is damaged: it is named in the
                log and passed over.

        Raises:
            InputError: the file was removed meanwhile.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._end)
                content = file.read()
        except FileNotFoundError:
            raise _gone(self.path) from None
        whole = content[: content.rfind(b"\n") + 1]
        self._end += len(whole)
        records = []
        for line in whole.splitlines():
            try:
                records.append(read(json.loads(line)))
            except (ValueError, LookupError, TypeError):
                log.warning(
                    "%s holds a damaged line, which is passed over: %r", self.path, line[:200]
                )
        return records

    def append(self, record: Any) -> None:
        """Add a line; it is on the disk when this returns, and `new` will give it too.

        Raises:
            InputError: the file was removed or cut meanwhile.
            OSError: it could not be written; the file is as it was.
        """
        line = _line(record)
        with locked(self.path) as handle:
            size = os.fstat(handle).st_size
            if size < self._end:
                raise _gone(self.path)
            rest = os.pread(handle, size - self._end, self._end)
            end = self._end + rest.rfind(b"\n") + 1
            os.ftruncate(handle, end)
            _add(handle, end, line)

    def _read_header(self, form: str) -> None:
        line = _first_line(self.path)
        try:
            held = json.loads(line)
        except ValueError:
            held = None
        found = held.get("format") if isinstance(held, dict) else None
        if not isinstance(held, dict) or found != form:
            raise _foreign(self.path, found, form)
        self.header, self._end = held, len(line)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Name the entries that differ, as `weights: 1234 there, 5678 here`."""
    return [
        f"{name}: {_short(there, name)} there, {_short(here, name)} here"
        for name in dict.fromkeys((*here, *there))
        if name not in there or name not in here or there[name] != here[name]
    ]


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be when it has been written to JSON and read again."""
    return json.loads(json.dumps(dict(value), allow_nan=False))


def digest(value: Any) -> str:
    """A hash of plain data, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _short(held: Mapping[str, Any], name: str) -> str:
    if name not in held:
        return "nothing"
    text = held[name] if isinstance(held[name], str) else json.dumps(held[name])
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _foreign(path: Path, found: Any, wanted: str) -> InputError:
    return InputError(
        f"{path} begins with format {found!r}; this repalign reads {wanted!r} there. Give another "
        "file or another folder."
    )


def _gone(path: Path) -> InputError:
    return InputError(f"{path} was removed or cut while it was in use. Run the command again.")


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline()
    except FileNotFoundError:
        return b""


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _add(handle: int, end: int, line: bytes) -> None:
    try:
        os.lseek(handle, end, os.SEEK_SET)
        write_all(handle, memoryview(line))
        os.fsync(handle)
    except BaseException:
        os.ftruncate(handle, end)
        raise
