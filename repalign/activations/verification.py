"""Verification: what is wrong with a shard, before it is written and after, if anything is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from repalign.activations.index import Index
from repalign.activations.manifest import Header, Record
from repalign.activations.shards import open_shard
from repalign.errors import InputError
from repalign.storage import sha256


def damage(
    path: Path,
    shard: int,
    record: Record,
    header: Header,
    rows: Int[np.ndarray, " row"],
    full: bool,
) -> str | None:
    """Compare the file of a shard with what was recorded of it.

    Args:
        path: the file.
        shard: its number.
        record: its line in the manifest.
        header: the first line of the manifest.
        rows: the rows that it should hold.
        full: read every byte; else the values are not read.

    Returns:
        What is wrong, or None.
    """
    if not path.is_file():
        return f"missing file {path.name}"
    size = path.stat().st_size
    truncated = f"{path.name} is truncated: {size} bytes of {record.bytes}"
    try:
        held = open_shard(path, [str(site) for site in header.sites])
    except ValueError as error:
        return truncated if size < record.bytes else str(error)
    key, number = held.metadata.get("key"), held.metadata.get("shard")
    if key != header.key:
        return f"{path.name} belongs to another collection (key {key}, here {header.key})"
    if number != str(shard):
        return f"{path.name} is shard {number}, not {shard}"
    if size < record.bytes:
        return truncated
    if size > record.bytes:
        return f"{path.name} has {size} bytes; {record.bytes} were written"
    if not np.array_equal(held.rows, rows):
        return f"{path.name} holds other rows than were planned for it"
    if full and sha256(path) != record.sha256:
        return f"the content of {path.name} differs from its recorded SHA-256"
    return None


def check_finite(blocks: Mapping[str, Tensor], rows: np.ndarray, index: Index) -> None:
    """Raise `InputError` at a value that is NaN or infinite; it names site, row and example."""
    for site, block in blocks.items():
        # A sum that is finite has only finite terms; looking at each costs thirty times as much.
        if torch.isfinite(block.sum(dtype=torch.float32)):
            continue
        bad = ~torch.isfinite(block).all(dim=1)
        if bad.any():
            row = int(rows[int(bad.nonzero()[0])])
            raise InputError(
                f"{int(bad.sum())} of {len(rows)} activations at {site} are NaN or infinite, first "
                f"in row {row} (example {index.example[row]}, position {index.pos[row]}). Load the "
                "model with dtype='float32' or 'bfloat16'; float16 overflows in many models."
            )
