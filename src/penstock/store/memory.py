"""A record in this process's memory, for tests: the same tables and the same SQL as in a file, gone with the store.

Law: nothing is written to a disk, and no other process sees it. (A forked child begins with an empty one.)
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from . import migrate
from .contract import Lead
from .sqlite import SqliteStore, SqliteTx, translated


@functools.cache
def _empty() -> bytes:
    """A record with its tables and nothing in them: made once, for making it costs more than most tests."""
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN")
    migrate.upgrade(SqliteTx(connection), int(time.time() * 1e6), "sqlite")
    connection.execute("COMMIT")
    return connection.serialize("main")


class _MemoryLead:
    """Leading is among the threads of one process."""

    def __init__(self, leads: set[str], name: str) -> None:
        self._leads, self._name = leads, name
        leads.add(name)

    def is_held(self) -> bool:
        return self._name in self._leads

    def close(self) -> None:
        self._leads.discard(self._name)


class MemoryStore(SqliteStore):
    """One connection, which one thread has at a time; `path` is a name only."""

    def __init__(self, path: Path) -> None:
        self._changes = 0
        self._led: set[str] = set()
        super().__init__(path)

    def _open(self) -> None:
        self._writer = self._connect()
        self._reading = self._writing

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(":memory:", statementcachesize=96)
        connection.deserialize("main", _empty())
        return connection

    @property
    def spool_folder(self) -> Path | None:
        return None

    @contextmanager
    def write(self) -> Iterator[SqliteTx]:
        with super().write() as tx:
            yield tx
        self._changes += 1

    def _connected_reader(self) -> apsw.Connection:
        return self._connected()

    def forget(self) -> None:
        self._writer = self._reader = None
        self._reading = self._writing = threading.Lock()

    def changes(self) -> int:
        return self._changes

    def try_lead(self, name: str) -> Lead | None:
        with self._writing, translated(self.path):
            self._connected()
            return None if name in self._led else _MemoryLead(self._led, name)

    def is_there(self) -> bool:
        return not self._closed

    def close(self) -> None:
        with self._writing:
            if self._writer is not None:
                self._writer.close()
            self._writer, self._closed = None, True
