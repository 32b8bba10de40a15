"""The record in one SQLite file, shared by any number of processes of this machine.

Law: WAL mode, one writing transaction at a time, taken at its beginning (`BEGIN IMMEDIATE`), so that no transaction
fails half-way for a lock; readers never wait. `apsw` is used because its wheel brings a current SQLite (the system's
may have known faults with several writers in WAL mode) and lets us choose how to wait for a lock.

Every statement gives the interpreter's lock away and must win it back, for up to 5 ms each time when the program is
busy computing. So rows are written many to a statement (measured with a busy main thread: one row a statement
1600 microseconds a row, many rows a statement 35).
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from ..domain.errors import CorruptStoreError, PenstockError, StoreUnavailableError, UnstorableValue
from . import migrate
from .codec import writable
from .contract import Lead, Row, Value
from .leads import FileLead, try_lead

APPLICATION = 0x50454E53  # "PENS": the file says whose it is
# Rows in one statement; and how long its text may be, for longer ones are not kept prepared.
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LONGEST_TEXT = 15_000
LOCK_PATIENCE = 120.0
CHECKPOINT_PAGES = 2000
# Seconds that a fork waits for a transaction to end. (One that waits for another process may take much longer.)
FORK_PATIENCE = 5.0
# SQLite tells nobody that something changed: who waits for it looks so often.
LOOK_EVERY = 0.02


class SqliteTx:
    """A transaction on one connection."""

    __slots__ = ("_execute", "_connection")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        try:
            return self._execute(sql, params)
        except UnicodeEncodeError:
            return self._execute(sql, _writable(params))

    def row(self, sql: str, params: Sequence[Value] = ()) -> Row | None:
        return next(iter(self.rows(sql, params)), None)

    def run(self, sql: str, params: Sequence[Value] = ()) -> int:
        self.rows(sql, params)
        return self._connection.changes()

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], on_conflict: str) -> None:
        waiting = list(rows)
        largest = max(size for size in SIZES if size * (2 * len(columns) + 3) < LONGEST_TEXT)
        for start in range(0, len(waiting), largest):
            chunk = waiting[start : start + largest]
            size = next(size for size in SIZES if size >= len(chunk))
            # Few sizes mean few distinct texts, each prepared once and then found in the cache; what is missing to the
            # size is filled with the last row again, which changes nothing: it conflicts with itself.
            chunk.extend(chunk[-1:] * (size - len(chunk)))
            params = chunk[0] if size == 1 else [value for row in chunk for value in row]
            sql = _insert_sql(table, tuple(columns), size, on_conflict)
            self.rows(sql, params)


def _writable(params: Sequence[Value]) -> list[Value]:
    return [writable(value) if isinstance(value, str) else value for value in params]


_statements: dict[tuple[str, int, str], str] = {}


def _insert_sql(table: str, columns: tuple[str, ...], size: int, on_conflict: str) -> str:
    known = _statements.get((table, size, on_conflict))
    if known is None:
        one = "(" + ",".join("?" * len(columns)) + ")"
        known = f"INSERT INTO {table} ({','.join(columns)}) VALUES {','.join([one] * size)} {on_conflict}"
        _statements[table, size, on_conflict] = known
    return known


class SqliteStore:
    """The file at `path`, created (with its folder) when it is not there.

    `patience` is how many seconds a writer waits for another process's transaction before it gives up. With `upgrade`
    False the tables are left as they are.
    Raises `StoreUnavailableError`, `CorruptStoreError` or `SchemaVersionError` when it cannot be used.
    """

    dialect = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        patience: float = LOCK_PATIENCE,
        upgrade: bool = True,
    ) -> None:
        self.path = path
        self._upgrade = upgrade
        self._now = now
        self._patience = patience
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._reader: apsw.Connection | None = None
        self._writer: apsw.Connection | None = None
        self._leads: weakref.WeakSet[FileLead] = weakref.WeakSet()
        self._closed = False
        _open.add(self)
        with translated(path):
            self._open()

    def _open(self) -> None:
        _make_folder(self.path.parent)
        fresh = not self.path.exists()
        self._writer = self._connect()
        if fresh:
            self.path.chmod(0o600)
        self._prepare_patiently(self._writer)
        found = os.stat(self.path)
        self._file = (found.st_dev, found.st_ino)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def spool_folder(self) -> Path | None:
        return self.path.with_name(f"{self.path.name}-spool")

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), statementcachesize=96)
        connection.set_busy_handler(self._wait_for_lock(connection))
        return connection

    def _wait_for_lock(self, connection: apsw.Connection) -> Callable[[int], bool]:
        """SQLite's own waiting sleeps up to 100 ms a time; ours up to 10, and differs between processes."""
        since = 0.0

        def wait(tries: int) -> bool:
            nonlocal since
            now = time.monotonic()
            if tries == 0:
                since = now
            if now - since > self._patience:
                return False
            time.sleep(min(0.0005 * (tries + 1), 0.01) * (0.5 + random.random()))  # not for secrets
            return True

        return wait

    def _prepare_patiently(self, connection: apsw.Connection) -> None:
        """Who opens the file while others open or close it may be refused at once: the journal's mode is one of the
        things that SQLite does not ask the busy handler for."""
        wait, tries = self._wait_for_lock(connection), 0
        while True:
            try:
                self._prepare(connection)
                return
            except apsw.BusyError:
                if not wait(tries):
                    raise
                tries += 1

    def _prepare(self, connection: apsw.Connection) -> None:
        """Checks whose file it is and which version, and creates or upgrades what is missing."""
        tx = SqliteTx(connection)
        # In this order: another process that is just making it makes the tables and the mark in one transaction.
        empty = tx.row("SELECT count(*) FROM sqlite_schema")
        owner = tx.row("PRAGMA application_id")
        if owner == (0,) and empty != (0,):
            raise CorruptStoreError(
                f"{self.path} is an SQLite database, but not a Penstock record. Point PENSTOCK_HOME at another folder."
            )
        if owner not in ((0,), (APPLICATION,)):
            raise CorruptStoreError(f"{self.path} belongs to another program. Point PENSTOCK_HOME at another folder.")
        if empty == (0,):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # what is deleted can be given back, see `give_back`
        mode = tx.row("PRAGMA journal_mode = WAL")
        if mode != ("wal",):
            raise StoreUnavailableError(
                f"{self.path} cannot be used by several processes at once (journal mode {mode}): it is on a file "
                "system without shared memory or is read-only. Point PENSTOCK_HOME at a local disk."
            )
        connection.execute(f"PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY")
        version = 0 if empty == (0,) else migrate.current(tx, self.dialect)
        migrate.check(version, str(self.path))
        if self._upgrade and version < migrate.NEWEST:
            with self._transaction(connection, "BEGIN IMMEDIATE") as locked:
                # another process may have been faster
                migrate.upgrade(locked, int(self._now() * 1e6), self.dialect)
                locked.run(f"PRAGMA application_id = {APPLICATION}")

    @contextmanager
    def write(self) -> Iterator[SqliteTx]:
        with self._writing, translated(self.path), self._transaction(self._connected(), "BEGIN IMMEDIATE") as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[SqliteTx]:
        with self._reading, translated(self.path), self._transaction(self._connected_reader(), "BEGIN") as tx:
            yield tx

    def _connected(self) -> apsw.Connection:
        """The writing connection; a forked child makes its own."""
        if self._closed:
            raise StoreUnavailableError(f"The record {self.path} was closed.")
        if self._writer is None:
            self._writer = self._connect()
            self._prepare(self._writer)
        return self._writer

    def _connected_reader(self) -> apsw.Connection:
        if self._closed:
            raise StoreUnavailableError(f"The record {self.path} was closed.")
        if self._reader is None:
            self._reader = self._connect()
        return self._reader

    def forget(self) -> None:
        """In a forked child: the connections are the parent's. They are not even closed, only never used again."""
        _inherited.extend(each for each in (self._writer, self._reader) if each is not None)
        self._writer = self._reader = None
        self._writing, self._reading = threading.Lock(), threading.Lock()

    @contextmanager
    def _transaction(self, connection: apsw.Connection, begin: str) -> Iterator[SqliteTx]:
        connection.execute(begin)
        try:
            yield SqliteTx(connection)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself; then there is nothing left to undo.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def changes(self) -> int:
        with self._reading, translated(self.path):
            # The pragma looks at the file; `Connection.data_version()` only tells what the last reading saw.
            row = SqliteTx(self._connected_reader()).row("PRAGMA data_version")
            return int(row[0]) if row else 0

    def wait_for_change(self, seen: int, timeout: float) -> int:
        until = time.monotonic() + timeout
        while (now := self.changes()) == seen and (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_EVERY, left))
        return now

    def give_back(self, pages: int) -> int:
        with self._writing, translated(self.path):
            connection = self._connected()
            before = connection.execute("PRAGMA freelist_count").get
            if not before:
                return 0
            for _ in connection.execute(f"PRAGMA incremental_vacuum({int(pages)})"):
                pass  # each step gives a page back
            return int(before) - int(connection.execute("PRAGMA freelist_count").get)

    def try_lead(self, name: str) -> Lead | None:
        if self._closed:
            raise StoreUnavailableError(f"The record {self.path} was closed.")
        with translated(self.path):
            # any name, as one that a file can have
            lead = try_lead(self.path.with_name(f"{self.path.name}-lead-{name.encode().hex()}"))
        if lead is not None:
            self._leads.add(lead)
        return lead

    def is_there(self) -> bool:
        """Whether the file at `path` is still the one that was opened. A file that was deleted can be written on, and
        nobody would ever read it."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def close(self) -> None:
        with self._writing, self._reading:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None
            self._closed = True
        for lead in list(self._leads):
            lead.close()


_open: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_inherited: list[apsw.Connection] = []
_forking = threading.RLock()
_held: list[threading.Lock] = []


def _hold() -> None:
    """No thread is inside SQLite while the process is forked: of what it has locked then, in memory and in its files,
    the child's SQLite would wait for ever to be given back."""
    _forking.acquire()
    for store in list(_open):
        for lock in {store._writing, store._reading}:
            if lock.acquire(timeout=FORK_PATIENCE):
                _held.append(lock)


def _let_go() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _forget() -> None:
    global _forking
    _forking = threading.RLock()
    _held.clear()
    for store in list(_open):
        store.forget()


with suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_forget)


def _make_folder(folder: Path) -> None:
    """Only its owner may look inside: the folder holds what runs wrote and returned."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors, as ours: a sentence that names the file and says what to do."""
    try:
        yield
    except PenstockError:  # some of ours are OSErrors as well
        raise
    except (apsw.Error, OSError) as error:
        raise _translation(error, path) from None  # its sentence is in ours


def _translation(error: Any, path: Path) -> PenstockError:
    if isinstance(error, apsw.ConstraintError | apsw.MismatchError | apsw.TooBigError | apsw.RangeError):
        # The record is well, and one of the values is not.
        return UnstorableValue(f"The record cannot hold one of the values as it is ({error}).")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return CorruptStoreError(
            f"The record {path} is damaged or not a database ({error}). Move it away to start a new one; "
            f"`sqlite3 {path} .recover` may save what it holds."
        )
    if isinstance(error, apsw.CantOpenError) and path.is_dir():
        return StoreUnavailableError(f"{path} is a folder; the record must be a file. Point PENSTOCK_HOME elsewhere.")
    if isinstance(error, NotADirectoryError | FileExistsError) or not path.parent.is_dir():
        return StoreUnavailableError(
            f"The record {path} cannot be made: {path.parent} is not a folder. Point PENSTOCK_HOME at one."
        )
    if isinstance(error, apsw.SQLError):
        return CorruptStoreError(f"The record {path} lacks what it should have ({error}). Restore it, or move it away.")
    if isinstance(error, apsw.IOError) and shutil.disk_usage(path.parent).free < 1_000_000:
        return StoreUnavailableError(f"The disk with the record {path} is full. Free some space and run again.")
    if isinstance(error, apsw.FullError):
        return StoreUnavailableError(f"The disk with the record {path} is full. Free some space and run again.")
    unwritable = isinstance(error, apsw.CantOpenError) and not os.access(path.parent, os.W_OK)
    if unwritable or isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError | PermissionError):
        return StoreUnavailableError(
            f"The record {path} cannot be written: it or its folder is read-only. Point PENSTOCK_HOME at a folder "
            "that you may write in."
        )
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreUnavailableError(
            f"Another process has held the record {path} locked for too long. Is one of them stopped (SIGSTOP, a "
            "debugger)?"
        )
    return StoreUnavailableError(f"The record {path} cannot be opened or written: {error}.")
