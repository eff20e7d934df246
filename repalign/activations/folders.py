"""The folder of a store: whether it may be used, and whether its disk has room."""

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from repalign.activations.manifest import FILE, Header
from repalign.errors import InputError
from repalign.storage import differences

LOCKS = "locks"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def prepare(folder: Path, header: Header) -> None:
    """Make the folder of a new store; one that holds a store stays as it is.

    Raises:
        InputError: it holds something else, cannot be made, or there is no room on its disk.
    """
    if (folder / FILE).exists():
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the activations.")
    # The manifest is the first file of a store, so a folder with files and without one is none.
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).exists():
        raise InputError(
            f"{folder} holds other files and no store of activations. Give an empty or a new "
            "folder."
        )
    check_room(folder, header, range(len(header.shards)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (PermissionError, NotADirectoryError) as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}.") from error


def check_same(folder: Path, there: Header, here: Header) -> None:
    """Raise `InputError` when a store holds another collection; it names what differs."""
    if there.key != here.key:
        found = "; ".join(differences(there.ingredients, here.ingredients))
        raise InputError(
            f"{folder} holds another collection. What differs is {found}. Give another folder, or "
            "remove this one."
        )


def check_room(folder: Path, header: Header, shards: Iterable[int]) -> None:
    """Raise `InputError` when shards that are to be written do not fit on the disk."""
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    needed, free = header.bytes_of(shards), shutil.disk_usage(standing).free
    if needed > free:
        half = " dtype bfloat16 takes half of it;" if header.dtype == "float32" else ""
        raise InputError(
            f"These activations need {in_bytes(needed)} in {folder}, and {in_bytes(free)} are free "
            f"there ({header.rows} rows, {len(header.sites)} sites, width {header.d_model}). Make "
            f"room, give a folder on another disk, or collect less:{half} every site takes "
            f"{in_bytes(needed // len(header.sites))}."
        )


@contextmanager
def naming_full_disk(folder: Path, needed: int, kept: Callable[[], str]) -> Iterator[None]:
    """Turn the error of a full disk into one that says what is needed, free and kept.

    Raises:
        InputError: the disk, the quota or the allowed size of a file is used up.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(folder).free
        raise InputError(
            f"{folder} could not take {in_bytes(needed)} more ({error.strerror}); "
            f"{in_bytes(free)} are free. {kept()} Make room and run the same command again: it "
            "goes on from there."
        ) from error


def in_bytes(count: int) -> str:
    """Print as `812 bytes`, `40.1 MB`, `3.2 GB`."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
