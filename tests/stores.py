"""Stores of made-up activations, and what other processes do with them."""

import multiprocessing
import resource
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repalign.activations import Activations, Index, Store
from repalign.errors import InputError
from repalign.sites import Site

CONTEXT = multiprocessing.get_context("forkserver")
WIDTH = 12
SITES = (Site(0), Site(3, "mlp_out"), Site(11))
ROWS, SHARDS = 23, 4
INGREDIENTS = {"model": "toy", "revision": None, "weights": "1234", "span": "last"}


def held(rows: int = ROWS, sites: Sequence[Site] = SITES, seed: int = 0) -> Activations:
    """Random values; groups, topics and polarity differ from row to row."""
    generator = np.random.default_rng(seed)
    return Activations(
        values=generator.normal(size=(rows, len(sites), WIDTH)).astype(np.float32),
        sites=tuple(sites),
        example=np.arange(rows) // 2,
        pos=np.arange(rows) % 2 + 5,
        labels=np.arange(rows) % 3 - 1,
        groups=np.array([f"g{row // 4} é" for row in range(rows)]),
        topics=np.array(["", "sky", "sea"])[np.arange(rows) % 3],
        polarity=np.arange(rows) % 3 - 1,
        origin=INGREDIENTS,
    )


def cut(rows: int = ROWS, shards: int = SHARDS) -> list[np.ndarray]:
    """Shards of rows in an order that is not that of the examples."""
    return np.array_split(np.random.default_rng(1).permutation(rows), shards)


def make(
    folder: Path, of: Activations, shards: int = SHARDS, dtype: Any = "float32", **changes: Any
) -> Store:
    ingredients = {**INGREDIENTS, **changes}
    rows = cut(len(of), shards)
    return Store.create(folder, ingredients, of.sites, WIDTH, dtype, of, rows)


def values_of(store: Store, of: Activations, shard: int) -> dict[Site, torch.Tensor]:
    return {site: torch.from_numpy(of.at(site)[store.shard_rows[shard]]) for site in of.sites}


def fill(store: Store, of: Activations) -> list[int]:
    written = []
    for shard in store.missing():
        with store.claim(shard) as mine:
            if mine:
                store.write(shard, values_of(store, of, shard))
                written.append(shard)
    return written


def share(pipe: Connection, folder: Path, rows: int, shards: int) -> None:
    """Fill a store together with others that do the same."""
    given = held(rows)
    pipe.send("ready")
    pipe.recv()
    store = make(folder, given, shards)
    written: list[int] = []
    for shard in store.missing():
        with store.claim(shard) as mine:
            if mine:
                if not written:  # until each process holds one
                    pipe.send("holding")
                    pipe.recv()
                store.write(shard, values_of(store, given, shard))
                written.append(shard)
    pipe.send(written)


def hang(pipe: Connection, folder: Path, shard: int) -> None:
    """Take a shard, write the half of it, and wait to be killed."""
    with make(folder, held()).claim(shard) as mine:
        (folder / f".{shard:05}.safetensors.x7").write_bytes(b"half")
        pipe.send(mine)
        time.sleep(60)


def write_limited(pipe: Connection, folder: Path, rows: int, largest: int) -> None:
    """Fill a store where no file may become larger than some bytes."""
    given = held(rows)
    store = make(folder, given)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        fill(store, given)
    except InputError as error:
        pipe.send(str(error))


def read_limited(pipe: Connection, folder: Path, more: int) -> None:
    """Make 80 MB and read them where only some bytes more than now may be allocated."""
    n, width, sites = 8192, 256, [Site(layer) for layer in range(10)]
    rows = np.array_split(np.random.default_rng(0).permutation(n), 16)
    numbers = np.arange(n)
    words = np.full(n, "x")
    index = Index(numbers, numbers, numbers % 2, words, words, numbers * 0)
    store = Store.create(folder, {}, sites, width, "float32", index, rows)
    for shard in store.missing():
        with store.claim(shard):
            block = torch.from_numpy(np.float32(rows[shard]))[:, None].expand(-1, width)
            store.write(shard, {site: block + site.layer for site in sites})
    found = store.activations()
    allowed = more + _memory("VmData")
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
    before, most = _memory("RssAnon"), 0
    for site in sites:
        values = found.at(site)
        if not (values == (numbers + site.layer)[:, None]).all():
            raise AssertionError(f"{site} holds other values.")
        most = max(most, _memory("RssAnon") - before)
        del values
    picked = _memory("RssAnon")
    parts = [found.rows(numbers % 2 == parity).only(sites[3:]) for parity in (0, 1)]
    joined = Activations.join(parts)
    left = _memory("RssAnon") - picked
    try:
        everything = str(np.asarray(joined.values).shape)
    except MemoryError:
        everything = "MemoryError"
    pipe.send({"most": most, "left by picking": left, "everything": everything})


def _memory(kind: str) -> int:
    """Bytes of one kind that the kernel counts for this process."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{kind}:")[1].split()[0]) * 1024
