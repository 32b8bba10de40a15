"""Runs one cell of the table in a process of its own and watches from outside: its record, its stamps, its end."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from .measure import PENSTOCK, Bench, Product
from .stopping_code import AWAIT, CHILDREN, ITEMS, NUMPY, ROWS, Board

HERE = Path(__file__).parent

TIMEOUT, CANCEL = "timeout", "cancel"
WAYS = ("direct", "submitted", "mapped", "subflow", "isolated", "async", "dask", "ray")
# Those that a package must be there for.
PACKAGES = {"dask": "distributed", "ray": "ray"}

TIMEOUT_SECONDS = 0.5
CANCEL_AFTER_SECONDS = 0.7
GRACE_SECONDS = 1.0
# How long after the deadline or the request one looks, and how often.
PATIENCE_SECONDS = 4.0
LOOK_EVERY_SECONDS = 0.002
# A loop, or a child process, that has not beaten for so long is still.
QUIET_SECONDS = 0.3
# How long the record may take to say that code which it left behind is still by now.
PROOF_SECONDS = 0.3
LONGEST_START_SECONDS = 60.0

_FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


@dataclass(frozen=True)
class Cell:
    """One measurement: this code, called in this way, stopped by this."""

    row: str
    way: str
    by: str

    def __str__(self) -> str:
        return f"{self.row} / {self.way} / {self.by}"

    @property
    def exists(self) -> bool:
        return self.way == "async" or self.row != AWAIT


@dataclass(frozen=True)
class Abilities:
    """What the installed version can do, and whether numpy is there."""

    isolation: bool
    cancel: bool
    numpy: bool
    packages: tuple[str, ...] = ()

    def has(self, cell: Cell) -> bool:
        return (
            (self.isolation or cell.way != "isolated")
            and (self.cancel or cell.by != CANCEL)
            and (self.numpy or cell.row != NUMPY)
            and (cell.way not in PACKAGES or cell.way in self.packages)
        )


@dataclass
class Outcome:
    """Seconds from the deadline or the request; None: not while one looked.

    Of a cancelled flow run `left` says how many runs below were not final when it was, and `doubt` that the record of
    one of them says that nobody saw its code stop.
    """

    record: float | None = None
    still: float | None = None
    state: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    left: int = 0
    doubt: bool = False
    trouble: str = ""


def cells() -> Iterator[Cell]:
    for by in (TIMEOUT, CANCEL):
        for row in ROWS:
            yield from filter(lambda cell: cell.exists, (Cell(row, way, by) for way in WAYS))


class Record:
    """A product's record of one cell, read while it is written."""

    def __init__(self, path: Path, product: Product, cell: Cell, name: str) -> None:
        self.path = path
        self._penstock = product.package == "penstock"
        if self._penstock:
            columns, cancelled = "state_type, state_name, states, id", "flow_run_id IS NULL"
            parts, tasks = "FROM flow_run WHERE flow_run_id IS NOT NULL", "FROM task_run WHERE task_name = 'work'"
        else:
            columns = "state_type, state_name, '[]', id"
            cancelled = f"flow_id = (SELECT id FROM flow WHERE name = '{name}')"
            parts = f"FROM flow_run WHERE flow_id = (SELECT id FROM flow WHERE name = '{name}-part')"
            whole = f"SELECT id FROM flow_run WHERE {cancelled}"
            tasks = f"FROM task_run WHERE name LIKE 'work%' AND flow_run_id IN ({whole})"
        self._whole = f"SELECT {columns} FROM flow_run WHERE {cancelled}"
        self._below = [f"SELECT {columns} {parts}", f"SELECT {columns} {tasks}"]
        if cell.by == CANCEL:
            self._wanted = self._whole
        else:
            self._wanted = self._below[0 if cell.way == "subflow" else 1]
        self._connection: sqlite3.Connection | None = None

    def stopped(self) -> list[tuple[str, str, str, Any]]:
        """The runs that are to be stopped: of each its state's type and name, its states, its id."""
        return self._ask(self._wanted)

    def flow_run_id(self) -> str:
        """Of the whole flow; empty while it is not recorded."""
        found = self._ask(self._whole)
        if not found:
            return ""
        return str(UUID(bytes=found[0][3])) if self._penstock else str(found[0][3])

    def below(self) -> list[tuple[str, str, str, Any]]:
        """The runs that the flow called, like `stopped`."""
        return [row for query in self._below for row in self._ask(query)]

    def _ask(self, query: str) -> list[tuple[str, str, str, Any]]:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
            return self._connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # it is not there yet, or being made
            return []

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Life:
    """Says when a process ended, whoever its parent is."""

    def __init__(self, pid: int) -> None:
        self.ended: float | None = None
        self._poll = select.poll()
        try:
            self._fd = os.pidfd_open(pid)
            self._poll.register(self._fd, select.POLLIN)
        except ProcessLookupError:
            self._fd = -1
            self.ended = time.monotonic()

    def look(self) -> None:
        if self.ended is None and self._poll.poll(0):
            self.ended = time.monotonic()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class Watch:
    """Looks at one cell until all is known, or patience ends."""

    def __init__(self, cell: Cell, board: Board, record: Record) -> None:
        self.cell = cell
        self.board = board
        self.record = record
        self.lives: dict[int, Life] = {}
        self.recorded: float | None = None
        self.state = ""
        self.details: dict[str, Any] = {}
        self.left = 0
        self.doubt = False

    def until_known(self, request: float | None) -> Outcome:
        """`request`: when the cancellation was asked for; the deadline follows from the code's beginning."""
        while True:
            zero = request or max(self.board.get(item, "began") for item in self.board.began()) + TIMEOUT_SECONDS
            now = time.monotonic()
            self._look(now)
            still = self._still(now)
            if (self.recorded is not None and still is not None) or now > zero + PATIENCE_SECONDS:
                break
            time.sleep(LOOK_EVERY_SECONDS)
        while still and self.details.get("confirmed") is False and time.monotonic() < now + PROOF_SECONDS:
            time.sleep(LOOK_EVERY_SECONDS)
            self._read(self._final())
        if self.recorded is not None:
            self._read(self._final())  # what it says in the end is what counts
        if not self.state:
            self.state = next((row[1] for row in self.record.stopped()), "no record")
        return Outcome(
            _since(zero, self.recorded), _since(zero, still), self.state, self.details, self.left, self.doubt
        )

    def _look(self, now: float) -> None:
        for item in self.board.began():
            if item not in self.lives:
                self.lives[item] = Life(int(self.board.get(item, "pid")))
            self.lives[item].look()
        if self.recorded is not None:
            return
        final = self._final()
        if len(final) < (1 if self.cell.by == CANCEL else len(self.lives)):
            return
        self.recorded = time.monotonic()
        if self.cell.by == CANCEL:
            self.left = sum(row[0] not in _FINAL for row in self.record.below())
        self._read(final)

    def _final(self) -> list[tuple[str, str, str, Any]]:
        return [row for row in self.record.stopped() if row[0] in _FINAL]

    def _read(self, final: list[tuple[str, str, str, Any]]) -> None:
        """The state, and what it says of how the code stopped."""
        if final:
            self.state = final[0][1]
            self.details = _details(final[0])
        if self.cell.by == CANCEL:
            self.doubt = any(_details(row).get("confirmed") is False for row in self.record.below())

    def _still(self, now: float) -> float | None:
        """When the last of the code came to rest; None: it has not."""
        moments = [self._item_still(item, now) for item in self.lives]
        known = [moment for moment in moments if moment is not None]
        return max(known) if len(known) == len(moments) else None

    def _item_still(self, item: int, now: float) -> float | None:
        beat, child = self.board.get(item, "beat"), self.board.get(item, "child_beat")
        own: float | None = self.board.get(item, "ended") or self.lives[item].ended
        if own is None and beat and now - beat > QUIET_SECONDS:
            own = beat
        if self.cell.row not in CHILDREN or own is None:
            return own
        return max(own, child) if now - child > QUIET_SECONDS else None

    def pids(self) -> list[int]:
        """The processes that may still work."""
        return [int(self.board.get(item, slot)) for item in range(ITEMS) for slot in ("pid", "child_pid")]

    def close(self) -> None:
        for life in self.lives.values():
            life.close()
        self.record.close()


def _details(row: tuple[str, str, str, Any]) -> dict[str, Any]:
    states = json.loads(row[2])
    return (states[-1][4] if states else None) or {}


def _since(zero: float, moment: float | None) -> float | None:
    return None if moment is None else moment - zero


class Stopper:
    """Measures cells. `api_url` is that of a server which all cells of a product share."""

    def __init__(self, bench: Bench, product: Product = PENSTOCK, home: Path | None = None, api_url: str = "") -> None:
        self.bench = bench
        self.product = product
        self.home = home
        self.api_url = api_url
        self._number = 0

    def measure(self, cell: Cell) -> Outcome:
        self._number += 1
        name = f"cell-{self._number}"
        with tempfile.TemporaryDirectory(dir=self.bench.folder, ignore_cleanup_errors=True) as folder:
            place = Path(folder)
            text = (HERE / "scripts" / "stopped.py").read_text()
            text = text.replace("from penstock import", f"from {self.product.package} import")
            (place / "stopped.py").write_text(text)
            shutil.copy(HERE / "stopping_code.py", place)
            board = Board(place / "board", new=True)
            database = (self.home or place) / self.product.database
            with closing(Watch(cell, board, Record(database, self.product, cell, name))) as watch:
                return self._watched(watch, place, name)

    def _watched(self, watch: Watch, place: Path, name: str) -> Outcome:
        cell = watch.cell
        seconds = TIMEOUT_SECONDS if cell.by == TIMEOUT else 0
        command = [self.product.python, "stopped.py", cell.row, cell.way, str(seconds), name]
        with (place / "output").open("w+") as output, self._process(command, place, output) as process:
            try:
                if not self._began(watch, process):
                    output.seek(0)
                    lines = output.read().strip().splitlines() or [f"the process ended with {process.poll()}"]
                    return Outcome(trouble=f"the code did not begin: {lines[-1]}")
                if cell.by == TIMEOUT:
                    return watch.until_known(None)
                return self._cancelled(watch, place)
            finally:
                _kill(process.pid, watch.pids())

    def _process(self, command: list[str], place: Path, output: IO[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=place, env=self.environment(place), start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def environment(self, place: Path) -> dict[str, str]:
        environment = self.bench.environment(self.home or place, self.product)
        environment["STOPPING_BOARD"] = str(place / "board")
        if self.product.package == "penstock":
            environment["PENSTOCK_STOP_GRACE_SECONDS"] = str(GRACE_SECONDS)
        if self.api_url:
            environment["PREFECT_API_URL"] = self.api_url
        return environment

    def _began(self, watch: Watch, process: subprocess.Popen[str]) -> bool:
        give_up = time.monotonic() + LONGEST_START_SECONDS
        while not watch.board.began() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(LOOK_EVERY_SECONDS)
        return bool(watch.board.began())

    def _cancelled(self, watch: Watch, place: Path) -> Outcome:
        with (place / "cancel-output").open("w+") as output:
            ask = self._ask_penstock if self.product.package == "penstock" else self._ask_prefect
            with ask(watch, place, output) as asked:
                outcome = watch.until_known(asked)
            output.seek(0)
            if outcome.record is None:
                outcome.trouble = " ".join(output.read().split())
        return outcome

    @contextmanager
    def _ask_penstock(self, watch: Watch, place: Path, output: IO[str]) -> Iterator[float]:
        """When the command was given. It may wait for the end, so it is left to do so while one looks."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, str(HERE / "scripts" / "cancel.py")], cwd=place, env=self.environment(place),
            text=True, stdin=pipe, stdout=pipe, stderr=output,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            id = _due(watch, LONGEST_START_SECONDS)
            process.stdin.write(f"{id} {GRACE_SECONDS:g}\n")
            process.stdin.flush()
            try:
                yield float(process.stdout.readline())
            finally:
                process.kill()

    @contextmanager
    def _ask_prefect(self, watch: Watch, place: Path, output: IO[str]) -> Iterator[float]:
        command = [self.product.python, "-m", "prefect", "flow-run", "cancel", _due(watch, LONGEST_START_SECONDS)]
        subprocess.run(command, cwd=place, env=self.environment(place), stdout=output, stderr=output, timeout=60)
        yield time.monotonic()


def _due(watch: Watch, patience: float) -> str:
    """The flow run's id, at the moment when it is to be cancelled."""
    began = watch.board.get(0, "began")
    while time.monotonic() < began + patience:
        if time.monotonic() >= began + CANCEL_AFTER_SECONDS and (id := watch.record.flow_run_id()):
            return id
        time.sleep(LOOK_EVERY_SECONDS)
    raise TimeoutError(f"{watch.cell}: the flow run was not recorded")


def _kill(leader: int, pids: list[int]) -> None:
    for end, pid in [(os.killpg, leader), *((os.kill, pid) for pid in pids if pid)]:
        try:
            end(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
