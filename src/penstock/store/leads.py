"""Leading: of several processes on one SQLite file, exactly one holds the lead of a name.

Law: the lead is a lock of the operating system on a file beside the database, which ends with the process, however that
ends. The file stays: who removed it could not know that nobody is just locking it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from pathlib import Path

_held: weakref.WeakSet[FileLead] = weakref.WeakSet()


class FileLead:
    """The lock of an open file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        _held.add(self)

    def is_held(self) -> bool:
        """A file that was deleted can be locked, and nobody else would ever see it."""
        if self._descriptor is None:
            return False
        try:
            there, ours = os.stat(self._path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def try_lead(path: Path) -> FileLead | None:
    """The lead whose file this is, or None while somebody else has it. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if _lock(descriptor):
            return FileLead(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Of the open file, not of the process (`lockf`): two stores of one process are two.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _forget() -> None:
    """In a forked child: the parent leads, and not longer than it lives because of us."""
    for lead in list(_held):
        lead.close()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
