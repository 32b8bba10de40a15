"""A record as it is after a long time: flow runs, task runs and lines, written straight into a fresh database.

Runs are spread evenly over the last seven days, and their ids tell it. One flow run is large. What is in there is
known, so that answers can be checked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.domain.levels import LEVELS
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import State, StateType
from penstock.store import flow_runs, logs, task_runs
from penstock.store.contract import Store

from . import report
from .server_runs import A_MOMENT, COMPLETED, PENDING, RUNNING, Maker, line

FLOWS = 20
SPAN = timedelta(days=7)
TASK_RUNS_OF_A_RUN = 20
LINES_OF_A_TASK_RUN = 5
# One flow run in so many is nightly; one task run in so many failed; one line in so many is a warning.
NIGHTLY, FAILED_ONE_IN, WARNING_ONE_IN = 10, 25, 20
# The large flow run's part of all task runs and lines.
LARGE_PART = 100
# Flow runs that go into one transaction.
AT_ONCE = 200
TASKS = ("extract", "clean", "join", "load")
STATES = [StateType.COMPLETED] * 90 + [StateType.FAILED] * 7 + [StateType.CRASHED] * 2 + [StateType.CANCELLED]
WARNING = LEVELS["WARNING"]


@dataclass
class Filled:
    """What was written: counts, and some runs to ask for."""

    flow_runs: int = 0
    task_runs: int = 0
    lines: int = 0
    failed_task_runs: int = 0
    flow_runs_by_state: dict[StateType, int] = field(default_factory=dict)
    some: list[FlowRun] = field(default_factory=list)
    some_task_runs: list[TaskRun] = field(default_factory=list)
    large: FlowRun | None = None
    large_lines: int = 0
    seconds: float = 0.0


def fill(store: Store, wanted: int, now: datetime) -> Filled:
    """About so many task runs, a twentieth as many flow runs, five times as many lines, up to `now`."""
    filled, maker = Filled(), Maker(4)
    began = time.perf_counter()
    large = wanted // LARGE_PART
    count = (wanted - large) // TASK_RUNS_OF_A_RUN
    start, step = now - SPAN, SPAN / (count + 1)
    some: list[tuple[FlowRun, int]] = []
    for number in range(count):
        some.append((_flow_run(maker, number, start + step * number), TASK_RUNS_OF_A_RUN))
        if number == count // 2:
            filled.large = _flow_run(maker, number, start + step * number)
            filled.large_lines = large * LINES_OF_A_TASK_RUN
            some.append((filled.large, large))
        if len(some) >= AT_ONCE or number == count - 1:
            _write(store, maker, filled, some)
            some = []
            if filled.task_runs % 50_000 < AT_ONCE * TASK_RUNS_OF_A_RUN:
                report.say(f"filling: {filled.task_runs:,} task runs, {filled.lines:,} lines")
    filled.seconds = time.perf_counter() - began
    return filled


def _flow_run(maker: Maker, number: int, at: datetime) -> FlowRun:
    last = STATES[number % len(STATES)]
    ended = at + timedelta(seconds=5)
    states: tuple[State[Any], ...]
    states = (State(PENDING, "Pending", at), State(RUNNING, "Running", at + A_MOMENT), State(last, "", ended))
    tags = ("nightly", "etl") if number % NIGHTLY == 0 else ("etl",)
    name = f"{('calm', 'bold', 'keen', 'warm')[number % 4]}-otter-{number}"
    return maker.flow_run(f"flow-{number % FLOWS}", at, *states, name=name, tags=tags, run_count=1)


def _write(store: Store, maker: Maker, filled: Filled, some: list[tuple[FlowRun, int]]) -> None:
    runs: list[TaskRun] = []
    lines: list[LogLine] = []
    with store.write() as tx:
        for run, count in some:
            flow_runs.put_flow(tx, run.flow_id, run.flow_name, run.created)
            flow_runs.put(tx, run)
            filled.flow_runs_by_state[run.state_type] = filled.flow_runs_by_state.get(run.state_type, 0) + 1
            made = list(_task_runs(maker, run, count))
            runs += made
            lines += _lines(run, made)
        task_runs.report(tx, runs)
        logs.append(tx, lines)
    filled.flow_runs += len(some)
    filled.task_runs += len(runs)
    filled.lines += len(lines)
    filled.failed_task_runs += sum(run.state_type is StateType.FAILED for run in runs)
    filled.some.append(some[0][0])
    filled.some_task_runs.append(runs[0])


def _task_runs(maker: Maker, run: FlowRun, count: int) -> Iterator[TaskRun]:
    step = timedelta(seconds=4) / (count + 1)
    for number in range(count):
        last = StateType.FAILED if number % FAILED_ONE_IN == FAILED_ONE_IN - 6 else COMPLETED
        at = run.created + step * (number + 1)
        yield maker.task_run(run.id, number, at, task=TASKS[number % len(TASKS)], last=last)


def _lines(run: FlowRun, made: list[TaskRun]) -> Iterator[LogLine]:
    seq = 0
    for task_run in made:
        for number in range(LINES_OF_A_TASK_RUN):
            level = WARNING if seq % WARNING_ONE_IN == 0 else LEVELS["INFO"]
            text = f"{task_run.name}: row {seq} of the table was read and has {number} columns that are new"
            yield line(run.id, task_run.id, seq, task_run.created + A_MOMENT * number, text, level)
            seq += 1
