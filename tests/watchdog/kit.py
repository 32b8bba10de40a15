"""What tests of the watchdog share: programs that write their runs by the services and are guarded."""

from __future__ import annotations

import subprocess
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from penstock.domain.runs import FlowRun
from penstock.engine import identity
from penstock.infrastructure import process
from penstock.services import cancelling
from penstock.settings import current
from penstock.store.sqlite import SqliteStore

from ..flows.kit import Programs, until

PRELUDE = '''
import os, re, signal, subprocess, sys, threading, time
from datetime import timedelta
from uuid import UUID
from penstock.domain.ids import flow_id
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import make
from penstock.domain.stops import CANCEL, Stop, time_limit
from penstock.engine import identity
from penstock.engine.clock import SYSTEM
from penstock.services import orchestrate
from penstock.settings import current
from penstock.store import flow_runs, holders, task_runs
from penstock.store.sqlite import SqliteStore
from penstock.watchdog.beside import Watchdog
from penstock.watchdog.places import where_is

path = current().database_path
store = SqliteStore(path)


def begin(name, parent=None):
    run = FlowRun(
        id=SYSTEM.new_id(), name=name, created=SYSTEM.now(), flow_id=flow_id(name), flow_name=name, run_count=1,
        holder=identity.me(), flow_run_id=parent, states=(make("Pending", SYSTEM.now()),),
    )
    with store.write() as tx:
        orchestrate.begin(tx, run, make("Running", SYSTEM.now()))
    return run


def begin_task(name, flow_run_id):
    run = TaskRun(
        id=SYSTEM.new_id(), name=name, created=SYSTEM.now(), task_name=name, task_key=name, run_count=1,
        flow_run_id=flow_run_id, holder=None if flow_run_id else identity.me(),
    )
    run.enter(make("Running", SYSTEM.now()))
    with store.write() as tx:
        task_runs.report(tx, [run])
    return run


def lease(may_be_killed):
    with store.write() as tx:
        holders.put(tx, identity.me(), SYSTEM.now() + timedelta(seconds=60), may_be_killed)


def guard(watchdog, run, seconds=None, kill_in=None, record_in=None, stop=None):
    """As the engine guards a time limit."""
    kind = "Flow run" if isinstance(run, FlowRun) else "Task run"
    return watchdog.guard(
        run, where=where_is(path), stop=stop or time_limit(kind, seconds, run.name),
        record_in=seconds if record_in is None else record_in, kill_in=kill_in, due_in=seconds,
    )


def has_ended(run):
    with store.read() as tx:
        return flow_runs.get(tx, run.id).state.is_final()


def watcher(watchdog):
    """The pid of the watchdog's process, once it is there."""
    while not watchdog._table.watcher:
        time.sleep(0.001)
    return watchdog._table.watcher


def hold_the_interpreter():
    print("ready", flush=True)
    re.match(r"(a+)+$", "a" * 60 + "b")


def wait():
    print("ready", flush=True)
    threading.Event().wait()

'''


def start(programs: Programs, text: str, *arguments: object) -> subprocess.Popen[str]:
    """A program with the prelude."""
    return programs.start(programs.write(PRELUDE + textwrap.dedent(text)), *arguments)


def said(process_: subprocess.Popen[str]) -> str:
    """The next line that a program writes."""
    assert process_.stdout is not None
    line = process_.stdout.readline()
    if not line:
        assert process_.stderr is not None
        raise AssertionError(f"the program ended:\n{process_.stderr.read()}")
    return line.rstrip("\n")


def is_gone(pid: int) -> bool:
    """Zombies are: who adopts them may take its time."""
    return process.find(pid) is None


def await_gone(pid: int, seconds: float = 20.0) -> None:
    until(lambda: is_gone(pid), seconds)


def cancel(run: FlowRun, grace: float) -> None:
    """As `penstock flow-run cancel` asks for it."""
    store = SqliteStore(Path(current().database_path))
    try:
        now = datetime.now(UTC)
        cancelling.cancel_flow_run(store, run.id, who="a test", grace=grace, now=now, lives=identity.lives)
    finally:
        store.close()
