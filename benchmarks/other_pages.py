"""The rows of the budgets that other commands measure, read from the pages that these wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from . import report

DOCS = Path(__file__).parent.parent / "docs"
SERVER, STOPPING = "server-measured.md", "stopping-measured.md"
UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
REACTION, QUERY = 0.2, 0.02
NOTHING = "–"


def tables(page: str, *titles: str) -> Iterator[list[str]]:
    """The rows of the tables below these titles, each within the one before; nothing, where a title is not there."""
    text = (DOCS / page).read_text() if (DOCS / page).exists() else ""
    for title in titles:
        level = len(title) - len(title.lstrip("#"))
        found = re.search(rf"^{re.escape(title)}.*?$(.*?)(?=^#{{1,{level}}} |\Z)", text, re.M | re.S)
        text = found[1] if found else ""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("| -"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def seconds(text: str) -> float:
    """The first number of a cell that `report.quantity` wrote."""
    number, unit = text.split()[:2]
    return float(number.replace(",", "")) * UNITS[unit]


def told(value: float, budget: float) -> str:
    return f"{report.quantity(value)} {'met' if value <= budget else 'NOT MET'}"


def named(name: str, record: str) -> str:
    """A row of the server's page, whose third column is the time."""
    for cells in tables(SERVER, "## Launching" if name.startswith("cancel") else "## Pausing"):
        if cells[:2] == [name, record]:
            return told(seconds(cells[2]), REACTION)
    return NOTHING


def cancelled() -> str:
    """A cancelled run whose code sleeps: the slowest of the ways to call it."""
    for name, *cells in tables(STOPPING, "## Penstock", "### Cancel"):
        if name == "sleep":
            ends = [float(found[1]) for cell in cells if (found := re.match(r"[\d.]+(?: s)? / ([\d.]+) s", cell))]
            return told(max(ends), REACTION) if ends else NOTHING
    return NOTHING


def questions(kind: str, column: int) -> str:
    """The slowest p95 of all questions, and how many are within the budget."""
    found = [seconds(cells[column]) for cells in tables(SERVER, "## Questions to", f"### {kind}") if cells[-1] != ""]
    if not found:
        return NOTHING
    within = sum(value <= QUERY for value in found)
    mark = "met" if within == len(found) else "NOT MET"
    return f"{within} of {len(found)}, slowest {report.quantity(max(found))} {mark}"


def lines() -> list[list[str]]:
    """work, n, budget, embedded, served on SQLite, served on PostgreSQL."""
    reaction = report.quantity(REACTION)
    launched = (named("cancel to the flow", record) for record in ("SQLite", "PostgreSQL"))
    resumed = (named("resume to code", record) for record in ("SQLite, no server", "SQLite", "PostgreSQL"))
    asked = (questions("SQLite", 4), questions("SQLite", 2), questions("PostgreSQL", 2))
    return [
        ["a request to cancel, to the end of the code", "1", reaction, cancelled(), *launched],
        ["a request to resume, to the next line of the flow", "1", reaction, *resumed],
        ["lists, filters and counts, p95", "1,000,000", report.quantity(QUERY), *asked],
    ]


LINKS = f"""\
The last three rows are read from other pages, which say when they were measured: cancelling from
[stops, measured]({STOPPING}) (embedded: code that sleeps, the slowest of the ways to call it) and from
[launching]({SERVER}#launching), [resuming]({SERVER}#pausing), [questions]({SERVER}#questions-to-1000000-task-runs)
(embedded: put to the record in the process; how many of the kinds of question are within, and the slowest kind)."""
