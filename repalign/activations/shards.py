"""Shard: the values of some rows at every site in one safetensors file."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from repalign.errors import InputError
from repalign.storage import sync_folder, write_all

TORCH: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ROWS = "rows"
"""The tensor that says which rows of the collection a shard holds."""

# numpy has no bfloat16: its 16 bits are read as an integer and put above 16 zero bits.
_ON_DISK = {"F32": np.dtype("<f4"), "BF16": np.dtype("<u2")}
_MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class ShardFile:
    """Where a shard's values lie in its file; they stay there until they are asked for."""

    path: Path
    code: str
    """How safetensors calls the number format."""
    d_model: int
    offsets: tuple[int, ...]
    """First byte of each column; a column is a site."""
    rows: Int[np.ndarray, " row"]
    metadata: Mapping[str, str]

    def pick(self, column: int, place: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row d_model"]:
        """Read one column of some rows; nothing else of the file is touched.

        Raises:
            InputError: the file is gone or has become shorter.
        """
        try:
            block = np.memmap(
                self.path,
                _ON_DISK[self.code],
                "r",
                self.offsets[column],
                (len(self.rows), self.d_model),
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path} was changed or removed while it was read: {error}. Run the command "
                "that collected it again; it computes what is missing."
            ) from error
        found = np.asarray(block[place])
        if self.code == "BF16":
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found

    def only(self, columns: Sequence[int]) -> "ShardFile":
        """The same file, with some of its columns."""
        return replace(self, offsets=tuple(self.offsets[column] for column in columns))


def open_shard(path: Path, columns: Sequence[str]) -> ShardFile:
    """Read where everything lies in a shard, and no values.

    Raises:
        ValueError: it is no shard with these columns; says why.
        FileNotFoundError: there is no such file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise ValueError(f"{path.name} ends within its header")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise ValueError(f"{path.name} has a damaged header: {error}") from error
        try:
            metadata, entry = header["__metadata__"], header[ROWS]
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            rows = np.frombuffer(file.read(end - begin), "<i8")
            found = [header[column] for column in columns]
            width = {tuple(column["shape"]) for column in found}
            code = {column["dtype"] for column in found}
            offsets = tuple(8 + length + int(column["data_offsets"][0]) for column in found)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.name} lacks {error}") from error
    if len(width) != 1 or len(code) != 1 or not code <= set(_ON_DISK):
        raise ValueError(f"{path.name} holds shapes {sorted(width)} of {sorted(code)}")
    return ShardFile(path, code.pop(), int(width.pop()[1]), offsets, rows, metadata)


def write_shard(
    path: Path,
    rows: Int[np.ndarray, " row"],
    blocks: Mapping[str, Shaped[Tensor, "row d_model"]],
    metadata: Mapping[str, str],
) -> tuple[int, str]:
    """Write a shard under a temporary name and rename it when it is on the disk.

    The same content always gives the same bytes. Blocks are written one by one, so nothing but
    them is held in memory.

    Returns:
        The bytes written and their SHA-256.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    buffers: dict[str, tuple[str, np.ndarray]] = {ROWS: ("I64", rows.astype("<i8"))}
    for name, block in blocks.items():
        bits = block.view(torch.uint16) if block.dtype == torch.bfloat16 else block
        code = "BF16" if block.dtype == torch.bfloat16 else "F32"
        buffers[name] = (code, bits.contiguous().numpy())
    digest, written = hashlib.sha256(), 0
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        try:
            pieces = [memoryview(_header(buffers, metadata))]
            pieces += [array.data for _, array in buffers.values()]
            for view in (piece.cast("B") for piece in pieces):
                digest.update(view)
                written += len(view)
                write_all(handle, view)
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return written, digest.hexdigest()


def leftovers(path: Path) -> Iterator[Path]:
    """Temporary files of a shard; all are of dead processes when its claim is held."""
    return path.parent.glob(f".{path.name}.*")


def on_cpu(
    site: str, values: Shaped[Tensor, "..."], dtype: str, shape: tuple[int, int]
) -> Float[Tensor, "row d_model"]:
    """The values of one site in the memory of the CPU and the format they are kept in.

    Raises:
        InputError: another shape than planned.
    """
    if tuple(values.shape) != shape:
        raise InputError(
            f"{site} was given values of shape {tuple(values.shape)}; the shard holds {shape}."
        )
    return values.detach().to(device="cpu", dtype=TORCH[dtype]).contiguous()


def _header(buffers: Mapping[str, tuple[str, np.ndarray]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name, (code, array) in buffers.items():
        end = begin + array.nbytes
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that values lie at multiples of their size
    return len(text).to_bytes(8, "little") + text
