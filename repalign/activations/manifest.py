"""Manifest: what a store holds, as lines that are only ever added to one file."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repalign.activations.locks import locked
from repalign.activations.shards import TORCH, sync_folder, write_all
from repalign.errors import InputError
from repalign.sites import Site

FILE = "manifest.jsonl"
FORMAT = "repalign-activations-1"
_MARK = json.dumps({"format": FORMAT}).encode()[:-1]
log = logging.getLogger("repalign")


@dataclass(frozen=True)
class Header:
    """The first line: what is collected, from what, and how it is cut into shards."""

    ingredients: Mapping[str, Any]
    """Everything that decides the values. The key is their hash."""
    origin: Mapping[str, Any]
    sites: tuple[Site, ...]
    d_model: int
    dtype: str
    shards: tuple[int, ...]
    """Rows of each shard."""

    @property
    def key(self) -> str:
        """The hash of the ingredients: equal for collections whose shards can be mixed."""
        return digest(self.ingredients)

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(self.shards)

    def bytes_of(self, shards: Iterable[int]) -> int:
        """About how many bytes shards take; their headers are counted generously."""
        size = TORCH[self.dtype].itemsize
        each_row, each_shard = (
            8 + len(self.sites) * self.d_model * size,
            512 + 128 * len(self.sites),
        )
        return sum(self.shards[shard] * each_row + each_shard for shard in shards)

    def to_line(self) -> bytes:
        """As the first line of the file."""
        held = {
            "format": FORMAT,
            "key": self.key,
            "rows": self.rows,
            "sites": [str(site) for site in self.sites],
            "d_model": self.d_model,
            "dtype": self.dtype,
            "shards": list(self.shards),
            "ingredients": dict(self.ingredients),
            "origin": dict(self.origin),
        }
        return json.dumps(held, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes, path: Path) -> "Header":
        """Read the first line.

        Raises:
            InputError: it belongs to another program or version, or is damaged.
        """
        try:
            held = json.loads(line)
        except ValueError:
            held = None
        found = held.get("format") if isinstance(held, dict) else None
        if not isinstance(held, dict) or found != FORMAT:
            raise InputError(
                f"{path} begins with format {found!r}; this repalign reads {FORMAT!r}. Give "
                "another folder."
            )
        header = cls(
            held["ingredients"],
            held["origin"],
            tuple(Site.parse(site) for site in held["sites"]),
            held["d_model"],
            held["dtype"],
            tuple(held["shards"]),
        )
        if header.key != held["key"]:
            raise InputError(
                f"The first line of {path} is damaged: its ingredients do not give its key. "
                "Remove the folder and collect again."
            )
        return header


@dataclass(frozen=True)
class Record:
    """A later line: a finished shard. Of two lines for one shard the last counts."""

    shard: int
    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest:
    """The file of a store, read a line at a time as processes add to it.

    A last line that its writer did not finish is passed over, and cut off by the next writer.
    """

    def __init__(self, path: Path) -> None:
        """Read the manifest in a file.

        Raises:
            InputError: there is none, or no finished first line in it.
        """
        self.path = path
        self.records: dict[int, Record] = {}
        self._end = 0
        lines = self._new_lines()
        if not lines:
            raise InputError(
                f"{path.parent} holds no store of activations: {path.name} is missing or its first "
                "line was never finished. Make one with `repalign collect`."
            )
        self.header = Header.from_line(lines[0], path)
        self._take(lines[1:])

    @classmethod
    def make(cls, path: Path, header: Header, before: Callable[[], None]) -> "Manifest":
        """Write the first line, unless a process did already: then its line stays.

        Args:
            path: the file.
            header: what to write.
            before: called under the lock, before the line is written.
        """
        with locked(path) as handle:
            content = os.pread(handle, os.fstat(handle).st_size, 0)
            if b"\n" not in content:
                if not content.startswith(_MARK) and not _MARK.startswith(content):
                    raise InputError(f"{path} is not the manifest of a store. Give another folder.")
                before()
                os.ftruncate(handle, 0)
                _add(handle, 0, header.to_line())
                sync_folder(path.parent)
        return cls(path)

    def refresh(self) -> None:
        """Read what other processes have added."""
        self._take(self._new_lines())

    def append(self, record: Record) -> None:
        """Add the line of a finished shard; it is on the disk when this returns.

        Raises:
            OSError: it could not be written; the file is as it was.
        """
        line = json.dumps(asdict(record)).encode() + b"\n"
        with locked(self.path) as handle:
            self.refresh()
            os.ftruncate(handle, self._end)
            _add(handle, self._end, line)
        self.refresh()

    def _new_lines(self) -> list[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(self._end)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._end += len(whole)
        return whole.splitlines()

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                record = Record(**json.loads(line))
                self.header.shards[record.shard]
            except (ValueError, TypeError, IndexError):
                # The shard it told of has no line now, and so is computed again.
                log.warning("%s holds a damaged line, which is passed over: %r", self.path, line)
                continue
            self.records[record.shard] = record


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Name the ingredients that differ, as `weights: 1234 there, 5678 here`."""
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


def _add(handle: int, end: int, line: bytes) -> None:
    try:
        os.lseek(handle, end, os.SEEK_SET)
        write_all(handle, memoryview(line))
        os.fsync(handle)
    except BaseException:
        os.ftruncate(handle, end)
        raise
