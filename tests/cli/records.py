"""Writes runs and lines into the record of this test, as engines would have."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock.connect import open_store
from penstock.domain.ids import flow_id
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import State, make
from penstock.engine.clock import SYSTEM
from penstock.store import flow_runs, logs, task_runs
from penstock.store.sqlite import SqliteStore

ROOT = Path(__file__).resolve().parents[2]

MINUTE = timedelta(minutes=1)


class Records:
    """Runs are created `ago` before now, a second for each state they went through."""

    def __init__(self, store: SqliteStore | None = None) -> None:
        self.store = store or open_store()

    def flow_run(
        self, *names: str, ago: timedelta = timedelta(0), flow: str = "etl", message: str | None = None, **fields: Any
    ) -> FlowRun:
        states = path(names or ("Pending", "Running", "Completed"), ago, message)
        known = {"id": SYSTEM.new_id(), "name": "shy-owl", "created": states[0].timestamp}
        run = FlowRun(
            **{**known, "flow_id": flow_id(flow), "flow_name": flow, "states": states, "version": len(states), **fields}
        )
        with self.store.write() as tx:
            flow_runs.put_flow(tx, run.flow_id, flow, run.created)
            flow_runs.put(tx, run)
        return run

    def task_run(self, of: FlowRun | None, *names: str, task: str = "load", number: int = 0, **fields: Any) -> TaskRun:
        run = task_run(of, *names, task=task, number=number, **fields)
        with self.store.write() as tx:
            task_runs.report(tx, [run])
        return run

    def mapped(self, of: FlowRun, count: int, task: str = "square", failed: int = 0) -> list[TaskRun]:
        """Runs of a task; the last ones failed."""
        names = [("Failed",) if number >= count - failed else ("Completed",) for number in range(count)]
        runs = [task_run(of, *each, task=task, number=number) for number, each in enumerate(names)]
        with self.store.write() as tx:
            task_runs.report(tx, runs)
        return runs

    def lines(
        self,
        of: FlowRun | TaskRun,
        *messages: str,
        start: int = 0,
        ago: timedelta = timedelta(minutes=1),
        **fields: Any,
    ) -> None:
        """One line a message, a second apart, the line 0 `ago`."""
        begun = datetime.now(UTC) - ago
        id = of.id
        if isinstance(of, TaskRun):
            fields["task_run_id"] = of.id
            id = of.flow_run_id or of.id
        with self.store.write() as tx:
            logs.append(
                tx,
                [
                    line(id, seq, begun + timedelta(seconds=seq), message, **fields)
                    for seq, message in enumerate(messages, start)
                ],
            )


def path(names: tuple[str, ...], ago: timedelta = timedelta(0), message: str | None = None) -> tuple[State[Any], ...]:
    """States a second apart, the last of them `ago`; it has the message."""
    end = datetime.now(UTC) - ago
    moments = [end - timedelta(seconds=len(names) - 1 - place) for place in range(len(names))]
    return tuple(
        make(name, moment, message=message if place == len(names) - 1 else None)
        for place, (name, moment) in enumerate(zip(names, moments, strict=True))
    )


def task_run(of: FlowRun | None, *names: str, task: str, number: int, **fields: Any) -> TaskRun:
    states = path(names or ("Pending", "Running", "Completed"))
    known = {
        "id": SYSTEM.new_id(),
        "name": f"{task}-{number}",
        "created": states[0].timestamp,
        "flow_run_id": None if of is None else of.id,
        "task_key": f"etl.{task}",
    }
    return TaskRun(**{**known, "task_name": task, "states": states, "version": len(states), **fields})


def line(id: UUID, seq: int, moment: datetime, message: str, **fields: Any) -> LogLine:
    task = fields.pop("task_run_id", None)
    return LogLine(None if id == task else id, task, seq, moment, fields.pop("level", 20), message, **fields)


# --- live processes --------------------------------------------------------------------------------------------------


@contextmanager
def program(script: Path, text: str) -> Iterator[subprocess.Popen[str]]:
    """A script of a user, running beside the test; ended with it."""
    script.write_text(text)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def penstock(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "penstock", *arguments],
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **options.pop("env", {})},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def wait_for(what: Callable[[], Any], seconds: float = 20) -> Any:
    """What is true at last; fails the test when it does not come to be."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"did not happen in {seconds} seconds")
