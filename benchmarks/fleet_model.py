"""`python -m benchmarks.fleet_model FIGURES.json`: how many servers, and which PostgreSQL, for so many runs a day.

A discrete-event model of a fleet (`fleet_simulation.py`). It starts from what single transactions cost
(`fleet_costs.py`), is held against what `fleet.py` measured with whole fleets, and then asked about those that were
not. What it says of those is reckoned, and the page that it writes says so of each table.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import report
from .fleet_simulation import Fleet, Found, Machines, Profile

TARGET = 0.250
ROOM = 0.7
DAYS = (10_000, 100_000, 1_000_000, 10_000_000)
PROFILES = ((300.0, 10, 100), (30.0, 5, 20))

Rows = list[tuple[str, ...]]


# --- what is predicted, and what is asked ----------------------------------------------------------------------------


def beside(figures: dict[str, Any]) -> str:
    """The measured fleets, and what the model says of them."""
    rows: Rows = []
    for point in figures["points"]:
        if point["database"] != "postgres":
            continue
        profile = Profile(**point["profile"], launched=point["launched"])
        client = point["client_share"] / point["requests_a_second"]
        machines = Machines(point["servers"], shared=figures["processors"], client=client)
        found = Fleet(figures["costs"], profile, machines, point["course"]["runs"]).simulate()
        name = f"{point['course']['runs']:,} runs, {point['servers']} servers"
        pairs = (
            ("state changes, p50", report.quantity, point["changes"]["p50"], found.of_changes(50)),
            ("state changes, p99", report.quantity, point["changes"]["p99"], found.of_changes(99)),
            ("requests", _a_second, point["requests_a_second"], found.requests),
            ("processors: servers", _percent, sum(point["server_shares"]), found.servers * point["servers"]),
            ("processors: database", _percent, point["database_share"], found.database),
        )
        for what, written, measured, reckoned in pairs:
            of = reckoned / measured if measured else 0.0
            rows.append((name, what, written(measured), written(reckoned), f"{of:.2f}×"))
            name = ""
    return report.table(("fleet", "what", "measured", "reckoned by the model", "reckoned / measured"), rows)


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _a_second(number: float) -> str:
    return f"{number:,.0f}/s"


@dataclass(frozen=True)
class Need:
    """What so many runs a day take. Not `enough`: more servers would not help, and `found` is with these."""

    runs: int
    servers: int
    database: int
    found: Found
    enough: bool = True


def need(costs: dict[str, Any], profile: Profile, a_day: float, options: argparse.Namespace) -> Need:
    """The fewest servers, and database processors, that leave room and answer in time in the busiest hour."""
    runs = max(1, round(a_day / 86_400 * options.peak * profile.length))
    database, before = 2, math.inf
    servers = max(1, math.ceil(runs / profile.length * profile.requests * costs["request"] / ROOM))
    while True:
        machines = Machines(servers, database, round_trip=options.round_trip / 1e3)
        found = Fleet(costs, profile, machines, runs).simulate()
        longest = found.of_changes(99)
        if found.database > ROOM * database:
            database *= 2
        elif longest <= TARGET and found.servers <= ROOM:
            return Need(runs, servers, database, found)
        elif servers >= options.most or (longest > TARGET and longest > 0.7 * before):
            return Need(runs, servers, database, found, enough=False)  # servers wait for their turns to write
        else:
            before = longest
            servers += max(1, servers // 2)


def answers(figures: dict[str, Any], profile: Profile, options: argparse.Namespace) -> str:
    rows: Rows = []
    each, _ = bytes_of(figures, profile)
    for a_day in options.days:
        found = need(figures["costs"], profile, a_day, options)
        at_peak, enough = found.found, found.enough
        rows.append((
            f"{a_day:,}", f"{a_day / 86_400 * options.peak:,.1f}/s", f"{found.runs:,}", f"{at_peak.requests:,.0f}/s",
            f"{found.servers}" if enough else f"not with one database ({found.servers} tried)",
            _percent(at_peak.servers) if enough else "–",
            f"{found.database} (of which {at_peak.database:.1f} are used)" if enough else "–",
            _percent(min(at_peak.turn, 1.0)),
            report.quantity(at_peak.of_changes(99)), _size(each * a_day),
        ))  # fmt: skip
    head = ("runs a day", "begin, busiest hour", "at once then", "requests", "servers", "of a processor each",
            "PostgreSQL's processors", "time in which somebody writes", "state changes, p99", "disk a day")  # fmt: skip
    return report.table(head, rows)


def bytes_of(figures: dict[str, Any], profile: Profile) -> tuple[float, Rows]:
    """Of a run, on the disk, for as long as it is kept; and from which tables."""
    sizes = figures["sizes"]

    def one(table: str) -> float:
        rows, size = sizes.get(table, (0, 0))
        return size / rows if rows else 0.0

    parts = [
        ("the run (`flow_run`)", one("flow_run")),
        (f"its {profile.tasks:,} task runs (`task_run`)", profile.tasks * one("task_run")),
        (f"its {profile.lines:,} lines (`log`)", profile.lines * one("log")),
        (f"its launch (`launch`), of {profile.launched:.0%} of the runs", profile.launched * one("launch")),
    ]
    whole = sum(size for _, size in parts)
    return whole, [*((what, _size(size)) for what, size in parts), ("all", _size(whole))]


def day_of(figures: dict[str, Any]) -> Rows:
    """What is kept for a day, for each run of that day."""
    runs = figures["sizes"]["flow_run"][0]
    tables = (("change", "notes of changes, for live pages"), ("answered", "answers, should a question come again"),
              ("holder", "leases"))  # fmt: skip
    return [(f"{what} (`{table}`)", _size(figures["sizes"].get(table, (0, 0))[1] / runs)) for table, what in tables]


def _size(size: float) -> str:
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:,.1f} {unit}"
    return f"{size:,.0f} B"


# --- the command -----------------------------------------------------------------------------------------------------

NOTES = """\
**Reckoned**, by a model that starts from measured costs; nothing in this table was measured. {launched:.0%} of the runs
are launched by workers; the busiest hour has {peak:g} times as many as the average. Each
server has a machine of its own with a processor as fast as those measured, and the database one, {round_trip:g} ms away
and back. There are so many servers and processors that state changes take at most 250 ms in 99 of 100 cases in that
hour, and {room:.0%} of each processor are used at most; another server is for when one fails. *Time in which somebody
writes*: servers take turns at writing, and the more waits, the more is written in a turn. *Disk a day* is what a day
adds until retention deletes it."""


def page(figures: dict[str, Any], options: argparse.Namespace) -> str:
    parts = [
        "# Fleets, reckoned",
        "\n".join(f"- {fact}" for fact in figures["made"]),
        "## The model beside what was measured",
        "The costs that it starts from were measured one by one, without a fleet; so it can be wrong: here is by how "
        "much.",
        beside(figures),
        "## What single things cost",
        report.table(("what", "measured"), costs_of(figures)),
    ]
    for length, tasks, lines in options.profiles:
        profile = Profile(length, int(tasks), int(lines), options.launched / 100)
        notes = NOTES.format(launched=profile.launched, peak=options.peak,
                             round_trip=options.round_trip, room=ROOM)  # fmt: skip
        parts += [
            f"## Runs of {profile}", notes, answers(figures, profile, options),
            "On the disk, for each run (bytes of each row are measured, the sum is reckoned):",
            report.table(("what", "on the disk"), bytes_of(figures, profile)[1]),
        ]  # fmt: skip
    parts += ["And for a day after it:", report.table(("what", "for each run measured"), day_of(figures))]
    return "\n\n".join(parts) + "\n"


def costs_of(figures: dict[str, Any]) -> Rows:
    costs, said = figures["costs"], figures["costs"]["statements"]
    rows: Rows = [("a transaction with nothing in it", f"{report.quantity(costs['transaction'])}")]
    for kind, what in (("renew", "a lease is renewed, in it"), ("begin", "a run begins, in it"),
                       ("end", "a run ends, in it")):  # fmt: skip
        rows.append((what, f"{report.quantity(costs[kind])}, {said[kind]:.1f} statements"))
    rows += [
        ("a task run, in it", report.quantity(costs["task_run"])),
        ("a line, in it", report.quantity(costs["line"])),
        ("of a transaction, the database's processor", _percent(costs["database"])),
        ("of a transaction, the server's processor", _percent(costs["server"])),
        ("a request, the server's processor beside its transaction", report.quantity(costs["request"])),
        ("each server, because anybody wrote", report.quantity(costs["look"])),
        ("the database, for each server that looks", report.quantity(costs["look_database"])),
        ("a running run, each time it is looked for the lost", report.quantity(costs["rescue"])),
    ]
    return rows


def _profile(text: str) -> tuple[float, ...]:
    found = tuple(float(each) for each in text.split(","))
    if len(found) != 3 or min(found) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not SECONDS,TASKS,LINES")
    return found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet_model",
        description="Reckons how many servers, and which PostgreSQL, so many runs a day take.",
    )
    add = parser.add_argument
    add("figures", type=Path, help="what `python -m benchmarks.fleet --json` wrote")
    add("--days", type=int, nargs="+", default=list(DAYS), metavar="RUNS", help="runs a day")
    add("--profiles", type=_profile, nargs="+", default=list(PROFILES), metavar="SECONDS,TASKS,LINES",
        help="what a run does, default 300,10,100 and 30,5,20")  # fmt: skip
    add("--launched", type=float, default=10.0, metavar="PERCENT", help="by workers, default 10")
    add("--peak", type=float, default=3.0, help="the busiest hour, of the average one; default 3")
    add(
        "--round-trip",
        type=float,
        default=0.3,
        metavar="MS",
        help="from a server to the database and back, default 0.3",
    )
    add("--most", type=int, default=32, help="servers that are tried, default 32")
    add("--markdown", metavar="FILE", type=Path, help="write the page there too")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    text = page(json.loads(options.figures.read_text()), options)
    print(text)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
