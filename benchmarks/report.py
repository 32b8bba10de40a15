"""The tables, as text for a terminal that is good Markdown too."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median

from .measure import BARE, PENSTOCK, PREFECT, Bench, Product, Row

# What `calibration.py` gave on the machine where the budgets were set, where it is known.
CALIBRATION_THEN = {
    "Python function call": 27e-9,
    "`inspect.Signature.bind`, 1 argument": 3.2e-6,
    "`uuid4`": 1.4e-6,
    "SQLite `executemany`, a row of 12 columns (WAL)": 3.2e-6,
}

NOTES = """\
Medians; in brackets the fastest and the slowest. Every number is from a process of its own with a fresh home, the
terminal's lines sent to nowhere, after one call that is not on the clock (except `import` and `cold`, which are whole
processes). It includes recording everything, and the record is counted afterwards: every run there, every run final.
`bare` is the same program without an orchestrator (for whole processes: an empty program). The budgets of `import`,
`prints` and `masked` are what is added to it. `peak` is the process's largest resident size."""

PREFECT_NOTES = """\
The same programs with the package's name swapped, in the same session, alternating, on sizes that Prefect can bear;
its ephemeral server as it comes, telemetry off by its own settings. Prefect's server lags behind its client: `client`
is when the program had its result, `recorded` when the last of its rows was in the server's database, which was
looked at five times a second for up to {patience:.0f} s (`>`: not all of it was there by then). Penstock's number is
when all is recorded. `import` and `cold` are whole processes, whose record is not waited for. `peak` is the largest
single process."""

CALIBRATION_NOTES = "To compare machines: small operations here, and where the budgets were set."


def quantity(seconds: float) -> str:
    """With three digits that mean something, in the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}" if abs(seconds) < 1000 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def ratio(times: float) -> str:
    return f"{times:,.1f}×" if times < 10 else f"{times:,.0f}×"


def spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return quantity(values[0])
    return f"{quantity(median(values))} ({quantity(min(values))} – {quantity(max(values))})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are numbers."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]

    def written(line: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "| " + " | ".join(cells) + " |"

    return "\n".join(map(written, [head, rule, *lines[1:]]))


def mark(row: Row) -> str:
    if row.wrong(PENSTOCK.name):
        return "RECORD WRONG"
    return "met" if median(row.each(PENSTOCK.name)) <= row.workload.budget else "NOT MET"


def own_table(rows: Iterable[Row]) -> str:
    head = ("work", "n", "whole", "each", "budget", "", "bare", "peak")
    lines = []
    for row in rows:
        name, n = f"`{row.workload.name}`: {row.workload.title}", f"{row.n:,}"
        budget = ("+ " if row.workload.over_bare else "") + quantity(row.workload.budget)
        if not row.has(PENSTOCK.name):
            lines.append((name, n, "failed", "failed", budget, "FAILED", quantity(row.bare()), ""))
            continue
        whole = quantity(median(sample.seconds for sample in row.good(PENSTOCK.name)))
        each = ("+ " if row.workload.over_bare else "") + spread(row.each(PENSTOCK.name))
        peak = f"{row.peak(PENSTOCK.name):.0f} MiB"
        lines.append((name, n, whole, each, budget, mark(row), quantity(row.bare()), peak))
    return table(head, lines)


def beside_prefect(rows: Iterable[Row]) -> str:
    head = (
        "work", "n", "Penstock", "Prefect, client", "Prefect, recorded",
        "client / Penstock", "recorded / Penstock", "peak", "Prefect's peak",
    )  # fmt: skip
    lines = []
    for row in rows:
        name, n = f"`{row.workload.name}`", f"{row.n:,}"
        if not (row.has(PENSTOCK.name) and row.has(PREFECT.name)):
            lines.append((name, n, *["failed"] * 7))
            continue
        ours = median(row.each(PENSTOCK.name))
        client, recorded = (median(row.each(PREFECT.name, which)) for which in ("returned", "seconds"))
        late = "> " if row.wrong(PREFECT.name) else ""
        second = ("–", "–") if row.workload.whole else (late + quantity(recorded), late + ratio(recorded / ours))
        peaks = [f"{row.peak(product):.0f} MiB" for product in (PENSTOCK.name, PREFECT.name)]
        lines.append((name, n, quantity(ours), quantity(client), second[0], ratio(client / ours), second[1], *peaks))
    return table(head, lines)


def calibration_table(samples: Sequence[dict[str, float]]) -> str:
    lines = []
    for name in samples[0]:
        then = CALIBRATION_THEN.get(name)
        lines.append((name, spread([sample[name] for sample in samples]), quantity(then) if then else "–"))
    return table(("operation", "here", "where the budgets were set"), lines)


def facts(bench: Bench, prefect: Product | None) -> list[str]:
    """The machine, and the versions compared."""
    ask = (
        "import json, platform, sqlite3, {0}\n"
        "from importlib.metadata import version\n"
        "print(json.dumps([{1}, platform.python_version(), {2}]))"
    )
    version, python, sqlite = bench.ask(
        [PENSTOCK.python, "-c", ask.format("apsw, penstock", "penstock.__version__", "apsw.sqlite_lib_version()")],
        PENSTOCK,
    )
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}; {machine}; load average {os.getloadavg()[0]:.1f} before the first measurement",
        f"Penstock {version} on Python {python} with SQLite {sqlite}",
    ]
    if prefect is not None:
        text = ask.format("prefect", "version('prefect')", "sqlite3.sqlite_version")
        version, python, sqlite = bench.ask([prefect.python, "-c", text], prefect)
        lines.append(f"Prefect {version} on Python {python} with SQLite {sqlite}")
    return lines


def page(machine: Sequence[str], rows: Sequence[Row], calibration: Sequence[dict[str, float]], options: str) -> str:
    """All of it, as Markdown."""
    parts = [
        "# Benchmarks",
        f"Written by `python -m benchmarks{options}`; edit `benchmarks/report.py` instead of this page.",
        "\n".join(f"- {fact}" for fact in machine),
    ]
    if rows:
        parts += ["## What Penstock costs", NOTES, own_table(rows)]
    compared = [row for row in rows if PREFECT.name in row.samples]
    if compared:
        parts += ["## Beside Prefect", PREFECT_NOTES.format(patience=PREFECT.patience), beside_prefect(compared)]
    if calibration:
        parts += ["## Calibration", CALIBRATION_NOTES, calibration_table(calibration)]
    return "\n\n".join(parts) + "\n"


def complaints(rows: Iterable[Row]) -> list[str]:
    """What is wrong with Penstock's records and results: the only thing that fails."""
    return [f"{row.workload.name} {row.n:,}: {why}" for row in rows for why in row.wrong(PENSTOCK.name)]


def troubles(rows: Iterable[Row]) -> list[str]:
    """What went wrong with the others; said, no more."""
    return [
        f"{row.workload.name} {row.n:,}, {product}: {why}"
        for row in rows
        for product in (BARE.name, PREFECT.name)
        for why in row.wrong(product)
    ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
