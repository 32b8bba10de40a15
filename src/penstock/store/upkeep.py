"""Keeping a record: a copy of it while it is in use, a look whether it is whole, giving back space.

What a database has better tools for itself is left to them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ..domain.errors import StoreUnavailableError
from .sqlite import SqliteStore, translated

BUSY_MILLISECONDS = 60_000
PROBLEMS_SHOWN = 20


def backup(store: SqliteStore, target: Path) -> int:
    """Copies the record, as it is at one moment, to a new file that only its owner may read; its size in bytes.

    Others may read and write meanwhile. Raises `StoreUnavailableError` when there is such a file, or it cannot be made.
    """
    if target.exists():
        raise StoreUnavailableError(f"{target} is there already. Give a file that is not, or move it away.")
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _connected(store.path) as source, translated(target):
            descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.close(descriptor)
            copy = apsw.Connection(str(draft))
            try:
                with copy.backup("main", source, "main") as copying:
                    # All in one step: that is one reading, for which nobody waits. A copy in several is begun anew
                    # whenever somebody else has written in between, and so never ends.
                    copying.step(-1)
                # One file, and no journals beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
            finally:
                copy.close()
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            os.link(draft, target)  # and not over a file that was made meanwhile
    finally:
        draft.unlink(missing_ok=True)
    return target.stat().st_size


def problems(store: SqliteStore) -> list[str]:
    """What is wrong with the file, in SQLite's words; empty: nothing."""
    with _connected(store.path) as connection, translated(store.path):
        rows = connection.execute(f"PRAGMA integrity_check({PROBLEMS_SHOWN})")
        found = [" ".join(str(row[0]).split()) for row in rows]
    return [] if found == ["ok"] else found


def vacuum(store: SqliteStore) -> tuple[int, int]:
    """Writes the file anew, without what was deleted; its size in bytes before and after. Whoever writes waits."""
    with _connected(store.path) as connection, translated(store.path):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = store.path.stat().st_size
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, store.path.stat().st_size


@contextmanager
def _connected(path: Path) -> Iterator[apsw.Connection]:
    with translated(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
    try:
        yield connection
    finally:
        connection.close()
