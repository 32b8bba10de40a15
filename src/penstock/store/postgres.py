"""The record in a PostgreSQL database, shared by any number of servers, on any number of machines.

Law: one writing transaction at a time in all servers, taken at its beginning by a lock of the database, so that no
transaction fails half-way for another one, what was read is still so when it is written, and numbers given in a
transaction are in the order of commits. (Servers write many things in one transaction.) Readers never wait.

`psycopg` keeps the connections' protocol. Pooling is ours (`postgres_connections.Connections`): writers take turns in
any case, so what is left of a pool is a list, and why there is no connection is said at once.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..domain.errors import StoreUnavailableError
from . import migrate
from .postgres_connections import Address, Connections, check_server, check_unpooled, translated
from .postgres_tx import Connection, PostgresTx
from .postgres_watch import CHANNEL, WRITING, Listener, PostgresLead, try_lead

READERS = 8
LOCK_PATIENCE = 120.0
READ_PATIENCE = 30.0
# Seconds after which the database ends a transaction whose process does nothing, so that others get their turns.
STOPPED_AFTER = 60.0
# Who listens is told, when something was changed.
_END_WRITING = (
    b"SELECT pg_notify('%s', '%%s') WHERE pg_current_xact_id_if_assigned() IS NOT NULL; COMMIT" % CHANNEL.encode()
)
# A list of failed runs and one of completed runs are one statement, and want two plans. (Not a setting of the session:
# behind a pooler the next transaction may be on another one.)
_BEGIN_READING = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan"


class PostgresStore:
    """The database at `url` (postgresql://user:password@host:5432/database), with the tables made or upgraded.

    `spool_folder` is a folder of this machine. `readers` is how many may read at once, `patience` how many seconds a
    writer waits for the others' transactions before it gives up. With `upgrade` False the tables are left as they are.
    `direct` is where the database itself is, when a pooler in transaction mode (PgBouncer) is at `url`: news of the
    other servers, and who leads, need connections that nobody else is given.
    Raises `ConfigurationError` for a URL that cannot be understood, `StoreUnavailableError` or `SchemaVersionError`
    when the database cannot be used.

    Example::

        store = PostgresStore("postgresql://penstock:secret@db/penstock", spool_folder=home / "spool")
        with store.read() as tx:
            tx.row("SELECT count(*) FROM flow_run")
    """

    dialect = "postgres"

    def __init__(
        self,
        url: str,
        *,
        spool_folder: Path,
        now: Callable[[], float] = time.time,
        readers: int = READERS,
        patience: float = LOCK_PATIENCE,
        upgrade: bool = True,
        direct: str | None = None,
    ) -> None:
        self._direct = Address(url if direct is None else direct)
        self._address = Address(url, pooled=direct not in (None, url))
        self._knows_pooler = direct is not None
        self._spool_folder = spool_folder
        self._now = now
        self._patience = patience
        # Others take it in the order of their asking; here, too, one does at a time.
        self._writing = threading.Lock()
        self._writers = Connections(self._address, 1, patience)
        self._readers = Connections(self._address, readers, READ_PATIENCE)
        self._begin_writing = (
            f"BEGIN; SET LOCAL lock_timeout = {int(patience * 1000)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {int(STOPPED_AFTER * 1000)}; "
            f"SELECT pg_advisory_xact_lock({WRITING}, 1)"
        ).encode()
        self._token = secrets.token_hex(8)
        self._listening = threading.Lock()
        self._listener: Listener | None = None
        self._leads: set[PostgresLead] = set()
        self._closed = False
        _open.add(self)
        self._prepare(upgrade)

    def __str__(self) -> str:
        """What it is, without the password."""
        return str(self._address)

    @property
    def spool_folder(self) -> Path:
        return self._spool_folder

    def _prepare(self, upgrade: bool) -> None:
        """Checks which server and version it is, and makes or upgrades the tables."""
        with self._readers.begun(_BEGIN_READING) as connection, translated(self._address):
            check_server(connection, self._address)
            if not self._knows_pooler:
                check_unpooled(connection, self._address)
            version = migrate.current(PostgresTx(connection), self.dialect)
        migrate.check(version, f"in the {self._address}")
        if upgrade and version < migrate.NEWEST:
            with self.write() as tx:  # another server may have been faster
                migrate.upgrade(tx, int(self._now() * 1e6), self.dialect)
                if version:
                    # Of a new column nothing is known, and by itself the database looks only when much has changed.
                    tx.run("ANALYZE")

    @contextmanager
    def write(self) -> Iterator[PostgresTx]:
        self._check_open()
        if not self._writing.acquire(timeout=self._patience):
            raise StoreUnavailableError(
                f"Another thread has been writing to the {self._address} for {self._patience:.0f} s. Is the database "
                "slow, or is a server stopped (SIGSTOP, a debugger)?"
            )
        try:
            with translated(self._address), self._writers.begun(self._begin_writing) as connection:
                tx = PostgresTx(connection)
                try:
                    yield tx
                    tx.finish_reading()
                finally:
                    tx.stop_reading()
                changed = connection.execute(_END_WRITING % self._token.encode()).rowcount > 0
            if changed and self._listener is not None:
                self._listener.changed()
        finally:
            self._writing.release()

    @contextmanager
    def read(self) -> Iterator[PostgresTx]:
        self._check_open()
        with translated(self._address), self._readers.begun(_BEGIN_READING) as connection:
            tx = PostgresTx(connection)
            try:
                yield tx
            finally:
                tx.stop_reading()

    def changes(self) -> int:
        return self._listens().count

    def wait_for_change(self, seen: int, timeout: float) -> int:
        return self._listens().wait(seen, timeout)

    def give_back(self, pages: int) -> int:
        return 0  # autovacuum does

    def try_lead(self, name: str) -> PostgresLead | None:
        self._check_open()
        lead = try_lead(self._direct, name, self._leads.discard)
        if lead is not None:
            self._leads.add(lead)
        return lead

    def _listens(self) -> Listener:
        listener = self._listener
        if listener is None:
            with self._listening:
                self._check_open()
                if self._listener is None:
                    self._listener = Listener(self._direct, self._token)
                listener = self._listener
        return listener

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError(f"The record in the {self._address} was closed.")

    def close(self) -> None:
        with self._listening:
            self._closed = True
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        for lead in list(self._leads):
            lead.close()
        with self._writing:
            self._writers.close()
            self._readers.close()
        _open.discard(self)

    def forget(self) -> None:
        """In a forked child: connections, leads and the listener are the parent's. They are not even closed, only never
        used again; what the child needs it opens anew."""
        _inherited.extend((*self._writers.forget(), *self._readers.forget()))
        _inherited.extend(lead.forget() for lead in self._leads)
        listener, self._listener = self._listener, None
        if listener is not None:
            _inherited.append(listener.forget())
        self._leads = set()
        self._token = secrets.token_hex(8)
        self._writing, self._listening = threading.Lock(), threading.Lock()


_open: weakref.WeakSet[PostgresStore] = weakref.WeakSet()
_inherited: list[Connection | None] = []


def _forget() -> None:
    for store in list(_open):
        store.forget()


with suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
