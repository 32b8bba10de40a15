"""What the acceptance tests share: programs run as a user runs them, and a look at the record from outside.

The record is read with the standard library's sqlite3, not with our own code: what is asserted is what is in the file.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "src"


@dataclasses.dataclass
class Ended:
    """A program that came to its end."""

    code: int
    out: str
    err: str
    seconds: float

    def lines(self) -> list[str]:
        """The log lines on the terminal, without their times."""
        return [line[15:] for line in self.err.splitlines() if line[12:15] == " | "]


class Record:
    """The record in a PENSTOCK_HOME, as rows."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.home / "penstock.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def flow_runs(self) -> list[tuple[str, str, str]]:
        """(flow, state's type, state's name), the oldest first."""
        return self.rows("SELECT flow_name, state_type, state_name FROM flow_run ORDER BY id")

    def task_runs(self) -> list[tuple[str, str, str]]:
        """(run's name, state's type, state's name), the oldest first."""
        return self.rows("SELECT name, state_type, state_name FROM task_run ORDER BY id")

    def log(self) -> list[str]:
        """All messages, in their order."""
        return [message for (message,) in self.rows("SELECT message FROM log ORDER BY run_id, seq")]

    def everything(self) -> bytes:
        """Every value of every table, and every byte of every file (the database's journal included)."""
        tables = [name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        values = [value for table in tables for row in self.rows(f"SELECT * FROM {table}") for value in row]
        parts = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        parts += [path.read_bytes() for path in sorted(self.home.rglob("*")) if path.is_file()]
        return b"\n".join(parts)


@pytest.fixture
def record(penstock_home: Path) -> Record:
    return Record(penstock_home)


@pytest.fixture
def run(penstock_home: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Runs `python ARGUMENTS…` in a process of its own, in an empty folder, recorded in this test's PENSTOCK_HOME."""
    folder = tmp_path / "cwd"
    folder.mkdir()

    def run(*arguments: str | Path, **environment: str) -> Ended:
        path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    return run
