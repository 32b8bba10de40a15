"""A transaction in PostgreSQL: the words that all SQL of ours is written in, as PostgreSQL wants them.

Law: what a statement is does not depend on the values in it. Placeholders are turned once a text; every whole number is
sent as a bigint and every text as text, so that a statement is prepared once and not once a size of number.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.types.bool import BoolBinaryLoader
from psycopg.types.numeric import Int8BinaryDumper, NumericBinaryLoader
from psycopg.types.string import StrBinaryDumper

from . import migrate
from .codec import writable
from .contract import Row, Value

# From so many rows on they are copied into a table of the connection's own and inserted from there; fewer are said in
# the statement. (Measured with task runs, microseconds a row, said and copied: 1 row 157 and 707, 16 rows 30 and 71,
# 64 rows 17 and 25, 128 rows 28 and 19, 1024 rows 29 and 9.)
COPY_FROM = 96
# Texts that are known; those with a list of any length in them are many.
TEXTS = 2000
# Rows that a long answer comes in at a time.
PIECE = 500

Connection = psycopg.Connection[Row]

_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|\?")
_CONFLICT = re.compile(r"ON CONFLICT\s*\(([^)]*)\)\s*DO UPDATE", re.IGNORECASE)
_texts: dict[str, tuple[bytes, bool]] = {}


class _Whole(NumericBinaryLoader):
    """What PostgreSQL's sums of bigints are: numbers without a limit, here as everywhere whole ones."""

    def load(self, data: Any) -> Any:
        value = super().load(data)
        return int(value) if value == value.to_integral_value() else float(value)


class _Flag(BoolBinaryLoader):
    """SQLite knows no booleans: 1 and 0."""

    def load(self, data: Any) -> Any:
        return int(super().load(data))


def adapt(adapters: AdaptersMap) -> None:
    """How values are written and read on a connection."""
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(bool, Int8BinaryDumper)
    adapters.register_dumper(str, StrBinaryDumper)
    adapters.register_loader("numeric", _Whole)
    adapters.register_loader("bool", _Flag)


def translated(sql: str) -> tuple[bytes, bool]:
    """The statement with `$1, $2, …` for its `?`, and whether its rows may be very many (it has no LIMIT)."""
    known = _texts.get(sql)
    if known is None:
        numbers = iter(range(1, 1 << 16))
        text = _TOKEN.sub(lambda found: f"${next(numbers)}" if found[0] == "?" else found[0], sql)
        long = sql.lstrip()[:6].upper() == "SELECT" and "LIMIT" not in sql
        if len(_texts) >= TEXTS:
            _texts.clear()
        known = _texts[sql] = (text.encode(), long)
    return known


def takeable(value: Value) -> Value:
    """PostgreSQL's text has no NUL characters, and no database's has halves of characters."""
    if isinstance(value, str):
        if "\0" in value:
            value = value.replace("\0", "\ufffd")
        if not value.isascii():
            value = writable(value)
    return value


def _all_takeable(params: Sequence[Value]) -> Sequence[Value]:
    for value in params:
        if isinstance(value, str) and (not value.isascii() or "\0" in value):
            return [takeable(value) for value in params]
    return params


class PostgresTx:
    """A transaction on one connection; it has begun."""

    __slots__ = ("_connection", "_cursor", "_streamed")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = psycopg.RawCursor(connection)
        self._streamed: _Streamed | None = None

    def rows(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        text, long = translated(sql)
        if not long:
            self._execute(text, params)
            return iter(self._cursor.fetchall() if self._has_rows() else ())
        self.finish_reading()
        self._streamed = _Streamed(self._connection, text, _all_takeable(params))
        return self._streamed

    def row(self, sql: str, params: Sequence[Value] = ()) -> Row | None:
        self._execute(translated(sql)[0], params)
        return self._cursor.fetchone() if self._has_rows() else None

    def run(self, sql: str, params: Sequence[Value] = ()) -> int:
        self._execute(translated(sql)[0], params)
        return max(0, self._cursor.rowcount)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]], on_conflict: str) -> None:
        for some in _turns(columns, [_all_takeable(row) for row in rows], on_conflict):
            if len(some) < COPY_FROM:
                self._say(table, columns, some, on_conflict)
            else:
                self._copy(table, columns, some, on_conflict)

    def _has_rows(self) -> bool:
        """Whether the last statement gives any. (`description` says it too, and is made anew for each answer.)"""
        result = self._cursor.pgresult
        return result is not None and result.nfields > 0

    def _execute(self, text: bytes, params: Sequence[Value]) -> None:
        if self._streamed is not None:
            self.finish_reading()
        self._cursor.execute(text, _all_takeable(params), binary=True)

    def finish_reading(self) -> None:
        """A connection does one thing at a time: of an answer that is still being read, the rest is taken in first."""
        streamed, self._streamed = self._streamed, None
        if streamed is not None:
            streamed.take_in()

    def stop_reading(self) -> None:
        """The rest of an answer is not wanted any more."""
        streamed, self._streamed = self._streamed, None
        if streamed is not None:
            streamed.stop()

    def _say(self, table: str, columns: Sequence[str], rows: list[Sequence[Value]], on_conflict: str) -> None:
        """In sizes of powers of two: few texts, each of which stays prepared."""
        names = ",".join(columns)
        start = 0
        while start < len(rows):
            size = 1 << ((len(rows) - start).bit_length() - 1)
            chunk = rows[start : start + size]
            start += size
            marks = ",".join(["(" + ",".join("?" * len(columns)) + ")"] * size)
            sql = f"INSERT INTO {table} ({names}) VALUES {marks} {on_conflict}"
            self._execute(translated(sql)[0], [value for row in chunk for value in row])

    def _copy(self, table: str, columns: Sequence[str], rows: list[Sequence[Value]], on_conflict: str) -> None:
        """The table has the schema's number in its name: with a newer schema it is another one."""
        self.finish_reading()
        cursor, names, incoming = self._cursor, ",".join(columns), f"incoming_{table}_{migrate.NEWEST}"
        shape = f"ON COMMIT DELETE ROWS AS SELECT {names} FROM {table} WITH NO DATA"
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} {shape}".encode())
        types = [self._types_of(table)[column] for column in columns]
        with cursor.copy(f"COPY {incoming} ({names}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {incoming} {on_conflict}".encode())
        cursor.execute(f"DELETE FROM {incoming}".encode())

    def _types_of(self, table: str) -> dict[str, str]:
        """Column -> type. Not a thing of one database: the tables are ours."""
        known = _types.get(table)
        if known is None:
            sql = """SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
                WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"""
            self._execute(translated(sql)[0], (table,))
            known = _types[table] = {str(name): str(type_) for name, type_ in self._cursor.fetchall()}
        return known


_types: dict[str, dict[str, str]] = {}


class _Streamed:
    """An answer that may be long, a piece at a time: `rows` of a statement without a limit."""

    def __init__(self, connection: Connection, text: bytes, params: Sequence[Value]) -> None:
        size = PIECE if psycopg.capabilities.has_stream_chunked() else 1
        self._rows: Iterator[Row] = psycopg.RawCursor(connection).stream(text, params, binary=True, size=size)
        # The statement runs when it is asked for, not when its first row is.
        self._first = next(self._rows, None)

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        first = self._first
        if first is not None:
            self._first = None
            return first
        return next(self._rows)

    def take_in(self) -> None:
        self._rows = iter(list(self._rows))

    def stop(self) -> None:
        if isinstance(self._rows, Generator):
            self._rows.close()


def _turns(columns: Sequence[str], rows: list[Sequence[Value]], on_conflict: str) -> Iterator[list[Sequence[Value]]]:
    """The rows in one piece; in several, where a row is to update one that is inserted with it, which PostgreSQL
    refuses to do in one statement: each piece has a key once, and a later row of it comes in a later piece."""
    updating = _CONFLICT.search(on_conflict)
    if updating is None or len(rows) < 2:
        if rows:
            yield rows
        return
    places = [columns.index(name.strip()) for name in updating[1].split(",")]
    turns: list[list[Sequence[Value]]] = []
    seen: dict[tuple[Value, ...], int] = {}
    for row in rows:
        key = tuple(row[place] for place in places)
        turn = seen[key] = seen.get(key, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(row)
    yield from turns
