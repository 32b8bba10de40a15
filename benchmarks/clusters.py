"""What a task on a cluster costs more than the cluster's own: `scripts/on_a_cluster.py`, in the table of the page.

Penstock and the cluster's package must be in one environment for it, which is this one.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import report
from .measure import Bench
from .products import PENSTOCK

HERE = Path(__file__).parent
SIZE, QUICK_SIZE = 10_000, 500
BUDGET = 1e-3
PACKAGES = {"dask": "distributed", "ray": "ray"}
WORDS = {"mapped": "mapped", "single": "submitted, one after the other"}
LONGEST_SECONDS = 600.0

NOTES = """\
One function that gives back its argument, called by the cluster's own client, and as a task of a flow with the runner,
in turns, in one process, on one local cluster with two places (processes), which share the machine with the flow. Of
the one after the other there are a tenth. All task runs are in the record, and counted; `added` has a budget."""


def signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else '−'} {report.quantity(abs(seconds))}"


@dataclass
class Found:
    """Seconds for one task in each sample, by who (`bare`, `ours`) and how (`mapped`, `single`)."""

    kind: str
    n: int
    version: str = ""
    times: dict[str, list[float]] | None = None
    wrong: str = ""

    def added(self, how: str) -> float:
        assert self.times is not None
        return median(self.times[f"ours {how}"]) - median(self.times[f"bare {how}"])


def measure(bench: Bench, kind: str, n: int) -> Found:
    if importlib.util.find_spec(PACKAGES[kind]) is None:
        return Found(kind, n)
    report.say(f"{n:,} tasks on {kind.capitalize()}, bare and ours, {bench.repeat} of each")
    home = bench.folder / f"on-{kind}"
    home.mkdir()
    environment = bench.environment(home, PENSTOCK) | {"PENSTOCK_LOGGING_TO_CONSOLE": "false"}
    script = str(HERE / "scripts" / "on_a_cluster.py")
    done = subprocess.run(
        [sys.executable, script, kind, str(n), str(bench.repeat)], env=environment, cwd=home,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS * bench.repeat,
    )  # fmt: skip
    if done.returncode:
        return Found(kind, n, wrong=f"it ended with {done.returncode}: {done.stderr[-500:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Found(kind, n, said["version"], said["found"])


def section(clusters: Sequence[Found]) -> list[str]:
    head = ("tasks", "n", "the cluster's own", "Penstock on it", "added", "budget", "")
    rows: list[tuple[str, ...]] = []
    for found in clusters:
        if found.times is None:
            rows.append((found.kind.capitalize(), "–", "–", "–", "–", "–", found.wrong and "FAILED"))
            continue
        for how, words in WORDS.items():
            n = found.n if how == "mapped" else max(found.n // 10, 10)
            bare, ours = (report.spread(found.times[f"{who} {how}"]) for who in ("bare", "ours"))
            added = found.added(how)
            met = "met" if added <= BUDGET else "NOT MET"
            title = f"{found.kind.capitalize()} {found.version}, {words}"
            rows.append((title, f"{n:,}", bare, ours, signed(added), report.quantity(BUDGET), met))
    absent = [found.kind.capitalize() for found in clusters if found.times is None and not found.wrong]
    notes = [f"Not measured: {' and '.join(absent)}, which is not installed beside Penstock."] if absent else []
    return ["## On Dask and on Ray", NOTES, report.table(head, rows), *notes]


def complaints(clusters: Sequence[Found]) -> list[str]:
    return [f"{found.kind}: {found.wrong}" for found in clusters if found.wrong]
