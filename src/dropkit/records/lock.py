"""One study at a time in a folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dropkit.core import FolderError

_held: dict[tuple[int, int], int] = {}  # (device, inode) of a lock file -> descriptor that holds it


@contextmanager
def lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of the study in ``folder``, an existing folder, until the block ends or the process dies.

    The lock (``flock`` on ``folder/.lock``) belongs to this process alone: neither forked nor spawned children hold
    it, so a worker that outlives its parent cannot keep the folder locked.

    Raises:
        FolderError: Another study, in this or another process, holds it; or the file cannot be written.
    """
    path = Path(folder) / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise FolderError(
            f"cannot write {path}: {error.strerror}; choose a folder that can be written"
        ) from error
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    key = _identity(descriptor)
    _held[key] = descriptor
    try:
        yield
    finally:
        if _held.get(key) == descriptor:  # not in a forked child that leaves the block
            del _held[key]
            os.ftruncate(descriptor, 0)
            os.close(descriptor)


def holds_lock(folder: Path) -> bool:
    """Whether this process holds the lock of ``folder``."""
    try:
        found = os.stat(folder / ".lock")
    except OSError:
        return False
    return (found.st_dev, found.st_ino) in _held


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise FolderError(
                f"cannot lock {path}: {error.strerror}; choose a folder on a local file system"
            ) from error
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        owner = f"process {pid}" if pid.isdigit() else "another process"
        raise FolderError(
            f"{path.parent} is in use by another study ({owner}); wait for it to end, or choose another --out"
        ) from None


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _forget() -> None:
    """In a forked child: give up the copies of the parent's descriptors, which would keep the lock alive."""
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
