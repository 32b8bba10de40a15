"""Part `start`: how soon a server is there and gone, what it weighs, and what a command costs by way of it."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from . import report
from .server_place import NAMES, Place, Server, environment
from .server_runs import Maker, now
from .server_session import Session, met

SAMPLES, QUICK_SAMPLES = 5, 3
FLOW_RUNS = 200
START_TARGET = 0.7
MEMORY_TARGET = 80.0  # MiB

NOTES = f"""\
From the command `penstock server start` (a process of its own) to its first answer to `/api/health`, and from SIGTERM
to its end, on a record that is there; medians, and in brackets the fastest and the slowest. Memory is the resident size
right after it. `penstock flow-run ls` is the whole process of the command, on the same record of {FLOW_RUNS} flow runs:
by way of the server, and embedded."""


def measure(session: Session) -> list[str]:
    samples = QUICK_SAMPLES if session.quick else SAMPLES
    rows: list[tuple[str, ...]] = []
    for kind in session.kinds:
        with session.databases.fresh(kind) as place:
            _fill(place)
            rows += _rows(session, place, samples)
    return ["## Start and memory", NOTES, report.table(("what", "record", "measured", "target", ""), rows)]


def _fill(place: Place) -> None:
    from penstock.domain.states import State
    from penstock.store import flow_runs

    from .server_runs import COMPLETED

    maker = Maker(1)
    with place.open() as store, store.write() as tx:
        for number in range(FLOW_RUNS):
            at = now()
            flow_runs.put(tx, maker.flow_run(f"flow-{number % 5}", at, State(COMPLETED, "Completed", at)))


def _rows(session: Session, place: Place, samples: int) -> list[tuple[str, ...]]:
    starts, memories, ends, listed, listed_embedded = [], [], [], [], []
    for turn in range(samples):
        server = Server(place)
        try:
            starts.append(server.seconds_to_start)
            memories.append(server.memory())
            listed.append(_list(session, PENSTOCK_HOME=str(place.home / "client"), PENSTOCK_API_URL=server.url))
        finally:
            ends.append(server.stop())
        if place.url is None:
            listed_embedded.append(_list(session, **place.settings()))
        for complaint in server.complaints():
            session.complain(complaint)
        report.say(f"start, {NAMES[place.kind]} {turn + 1}/{samples}: {starts[-1]:.3f} s, {memories[-1]:.0f} MiB")
    name, start, memory = NAMES[place.kind], median(starts), median(memories)
    embedded = report.spread(listed_embedded) if listed_embedded else "(only by way of a server)"
    return [
        ("start to healthy", name, report.spread(starts), report.quantity(START_TARGET), met(start, START_TARGET)),
        ("resident memory after it", name, f"{memory:.0f} MiB", f"{MEMORY_TARGET:.0f} MiB", met(memory, MEMORY_TARGET)),
        ("SIGTERM to its end", name, report.spread(ends), "–", ""),
        ("`penstock flow-run ls`, served", name, report.spread(listed), "–", ""),
        ("`penstock flow-run ls`, embedded", name, embedded, "–", ""),
    ]  # fmt: skip


def _list(session: Session, **settings: str) -> float:
    command = [sys.executable, "-m", "penstock", "flow-run", "ls", "--limit", "200"]
    began = time.perf_counter()
    done = subprocess.run(command, env=environment(**settings), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode or "run-" not in done.stdout:
        session.complain(f"`penstock flow-run ls` ended with {done.returncode}: {done.stderr[-300:]}")
    return seconds
