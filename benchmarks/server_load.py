"""Part `load`: 32 clients that read and write without a pause, while the list page is polled; does the server keep up,
and does it grow?

As a program: some of the clients, as threads.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from penstock.domain.errors import TooMuch
from penstock.domain.filters import RunFilter
from penstock.domain.runs import FlowRun
from penstock.domain.states import StateType
from penstock.protocol import flow_runs, logs, task_runs
from penstock.transport import Transport

from . import report
from .server_clients import Clients, Job, Work, be_client
from .server_place import NAMES, Server, serving
from .server_runs import Maker, Reporter, line, now
from .server_session import Session, percentile

PROCESSES, THREADS = 4, 8
# One report of a client: so many task runs that ended, and as many lines.
REPORTED = 20
REPORTS_OF_A_RUN = 10
POLL_EVERY = 0.5
LOOK_EVERY, QUICK_LOOK_EVERY = 10.0, 0.5
# The server is warm after this; what it grows by afterwards is growth.
WARM_SECONDS = 60.0
PAGE = "list of flow runs, polled"
# How often a client does what, of 100.
WEIGHTS = {
    "report": 35, "read a flow run": 15, "list flow runs": 12, "list task runs of a run": 12, "read a log": 12,
    "count flow runs": 5, "task runs by state": 5, "change a flow run": 4,
}  # fmt: skip

NOTES = f"""\
{PROCESSES * THREADS} clients (threads of {PROCESSES} processes) ask and report without a pause, each the next thing as
soon as it was answered, so the times are those of a server that never has nothing to do. A report is {REPORTED} task
runs that ended and {REPORTED} lines; after {REPORTS_OF_A_RUN} reports a client ends its flow run and begins another.
Beside them somebody has the list page open: the newest 200 flow runs and their count, twice a second. What was answered
as recorded is counted in the database afterwards. Memory is the server's resident size; its slope is that of the line
through all looks after the first {WARM_SECONDS:.0f} seconds (of a short measurement: after its first third)."""


@dataclass
class Look:
    at: float  # seconds since the beginning
    memory: float  # MiB


@dataclass
class Seen:
    """What is seen from outside while the clients work."""

    looks: list[Look] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)

    def slope(self) -> float:
        """MiB a minute, by least squares."""
        end = self.looks[-1].at
        warm = min(WARM_SECONDS, end / 3)
        points = [look for look in self.looks if look.at >= warm]
        if len(points) < 2:
            return 0.0
        mean_at = sum(look.at for look in points) / len(points)
        mean_memory = sum(look.memory for look in points) / len(points)
        spread = sum((look.at - mean_at) ** 2 for look in points)
        return 60 * sum((look.at - mean_at) * (look.memory - mean_memory) for look in points) / spread


def measure(session: Session) -> list[str]:
    seconds = session.minutes * 60
    parts = [f"## {PROCESSES * THREADS} clients for {session.minutes:g} minutes", NOTES]
    for kind in session.kinds:
        parts += [f"### {NAMES[kind]}", *_measure(session, kind, seconds)]
    return parts


def _measure(session: Session, kind: str, seconds: float) -> list[str]:
    with session.databases.fresh(kind) as place, serving(place, session.complain) as server:
        jobs = [
            {"url": server.url, "seconds": seconds, "threads": THREADS, "seed": 1000 * number}
            for number in range(PROCESSES)
        ]
        idle = server.memory()
        with Clients("server_load", jobs) as clients:
            used, used_database = server.processor_seconds(), session.databases.processor_seconds(kind)
            found, seen, lasted = _watch(clients, server, session.quick)
            used = server.processor_seconds() - used
            used_database = session.databases.processor_seconds(kind) - used_database
            counted = place.count()  # while the clients live: of one that is gone, the server closes what it left
    took: dict[str, list[float]] = {PAGE: seen.polls}
    troubles = Counter(seen.troubles)
    written: Counter[str] = Counter()
    for each in found:
        for name, values in each["took"].items():
            took.setdefault(name, []).extend(values)
        troubles.update(each["troubles"])
        written.update(each["written"])
    _check(session, kind, troubles, written, counted)
    requests = sum(map(len, took.values()))
    waits = troubles[TooMuch.__name__]
    shares = f"server {used / lasted:.0%}, database {used_database / lasted:.0%} of a processor"
    memory = [look.memory for look in seen.looks]
    facts = [
        ("requests", f"{requests:,} ({requests / lasted:,.0f}/s)"),
        ("errors", f"{sum(troubles.values()) - waits:,}"),
        ("answers to come again later (429)", f"{waits:,}"),
        ("recorded", ", ".join(f"{number:,} {name}" for name, number in sorted(written.items()))),
        ("processors", shares),
        ("memory: before, largest, at the end", f"{idle:.0f}, {max(memory):.0f}, {memory[-1]:.0f} MiB"),
        ("memory: slope", f"{seen.slope():+.2f} MiB/min"),
    ]
    kinds = [
        (name, f"{len(values):,}", *(report.quantity(percentile(values, each)) for each in (50, 99, 100)))
        for name, values in sorted(took.items())
        if values
    ]
    looks = ", ".join(f"{look.memory:.0f}" for look in seen.looks)
    return [
        report.table(("", "under load"), facts),
        report.table(("request", "number", "p50", "p99", "longest"), kinds),
        f"Memory in MiB, every {QUICK_LOOK_EVERY if session.quick else LOOK_EVERY:g} seconds: {looks}.",
    ]


def _check(session: Session, kind: str, troubles: Counter[str], written: Counter[str], counted: dict[str, int]) -> None:
    for trouble, number in troubles.items():
        if trouble != TooMuch.__name__:
            session.complain(f"load on {NAMES[kind]}: {number:,} times {trouble}")
    for what, number in counted.items():
        session.expect(f"load: {what}", kind, number, written[what])


def _watch(clients: Clients, server: Server, quick: bool) -> tuple[list[Any], Seen, float]:
    seen, found = Seen(), []
    ended = threading.Event()
    began = time.monotonic()

    def poll() -> None:
        transport = Transport(server.url, patience=0.0)
        while not ended.wait(POLL_EVERY):
            asked = time.perf_counter()
            try:
                transport.call(flow_runs.FILTER_FLOW_RUNS, flow_runs.FilterRuns(limit=200))
                transport.call(flow_runs.COUNT_FLOW_RUNS, flow_runs.CountRuns())
            except Exception as error:
                seen.troubles[f"{PAGE}: {error!r}"] += 1
            seen.polls.append(time.perf_counter() - asked)

    def look() -> None:
        while not ended.wait(QUICK_LOOK_EVERY if quick else LOOK_EVERY):
            seen.looks.append(Look(time.monotonic() - began, server.memory()))
            report.say(f"load: {seen.looks[-1].at:.0f} s, {seen.looks[-1].memory:.0f} MiB")

    threads = [threading.Thread(target=each) for each in (poll, look)]
    for thread in threads:
        thread.start()
    try:
        found = clients.work()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    lasted = time.monotonic() - began
    seen.looks.append(Look(lasted, server.memory()))
    return found, seen, lasted


# --- a client --------------------------------------------------------------------------------------------------------


class Client:
    """One client: what it does next, and how long each took."""

    def __init__(self, url: str, seed: int) -> None:
        self.maker = Maker(seed)
        self.reporter = Reporter(url, self.maker)
        self.ask = self.reporter.transport.call
        self.took: dict[str, list[float]] = {}
        self.troubles: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.run: FlowRun | None = None
        self.reports = 0

    def work(self, until: float) -> None:
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        doing: dict[str, Callable[[FlowRun], None]] = {
            "report": self._report, "read a flow run": self._read, "list flow runs": self._list,
            "list task runs of a run": self._list_task_runs, "read a log": self._read_log,
            "count flow runs": self._count, "task runs by state": self._count_states, "change a flow run": self._change,
        }  # fmt: skip
        while time.monotonic() < until:
            if self.run is None:
                self._on_the_clock("begin a flow run", self._begin)
            elif self.reports == REPORTS_OF_A_RUN:
                self._on_the_clock("end a flow run", self._end)
            else:
                name = self.maker.random.choices(names, weights)[0]
                run = self.run
                self._on_the_clock(name, lambda name=name, run=run: doing[name](run))  # type: ignore[misc]
        while self.run is not None:  # what has begun ends, so that it can be counted
            self._on_the_clock("end a flow run", self._end)

    def _on_the_clock(self, name: str, do: Callable[[], None]) -> None:
        began = time.perf_counter()
        try:
            do()
        except TooMuch as error:
            self.troubles[TooMuch.__name__] += 1
            time.sleep(getattr(error, "retry_after", 0.1))
        except Exception as error:
            self.troubles[f"{name}: {error!r}"[:300]] += 1
            self.run = None
            time.sleep(0.1)
        else:
            self.took.setdefault(name, []).append(time.perf_counter() - began)

    def _begin(self) -> None:
        self.run, self.reports = self.reporter.begin(f"flow-{self.maker.random.randrange(20)}"), 0

    def _end(self) -> None:
        assert self.run is not None
        self.reporter.end(self.run)
        self.run = None
        self.written["flow runs"] += 1

    def _report(self, run: FlowRun) -> None:
        at, facts = now(), []
        for place in range(REPORTED):
            number = self.reports * REPORTED + place
            task_run = self.maker.task_run(run.id, number, at + timedelta(microseconds=place))
            facts += [task_run, line(run.id, task_run.id, number, at, f"Finished number {number} in state Completed()")]
        self.reporter.send(self.reporter.body(facts))  # type: ignore[arg-type]
        self.reports += 1
        self.written["task runs"] += REPORTED
        self.written["lines"] += REPORTED

    def _read(self, run: FlowRun) -> None:
        self.ask(flow_runs.READ_FLOW_RUN, flow_runs.ById(run.id))

    def _list(self, run: FlowRun) -> None:
        types = self.maker.random.choice(((), (StateType.RUNNING,), (StateType.COMPLETED,)))
        self.ask(flow_runs.FILTER_FLOW_RUNS, flow_runs.FilterRuns(filter=RunFilter(state_types=types), limit=50))

    def _list_task_runs(self, run: FlowRun) -> None:
        self.ask(task_runs.FILTER_TASK_RUNS, flow_runs.FilterRuns(filter=RunFilter(flow_run_id=run.id), limit=50))

    def _read_log(self, run: FlowRun) -> None:
        self.ask(logs.FILTER_LOGS, logs.FilterLogs(flow_run_id=run.id, last=100))

    def _count(self, run: FlowRun) -> None:
        self.ask(flow_runs.COUNT_FLOW_RUNS, flow_runs.CountRuns(filter=RunFilter(flow_names=(run.flow_name,))))

    def _count_states(self, run: FlowRun) -> None:
        self.ask(flow_runs.COUNT_TASK_RUNS_OF, flow_runs.ById(run.id))

    def _change(self, run: FlowRun) -> None:
        self.ask(flow_runs.UPDATE_FLOW_RUN, flow_runs.UpdateRun(id=run.id, tags=("loaded", str(self.reports))))


def clients(job: Job) -> tuple[Any, Work]:
    made = [Client(job["url"], job["seed"] + number) for number in range(job["threads"])]

    def work() -> Any:
        until = time.monotonic() + job["seconds"]
        threads = [threading.Thread(target=each.work, args=(until,)) for each in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took: dict[str, list[float]] = {}
        for each in made:
            for name, values in each.took.items():
                took.setdefault(name, []).extend(round(value, 6) for value in values)
        return {
            "took": took,
            "troubles": sum((each.troubles for each in made), Counter()),
            "written": sum((each.written for each in made), Counter()),
        }

    return None, work


if __name__ == "__main__":
    be_client(clients)
