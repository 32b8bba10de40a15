"""What one server of several on a PostgreSQL database hears of the others: that something changed, and who leads.

Law: nothing is polled. A listener has a connection of its own and a thread that sleeps until the database says
something; while the connection is lost nothing is heard, so its return counts as a change.
"""

from __future__ import annotations

import os
import selectors
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress

import psycopg

from ..domain.errors import PenstockError, StoreUnavailableError
from .postgres_connections import Address, translated
from .postgres_tx import Connection

CHANNEL = "penstock_change"
# Advisory locks have two numbers: what kind, and which one.
WRITING, LEADING = 0x50454E53, 0x50454E4C
FIRST_DELAY, LONGEST_DELAY = 0.05, 1.0
# A leader whose host is gone without a word, or that is stopped and does not ask any more, is none: the database ends
# its connection. (Settings of the session; those of TCP do nothing on a socket of this machine.)
_WHILE_LEADING = (
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; "
    "SET tcp_user_timeout = 60000; SET idle_session_timeout = '120s'"
)


class Listener:
    """Counts the changes that others make (`others_changed`) and those it is told of (`changed`).

    `token` is this store's own: what is said under it is not news. Raises `RecordError` when the database cannot be
    reached at the beginning.
    """

    def __init__(self, address: Address, token: str) -> None:
        self._address = address
        self._token = token
        self._count = 0
        self._news = threading.Condition()
        self._closed = False
        self._heard, self._wake = os.pipe()
        try:
            self._connection: Connection | None = self._connect()
        except BaseException:
            os.close(self._heard)
            os.close(self._wake)
            raise
        self._thread = threading.Thread(target=self._listen, name="penstock-listener", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        return self._count

    def changed(self) -> None:
        """Something changed."""
        with self._news:
            self._count += 1
            self._news.notify_all()

    def wait(self, seen: int, timeout: float) -> int:
        """Until the count is not `seen`, or `timeout` seconds have passed; what it is then."""
        with self._news:
            self._news.wait_for(lambda: self._closed or self._count != seen, timeout)
            if self._closed:
                raise StoreUnavailableError(f"The record in the {self._address} was closed.")
            return self._count

    def close(self) -> None:
        with self._news:
            if self._closed:
                return
            self._closed = True
            self._news.notify_all()
        os.write(self._wake, b"x")
        self._thread.join()
        os.close(self._heard)
        os.close(self._wake)

    def forget(self) -> Connection | None:
        """In a forked child: thread and connection are the parent's."""
        if self._closed:
            return self._connection
        self._closed = True
        os.close(self._heard)
        os.close(self._wake)
        return self._connection

    def _connect(self) -> Connection:
        connection = self._address.connect()
        try:
            with translated(self._address):
                connection.execute(f"LISTEN {CHANNEL}".encode())
        except BaseException:
            connection.close()
            raise
        return connection

    def _listen(self) -> None:
        delay = FIRST_DELAY
        while not self._closed:
            if self._connection is None:
                try:
                    self._connection = self._connect()
                except PenstockError:
                    self._sleep(delay)
                    delay = min(2 * delay, LONGEST_DELAY)
                    continue
                delay = FIRST_DELAY
                self.changed()  # perhaps: nobody told us
            try:
                self._hear(self._connection)
            except (psycopg.Error, OSError, ValueError):
                connection, self._connection = self._connection, None
                with suppress(psycopg.Error):
                    connection.close()
        if self._connection is not None:
            self._connection.close()

    def _hear(self, connection: Connection) -> None:
        """Waits for one word, or for the end."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._heard, selectors.EVENT_READ)
            selector.select()
        if self._closed:
            return
        connection.pgconn.consume_input()
        news = False
        while (notify := connection.pgconn.notifies()) is not None:
            news = news or notify.extra != self._token.encode()
        if news:
            self.changed()

    def _sleep(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._heard, selectors.EVENT_READ)
            selector.select(seconds)


class PostgresLead:
    """A lock that the database keeps for one connection, and lets go when that ends, however it ends."""

    def __init__(self, connection: Connection, released: Callable[[PostgresLead], None]) -> None:
        self._connection = connection
        self._released = released
        self._lock = threading.Lock()

    def is_held(self) -> bool:
        with self._lock:
            try:
                self._connection.execute(b"SELECT 1")
            except psycopg.Error:
                self._connection.close()
                return False
            return True

    def close(self) -> None:
        with self._lock:
            self._connection.close()
        self._released(self)

    def forget(self) -> Connection:
        """In a forked child: the lead is the parent's."""
        inherited = self._connection
        self._lock = threading.Lock()
        return inherited


def try_lead(address: Address, name: str, released: Callable[[PostgresLead], None]) -> PostgresLead | None:
    """The lead of this name, or None while somebody else has it."""
    connection = address.connect()
    try:
        with translated(address):
            number = zlib.crc32(name.encode()) - (1 << 31)
            row = connection.execute(f"SELECT pg_try_advisory_lock({LEADING}, {number})".encode()).fetchone()
            if row is not None and row[0]:
                connection.execute(_WHILE_LEADING.encode())
    except BaseException:
        connection.close()
        raise
    if row is None or not row[0]:
        connection.close()
        return None
    return PostgresLead(connection, released)
