"""Part `tasks`: the same script, its record in a file of its process, and at a server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median

from . import report
from .measure import PENSTOCK, Bench, Product
from .server_place import NAMES, Server, serving
from .server_session import Session, met
from .workloads import US, WORKLOADS, Workload, expected

SIZE, QUICK_SIZE = 10_000, 1_000
MEASURED = ("sequential", "submitted", "mapped")
TARGETS = {"sequential": 100 * US}
AS_SHIPPED = "as shipped"
LEVELS = {AS_SHIPPED: {}, "WARNING": {"PENSTOCK_LOGGING_LEVEL": "WARNING"}}
EMBEDDED = "embedded"

NOTES = """\
One script, in a process of its own with a fresh home, its terminal's lines sent to nowhere; embedded and served in
turn. A number is the time until everything is recorded (served: by the server, in its database), divided by the number
of tasks; medians, and in brackets the fastest and the slowest. `log level` is the script's PENSTOCK_LOGGING_LEVEL: as
shipped, each task run writes two lines. `server` is the server's processor time for a task, which on a machine with
few processors is the script's, too. Each sample's rows are counted in the database afterwards."""


@dataclass
class Way:
    """How the script's record is reached, and what that took: seconds for each task, in each sample."""

    name: str
    product: Product
    server: Server | None = None
    each: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


def measure(session: Session) -> list[str]:
    n = QUICK_SIZE if session.quick else SIZE
    head = ("work", "log level", "record", "each", "to embedded", "server", "target", "")
    rows: list[tuple[str, ...]] = []
    bench = Bench(session.databases.folder, session.repeat, report.say)
    bench.prepare([PENSTOCK])
    with ExitStack() as stack:
        servers = {}
        for kind in session.kinds:
            place = stack.enter_context(session.databases.fresh(kind))
            servers[kind] = stack.enter_context(serving(place, session.complain))
        for name in MEASURED:
            workload = next(each for each in WORKLOADS if each.name == name)
            for level, settings in LEVELS.items():
                ways = _ways(servers, settings)
                for turn in range(session.repeat):
                    for way in ways:
                        _sample(session, bench, workload, n, way)
                        seconds = f"{way.each[-1] * 1e6:.1f} µs" if way.each else "failed"
                        report.say(f"{name}, {level}, {way.name} {turn + 1}/{session.repeat}: {seconds}")
                rows += _rows(workload, level, ways)
    return [f"## {n:,} tracked tasks", NOTES, report.table(head, rows)]


def _ways(servers: dict[str, Server], settings: dict[str, str]) -> list[Way]:
    found = [Way(EMBEDDED, replace(PENSTOCK, settings=settings))]
    for kind, server in servers.items():
        product = replace(PENSTOCK, database="", settings={**settings, "PENSTOCK_API_URL": server.url})
        found.append(Way(f"served, {NAMES[kind]}", product, server))
    return found


def _sample(session: Session, bench: Bench, workload: Workload, n: int, way: Way) -> None:
    server = way.server
    before = server.place.count() if server else {}
    used = server.processor_seconds() if server else 0.0
    sample = bench.sample(workload, n, way.product)
    if sample.wrong:
        session.complain(f"{workload.name}, {way.name}: {sample.wrong}")
        return
    way.each.append(sample.seconds / n)
    if server:
        way.busy.append((server.processor_seconds() - used) / n)
        after = server.place.count()
        for kind, wanted in expected(workload, n).items():
            session.expect(f"{workload.name}: {kind}", server.place.kind, after[kind] - before[kind], wanted)


def _rows(workload: Workload, level: str, ways: list[Way]) -> list[tuple[str, ...]]:
    embedded = ways[0].each
    rows: list[tuple[str, ...]] = []
    for way in ways:
        title = f"`{workload.name}`: {workload.title}"
        if not way.each or not embedded:
            rows.append((title, level, way.name, "failed", "", "", "", "FAILED"))
            continue
        target = TARGETS.get(workload.name) if way.server else None
        rows.append(
            (
                title, level, way.name, report.spread(way.each),
                report.ratio(median(way.each) / median(embedded)) if way.server else "",
                report.quantity(median(way.busy)) if way.busy else "",
                report.quantity(target) if target else "–",
                met(median(way.each), target) if target else "",
            )
        )  # fmt: skip
    return rows
