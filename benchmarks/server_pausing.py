"""Part `pausing`: from a request to resume to the next line of the flow, many runs that wait, and many whose time is
over at once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from penstock import connect
from penstock.domain.filters import RunFilter
from penstock.domain.ids import flow_id
from penstock.domain.pauses import Pause
from penstock.domain.runs import FlowRun
from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.protocol.flow_runs import (
    COUNT_FLOW_RUNS,
    FILTER_FLOW_RUNS,
    RESUME_FLOW_RUN,
    CountRuns,
    FilterRuns,
    ResumeRun,
)
from penstock.protocol.journal import BeginPause
from penstock.services import orchestrate, pausing
from penstock.services.desk import Desk
from penstock.store.contract import Store
from penstock.transport import Transport

from . import report
from .server_place import MEBIBYTE, NAMES, SQLITE, Place, environment, serving
from .server_runs import now
from .server_session import Session, met, percentile

T = TypeVar("T")

SAMPLES, QUICK_SAMPLES = 30, 5
MANY, QUICK_MANY = 10_000, 500
WATCHED, QUICK_WATCHED = 20.0, 3.0
RESUME_TARGET, SHARE_TARGET, EXPIRY_TARGET = 0.2, 0.01, 2.0
# The deadline of the many: they are all there by then.
AHEAD, QUICK_AHEAD = 60.0, 8.0
AT_ONCE = 500

CODE = """
import sys, time
from pathlib import Path
from penstock import flow, pause_flow_run

@flow
def waits():
    for number in range(int(sys.argv[2])):
        pause_flow_run(timeout=600)
        Path(sys.argv[1], f"{number}.tmp").write_text(repr(time.time()))
        Path(sys.argv[1], f"{number}.tmp").rename(Path(sys.argv[1], str(number)))

waits()
"""

NOTES = f"""\
*Resume to code*: from before the request until the line after `pause_flow_run` is run, in a program that waits; without
a server the request is a call in another process, on the same file. *Many that wait*: suspended runs, each with a
deadline of its own; the processor that the server uses with them, and what its memory grows by in
{WATCHED:g} s. *Over at once*: as many whose deadline is the same moment; from that moment until none of them is
Suspended in the record."""


def measure(session: Session) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for kind in session.kinds:
        if kind == SQLITE:
            with session.databases.fresh(kind) as place:
                rows.append(_resumed(session, place, None))
        with session.databases.fresh(kind) as place, serving(place, session.complain) as server:
            rows.append(_resumed(session, place, server.url))
            with contextlib.closing(Transport(server.url)) as transport, place.open() as store:
                rows += _many(session, place, server, transport, store)
                rows.append(_over(session, place, transport, store))
    return ["## Pausing", NOTES, report.table(("what", "record", "measured", "target", ""), rows)]


def _resumed(session: Session, place: Place, url: str | None) -> tuple[str, ...]:
    count = QUICK_SAMPLES if session.quick else SAMPLES
    folder = place.home / "paused"
    folder.mkdir()
    (folder / "code.py").write_text(CODE)
    settings = {"PENSTOCK_HOME": str(place.home if url is None else folder / "home")}
    if url is not None:
        settings["PENSTOCK_API_URL"] = url
    program = subprocess.Popen(
        [sys.executable, str(folder / "code.py"), str(folder), str(count)], env=environment(**settings),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    took = []
    try:
        with _asking(place, url) as ask:
            for number in range(count):
                run: FlowRun = _until(partial(_paused, ask))
                time.sleep(0.05)  # it waits by then, and looks at nothing
                began = time.time()
                ask(RESUME_FLOW_RUN, ResumeRun(id=run.id))
                took.append(_until(partial(_moment, folder / str(number))) - began)
        if program.wait(60) != 0:
            session.complain("a program that was resumed did not end well")
    finally:
        program.kill()
    where = NAMES[place.kind] if url is not None else f"{NAMES[place.kind]}, no server"
    return (
        "resume to code", where, report.spread(took), report.quantity(RESUME_TARGET),
        met(percentile(took, 95), RESUME_TARGET),
    )  # fmt: skip


@contextlib.contextmanager
def _asking(place: Place, url: str | None) -> Iterator[Callable[..., Any]]:
    if url is not None:
        with contextlib.closing(Transport(url)) as transport:
            yield partial(connect.ask_server, transport)
        return
    with place.open() as store:
        desk: Desk = connect.desk(store)
        yield desk.answer


def _paused(ask: Callable[..., Any]) -> FlowRun | None:
    found: list[FlowRun] = ask(FILTER_FLOW_RUNS, FilterRuns(limit=1)).items
    return found[0] if found and found[0].state.is_paused() else None


def _many(session: Session, place: Place, server: Any, transport: Transport, store: Store) -> list[tuple[str, ...]]:
    count, seconds = (QUICK_MANY, QUICK_WATCHED) if session.quick else (MANY, WATCHED)
    idle = _share(server, seconds)
    _suspend(store, count, lambda number: 3600.0 + number)
    time.sleep(1.0)
    memory = server.memory()
    share = _share(server, seconds) - idle
    grown = (server.memory() - memory) / MEBIBYTE
    what = f"{count:,} that wait"
    return [
        (f"{what}: a processor of the server", NAMES[place.kind], f"{share:+.2%} (without them {idle:.2%})",
         f"{SHARE_TARGET:.0%}", met(share, SHARE_TARGET)),
        (f"{what}: growth of the server", NAMES[place.kind], f"{grown:+.1f} MiB", "–", ""),
    ]  # fmt: skip


def _share(server: Any, seconds: float) -> float:
    before, began = server.processor_seconds(), time.perf_counter()
    time.sleep(seconds)  # what is measured
    return float((server.processor_seconds() - before) / (time.perf_counter() - began))


def _over(session: Session, place: Place, transport: Transport, store: Store) -> tuple[str, ...]:
    count, ahead = (QUICK_MANY, QUICK_AHEAD) if session.quick else (MANY, AHEAD)
    deadline = now() + timedelta(seconds=ahead)
    _suspend(store, count, lambda _: (deadline - now()).total_seconds(), "over")
    if now() >= deadline:
        session.complain(f"{count:,} runs were not there in {ahead:g} s")
    failed = CountRuns(filter=RunFilter(flow_names=("over",), state_names=("Failed",)))
    _until(lambda: connect.ask_server(transport, COUNT_FLOW_RUNS, failed).count >= count, ahead + 120)
    took = (now() - deadline).total_seconds()
    return (
        f"{count:,} over at once", NAMES[place.kind], report.quantity(took), report.quantity(EXPIRY_TARGET),
        met(took, EXPIRY_TARGET),
    )  # fmt: skip


def _suspend(store: Store, count: int, timeout: Callable[[int], float], flow: str = "waits") -> None:
    for first in range(0, count, AT_ONCE):
        with store.write() as tx:
            for number in range(first, min(first + AT_ONCE, count)):
                moment = now()
                run = FlowRun(
                    id=SYSTEM.new_id(), name=f"{flow}-{number}", created=moment, flow_id=flow_id(flow), flow_name=flow,
                    states=(make("Pending", moment),), version=1,
                )  # fmt: skip
                orchestrate.begin(tx, run, make("Running", moment))
                pause = _pause(run.id, timeout(number))
                pausing.begin(tx, BeginPause(pause, run.epoch, moment))


def _pause(run_id: UUID, seconds: float) -> Pause:
    moment = now()
    return Pause(
        id=SYSTEM.new_id(), flow_run_id=run_id, key="1", begun=moment, deadline=moment + timedelta(seconds=seconds),
        suspended=True,
    )  # fmt: skip


def _moment(path: Path) -> float | None:
    return float(path.read_text()) if path.exists() else None


def _until(condition: Callable[[], T | None], seconds: float = 60.0) -> T:
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.002)
    return found
