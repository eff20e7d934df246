"""Store: activations on disk, filled by any number of processes, and kept when they are killed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from repalign.activations import folders
from repalign.activations.container import Activations
from repalign.activations.index import (
    Index,
    begin_index,
    check_plan,
    mend_index,
    plan_fingerprint,
    read_index,
)
from repalign.activations.manifest import FILE, FORMAT, Header, Manifest, Record
from repalign.activations.shards import TORCH, leftovers, on_cpu, open_shard, write_shard
from repalign.activations.status import Status
from repalign.activations.stored import StoredValues
from repalign.activations.verification import check_finite, damage
from repalign.errors import InputError, unknown
from repalign.sites import Site
from repalign.storage import claimed, is_claimed, plain

log = logging.getLogger("repalign")


class Store:
    """A folder of activations: a manifest, an index of the rows, and shards of their values.

    Processes claim shards one by one, also on several machines that share the folder; a shard
    appears whole or not at all. What is finished stays finished when a process is killed, and the
    same command computes only the rest.

    Example:
        >>> def fill(store, compute):
        ...     for shard in store.missing():
        ...         with store.claim(shard) as mine:
        ...             if mine:
        ...                 store.write(shard, compute(store.shard_rows[shard]))
    """

    def __init__(
        self, folder: Path, manifest: Manifest, index: Index, shard_rows: Sequence[np.ndarray]
    ) -> None:
        """Hold an open store; `create` and `open` make one."""
        self.folder = folder
        self.header = manifest.header
        self.index = index
        self.shard_rows = shard_rows
        """The rows of each shard, in the order in which `write` takes them."""
        self._manifest = manifest
        self._claimed: set[int] = set()
        # The line that each shard had when it was looked at last, and what was wrong with it.
        self._looked: dict[int, tuple[Record, str | None]] = {}

    @classmethod
    def create(
        cls,
        folder: Path | str,
        ingredients: Mapping[str, Any],
        sites: Sequence[Site],
        d_model: int,
        dtype: str,
        index: Index | Activations,
        shard_rows: Sequence[Int[np.ndarray, "..."]],
        *,
        origin: Mapping[str, Any] | None = None,
    ) -> "Store":
        """Make a store, or open the one that holds the same collection.

        Args:
            folder: a new or empty folder, or a store.
            ingredients: everything that decides the values, as plain data: model, revision,
                weights, tokenizer, span, texts and so on. Sites, width, dtype, the index and the
                cut into shards are added to it.
            sites: the sites of every row.
            d_model: width of a state.
            dtype: float32, or bfloat16, which takes half the room and keeps 8 bits of each value.
            index: what each row is, in the order of the examples.
            shard_rows: the rows of each shard, in the order in which `write` will take them; each
                row is in one shard.
            origin: what `Activations.origin` will be; the ingredients by default.

        Raises:
            InputError: the folder holds another collection or something else, the disk has no room
                for all of it, rows are in no shard or in two, or the dtype is another one.
        """
        if dtype not in TORCH:
            raise unknown("dtype of a store", dtype, TORCH)
        folder, held = Path(folder), Index.of(index)
        rows = [np.asarray(part, dtype=np.int64) for part in shard_rows]
        check_plan(len(held), rows)
        cut = {"index": held.fingerprint(), "shards": plan_fingerprint(rows)}
        kept = {"sites": [str(site) for site in sites], "d_model": d_model, "stored_dtype": dtype}
        header = Header(
            ingredients=plain({**ingredients, **kept, **cut}),
            origin=plain(ingredients if origin is None else origin),
            sites=tuple(sites),
            d_model=d_model,
            dtype=dtype,
            shards=tuple(len(part) for part in rows),
        )
        folders.prepare(folder, header)
        with folders.naming_full_disk(folder, 100 * len(held), lambda: "Nothing is lost."):
            manifest = Manifest.make(folder / FILE, header, lambda: begin_index(folder, held, rows))
            folders.check_same(folder, manifest.header, header)
            mend_index(folder, header.ingredients, held, rows)
        store = cls(folder, manifest, held, rows)
        folders.check_room(folder, header, store.missing())
        return store

    @classmethod
    def open(cls, folder: Path | str) -> "Store":
        """Open a store that is there, finished or not.

        Raises:
            InputError: there is none, or its index is damaged.
        """
        folder = Path(folder)
        manifest = Manifest.open(folder / FILE)
        return cls(folder, manifest, *read_index(folder, manifest.header.ingredients))

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites of every row."""
        return self.header.sites

    @property
    def complete(self) -> bool:
        """Whether every shard is there."""
        return not self.missing()

    def missing(self) -> list[int]:
        """Shards that are not there or damaged, by what all processes have written until now."""
        self._manifest.refresh()
        return [shard for shard in range(len(self.shard_rows)) if self._is_missing(shard)]

    def verify(self, full: bool = False) -> dict[int, str]:
        """Look for damaged shards, which count as missing from then on; each is logged.

        Args:
            full: read every byte and compare its SHA-256; else sizes, keys and row numbers only.

        Returns:
            Why each damaged shard is damaged.
        """
        self._manifest.refresh()
        return {
            shard: reason
            for shard, record in sorted(self._manifest.records.items())
            if (reason := self._look(shard, record, full)) is not None
        }

    @contextmanager
    def claim(self, shard: int) -> Iterator[bool]:
        """Try to take a shard, for as long as the context lasts or this process lives.

        Yields:
            Whether this process has it now and it is still to be computed.
        """
        lock = self._lock(shard)
        with folders.naming_full_disk(self.folder, 0, self._kept):
            lock.parent.mkdir(exist_ok=True)
            lock.touch()
        with claimed(lock) as held:
            if held:
                self._manifest.refresh()
            if not held or not self._is_missing(shard):
                yield False
                return
            for path in leftovers(self._file(shard)):
                path.unlink(missing_ok=True)
            self._claimed.add(shard)
            try:
                yield True
            finally:
                self._claimed.discard(shard)

    def write(self, shard: int, values: Mapping[Site, Float[Tensor, "row d_model"]]) -> None:
        """Write a shard that this process has claimed.

        Args:
            shard: its number.
            values: at every site, one row for each of `shard_rows[shard]`, in that order.

        Raises:
            InputError: values that are not finite, sites or shapes other than planned, or a disk
                without room; the shards that are finished stay.
        """
        if shard not in self._claimed:
            raise InputError(f"Shard {shard} was not claimed; write it inside `claim({shard})`.")
        rows, header, path = self.shard_rows[shard], self.header, self._file(shard)
        if set(values) != set(self.sites):
            raise InputError(
                f"Shard {shard} was given {', '.join(map(str, sorted(values)))}; the store holds "
                f"{', '.join(map(str, self.sites))}."
            )
        shape = (len(rows), header.d_model)
        names = {str(site): site for site in self.sites}
        blocks = {n: on_cpu(n, values[site], header.dtype, shape) for n, site in names.items()}
        check_finite(blocks, rows, self.index)
        metadata = {"format": FORMAT, "key": header.key, "shard": str(shard)}
        with folders.naming_full_disk(self.folder, header.bytes_of([shard]), self._kept):
            written, hashed = write_shard(path, rows, blocks, metadata)
            self._manifest.append(Record(shard, path.name, len(rows), written, hashed))

    def status(self) -> Status:
        """How far the store is, by what is on the disk now; nothing but small parts is read."""
        damaged, missing = self.verify(), self.missing()
        done = sorted(set(range(len(self.shard_rows))) - set(missing))
        return Status(
            folder=self.folder,
            rows_done=sum(len(self.shard_rows[shard]) for shard in done),
            rows=self.header.rows,
            shards_done=len(done),
            shards=len(self.shard_rows),
            claimed=tuple(shard for shard in missing if is_claimed(self._lock(shard))),
            damaged=damaged,
            bytes=sum(self._manifest.records[shard].bytes for shard in done),
            bytes_expected=self.header.bytes_of(range(len(self.shard_rows))),
            dtype=self.header.dtype,
            sites=self.sites,
            origin=self.header.origin,
            ingredients=self.header.ingredients,
        )

    def activations(self) -> Activations:
        """Everything that was collected, in the order of the examples; values stay on disk.

        Raises:
            InputError: shards are missing or damaged.
        """
        self.verify()
        if missing := self.missing():
            raise InputError(
                f"{len(missing)} of {len(self.shard_rows)} shards of {self.folder} are missing "
                f"({_listed(missing)}). Run the command that collected it again: it computes only "
                "these."
            )
        names = [str(site) for site in self.sites]
        files = [open_shard(self._file(shard), names) for shard in range(len(self.shard_rows))]
        part = np.empty(self.header.rows, dtype=np.int64)
        place = np.empty(self.header.rows, dtype=np.int64)
        for shard, file in enumerate(files):
            part[file.rows] = shard
            place[file.rows] = np.arange(len(file.rows))
        values = StoredValues(files, part, place, (len(names), self.header.d_model))
        return Activations(
            values=values, sites=self.sites, origin=self.header.origin, **self.index.fields()
        )

    def _kept(self) -> str:
        done = len(self.shard_rows) - len(self.missing())
        return f"{done} of {len(self.shard_rows)} shards are finished and kept."

    def _file(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.safetensors"

    def _lock(self, shard: int) -> Path:
        return self.folder / folders.LOCKS / f"{shard:05}.lock"

    def _is_missing(self, shard: int) -> bool:
        record = self._manifest.records.get(shard)
        if record is None:
            return True
        looked = self._looked.get(shard)
        if looked is not None and looked[0] is record:
            return looked[1] is not None
        return self._look(shard, record, full=False) is not None

    def _look(self, shard: int, record: Record, full: bool) -> str | None:
        path, rows = self._file(shard), self.shard_rows[shard]
        reason = damage(path, shard, record, self.header, rows, full)
        if reason is not None and self._looked.get(shard) != (record, reason):
            log.warning("Shard %d of %s is damaged: %s", shard, self.folder, reason)
        self._looked[shard] = (record, reason)
        return reason


def _listed(shards: Sequence[int]) -> str:
    shown = ", ".join(map(str, shards[:8]))
    return shown if len(shards) <= 8 else f"{shown}, …"
