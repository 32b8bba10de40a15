"""Starts programs, has something happen to each, and waits for their end; what happened is kept for `checks`.

All that is started has a mark in its environment, by which it is found whoever its parent is: workers, children,
watchdogs, and what `penstock flow-run cancel` leaves behind.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock import cancel_flow_run, cancel_task_run
from penstock.domain.errors import RecordError, TransitionRefused
from penstock.store.sqlite import SqliteStore

from ..conftest import SOURCE

PROGRAM = Path(__file__).with_name("program.py")
KINDS = (
    "direct", "submitted", "nested", "async", "isolated", "pool", "children", "refusing", "greedy", "retried",
    "generator", "lone",
)  # fmt: skip
FAULTS = (
    "nothing", "exit", "kill", "kill-both", "kill-watchdog", "term", "int", "int-twice", "freeze-cancel",
    "freeze-continue", "freeze-timeout", "cancel", "cancel-kill", "cancel-task", "cancel-subflow", "timeout-flow",
    "timeout-task",
)  # fmt: skip
# The flow of these goes on to its own end.
GOES_ON = frozenset({"nothing", "freeze-continue", "cancel-task", "cancel-subflow", "timeout-task"})
# Nobody is left who could end what the program had started for itself.
KILLED = frozenset({"exit", "kill", "kill-both", "cancel-kill"})
AT_ONCE = 6
GRACE = 1.0
LONG = 60.0
# How long a program may take to end after its fault; what a launcher gives a program that it has sent SIGTERM.
PATIENCE, LAUNCHER = 15.0, 4.0
MARK = "PENSTOCK_TEST_FAULTS_MARK"


@dataclass
class Case:
    """One program, and what happened to it. Moments are of the wall clock, as those of the record."""

    index: int
    kind: str
    fault: str
    seed: int
    name: str = ""
    length: float = LONG
    process: subprocess.Popen[bytes] | None = None
    # when the fault came (a request: when it was made), whether the program lived then, and which run it was meant for
    at: float = 0.0
    was_alive: bool = True
    frozen_at: float = 0.0
    target: UUID | None = None
    refused: bool = False
    # the program was killed after the fault, because it cannot hear a signal; what went wrong
    followed_up: bool = False
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.name = f"case-{self.index:03}"
        # A thread of a greedy program cannot end it before its code lets it.
        if self.fault in GOES_ON or (self.kind, self.fault) == ("greedy", "exit") or self.chance.random() < 0.25:
            self.length = self.chance.uniform(0.3, 1.5)

    def __str__(self) -> str:
        return f"{self.name} ({self.kind} × {self.fault}, seed {self.seed}, {self.length:.2f} s)"


def cases(count: int, seed: int, only: str = "") -> list[Case]:
    """Every kind with every fault, as far as they reach, in random order; or `only` these, as `kind:fault,kind:`."""
    chance = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        every = [
            (kind, fault)
            for kind, fault in itertools.product(KINDS, FAULTS)
            if not only or {f"{kind}:{fault}", f"{kind}:", f":{fault}"} & {*only.split(",")}
        ]
        chance.shuffle(every)
        pairs += every
    return [Case(index, kind, fault, chance.randrange(10**6)) for index, (kind, fault) in enumerate(pairs[:count])]


class Faults:
    """The programs on one home. `mark` tells what belongs to this test; `folder` takes what the programs leave."""

    def __init__(self, home: Path, folder: Path, mark: str) -> None:
        self._home = home
        self._folder = folder
        self._mark = mark
        self.beats = folder / "beats"
        self.beats.mkdir()

    def run(self, every: list[Case]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._perform, every):
                pass

    def errors_of(self, case: Case) -> str:
        """What a program wrote last."""
        return "\n".join((self._folder / f"{case.name}.err").read_text(errors="replace").splitlines()[-25:])

    def _perform(self, case: Case) -> None:
        try:
            self._start(case)
            _DEEDS.get(case.fault, _nothing)(self, case)
            self._await_end(case)
        except Exception as error:
            case.problems.append(f"the test itself failed: {error!r}")

    def _start(self, case: Case) -> None:
        told: dict[str, Any] = {"name": case.name, "length": case.length, "step": 0.15, "beats": str(self.beats)}
        if case.fault in ("timeout-flow", "freeze-timeout"):
            told["flow_timeout"] = round(case.chance.uniform(0.1, 1.0), 2)
        if case.fault == "timeout-task" or (case.kind == "lone" and "flow_timeout" in told):
            told["task_timeout"] = round(case.chance.uniform(0.1, 0.6), 2)
            told["step"] = LONG if case.kind != "retried" else 3.0
        if case.kind == "children" and case.length == LONG:
            told["step"] = LONG  # whoever is not ended with its run is seen to be left
        if case.fault == "exit":
            told["exit_after"] = case.chance.uniform(0.0, 1.5)
        if case.fault in ("cancel-task", "cancel-subflow"):
            told["step"] = 1.5
        environment = {
            **os.environ,
            "PENSTOCK_STOP_WATCHDOG": "true",
            "PYTHONPATH": str(SOURCE),
            "FAULT_CASE": json.dumps(told),
            MARK: f"{self._mark}:{case.name}",
        }
        with open(self._folder / f"{case.name}.err", "wb") as errors:
            case.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), case.kind, str(case.seed)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )

    def _await_end(self, case: Case) -> None:
        assert case.process is not None
        try:
            if case.fault in ("term", "int", "int-twice") and case.kind == "greedy":
                try:
                    case.process.wait(LAUNCHER)
                except subprocess.TimeoutExpired:
                    case.followed_up = True
                    case.process.kill()
            case.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            case.problems.append(f"the program did not end within {PATIENCE:g} s")
            case.process.kill()
            case.process.wait()

    # --- what deeds need ---------------------------------------------------------------------------------------------

    def strike(self, case: Case, *numbers: signal.Signals) -> None:
        """Sends signals to the program; notes when, and whether it was alive."""
        assert case.process is not None
        case.at = case.frozen_at = time.time()
        case.was_alive = case.process.poll() is None
        for number in numbers:
            case.process.send_signal(number)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """From the record, in whatever state it is.

        Never by the standard library's sqlite3: a second SQLite in the process would give up the locks of ours, which
        cancels runs at the same time, and what others write meanwhile would be lost.
        """
        if not (path := self._home / "penstock.db").exists():
            return []
        store = SqliteStore(path)
        try:
            with store.read() as tx:
                return list(tx.rows(sql, values))
        except RecordError:  # its tables are being made at this moment
            return []
        finally:
            store.close()

    def await_run(self, case: Case, which: str = "flow") -> UUID | None:
        """A run of the program: its flow's, a subflow's or a task's; None when it ended before there was one."""
        sql = {
            "flow": "SELECT id FROM flow_run WHERE flow_name = ?",
            "subflow": "SELECT id FROM flow_run WHERE flow_name = ? || '/inner' AND state_type = 'RUNNING'",
            "task": "SELECT t.id FROM task_run t JOIN flow_run f ON t.flow_run_id = f.id"
            " WHERE f.flow_name = ? AND t.state_type = 'RUNNING'",
            "lone": "SELECT id FROM task_run WHERE task_name = ?",
        }[which]
        assert case.process is not None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ended = case.process.poll() is not None
            found = self.rows(sql, case.name)
            if found:
                return UUID(bytes=bytes(case.chance.choice(found)[0]))
            if ended:
                return None
            time.sleep(0.03)
        raise AssertionError(f"no {which} run within 20 s")

    def cancel(self, case: Case, which: str = "flow", grace: float | None = None) -> None:
        """Asks for the end of a run: by Python, or by the command line."""
        if case.kind == "lone":
            which = "lone"
        case.target = self.await_run(case, which) if case.target is None else case.target
        if case.target is None:
            case.was_alive = False
            return
        is_flow = which in ("flow", "subflow")
        if case.chance.random() < 0.25:
            asked = ["flow-run" if is_flow else "task-run", "cancel", str(case.target)]
            asked += [] if grace is None else ["--grace", str(grace)]
            case.refused = self.command(*asked).returncode != 0
        else:
            try:
                (cancel_flow_run if is_flow else cancel_task_run)(case.target, grace=grace)
            except TransitionRefused:
                case.refused = True
        case.at = time.time()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penstock", *arguments],
            env={**os.environ, "PYTHONPATH": str(SOURCE), MARK: f"{self._mark}:command"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    # --- processes ---------------------------------------------------------------------------------------------------

    def processes(self) -> dict[int, tuple[str, str]]:
        """pid -> (whose, command line) of all that belong to this test and live."""
        return {pid: (whose, line) for pid, whose, line in self._find()}

    def _find(self) -> Iterator[tuple[int, str, str]]:
        mark = f"{MARK}={self._mark}:".encode()
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                if mark in environment:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    line += f"({_state(pid)})"
                    yield pid, environment.partition(mark)[2].partition(b"\0")[0].decode(), line
            except OSError:  # it has gone meanwhile
                continue

    def watchdogs_of(self, case: Case) -> list[int]:
        return [pid for pid, (whose, line) in self.processes().items() if whose == case.name and "watchdog" in line]

    def await_watchdogs(self, case: Case) -> list[int]:
        """A program without limits has one when it has run for two seconds; one that ends before has none."""
        assert case.process is not None
        deadline = time.monotonic() + 3.0
        while not (found := self.watchdogs_of(case)) and case.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def end_all(self) -> None:
        """Whatever is left, whatever it is."""
        for _ in range(50):
            found = self.processes()
            if not found:
                return
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.02)


def _state(pid: int) -> str:
    """R, S, T (stopped), … of a process, and the parent's pid."""
    return " ".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2])


# --- faults ----------------------------------------------------------------------------------------------------------


def _moment(case: Case) -> None:
    """A random moment in a program's life: often in its flow, sometimes before, sometimes after."""
    time.sleep(case.chance.uniform(0.1, 3.2))


def _in_flow(faults: Faults, case: Case) -> bool:
    """A random moment after its flow has begun."""
    case.target = faults.await_run(case, "lone" if case.kind == "lone" else "flow")
    time.sleep(case.chance.uniform(0.0, 1.0))
    return case.target is not None


def _nothing(faults: Faults, case: Case) -> None:
    pass


def _signals(*numbers: signal.Signals) -> Callable[[Faults, Case], None]:
    def strike(faults: Faults, case: Case) -> None:
        _moment(case)
        faults.strike(case, *numbers)

    return strike


def _interrupt_twice(faults: Faults, case: Case) -> None:
    _moment(case)
    faults.strike(case, signal.SIGINT)
    time.sleep(case.chance.choice([0.0, 0.02, 0.3]))
    assert case.process is not None
    case.process.send_signal(signal.SIGINT)


def _kill_both(faults: Faults, case: Case) -> None:
    """Both are stopped first, so that neither sees the other's end."""
    _moment(case)
    faults.strike(case, signal.SIGSTOP)
    for pid in faults.watchdogs_of(case):
        os.kill(pid, signal.SIGKILL)
    assert case.process is not None
    case.process.kill()


def _kill_watchdog(faults: Faults, case: Case) -> None:
    """Its program goes on, and can be cancelled all the same."""
    _in_flow(faults, case)
    for pid in faults.await_watchdogs(case):
        os.kill(pid, signal.SIGKILL)
    faults.cancel(case)


def _freeze_and_continue(faults: Faults, case: Case) -> None:
    _moment(case)
    faults.strike(case, signal.SIGSTOP)
    time.sleep(case.chance.uniform(0.2, 1.0))
    assert case.process is not None
    case.process.send_signal(signal.SIGCONT)


def _freeze_and_cancel(faults: Faults, case: Case) -> None:
    if _in_flow(faults, case):
        faults.strike(case, signal.SIGSTOP)
        faults.cancel(case, grace=GRACE)
        if case.refused and case.process is not None:  # its run had ended
            case.process.send_signal(signal.SIGCONT)


def _freeze_past_the_limit(faults: Faults, case: Case) -> None:
    """Nobody but the watchdog can see to the time limit. (Before it is there, nobody can.)"""
    case.target = faults.await_run(case, "lone" if case.kind == "lone" else "flow")
    faults.await_watchdogs(case)
    faults.strike(case, signal.SIGSTOP)
    if case.process is not None and case.target is not None:
        try:
            case.process.wait(1.0 + GRACE + 4.0)
        except subprocess.TimeoutExpired:
            case.followed_up = True
            case.process.send_signal(signal.SIGCONT)


def _cancel(which: str) -> Callable[[Faults, Case], None]:
    def cancel(faults: Faults, case: Case) -> None:
        if _in_flow(faults, case):
            case.target = None if which != "flow" else case.target
            faults.cancel(case, "flow" if which == "subflow" and case.kind != "nested" else which)

    return cancel


def _cancel_and_kill(faults: Faults, case: Case) -> None:
    if _in_flow(faults, case):
        faults.cancel(case)
        assert case.process is not None
        case.was_alive = case.process.poll() is None
        case.process.kill()


_DEEDS: dict[str, Callable[[Faults, Case], None]] = {
    "kill": _signals(signal.SIGKILL),
    "kill-both": _kill_both,
    "kill-watchdog": _kill_watchdog,
    "term": _signals(signal.SIGTERM),
    "int": _signals(signal.SIGINT),
    "int-twice": _interrupt_twice,
    "freeze-cancel": _freeze_and_cancel,
    "freeze-continue": _freeze_and_continue,
    "freeze-timeout": _freeze_past_the_limit,
    "cancel": _cancel("flow"),
    "cancel-kill": _cancel_and_kill,
    "cancel-task": _cancel("task"),
    "cancel-subflow": _cancel("subflow"),
}
