"""Files: JSON and safetensors, written whole or not at all; nothing pickled, ever."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from repalign.errors import InputError

# What files that can run code when opened begin with, and what they are called.
_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".npy", ".npz"})
_ZIP, _PICKLE = b"PK\x03\x04", tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def cache_dir() -> Path:
    """Where what can be made again is kept: `REPALIGN_CACHE`, or the user's cache."""
    own = os.environ.get("REPALIGN_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "repalign"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that appears only when `fill` has finished writing into it.

    When another process made the same folder meanwhile, its copy stays and ours is dropped.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        target = Path(temporary) / "content"
        target.mkdir()
        fill(target)
        try:
            target.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a stable layout. NaN and infinity are refused: JSON has no word for them."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is named.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a JSON file: {error}.") from None


def read_record(path: Path, form: str) -> dict[str, Any]:
    """Read a JSON object whose `format` is the one expected.

    Raises:
        InputError: the file is missing, is not JSON, or has another format.
    """
    record = read_json(path)
    found = record.get("format") if isinstance(record, dict) else None
    if found != form:
        raise InputError(f"{path} has format {found!r}; this version reads {form!r}.")
    return record


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write arrays as one safetensors file."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_atomic(path, save(contiguous, dict(metadata)))


def read_tensors(path: Path, names: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Read a safetensors file; anything that could run code is refused unread.

    Args:
        path: the file.
        names: what it must hold.

    Raises:
        InputError: the file is missing, a pickle, damaged, or lacks a name.
    """
    refuse_pickle(path)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or no safetensors file: {error}.") from None
    if missing := [name for name in names if name not in tensors]:
        raise InputError(f"{path} holds no {' and no '.join(missing)}: it is another kind of file.")
    return tensors


def refuse_pickle(path: Path) -> None:
    """Raise `InputError` when a file is missing, or looks like a pickle by name or first bytes."""
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    with path.open("rb") as file:
        begin = file.read(9)
    # safetensors begins with the length of its header, whose bytes may be those of a pickle, and
    # then the header, which is JSON.
    pickled = begin.startswith((_ZIP, *_PICKLE)) and begin[8:] != b"{"
    if path.suffix.lower() in _PICKLE_SUFFIXES or pickled:
        raise InputError(
            f"{path} looks like a pickle. Opening a pickle runs whatever code its author put in "
            "it, so repalign reads only safetensors and JSON. Ask for the file in that form, or "
            "refit the probe with `repalign probe`."
        )


def write_all(handle: int, content: memoryview) -> None:
    """Write all bytes: one call may take fewer than it is given."""
    while content:
        content = content[os.write(handle, content) :]


def sync_folder(folder: Path) -> None:
    """Put new names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
