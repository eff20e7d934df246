"""Manifest: what a store holds, as lines that are only ever added to one file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repalign.activations.shards import TORCH
from repalign.errors import InputError
from repalign.sites import Site
from repalign.storage import Lines, digest

FILE = "manifest.jsonl"
FORMAT = "repalign-activations-1"


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

    def to_json(self) -> dict[str, Any]:
        """As the first line of the file."""
        return {
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

    @classmethod
    def from_json(cls, held: Mapping[str, Any], path: Path) -> "Header":
        """Read the first line.

        Raises:
            InputError: it is damaged.
        """
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
    """The file of a store, read a line at a time as processes add to it."""

    def __init__(self, lines: Lines) -> None:
        """Read an open file; `open` and `make` open one."""
        self.header = Header.from_json(lines.header, lines.path)
        self.records: dict[int, Record] = {}
        self._lines = lines
        self.refresh()

    @classmethod
    def open(cls, path: Path) -> "Manifest":
        """Read the manifest in a file.

        Raises:
            InputError: there is none, or no finished first line in it.
        """
        lines = Lines.open(path, FORMAT)
        if lines is None:
            raise InputError(
                f"{path.parent} holds no store of activations: {path.name} is missing or its first "
                "line was never finished. Make one with `repalign collect`."
            )
        return cls(lines)

    @classmethod
    def make(cls, path: Path, header: Header, before: Callable[[], None]) -> "Manifest":
        """Write the first line, unless a process did already: then its line stays.

        Args:
            path: the file.
            header: what to write.
            before: called under the lock, before the line is written.
        """
        return cls(Lines(path, header.to_json(), before))

    def refresh(self) -> None:
        """Read what other processes have added."""
        for record in self._lines.new(self._record):
            self.records[record.shard] = record

    def append(self, record: Record) -> None:
        """Add the line of a finished shard; it is on the disk when this returns.

        Raises:
            OSError: it could not be written; the file is as it was.
        """
        self._lines.append(asdict(record))
        self.refresh()

    def _record(self, held: Any) -> Record:
        # A line that is damaged, or of a shard that was not planned, has its shard computed again.
        record = Record(**held)
        self.header.shards[record.shard]
        return record
