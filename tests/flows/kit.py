"""What tests of runs share: reading the record back, waiting for a condition, running a program."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psutil

from penstock import connect
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, TaskRun
from penstock.ledger.contract import Flush
from penstock.settings import current
from penstock.store import flow_runs, logs, task_runs
from penstock.store.sqlite import SqliteStore

T = TypeVar("T")
SOURCE = Path(__file__).resolve().parents[2] / "src"
PATIENCE = 20.0
WATCHED = {"PENSTOCK_STOP_WATCHDOG": "true"}


def until(condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Waits for a condition to be true, and gives what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s: {condition}")
        time.sleep(0.005)


@contextmanager
def no_children_left() -> Iterator[None]:
    """All processes that begin in it are gone after it. (A database that other tests share may run beside it.)"""
    before = {child.pid for child in psutil.Process().children()}
    yield
    until(lambda: all(child.pid in before for child in psutil.Process().children()))


class Record:
    """The record of this test, read beside the engine; what this process has not recorded yet is waited for."""

    def _store(self) -> SqliteStore:
        path = current().database_path
        ledger = connect._ledgers.get(path)
        if ledger is not None:
            ledger.ask(Flush())
        return SqliteStore(path)

    def read(self, question: Callable[[Any], T]) -> T:
        store = self._store()
        try:
            with store.read() as tx:
                return question(tx)
        finally:
            store.close()

    def flow_runs(self, flow: str | None = None) -> list[FlowRun]:
        """In the order they were created."""
        where, params = ("flow_name = ?", [flow]) if flow else ("1 = 1", [])
        return self.read(lambda tx: list(flow_runs.select(tx, where, params, "id", 100_000)))

    def flow_run(self, flow: str | None = None) -> FlowRun:
        (run,) = self.flow_runs(flow)
        return run

    def task_runs(self, task: str | None = None) -> list[TaskRun]:
        where, params = ("task_name = ?", [task]) if task else ("1 = 1", [])
        return self.read(lambda tx: list(task_runs.select(tx, where, params, "id", 100_000)))

    def task_run(self, task: str | None = None) -> TaskRun:
        (run,) = self.task_runs(task)
        return run

    def lines(self, run: FlowRun | TaskRun | None = None) -> list[LogLine]:
        """Of a run, or of the only flow run there is."""
        id: UUID = (run or self.flow_run()).id
        return self.read(lambda tx: logs.read(tx, id, limit=100_000))

    def messages(self, run: FlowRun | TaskRun | None = None) -> list[str]:
        return [line.message for line in self.lines(run)]

    def count(self, table: str) -> int:
        return int(self.read(lambda tx: tx.row(f"SELECT count(*) FROM {table}"))[0])


def names(run: FlowRun | TaskRun) -> list[str]:
    """The names of the states that a run went through."""
    return [state.name for state in run.states]


def everything(home: Path) -> bytes:
    """All bytes of all files, and all cells of the record (which may lie in two pages)."""
    store = connect.open_store()
    with store.read() as tx:
        tables = [name for (name,) in tx.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        cells = [cell for table in tables for row in tx.rows(f"SELECT * FROM {table}") for cell in row]
    parts = [cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells]
    return b"\n".join([*parts, *(path.read_bytes() for path in home.rglob("*") if path.is_file())])


# --- programs --------------------------------------------------------------------------------------------------------


@dataclass
class Finished:
    code: int
    stdout: str
    stderr: str


class Programs:
    """Python programs run by a test, on its home; what is still running at its end is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def write(self, text: str) -> Path:
        path = self._folder / f"program{len(list(self._folder.glob('program*.py')))}.py"
        path.write_text(textwrap.dedent(text))
        return path

    def start(self, program: str | Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        path = program if isinstance(program, Path) else self.write(program)
        process = subprocess.Popen(
            [sys.executable, str(path), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", **WATCHED, **environment},
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], timeout: float = 60) -> Finished:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise AssertionError(f"the program did not end:\n{stdout}\n{stderr}") from None
        return Finished(process.returncode, stdout, stderr)

    def tell(self, process: subprocess.Popen[str], number: int, timeout: float = 20) -> Finished:
        """Signals a program that is to end by it. One that begins a blocking call in that very moment does not hear it
        until the call is over: the interpreter looks for signals before, and not again; so it is told once more."""
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        if process.poll() is None:
            process.send_signal(number)
        return self.finish(process, timeout)

    def run(self, program: str | Path, *arguments: object, timeout: float = 60, **environment: str) -> Finished:
        return self.finish(self.start(program, *arguments, **environment), timeout)

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


# --- gates -----------------------------------------------------------------------------------------------------------


class Gate:
    """Code waits at it until the test opens it; waiting ends by itself before the test's own patience does."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.arrived = threading.Event()

    def wait(self) -> None:
        self.arrived.set()
        assert self._open.wait(PATIENCE), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()


@contextmanager
def taking_less_than(seconds: float) -> Iterator[None]:
    """For bounds that are far above what is promised and far below what the mistake would take."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"took {took:.2f} s"
