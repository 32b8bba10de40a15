"""The page `docs/benchmarks.md`: what was measured, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from . import budgets, clusters, other_pages
from .clusters import Found
from .measure import Row
from .parts import IN_THE_WAY, LESS, parts_table
from .parts import NOTES as PARTS_NOTES
from .products import PENSTOCK, PREFECT, Product
from .report import quantity, ratio, spread, table

# What `calibration.py` gave on the machine where the budgets were set, where it is known.
CALIBRATION_THEN = {
    "Python function call": 27e-9,
    "`inspect.Signature.bind`, 1 argument": 3.2e-6,
    "`uuid4`": 1.4e-6,
    "SQLite `executemany`, a row of 12 columns (WAL)": 3.2e-6,
}

NOTES = """\
Embedded: the record is a SQLite file, and there is no server. Medians; in brackets the fastest and the slowest. Every
number is from a process of its own with a fresh home, the terminal's lines sent to nowhere, after one call that is not
on the clock (except `import` and `cold`, which are whole processes). It includes recording everything, and the record
is counted afterwards: every run there, every run final. `bare` is the same program without an orchestrator (for whole
processes: an empty program). The budgets of `import`, `prints` and `masked` are what is added to it. `peak` is the
process's largest resident size."""

SERVED_NOTES = """\
The same, with `PENSTOCK_API_URL` of a server that was started for each sample on a fresh database, PostgreSQL with its
own defaults; the clock stops when the server has recorded everything. In brackets: times embedded. `server` is the
server's resident size when all is recorded. Program, server and database share the machine."""

FLAT_NOTES = """\
Of the large sizes: a task of the first and of the last tenth, and what the process has resident after each of them.
Flat is what grows by no more than a fifth."""

BESIDE_NOTES = """\
The same work in the same session, one product after the other, at sizes that all can bear; of Penstock and Prefect the
same programs with the package's name swapped, of the others programs that do the same (`benchmarks/scripts/`). In
brackets: times Penstock embedded. Each product runs from an environment of its own, as it comes, its telemetry off.

- Prefect starts its server itself. It lags behind its client: `client` is when the program had its result, `recorded`
  when the last row was in the server's database, which was looked at five times a second for up to {patience:.0f} s
  (`>`: not all of it was there by then).
- DBOS has steps and workflows. Its `sequential` and `async` are steps; `submitted` are workflows that a workflow starts
  in the background, and `mapped` workflows that it puts into a queue, which is polled once a second as it comes; flow
  runs are workflows. Its rows are counted, too.
- Dask and Ray are a cluster on this machine with two places, each a process, which is there before the clock starts.
  They record nothing: what their tasks cost is what there is to add to.
- `import` and `cold` are whole processes, whose record is not waited for."""

PEAK_NOTES = "Largest resident size of a single process. (Clusters have several.)"
CALIBRATION_NOTES = "To compare machines: small operations here, and where the budgets were set."
MISSING = "–"


@dataclass
class Results:
    """What one session measured. `served` and `peers` are the products beside the embedded Penstock."""

    options: str
    machine: list[str] = field(default_factory=list)
    served: Sequence[Product] = ()
    peers: Sequence[Product] = ()
    rows: list[Row] = field(default_factory=list)
    calibration: list[dict[str, float]] = field(default_factory=list)
    clusters: list[Found] = field(default_factory=list)
    parts: list[Row] = field(default_factory=list)


def name_of(row: Row) -> str:
    return f"`{row.workload.name}`: {row.workload.title}"


def own_table(rows: Iterable[Row]) -> str:
    head = ("work", "n", "whole", "each", "budget", "", "bare", "peak")
    lines = []
    for row in rows:
        budget = ("+ " if row.workload.over_bare else "") + quantity(row.workload.budget)
        if not row.has(PENSTOCK.name):
            lines.append((name_of(row), f"{row.n:,}", "failed", "failed", budget, "FAILED", quantity(row.bare()), ""))
            continue
        whole = quantity(median(sample.seconds for sample in row.good(PENSTOCK.name)))
        each = ("+ " if row.workload.over_bare else "") + spread(row.each(PENSTOCK.name))
        peak = f"{row.peak(PENSTOCK.name):.0f} MiB"
        mark = budgets.mark(row, PENSTOCK.name)
        lines.append((name_of(row), f"{row.n:,}", whole, each, budget, mark, quantity(row.bare()), peak))
    return table(head, lines)


def beside(row: Row, product: str, which: str = "seconds") -> str:
    """Seconds for one operation, and times the embedded Penstock."""
    if product not in row.samples:
        return MISSING
    if not row.has(product):
        return "failed"
    value = median(row.each(product, which))
    times = f" ({ratio(value / median(row.each(PENSTOCK.name)))})" if row.has(PENSTOCK.name) else ""
    return quantity(value) + times


def served_table(rows: Iterable[Row], served: Sequence[Product]) -> str:
    head = ["work", "n", "embedded", *(part for product in served for part in (product.name, "server"))]
    lines = []
    for row in rows:
        if not any(product.name in row.samples for product in served):
            continue
        cells = [name_of(row), f"{row.n:,}", quantity(median(row.each(PENSTOCK.name)))]
        for product in served:
            costs = [sample.server.memory_after for sample in row.good(product.name) if sample.server]
            cells += [beside(row, product.name), f"{median(costs):.0f} MiB" if costs else MISSING]
        lines.append(cells)
    return table(head, lines)


def flat_table(rows: Iterable[Row], products: Sequence[Product]) -> str:
    head = ("work", "n", "record", "first tenth", "last tenth", "", "memory", "memory at the end", "", "")
    lines = []
    for row in rows:
        for product in products:
            flat = budgets.flatness(row, product.name)
            if flat is None:
                continue
            first, last, before, after = flat
            lines.append(
                (
                    f"`{row.workload.name}`", f"{row.n:,}", "embedded" if product is PENSTOCK else product.name,
                    quantity(first), quantity(last), f"{last / first - 1:+.0%}",
                    f"{before:.0f} MiB", f"{after:.0f} MiB", f"{after / before - 1:+.0%}", budgets.flat(flat),
                )
            )  # fmt: skip
    return table(head, lines)


def beside_table(rows: Iterable[Row], served: Sequence[Product], peers: Sequence[Product]) -> str:
    head = ["work", "n", "Penstock", *(product.name for product in served)]
    for peer in peers:
        head += [f"{peer.name}, client", f"{peer.name}, recorded"] if peer.patience else [peer.name]
    lines = []
    for row in rows:
        ours = quantity(median(row.each(PENSTOCK.name))) if row.has(PENSTOCK.name) else "failed"
        cells = [f"`{row.workload.name}`", f"{row.n:,}", ours, *(beside(row, product.name) for product in served)]
        for peer in peers:
            if peer.patience:
                late = "> " if row.has(peer.name) and row.wrong(peer.name) else ""
                recorded = MISSING if row.workload.whole else late + beside(row, peer.name)
                cells += [beside(row, peer.name, "returned"), recorded]
            else:
                cells.append(beside(row, peer.name))
        lines.append(cells)
    return table(head, lines)


def peak_table(rows: Iterable[Row], products: Sequence[Product]) -> str:
    lines = [
        [f"`{row.workload.name}`", f"{row.n:,}"]
        + [f"{row.peak(each.name):.0f} MiB" if row.has(each.name) else MISSING for each in products]
        for row in rows
    ]
    return table(["work", "n", *(product.name for product in products)], lines)


def absences(products: Iterable[Product]) -> str:
    """Why there are dashes."""
    sentences = {}
    for product in products:
        reasons: dict[str, list[str]] = {}
        for workload, reason in product.lacks.items():
            reasons.setdefault(reason, []).append(f"`{workload}`")
        told = [f"{', '.join(names)}: {why}" for why, names in reasons.items()]
        sentences[product.name.split(",")[0]] = "; ".join(told)
    return "\n".join(f"- {name} has no {text}." for name, text in sentences.items() if text)


def calibration_table(samples: Sequence[dict[str, float]]) -> str:
    lines = []
    for name in samples[0]:
        then = CALIBRATION_THEN.get(name)
        lines.append((name, spread([sample[name] for sample in samples]), quantity(then) if then else MISSING))
    return table(("operation", "here", "where the budgets were set"), lines)


def _beside_parts(results: Results) -> list[str]:
    rows = [row for row in results.rows if any(peer.name in row.samples for peer in results.peers)]
    if not rows:
        return []
    products = [PENSTOCK, *results.served, *results.peers]
    return [
        "## Beside the others",
        BESIDE_NOTES.format(patience=PREFECT.patience),
        beside_table(rows, results.served, results.peers),
        absences(results.peers),
        PEAK_NOTES,
        peak_table(rows, products),
    ]


def page(results: Results) -> str:
    """All of it, as Markdown."""
    rows, served = results.rows, results.served
    parts = [
        "# Benchmarks",
        f"Written by `python -m benchmarks{results.options}`; edit `benchmarks/page.py` instead of this page.",
        "\n".join(f"- {fact}" for fact in results.machine),
    ]
    if rows:
        parts += ["## The budgets", budgets.NOTES, budgets.budget_table(rows, served, results.clusters)]
        parts += [other_pages.LINKS]
        parts += ["## What Penstock costs", NOTES, own_table(rows)]
    if results.parts:
        parts += ["## What is in the way", IN_THE_WAY, PARTS_NOTES, parts_table(results.parts)]
    if any(product.name in row.samples for row in rows for product in served):
        parts += ["## Served", SERVED_NOTES, served_table(rows, served)]
    if any(budgets.flatness(row, PENSTOCK.name) for row in rows):
        parts += ["## Flat", FLAT_NOTES, flat_table(rows, [PENSTOCK, *served])]
    parts += _beside_parts(results)
    if results.clusters:
        parts += clusters.section(results.clusters)
    if results.calibration:
        parts += ["## Calibration", CALIBRATION_NOTES, calibration_table(results.calibration)]
    return "\n\n".join(part for part in parts if part) + "\n"


def complaints(results: Results) -> list[str]:
    """What is wrong with Penstock's records and results: the only thing that fails."""
    ours = [PENSTOCK.name, *(product.name for product in results.served)]
    less = [f"{row.workload.name}, {way}: {why}" for row in results.parts for way in LESS for why in row.wrong(way)]
    return [*_wrong(results, ours), *less, *clusters.complaints(results.clusters)]


def troubles(results: Results) -> list[str]:
    """What went wrong with the others; said, no more."""
    return _wrong(results, ["bare Python", *(peer.name for peer in results.peers)])


def _wrong(results: Results, names: Sequence[str]) -> list[str]:
    return [
        f"{row.workload.name} {row.n:,}, {name}: {why}"
        for row in results.rows
        for name in names
        for why in row.wrong(name)
    ]
