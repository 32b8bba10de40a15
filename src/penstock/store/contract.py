"""What a database must offer to be the record. The exam that holds an implementation to it is `exam.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

Value = bytes | str | int | float | None
Row = tuple[Any, ...]


class Tx(Protocol):
    """One transaction. Placeholders are `?`; ids are 16 bytes, times whole microseconds since 1970, JSON is text."""

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """Runs a statement and gives its rows as they are read."""

    def row(self, sql: str, params: Sequence[Value] = ()) -> Row | None:
        """The first row, or None."""

    def run(self, sql: str, params: Sequence[Value] = ()) -> int:
        """Runs a statement; how many rows it changed."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], on_conflict: str) -> None:
        """Inserts many rows in as few statements as the database likes.

        `on_conflict` is the clause's SQL; it must make a row that comes twice the same as one that comes once.
        """


class Lead(Protocol):
    """The lead of a name among all processes that have the record open: one of them holds it.

    It ends with `close`, and with the process or its way to the database. Who does not ask `is_held` for two minutes
    may lose it: one that was stopped does not lead.
    """

    def is_held(self) -> bool:
        """Whether it is still so. Once False, it stays so: close it, and try again."""

    def close(self) -> None:
        """Gives it up. Nothing, when that was done before."""


class Store(Protocol):
    """A record that is open. Safe to use from several threads. As text it says which one, without secrets.

    `dialect` is the database's: `sqlite` or `postgres`, see `migrate`. `spool_folder` is where processes of this
    machine keep lines that are not in the record yet (see `spool`).
    """

    @property
    def dialect(self) -> str: ...

    @property
    def spool_folder(self) -> Path | None: ...

    def write(self) -> AbstractContextManager[Tx]:
        """A transaction that may change things: nobody else's comes between its reads and its writes.

        Committed at the end of the block, undone when the block raises. Waits for other processes.
        Raises `StoreUnavailableError` (read-only, full, locked for too long) or `CorruptStoreError`.
        """

    def read(self) -> AbstractContextManager[Tx]:
        """A transaction that sees one moment of the record and never waits for writers."""

    def changes(self) -> int:
        """A number that differs after anybody, also another process, has changed the record. Costs microseconds.

        It tells of a change by this store at once, of another one's at once or a moment later. The first call opens
        what it takes to hear of them. Where nothing was heard for a while, there may have been changes: it differs.
        """

    def wait_for_change(self, seen: int, timeout: float) -> int:
        """Returns `changes()` as soon as it is not `seen`, or when `timeout` seconds have passed.

        Raises `StoreUnavailableError` when the store is closed meanwhile.
        """

    def try_lead(self, name: str) -> Lead | None:
        """The lead of this name, held until it is closed; None while anybody has it (this store, too)."""

    def give_back(self, pages: int) -> int:
        """Gives at most so many pages that are not used any more back to the system; how many. 0 where the database
        sees to that itself, or cannot: then pages are used again, and `vacuum` makes the file small."""

    def close(self) -> None:
        """Gives the database back. Further use raises `StoreUnavailableError`."""
