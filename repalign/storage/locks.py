"""Locks between processes; the kernel frees them when a process ends, however it ends."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repalign.errors import InputError

_BUSY = frozenset({errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN})
_NONE = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
# A look by `is_claimed` holds a lock for microseconds; a claim that meets it tries once more.
_AGAIN_SECONDS = 0.005


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock on a file, waiting for it; the file is made where it is missing.

    Yields:
        A descriptor of the file, open for reading and writing.

    Raises:
        InputError: the file system has no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(handle, path, wait=True)
        yield handle
    finally:
        _close(handle)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Try to hold the lock on a file without waiting; yields whether it is held.

    Raises:
        InputError: the file system has no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        held = _lock(handle, path, wait=False)
        if not held:
            time.sleep(_AGAIN_SECONDS)
            held = _lock(handle, path, wait=False)
        yield held
    finally:
        _close(handle)


def is_claimed(path: Path) -> bool:
    """Whether a living process holds the lock on a file."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _lock(handle, path, wait=False)
    finally:
        _close(handle)


def _lock(handle: int, path: Path, *, wait: bool) -> bool:
    if sys.platform == "win32":
        raise InputError(
            f"{path} may be written by several processes, which needs the file locks of Linux or "
            "macOS. On Windows use WSL, or keep nothing on disk."
        )
    import fcntl  # not there on Windows, where everything but such files works

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _BUSY and not wait:
            return False
        if error.errno in _NONE:
            raise InputError(
                f"The file system of {path.parent} has no file locks ({error.strerror}), so "
                f"processes could not share {path.name} there. Give a folder on another file "
                "system."
            ) from error
        raise
    return True


def _close(handle: int) -> None:
    if sys.platform != "win32":
        import fcntl

        # By name, since a forked child keeps a copy of the descriptor, and the lock with it.
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)
