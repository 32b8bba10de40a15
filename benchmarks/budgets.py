"""The budgets, met or not: each row once, at its largest size, in the three ways to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from . import clusters, other_pages
from .clusters import Found
from .measure import Row
from .products import PENSTOCK, Product
from .report import quantity, table
from .server_start import MEMORY_TARGET, START_TARGET

# A tenth of a large workload, or its memory, against the first.
FLAT = 1.2

NOTES = """\
Each row at the largest size that was measured here. The budgets of tasks and runs were set for the embedded way, and
are asked of served runs too."""

Flatness = tuple[float, float, float, float]


def judged(value: float, budget: float) -> str:
    return "met" if value <= budget else "NOT MET"


def mark(row: Row, product: str) -> str:
    if row.wrong(product):
        return "RECORD WRONG"
    return judged(median(row.each(product)), row.workload.budget) if row.has(product) else "FAILED"


def flatness(row: Row, product: str) -> Flatness | None:
    """Seconds for one operation of the first and of the last tenth, and MiB after each."""
    found = [sample.tenths for sample in row.good(product) if len(sample.tenths) == 10]
    if not found:
        return None
    tenth = row.n / 10
    return (
        median(tenths[0][0] for tenths in found) / tenth,
        median(tenths[-1][0] - tenths[-2][0] for tenths in found) / tenth,
        median(tenths[0][1] for tenths in found),
        median(tenths[-1][1] for tenths in found),
    )


def flat(found: Flatness) -> str:
    first, last, before, after = found
    return judged(max(last / first, after / before), FLAT)


def _largest(rows: Iterable[Row]) -> list[Row]:
    return list({row.workload.name: row for row in rows}.values())


def _at_largest(rows: Sequence[Row], name: str, product: Product) -> str:
    """The mark at the largest size that was measured with the product."""
    measured = [row for row in rows if row.workload.name == name and product.name in row.samples]
    if not measured:
        return "–"
    row = measured[-1]
    size = "" if row is [each for each in rows if each.workload.name == name][-1] else f" (of {row.n:,})"
    value = quantity(median(row.each(product.name))) if row.has(product.name) else ""
    return f"{value}{size} {mark(row, product.name)}".strip()


def _flat_lines(rows: Iterable[Row], products: Sequence[Product]) -> list[list[str]]:
    lines = []
    for row in _largest(rows):
        found = [flatness(row, product.name) for product in products]
        if row.workload.name == "sequential" and any(found):
            cells = [
                f"{each[1] / each[0] - 1:+.0%} time, {each[3] / each[2] - 1:+.0%} memory {flat(each)}" if each else "–"
                for each in found
            ]
            lines.append(["sequential tasks: the last tenth against the first", f"{row.n:,}", "+ 20 %", *cells])
    return lines


def _server_lines(rows: Iterable[Row], products: Sequence[Product]) -> list[list[str]]:
    starts, sizes = ["server start, to its first answer", "1", quantity(START_TARGET)], [
        "server, resident right after it", "1", f"{MEMORY_TARGET:.0f} MiB",
    ]  # fmt: skip
    measured = False
    for product in products:
        costs = [sample.server for row in rows for sample in row.good(product.name) if sample.server]
        measured = measured or bool(costs)
        start = median(cost.start for cost in costs) if costs else 0.0
        memory = median(cost.memory for cost in costs) if costs else 0.0
        starts.append(f"{quantity(start)} {judged(start, START_TARGET)}" if costs else "–")
        sizes.append(f"{memory:.0f} MiB {judged(memory, MEMORY_TARGET)}" if costs else "–")
    return [starts, sizes] if measured else []


def _cluster_lines(found: Iterable[Found], width: int) -> list[list[str]]:
    lines = []
    for each in found:
        if each.times is not None:
            added, budget = each.added("mapped"), clusters.BUDGET
            cells = [f"{clusters.signed(added)} {judged(added, budget)}", *["–"] * (width - 1)]
            title = f"tasks mapped on {each.kind.capitalize()}, more than its own"
            lines.append([title, f"{each.n:,}", clusters.signed(budget), *cells])
    return lines


def budget_table(rows: Sequence[Row], served: Sequence[Product], found: Sequence[Found]) -> str:
    products = [PENSTOCK, *served]
    head = ["work", "n", "budget", "embedded", *(product.name for product in served)]
    lines: list[list[str]] = []
    for row in _largest(rows):
        name, budget = row.workload.name, ("+ " if row.workload.over_bare else "") + quantity(row.workload.budget)
        cells = [_at_largest(rows, name, product) for product in products]
        lines.append([row.workload.title, f"{row.n:,}", budget, *cells])
    lines += _flat_lines(rows, products)
    lines += _server_lines(rows, products)
    lines += _cluster_lines(found, len(products))
    lines += [line[: len(head)] for line in other_pages.lines()]
    return table(head, lines)
