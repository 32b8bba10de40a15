"""Part `launching`: from a run's time to its code, from a request to cancel to its end, many runs through one worker,
and many workers that wait."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psutil

from penstock import connect
from penstock.domain.runs import FlowRun
from penstock.domain.states import FINAL
from penstock.engine import identity
from penstock.protocol.deployments import APPLY_DEPLOYMENT, CREATE_RUN, ApplyDeployment, CreateRun
from penstock.protocol.flow_runs import CANCEL_FLOW_RUN, FILTER_FLOW_RUNS, READ_FLOW_RUN, ById, CancelRun, FilterRuns
from penstock.protocol.launches import CLAIM_LAUNCHES, ClaimLaunches, WorkerReport
from penstock.protocol.operation import Operation
from penstock.protocol.work_pools import CREATE_POOL, UPDATE_POOL, CreatePool, UpdatePool
from penstock.transport import Transport

from . import report
from .server_place import MEBIBYTE, NAMES, Place, Server, environment, serving
from .server_runs import now
from .server_session import Session, met, percentile

T = TypeVar("T")

SAMPLES, QUICK_SAMPLES = 30, 5
MANY, QUICK_MANY = 1_000, 40
WORKERS, QUICK_WORKERS = 200, 20
LIMIT = 20
APART = 0.7  # so that they do not stand in each other's way
PATIENCE = 900.0
CODE_TARGET = 0.5
CANCEL_TARGET = 0.2

CODE = """
import os, time
from pathlib import Path
from penstock import flow, runtime

@flow
def quick(folder: str):
    Path(folder, str(runtime.flow_run.id)).write_text(repr(time.time()))

@flow
def waits(folder: str):
    try:
        Path(folder, f"{runtime.flow_run.id}.pid").write_text(str(os.getpid()))
        time.sleep(600)
    finally:
        Path(folder, str(runtime.flow_run.id)).write_text(repr(time.time()))
"""

NOTES = f"""\
One worker of processes (`penstock worker start --limit {LIMIT}`) beside the server, each run a process of its own that
loads the flow from its file. *Due to code*: from the time a run was scheduled for to the first line of the flow, one
run at a time; of it, *to the claim* is until the worker had it. *Cancel*: from before the request is sent until the
exception is in the flow (which sleeps), and until its process is gone. *Many runs*: all due at once. *Workers that
wait*: so many, each with its long poll, in threads of one process; the processor that this costs the server, and from
before a run is made until one of them has it."""


def measure(session: Session) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for kind in session.kinds:
        with session.databases.fresh(kind) as place, serving(place, session.complain) as server:
            shop = _Shop(session, place, server)
            with shop.worker():
                rows += shop.one_by_one()
                rows += shop.cancelled()
                rows += shop.many()
            rows += shop.waiting()
    return ["## Launching", NOTES, report.table(("what", "record", "measured", "target", ""), rows)]


class _Shop:
    def __init__(self, session: Session, place: Place, server: Server) -> None:
        self._session = session
        self._name = NAMES[place.kind]
        self._server = server
        self._transport = Transport(server.url)
        self._folder = place.home / "work"
        self._folder.mkdir()
        (self._folder / "code.py").write_text(CODE)
        self._process: psutil.Process | None = None
        self._ask(CREATE_POOL, CreatePool(name="local"))
        self._ids = {name: self._deploy(name) for name in ("quick", "waits")}

    def _ask(self, operation: Operation[Any, Any], argument: Any) -> Any:
        return connect.ask_server(self._transport, operation, argument)

    def _deploy(self, name: str) -> Any:
        wanted = ApplyDeployment(
            flow_name=name, name="measured", entrypoint=f"code.py:{name}", path=str(self._folder), work_pool="local"
        )
        return self._ask(APPLY_DEPLOYMENT, wanted).deployment.id

    def _run(self, name: str, seconds: float = 0.0) -> FlowRun:
        due = now() + timedelta(seconds=seconds)
        made: FlowRun = self._ask(
            CREATE_RUN,
            CreateRun(id=self._ids[name], scheduled_time=due, parameters={"folder": str(self._folder)}),
        )
        return made

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        command = [sys.executable, "-m", "penstock", "worker", "start", "--pool", "local", "--limit", str(LIMIT)]
        settings = environment(PENSTOCK_HOME=str(self._folder / "home"), PENSTOCK_API_URL=self._server.url)
        with open(self._folder / "worker.log", "wb") as log:
            process = subprocess.Popen(command, env=settings, stdout=log, stderr=log)
        self._process = psutil.Process(process.pid)
        try:
            self._wait_for(self._run("quick"))  # until it works
            yield
        finally:
            process.terminate()
            process.wait(60)

    def one_by_one(self) -> list[tuple[str, ...]]:
        to_claim, to_code = [], []
        for _ in range(QUICK_SAMPLES if self._session.quick else SAMPLES):
            run = self._wait_for(self._run("quick", APART))
            assert run.expected_start_time is not None
            due = run.expected_start_time.timestamp()
            to_claim.append(next(each for each in run.states if each.name == "Pending").timestamp.timestamp() - due)
            to_code.append(float((self._folder / str(run.id)).read_text()) - due)
        worst = percentile(to_code, 95)
        return [
            ("due to the claim", self._name, report.spread(to_claim), "–", ""),
            ("due to code", self._name, report.spread(to_code), report.quantity(CODE_TARGET), met(worst, CODE_TARGET)),
        ]

    def cancelled(self) -> list[tuple[str, ...]]:
        heard, gone = [], []
        for _ in range(QUICK_SAMPLES if self._session.quick else SAMPLES):
            run = self._run("waits")
            pid = int(_until(partial(_text, self._folder / f"{run.id}.pid")))
            time.sleep(0.2)  # it sleeps by then
            began = time.time()
            self._ask(CANCEL_FLOW_RUN, CancelRun(id=run.id))
            _until(partial(_is_gone, pid))
            gone.append(time.time() - began)
            heard.append(float((self._folder / str(run.id)).read_text()) - began)
            ended = self._wait_for(run)
            if ended.state_name != "Cancelled":
                self._session.complain(f"a run that was cancelled is {ended.state_name}")
        worst = percentile(heard, 95)
        target = report.quantity(CANCEL_TARGET)
        return [
            ("cancel to the flow", self._name, report.spread(heard), target, met(worst, CANCEL_TARGET)),
            ("cancel to the end of its process", self._name, report.spread(gone), "–", ""),
        ]

    def many(self) -> list[tuple[str, ...]]:
        count = QUICK_MANY if self._session.quick else MANY
        assert self._process is not None
        before = self._process.memory_info().rss
        self._ask(UPDATE_POOL, UpdatePool(name="local", is_paused=True))
        runs = {self._run("quick").id for _ in range(count)}
        began = time.perf_counter()
        self._ask(UPDATE_POOL, UpdatePool(name="local", is_paused=False))
        _until(lambda: len(list(self._folder.glob("*-*-*-*-*"))) >= count and self._all_final(count), PATIENCE)
        seconds = time.perf_counter() - began
        grown = (self._process.memory_info().rss - before) / MEBIBYTE
        _until(lambda: self._process is not None and not self._process.children(recursive=True))
        done = sum((self._folder / str(id)).exists() for id in runs)
        self._session.expect("runs through one worker", "sqlite", done, count)
        left = len(self._process.children(recursive=True))
        return [
            (f"{count:,} runs, {LIMIT} at once", self._name, f"{seconds:.0f} s ({count / seconds:.1f}/s)", "–", ""),
            ("  growth of the worker", self._name, f"{grown:+.1f} MiB", "–", ""),
            ("  processes left", self._name, f"{left}", "0", "met" if left == 0 else "NOT MET"),
        ]

    def _all_final(self, count: int) -> bool:
        found = self._ask(FILTER_FLOW_RUNS, FilterRuns(limit=1000)).items
        return all(run.state.type in FINAL for run in found)

    def waiting(self) -> list[tuple[str, ...]]:
        count = QUICK_WORKERS if self._session.quick else WORKERS
        over, claimed = threading.Event(), dict[Any, float]()
        threads = [
            threading.Thread(target=self._wait_as_worker, args=(over, claimed), daemon=True) for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        time.sleep(3.0)  # all of them wait by then
        before, began = self._server.processor_seconds(), time.perf_counter()
        time.sleep(5.0 if self._session.quick else 30.0)  # what is measured
        share = (self._server.processor_seconds() - before) / (time.perf_counter() - began)
        took = []
        for _ in range(QUICK_SAMPLES if self._session.quick else SAMPLES):
            asked = time.perf_counter()
            run = self._run("quick")
            took.append(_until(partial(claimed.get, run.id)) - asked)
        over.set()
        what = f"{count} workers that wait"
        return [
            (f"{what}: a processor of the server", self._name, f"{share:.1%}", "–", ""),
            (f"{what}: a run until one has it", self._name, report.spread(took), "–", ""),
        ]

    def _wait_as_worker(self, over: threading.Event, claimed: dict[Any, float]) -> None:
        transport, id, me = Transport(self._server.url), uuid4(), identity.me()
        running: tuple[Any, ...] = ()
        while not over.is_set():
            about = WorkerReport(
                id=id, name=f"w-{id}", type="process", host=me.host, scope=f"scope-{id}", version="0", started=now(),
            )  # fmt: skip
            query = ClaimLaunches(worker=about, work_pool="local", running=running, slots=1, wait=10.0)
            try:
                claims = connect.ask_server(transport, CLAIM_LAUNCHES, query)
            except Exception as error:  # whatever it is, it is told with the measurement
                if not over.is_set():
                    self._session.complain(f"a worker that waits was refused: {error}")
                return
            at = time.perf_counter()
            for work in claims.work:
                claimed.setdefault(work.run.id, at)
                running = (*running, work.run.id)

    def _wait_for(self, run: FlowRun) -> FlowRun:
        def ended() -> FlowRun | None:
            found: FlowRun = self._ask(READ_FLOW_RUN, ById(run.id))
            return found if found.state.type in FINAL else None

        return _until(ended)


def _until(condition: Callable[[], T | None], seconds: float = 60.0) -> T:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.002)
    return found


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
