"""Index: what each row of a collection is, without its values."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from repalign.activations.container import Activations
from repalign.errors import InputError
from repalign.storage import read_record, read_tensors, write_json, write_tensors

log = logging.getLogger("repalign")
TENSORS, WORDS = "index.safetensors", "index.json"
_FORMAT = "repalign-index-1"
_NUMBERS = ("example", "pos", "labels", "polarity")
_STRINGS = ("groups", "topics")


@dataclass(frozen=True)
class Index:
    """What each row is; the fields are those of `Activations`."""

    example: Int[np.ndarray, " row"]
    pos: Int[np.ndarray, " row"]
    labels: Int[np.ndarray, " row"]
    groups: Shaped[np.ndarray, " row"]
    topics: Shaped[np.ndarray, " row"]
    polarity: Int[np.ndarray, " row"]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.example)

    @classmethod
    def of(cls, held: "Index | Activations") -> "Index":
        """The index of activations."""
        if isinstance(held, Index):
            return held
        return cls(**{name: getattr(held, name) for name in (*_NUMBERS, *_STRINGS)})

    def fields(self) -> dict[str, np.ndarray]:
        """By name, as `Activations` takes them."""
        return {name: getattr(self, name) for name in (*_NUMBERS, *_STRINGS)}

    def fingerprint(self) -> str:
        """A hash of all fields."""
        found = hashlib.sha256()
        for name in _NUMBERS:
            found.update(getattr(self, name).astype("<i8").tobytes())
        for name in _STRINGS:
            found.update(json.dumps(getattr(self, name).tolist()).encode())
        return found.hexdigest()[:32]


def write_index(folder: Path, index: Index, shard_rows: Sequence[np.ndarray]) -> None:
    """Write an index, and which rows each shard holds."""
    tensors = {name: getattr(index, name).astype(np.int64) for name in _NUMBERS}
    words: dict[str, Any] = {"format": _FORMAT}
    for name in _STRINGS:
        distinct, codes = np.unique(getattr(index, name), return_inverse=True)
        tensors[name] = codes.reshape(-1).astype(np.int64)
        words[name] = distinct.tolist()
    tensors["shard_rows"] = np.concatenate(shard_rows).astype(np.int64)
    tensors["shard_sizes"] = np.array([len(rows) for rows in shard_rows])
    write_tensors(folder / TENSORS, tensors, {"format": _FORMAT})
    write_json(folder / WORDS, words)


def begin_index(folder: Path, index: Index, shard_rows: Sequence[np.ndarray]) -> None:
    """Write the index of a new store, which no other process may touch meanwhile."""
    for name in (TENSORS, WORDS):
        for path in folder.glob(f".{name}.*"):  # of a process that was killed here
            path.unlink()
    write_index(folder, index, shard_rows)


def read_index(
    folder: Path, ingredients: Mapping[str, Any]
) -> tuple[Index, list[Int[np.ndarray, " row"]]]:
    """Read an index and which rows each shard holds.

    Raises:
        InputError: it is missing, or not the one whose hashes are in the ingredients.
    """
    advice = "Run the command that collected it again: it writes the index anew and keeps shards."
    try:
        words = read_record(folder / WORDS, _FORMAT)
        names = (*_NUMBERS, *_STRINGS, "shard_rows", "shard_sizes")
        tensors = read_tensors(folder / TENSORS, names)
        numbers = {name: tensors[name] for name in _NUMBERS}
        strings = {name: np.array(words[name], dtype=np.str_)[tensors[name]] for name in _STRINGS}
        rows = np.split(tensors["shard_rows"], np.cumsum(tensors["shard_sizes"])[:-1])
    except (InputError, KeyError, IndexError) as error:
        raise InputError(f"The index of the store {folder} is damaged: {error} {advice}") from error
    index = Index(**numbers, **strings)
    found = {"index": index.fingerprint(), "shards": plan_fingerprint(rows)}
    if any(ingredients.get(name) != value for name, value in found.items()):
        raise InputError(f"The index of the store {folder} is damaged. {advice}")
    return index, rows


def mend_index(
    folder: Path, ingredients: Mapping[str, Any], index: Index, shard_rows: Sequence[np.ndarray]
) -> None:
    """Write the index of a store anew where the one on disk is damaged."""
    try:
        read_index(folder, ingredients)
    except InputError as error:
        log.warning("The index of the store %s is written anew: %s", folder, error)
        write_index(folder, index, shard_rows)


def check_plan(n_rows: int, shard_rows: Sequence[np.ndarray]) -> None:
    """Raise `InputError` unless each row is in one shard, and each shard holds a row."""
    every = np.concatenate([np.zeros(0, dtype=np.int64), *shard_rows])
    if not np.array_equal(np.sort(every), np.arange(n_rows)) or not all(map(len, shard_rows)):
        raise InputError(
            f"Shards hold {len(every)} rows of {n_rows}; each row must be in exactly one shard, "
            "and each shard must hold one at least."
        )


def plan_fingerprint(shard_rows: Sequence[np.ndarray]) -> str:
    """A hash of which rows each shard holds, in their order."""
    found = hashlib.sha256(np.array([len(rows) for rows in shard_rows], dtype="<i8").tobytes())
    for rows in shard_rows:
        found.update(rows.astype("<i8").tobytes())
    return found.hexdigest()[:32]
