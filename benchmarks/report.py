"""Numbers and tables, as text for a terminal that is good Markdown too."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median

from .measure import Bench
from .products import PENSTOCK, Product


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


# What to ask an interpreter for a product's versions.
ASK = """
import json, platform, sqlite3
from importlib.metadata import version
print(json.dumps([version({package!r}), platform.python_version(), sqlite3.sqlite_version]))
"""
ASK_OURS = """
import apsw, json, penstock, platform
print(json.dumps([penstock.__version__, platform.python_version(), apsw.sqlite_lib_version()]))
"""


def facts(bench: Bench, peers: Iterable[Product]) -> list[str]:
    """The machine, and the versions compared."""
    version, python, sqlite = bench.ask([PENSTOCK.python, "-c", ASK_OURS], PENSTOCK)
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}; {machine}; load average {os.getloadavg()[0]:.1f} before the first measurement",
        f"Penstock {version} on Python {python} with SQLite {sqlite}",
    ]
    for peer in peers:
        version, python, sqlite = bench.ask([peer.python, "-c", ASK.format(package=peer.package)], peer)
        with_sqlite = f" with SQLite {sqlite}" if peer.queries else ""
        lines.append(f"{peer.name.split(',')[0]} {version} on Python {python}{with_sqlite}")
    return list(dict.fromkeys(lines))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
