"""A few small operations of Python and SQLite, so that numbers of different machines can be compared.

Runs in a process of its own and prints seconds an operation as JSON.
"""

from __future__ import annotations

import inspect
import json
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

ROWS = 1000
RECORD = {f"field_{i}": (i, f"value {i}", None, i / 3)[i % 4] for i in range(12)}


def nothing(x: int) -> int:
    return x


def each(operation: Callable[[], Any], times: int) -> float:
    began = perf_counter()
    for _ in range(times):
        operation()
    return (perf_counter() - began) / times


def call(times: int = 500_000) -> float:
    """The loop around it is taken off."""
    began = perf_counter()
    for i in range(times):
        nothing(i)
    middle = perf_counter()
    for _ in range(times):
        pass
    return ((middle - began) - (perf_counter() - middle)) / times


def sqlite_row() -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(Path(folder) / "rows.db", isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"CREATE TABLE record (id INTEGER PRIMARY KEY, {', '.join(RECORD)})")
        insert = f"INSERT INTO record VALUES (NULL, {', '.join('?' * len(RECORD))})"
        rows = [tuple(RECORD.values())] * ROWS

        def batch() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, rows)
            connection.execute("COMMIT")

        batch()
        return each(batch, 20) / ROWS


def main() -> dict[str, float]:
    signature = inspect.signature(nothing)
    return {
        "Python function call": call(),
        "`inspect.Signature.bind`, 1 argument": each(lambda: signature.bind(1), 50_000),
        "`uuid4`": each(uuid.uuid4, 50_000),
        "`json.dumps`, 12 fields": each(lambda: json.dumps(RECORD), 50_000),
        "SQLite `executemany`, a row of 12 columns (WAL)": sqlite_row(),
    }


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
