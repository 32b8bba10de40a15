"""Connections to a PostgreSQL database: made, kept, given back; and what goes wrong with them, as errors of ours.

Law: no sentence has the password in it. A connection that failed is not kept, and who asks gets a new one: when the
database is there again, so are we.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from ..domain.errors import (
    ConfigurationError,
    CorruptStoreError,
    PenstockError,
    StoreUnavailableError,
    UnstorableValue,
)
from .postgres_tx import Connection, adapt

OLDEST = 14
# Unless the URL says otherwise. A database that has gone without a word is noticed within a minute.
_ALWAYS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "fallback_application_name": "penstock",
}
_NOT_A_URL = (
    "The database's address is not one that PostgreSQL understands{why}. It looks like "
    "postgresql://user:password@host:5432/database?sslmode=require; in a user or password, write %40 for @, %3A for :, "
    "%2F for / and %25 for %."
)


class Address:
    """Where a database is, from its URL. As text it is without the password. `pooled`: a connection is another one of
    the database's in each transaction.

    Raises `ConfigurationError` for a URL that cannot be understood.
    """

    def __init__(self, url: str, pooled: bool = False) -> None:
        # Statements are prepared on one connection of the database, and the next transaction is on another.
        self._options: dict[str, Any] = {"prepare_threshold": None} if pooled else {}
        # A mark of a password that was not written as it must be: parts of it would be taken for a host or a database.
        authority = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
        if url.count("@") != authority.count("@") or url.count("@") > 1:
            raise ConfigurationError(_NOT_A_URL.format(why=""))
        try:
            self.parameters: dict[str, Any] = conninfo_to_dict(url)
        except psycopg.Error as error:
            # The rest of libpq's sentence may have a part of the password in it.
            parameter = str(error).startswith("invalid URI query parameter")
            raise ConfigurationError(_NOT_A_URL.format(why=f" ({error})" if parameter else "")) from None
        self.user = str(self.parameters.get("user") or "")
        self.database = str(self.parameters.get("dbname") or self.user)
        host = str(self.parameters.get("host") or self.parameters.get("hostaddr") or "localhost")
        ports = str(self.parameters.get("port") or "5432").split(",")
        if not all(port.isdecimal() and 0 < int(port) < 1 << 16 for port in ports):
            raise ConfigurationError(_NOT_A_URL.format(why=": a port is a number"))
        self.place = f"{host}:{self.parameters.get('port') or 5432}"

    def __str__(self) -> str:
        return f"PostgreSQL database '{self.database}' at {self.place}"

    def connect(self) -> Connection:
        """A connection of this address. Raises `RecordError`."""
        with translated(self):
            connection = psycopg.connect(
                "", autocommit=True, client_encoding="utf8", **self._options, **{**_ALWAYS, **self.parameters}
            )  # fmt: skip
        adapt(connection.adapters)
        return connection


class Connections:
    """At most `most` connections, each for one user at a time.

    `patience` is how many seconds one waits for its turn.
    """

    def __init__(self, address: Address, most: int, patience: float) -> None:
        self._address = address
        self._most = most
        self._patience = patience
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    @contextmanager
    def begun(self, begin: bytes) -> Iterator[Connection]:
        """A connection on which `begin` was run. One that turns out to be dead then is replaced: nothing was done on
        it yet. Whatever is left of a transaction in the end is undone."""
        if not self._places.acquire(timeout=self._patience):
            raise StoreUnavailableError(
                f"All {self._most} connections to the {self._address} have been in use for {self._patience:.0f} s. "
                "Does the database answer slowly, or does a transaction wait for another one?"
            )
        try:
            connection = self._take(begin)
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    def _take(self, begin: bytes) -> Connection:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreUnavailableError(f"The record in the {self._address} was closed.")
                kept = self._idle.pop() if self._idle else None
            connection = kept or self._address.connect()
            try:
                connection.execute(begin)
                return connection
            except BaseException as error:
                connection.close()
                if kept is None or not isinstance(error, psycopg.OperationalError):
                    raise
                if error.sqlstate is not None and not error.sqlstate.startswith(("57P", "08", "25P")):
                    raise

    def _give_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute(b"ROLLBACK")
        with self._lock:
            if not self._closed and not connection.closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Those in use are closed when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def forget(self) -> list[Connection]:
        """In a forked child: the connections are the parent's. They are given away, to be kept and never used."""
        inherited = self._idle
        self.__init__(self._address, self._most, self._patience)  # type: ignore[misc]
        return inherited


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """PostgreSQL's errors, as ours: a sentence that names host, port and database, and says what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise _translation(error, address) from None  # its sentence is in ours, where it may be


_LOST = "while it was in use; what was under way is undone, and may be asked for again"
# class or code of an error -> what is said of the database
_SENTENCES: tuple[tuple[str, str], ...] = (
    ("28", "does not let user '{user}' in: {why}. Look at the user and password of PENSTOCK_DATABASE_URL."),
    ("3D000", "does not exist. Create it: CREATE DATABASE \"{database}\" ENCODING 'UTF8'."),
    ("42501", "does not let user '{user}' do what must be done: {why}. Let the user own the database, or its tables."),
    ("42P07", "has tables of another program ({why}). Use a database of its own, or a schema of its own: append "
     "?options=-csearch_path%3Dpenstock to the URL, after CREATE SCHEMA penstock."),
    ("53300", "has no connection to spare: {why}. Raise its max_connections, or run fewer servers."),
    ("53100", "has no room left on its disk. Free some space; nothing else need be done."),
    ("25006", "can only be read: it is a standby, or default_transaction_read_only is on. Point PENSTOCK_DATABASE_URL "
     "at the primary."),
    ("55P03", "has been locked by another server for too long. Is one of them stopped (SIGSTOP, a debugger)?"),
    ("25P", "ended a transaction that took too long; it is undone. Was this process stopped (SIGSTOP, a debugger)?"),
    ("57P03", "takes no connections just now: {why}. It is tried again when it is needed next."),
    ("57P", "was shut down or restarted ({why}) " + _LOST + "."),
    ("08", "was lost (connection: {why}) " + _LOST + "."),
)  # fmt: skip
# Classes of errors that are about what was to be written: data exceptions, constraints, limits of the program.
_VALUES = ("22", "23", "54")
# What a server says before there is a connection has no code, but it is always said in these words (in English).
_WORDS: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "28"),
    ("no password supplied", "28"),
    ("no pg_hba.conf entry", "28"),
    ("is not permitted to log in", "28"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("too many connections", "53300"),
    ("the database system is", "57P03"),
)


def _translation(error: psycopg.Error, address: Address) -> PenstockError:
    why = _reason(error, address)
    code = error.sqlstate or next((code for words, code in _WORDS if words in why), "")
    if not code and f'database "{address.database}" does not exist' in why:
        code = "3D000"
    if code.startswith(("42P01", "42703")):
        return CorruptStoreError(f"The {address} lacks what it should have ({why}). Restore it, or use another one.")
    if code.startswith(("XX001", "XX002")):
        return CorruptStoreError(f"The {address} is damaged ({why}). Restore it from a backup.")
    # The database is well, and one of the values is not: a number beyond its type, an index's entry that is too long.
    if code.startswith(_VALUES) or (not code and isinstance(error, psycopg.DataError)):
        return UnstorableValue(f"The record cannot hold one of the values as it is ({why}).")
    for start, sentence in _SENTENCES:
        if code.startswith(start):
            return StoreUnavailableError(
                f"The {address} {sentence.format(user=address.user, database=address.database, why=why)}"
            )
    if not code and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StoreUnavailableError(
            f"The {address} does not answer ({why}). Is it running, and is PENSTOCK_DATABASE_URL right?"
        )
    return StoreUnavailableError(f"The {address} cannot be used: {why}.")


def _reason(error: psycopg.Error, address: Address) -> str:
    """What PostgreSQL says, in one line, and without the password should it be there."""
    if isinstance(error, errors.ConnectionTimeout):
        return "no answer in time"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    text = text.rpartition("FATAL:")[2].strip().rstrip(".")
    password = str(address.parameters.get("password") or "")
    return text.replace(password, "********") if password else text


def check_server(connection: Connection, address: Address) -> None:
    """Whether the server is new enough, and the database can hold any text. Raises `StoreUnavailableError`."""
    version = connection.info.server_version
    if version < OLDEST * 10_000:
        raise StoreUnavailableError(
            f"The {address} is of PostgreSQL {version // 10_000}; Penstock needs {OLDEST} or newer. Upgrade it, or "
            "point PENSTOCK_DATABASE_URL at another one."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailableError(
            f"The {address} is encoded in {encoding}, which cannot hold every text. Create one with ENCODING 'UTF8' "
            "and TEMPLATE template0, and point PENSTOCK_DATABASE_URL at it."
        )


def check_unpooled(connection: Connection, address: Address) -> None:
    """Whether it is the database itself that answers: a pooler gives numbers of its own to its connections. Raises
    `ConfigurationError`."""
    row = connection.execute(b"SELECT pg_backend_pid()").fetchone()
    if row is not None and row[0] != connection.info.backend_pid:
        raise ConfigurationError(
            f"At the {address} a pooler answers, as PgBouncer does. Say where the database itself is, by "
            "PENSTOCK_DATABASE_DIRECT_URL: news of other servers and who leads go past the pooler. (Where the pooler "
            "gives each client a connection of its own, the same URL will do.)"
        )
