"""`python -m benchmarks.fleet`: how many flow runs at once servers bear, by simulated runs and workers.

The servers are real, and so is everything they are sent; what is simulated is the processes that send it
(`fleet_runs.py` says what each sends, `fleet_wire.py` how). At first all runs begin, then those that end are followed
by others; in the end all end, and the record is counted: every run and task run there, none lost.

The figures that the model (`fleet_model.py`) starts from are written by `--json`, together with what
`fleet_costs.py` finds about single transactions.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psutil

from penstock import connect
from penstock.protocol.deployments import APPLY_DEPLOYMENT, ApplyDeployment
from penstock.protocol.work_pools import CREATE_POOL, CreatePool
from penstock.transport import Transport

from . import fleet_costs, fleet_database, report
from . import server as server_page
from .fleet_runs import CLAIM, DRAIN, LATE, RAMP, RENEW, REPORT, STATE_CHANGES, STEADY, TOLD, Course, Profile
from .server_clients import Clients
from .server_place import NAMES, POSTGRES, SQLITE, Databases, Place, Server
from .server_runs import now
from .server_session import Session, met, percentile

RUNS, QUICK_RUNS = 10_000, 200
SERVERS, CLIENTS = 2, 2
SECONDS, QUICK_SECONDS = 180.0, 15.0
BEGIN_IN_A_SECOND, END_IN_A_SECOND = 100.0, 200.0
LENGTH, QUICK_LENGTH = 300.0, 30.0
LAUNCHED, WORKERS = 10, 20
TARGET = 0.250
BUSY = 3.0
LOOK_EVERY = 1.0
LANES = {"Begin (a script's run)": "begin", "Enter (a run's end)": "end", "create a run": "create",
         "Take and Enter (a launched run begins)": "take"}  # fmt: skip

Rows = list[tuple[str, ...]]


@dataclass
class Point:
    """What one measurement found. Seconds, MiB, and shares of one processor."""

    kind: str
    servers: int
    course: Course
    profile: Profile
    load: float
    launched: float
    took: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    again: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    counted: dict[str, int] = field(default_factory=dict)
    requests: float = 0.0
    server_shares: list[float] = field(default_factory=list)
    database_share: float = 0.0
    client_share: float = 0.0
    others_share: float = 0.0
    memory: list[float] = field(default_factory=list)
    connections: int = 0
    told: float = 0.0
    old: int = 0
    deleted: float = 0.0
    sizes: dict[str, list[int]] = field(default_factory=dict)

    def changes(self, phase: str) -> list[float]:
        return [each for kind in STATE_CHANGES for each in self.of(phase, kind)]

    def of(self, phase: str, kind: str) -> list[float]:
        return self.took.get(phase, {}).get(kind, [])

    def figures(self) -> dict[str, Any]:
        """For the model: what it is held against."""
        changes, reports = self.changes(STEADY), self.of(STEADY, REPORT)
        return {
            "database": self.kind, "servers": self.servers, "course": msgspec.to_builtins(self.course),
            "profile": msgspec.to_builtins(self.profile), "load": self.load,
            "changes": {f"p{each}": percentile(changes, each) for each in (50, 99)},
            "reports": {f"p{each}": percentile(reports, each) for each in (50, 99)},
            "requests_a_second": self.requests, "server_shares": self.server_shares,
            "database_share": self.database_share, "client_share": self.client_share,
            "others_share": self.others_share, "launched": self.launched / 100,
        }  # fmt: skip


@dataclass
class Look:
    """What is used at a moment, in processor seconds, since each began."""

    at: float
    servers: list[float]
    database: float
    whole: float
    memory: list[float]
    connections: int
    told: int
    deleted: int


# --- measuring -------------------------------------------------------------------------------------------------------


def measure(session: Session, options: argparse.Namespace) -> Point:
    course = Course(
        options.runs, max(options.runs / BEGIN_IN_A_SECOND, 1.0), options.seconds,
        max(options.runs / END_IN_A_SECOND, 1.0),
    )  # fmt: skip
    profile = Profile(options.length, options.tasks, options.lines)
    point = Point(options.database, options.servers, course, profile, os.getloadavg()[0], options.launched)
    with session.databases.fresh(options.database) as place:
        point.old = fleet_database.fill(place, options.old)
        began = now()
        with (
            _servers(session, place, options.servers) as servers,
            Clients("fleet_runs", _jobs(servers, point, options)) as clients,
        ):
            found = _watched(session, clients, servers, place, point)
            point.counted = place.count(began)
        point.sizes = fleet_database.sizes(place) if options.database == POSTGRES else {}
    for each in found:
        point.again.update(each["again"])
        point.troubles.update(each["troubles"])
        point.written.update(each["written"])
        for phase, kinds in each["took"].items():
            for kind, values in kinds.items():
                point.took.setdefault(phase, {}).setdefault(kind, []).extend(values)
    _check(session, point)
    return point


@contextlib.contextmanager
def _servers(session: Session, place: Place, count: int) -> Iterator[list[Server]]:
    """Several servers of one record, each with a home of its own, as on machines of their own."""
    servers: list[Server] = []
    try:
        for number in range(count):
            home = place.home / f"server-{number}" if count > 1 else place.home
            home.mkdir(exist_ok=True)
            servers.append(Server(dataclasses.replace(place, home=home)))
        yield servers
    finally:
        for each in servers:
            each.stop()
    for each in servers:
        for complaint in each.complaints():
            session.complain(complaint)


def _jobs(servers: Sequence[Server], point: Point, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each client process has every so-and-so-many-th place of the fleet, and a work pool of its own."""
    transport = Transport(servers[0].url)
    jobs = []
    for number in range(options.clients):
        pool = f"fleet-{number}"
        connect.ask_server(transport, CREATE_POOL, CreatePool(name=pool))
        wanted = ApplyDeployment(
            flow_name="launched", name=pool, entrypoint="code.py:launched", path="/nowhere", work_pool=pool
        )
        applied: UUID = connect.ask_server(transport, APPLY_DEPLOYMENT, wanted).deployment.id
        jobs.append({
            "urls": [server.url for server in servers],
            "slots": list(range(number, point.course.runs, options.clients)),
            "course": msgspec.to_builtins(point.course), "profile": msgspec.to_builtins(point.profile),
            "workers": -(-options.workers // options.clients) if options.launched else 0,
            "launched": options.launched, "seed": 1000 + number, "pool": pool, "deployment": str(applied),
            "streams": not options.no_streams,
        })  # fmt: skip
    return jobs


def _watched(
    session: Session, clients: Clients, servers: Sequence[Server], place: Place, point: Point
) -> list[dict[str, Any]]:
    """Lets the clients work, and looks at all processes meanwhile."""
    looks: list[Look] = []
    ended = threading.Event()
    began = time.monotonic()

    def look() -> None:
        with fleet_database.ear(place) as ear:
            look_again(ear)

    def look_again(ear: Callable[[], int]) -> None:
        while True:
            cpu = psutil.cpu_times()
            looks.append(Look(
                time.monotonic() - began, [each.processor_seconds() for each in servers],
                session.databases.processor_seconds(point.kind), sum(cpu) - cpu.idle - cpu.iowait,
                [each.memory() for each in servers], fleet_database.connections(place), ear(),
                fleet_database.deleted(place) if point.old else 0,
            ))  # fmt: skip
            if len(looks) % 10 == 0:
                report.say(f"fleet: {looks[-1].at:.0f} s, {looks[-1].memory[0]:.0f} MiB")
            if ended.wait(LOOK_EVERY):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        found = clients.work()
    finally:
        ended.set()
        thread.join()
    point.memory = [max(look.memory[number] for look in looks) for number in range(len(servers))]
    point.connections = max(look.connections for look in looks)
    steady = [look for look in looks if point.course.phase(look.at) == STEADY]
    first, last = steady[0], steady[-1]
    seconds = last.at - first.at
    point.deleted = (last.deleted - first.deleted) / seconds
    point.told = sum(look.told for look in steady[1:]) / seconds
    point.server_shares = [(b - a) / seconds for a, b in zip(first.servers, last.servers, strict=True)]
    point.database_share = (last.database - first.database) / seconds
    marks = [each["marks"] for each in found]
    point.client_share = sum((b["used"] - a["used"]) / (b["at"] - a["at"]) for a, b in marks)
    point.requests = sum((b["requests"] - a["requests"]) / (b["at"] - a["at"]) for a, b in marks)
    known = sum(point.server_shares) + point.database_share + point.client_share
    point.others_share = max(0.0, (last.whole - first.whole) / seconds - known)
    return found


def _check(session: Session, point: Point) -> None:
    for trouble, number in point.troubles.items():
        session.complain(f"fleet on {NAMES[point.kind]}: {number:,} times {trouble}")
    for trouble, number in point.again.items():
        if "signals" in trouble:
            session.complain(f"fleet on {NAMES[point.kind]}: {number:,} times {trouble}")
    for what, number in point.counted.items():
        session.expect(f"fleet: {what}", point.kind, number, point.written[what])


# --- the page --------------------------------------------------------------------------------------------------------


def _notes(point: Point, options: argparse.Namespace) -> str:
    profile, course = point.profile, point.course
    streams = "Each has its stream of signals open." if not options.no_streams else "Streams of signals are not opened."
    return f"""\
**What a simulated run does.** It lasts {profile.length:g} s and has {profile.tasks:,} tasks, one after the other, and
{profile.lines:,} log lines. It sends Begin; then a batch every {profile.interval:g} s (the task that ended, the next
one, {profile.lines_of_a_task:,} lines); after twenty seconds without one, a batch of nothing which keeps the lease of
its process; and Enter at its end. {streams} The servers take its process for one of another machine.
{options.launched} % of the runs are runs of a deployment: created, claimed by one of {options.workers} workers (which
wait for work with a long poll each, and tell what became of each launch), then taken. A real process has a connection
for all that it sends; here those of a client process share as many as are in use at a time.

**How it goes.** {course.runs:,} runs begin within {course.ramp:g} s; for {course.seconds:g} s those that end are
followed by others; then all end within {course.drain:g} s. Times are from when something was due until its answer, so
what waits behind a slow answer is counted; what was due and was sent late because the clients had no processor is in
it, and shown. {options.clients} processes are the clients."""


def page(options: argparse.Namespace, session: Session, facts: list[str], points: Sequence[Point]) -> str:
    parts = [
        "# A fleet, measured",
        f"Written by `python -m benchmarks.fleet{told(options)}`; edit `benchmarks/fleet*.py` instead of this page. "
        "What follows from it for other numbers of runs is on [sizing](sizing.md).",
        "\n".join(f"- {fact}" for fact in facts),
    ]
    for point in points:
        title = f"{point.course.runs:,} runs at once, {point.servers} server{'s' * (point.servers > 1)}"
        parts += [f"## {title}, {NAMES[point.kind]}", _notes(point, options), *_tables(point)]
    if session.wrong:
        parts += ["## What was wrong", "\n".join(f"- {each}" for each in session.wrong)]
    return "\n\n".join(parts) + "\n"


def _tables(point: Point) -> list[str]:
    busy = [f"**The machine was busy with other work** (load average {point.load:.1f} before it; other processes had "
            f"{point.others_share:.0%} of a processor meanwhile), and the times are longer for it."]  # fmt: skip
    return [
        *(busy if point.load > BUSY or point.others_share > 0.3 else []),
        report.table(("", "in the steady state"), _facts(point)),
        report.table(("what", "phase", "number", "p50", "p99", "longest", "target", ""), _times(point)),
        *([_size_table(point)] if point.sizes else []),
    ]


def _facts(point: Point) -> Rows:
    lost = [f"{point.counted[what] - point.written[what]:+,} {what}" for what in point.counted]
    there = ", ".join(f"{number:,} {what}" for what, number in point.counted.items())
    return [
        ("requests", f"{point.requests:,.0f}/s"),
        ("processors: servers", " + ".join(f"{share:.0%}" for share in point.server_shares)),
        ("processors: database", f"{point.database_share:.0%}"),
        ("processors: clients", f"{point.client_share:.0%}"),
        ("processors: all else on the machine", f"{point.others_share:.0%}"),
        ("memory of each server, at most", ", ".join(f"{each:.0f} MiB" for each in point.memory)),
        ("connections to the database, at most", f"{point.connections:,}"),
        ("notifications of the database (`NOTIFY`), each heard by every server once", f"{point.told:,.0f}/s"),
        *([("rows of old runs that retention deletes meanwhile", f"{point.deleted:,.0f}/s, of {point.old:,}")]
          if point.old else []),
        ("errors", f"{sum(point.troubles.values()):,}"),
        ("sent again (the server was away, or too busy)", f"{sum(point.again.values()):,}"),
        ("in the record at the end", there),
        ("against what was answered as recorded", "all of it" if point.counted == point.written else ", ".join(lost)),
    ]  # fmt: skip


def _times(point: Point) -> Rows:
    rows: Rows = []

    def add(what: str, phase: str, values: list[float], target: float | None = None) -> None:
        if values:
            spread = [report.quantity(percentile(values, each)) for each in (50, 99, 100)]
            goal = ("–", "") if target is None else (report.quantity(target), met(percentile(values, 99), target))
            rows.append((what, phase, f"{len(values):,}", *spread, *goal))

    for phase in (RAMP, STEADY, DRAIN):
        add("**state changes**", phase, point.changes(phase), TARGET if phase == STEADY else None)
    for what, kind in {**LANES, "report": REPORT, "lease renewed": RENEW, "until a worker has a run": CLAIM,
                       "a worker reports a launch": TOLD, "late in the clients": LATE}.items():  # fmt: skip
        add(what, STEADY, point.of(STEADY, kind))
    return rows


def _size_table(point: Point) -> str:
    total = sum(size for _, size in point.sizes.values())
    runs = point.counted["flow runs"]
    rows = [
        (f"`{name}`", f"{count:,}", f"{size / 1e6:,.1f} MB", f"{size / count:,.0f} B" if count else "–")
        for name, (count, size) in point.sizes.items()
        if size > total / 200
    ]
    rows.append(("all tables", "", f"{total / 1e6:,.1f} MB", f"{total / runs:,.0f} B for each flow run"))
    return "On the disk at the end (`pg_total_relation_size`, indexes and all):\n\n" + report.table(
        ("table", "rows", "bytes", "each"), rows
    )


# --- the command -----------------------------------------------------------------------------------------------------


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet",
        description="Measures servers with simulated flow runs. Exit code 1: a row is lost, or an answer is an error. "
        "Slowness is reported, not failed.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="small sizes")
    add("--runs", type=int, nargs="+", help=f"at once, default {RUNS:,} (with --quick {QUICK_RUNS}); several: in turn")
    add("--servers", type=int, help=f"on one database, default {SERVERS} (SQLite: 1)")
    add("--database", choices=(POSTGRES, SQLITE), default=POSTGRES, help="default postgres")
    add("--seconds", type=float, help=f"the steady state, default {SECONDS:g} (with --quick {QUICK_SECONDS:g})")
    add("--length", type=float, help=f"seconds that a run takes, default {LENGTH:g} (with --quick {QUICK_LENGTH:g})")
    add("--tasks", type=int, default=10, help="of a run, default 10")
    add("--lines", type=int, default=100, help="of a run, default 100")
    add("--launched", type=int, default=LAUNCHED, metavar="PERCENT", help=f"by workers, default {LAUNCHED}")
    add("--workers", type=int, default=WORKERS, help=f"default {WORKERS}")
    add("--clients", type=int, default=CLIENTS, help=f"processes, default {CLIENTS}")
    add(
        "--old",
        type=int,
        default=0,
        metavar="TASK_RUNS",
        help="in the record before, for retention to delete meanwhile",
    )
    add("--no-streams", action="store_true", help="runs do not listen for signals")
    add("--markdown", metavar="FILE", type=Path, help="write the page there too")
    add("--json", metavar="FILE", type=Path, help="write the figures that the model needs there (costs, too)")
    options = parser.parse_args(given)
    quick = options.quick
    options.runs = options.runs or [QUICK_RUNS if quick else RUNS]
    options.servers = options.servers or (1 if options.database == SQLITE else SERVERS)
    if options.database == SQLITE and options.servers > 1:
        parser.error("a file of SQLite serves one server: --servers 1")
    options.seconds = options.seconds or (QUICK_SECONDS if quick else SECONDS)
    options.length = options.length or (QUICK_LENGTH if quick else LENGTH)
    return options


def told(options: argparse.Namespace) -> str:
    """The options that the numbers depend on, as one types them."""
    words = {
        f" --runs {' '.join(map(str, options.runs))}": options.runs != [RUNS],
        f" --servers {options.servers}": options.servers != SERVERS,
        f" --database {options.database}": options.database != POSTGRES,
        f" --seconds {options.seconds:g}": options.seconds != SECONDS,
        f" --length {options.length:g}": options.length != LENGTH,
        f" --tasks {options.tasks}": options.tasks != 10,
        f" --lines {options.lines}": options.lines != 100,
        f" --launched {options.launched}": options.launched != LAUNCHED,
        f" --workers {options.workers}": options.workers != WORKERS,
        f" --clients {options.clients}": options.clients != CLIENTS,
        f" --old {options.old}": options.old > 0,
        " --no-streams": options.no_streams,
    }
    return "".join(word for word, given in words.items() if given)


def main(given: Sequence[str] | None = None) -> int:
    # Ended politely, it ends what it started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments(given)
    with (
        tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as folder,
        Databases(Path(folder)) as databases,
    ):
        session = Session(databases, (options.database,), options.quick, 0, 1)
        facts = server_page.facts(session)
        costs = fleet_costs.measure(session) if options.json else None
        points = [measure(session, argparse.Namespace(**{**vars(options), "runs": runs})) for runs in options.runs]
    text = page(options, session, facts, points)
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(text)
    if options.json:
        sizes = max((point.sizes for point in points), key=lambda sizes: sum(size for _, size in sizes.values()))
        figures = {
            "made": facts,
            "processors": os.cpu_count(),
            "costs": costs,
            "points": [point.figures() for point in points],
            "sizes": sizes,
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    for complaint in session.wrong:
        report.say(f"WRONG: {complaint}")
    return 1 if session.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
