"""What the test kit costs: `python -m benchmarks.testing [--prefect PYTHON] [--markdown FILE]`.

Each number is from a process of its own, whose terminal lines are sent to nowhere. `PYTHON` is an interpreter of an
environment that has Prefect: its harness does the same, where it can.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

OURS = """
import json, sys, time
from datetime import timedelta

began = time.perf_counter()
from penstock import flow, pause_flow_run, task
from penstock.testing import FakeClock, test_harness
loaded = time.perf_counter()

@flow
def empty():
    pass

@flow
def pauses():
    pause_flow_run(timeout=None)

@task(retries=3, retry_delay_seconds=3600)
def flaky(calls=[]):
    calls.append(1)
    if len(calls) % 4:
        raise ConnectionError

def enters():
    with test_harness():
        pass

def runs():
    with test_harness():
        empty()

def waits():
    with test_harness(FakeClock()) as harness:
        harness.resume(pauses, after=timedelta(days=3))
        pauses()

def retries():
    with test_harness(FakeClock()):
        flaky()

def once(fn):
    began = time.perf_counter()
    fn()
    return time.perf_counter() - began

found = {"import": [loaded - began]}
for fn in (enters, runs, waits, retries):
    found[f"{fn.__name__} first"] = [once(fn)]
    found[fn.__name__] = [once(fn) for _ in range(200)]
began = time.perf_counter()
for _ in range(1000):
    runs()
found["1000 uses"] = [time.perf_counter() - began]
json.dump(found, sys.stdout)
"""
THEIRS = """
import json, sys, time

began = time.perf_counter()
from prefect import flow
from prefect.testing.utilities import prefect_test_harness
loaded = time.perf_counter()

@flow
def empty():
    pass

def enters():
    with prefect_test_harness():
        pass

def runs():
    with prefect_test_harness():
        empty()

def once(fn):
    began = time.perf_counter()
    fn()
    return time.perf_counter() - began

found = {"import": [loaded - began], "enters first": [once(enters)], "runs": [once(runs) for _ in range(3)]}
json.dump(found, sys.stdout)
"""
ROWS = (
    ("import", "importing the harness", None),
    ("enters first", "a harness, entered and left: the first of a process", 0.020),
    ("enters", "a harness, entered and left: the others", 0.020),
    ("runs", "a harness with a flow run in it", None),
    ("waits first", "a flow that pauses for three days: the first of a process", 0.050),
    ("waits", "a flow that pauses for three days: the others", 0.050),
    ("retries", "a task that is tried again three times, an hour apart", None),
    ("1000 uses", "1,000 harnesses with a flow run in each", 5.0),
)


def measure(python: str, program: str) -> dict[str, float]:
    """Medians in seconds, by what was done."""
    with tempfile.TemporaryDirectory() as home:
        homes = {
            "PENSTOCK_HOME": home,
            "PREFECT_HOME": home,
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        }
        done = subprocess.run(
            [python, "-c", program], env={**os.environ, **homes}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            check=True, cwd=home,
        )  # fmt: skip
    return {name: statistics.median(times) for name, times in json.loads(done.stdout).items()}


def written(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def version_of_prefect(python: str) -> str:
    asks = "import importlib.metadata as m; print(m.version('prefect'))"
    return subprocess.run([python, "-c", asks], capture_output=True, text=True, check=True).stdout.strip()


def page(ours: dict[str, float], theirs: dict[str, float] | None, version: str) -> str:
    lines = [
        "# What the test kit costs",
        "",
        "Written by `python -m benchmarks.testing --markdown docs/testing-measured.md`; medians of 200, but for what "
        "is there once.",
        "",
        f"{date.today()}; {os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "",
        f"| what | Penstock | budget | {f'Prefect {version} |' if theirs else ''}",
        f"|---|---:|---:|{'---:|' if theirs else ''}",
    ]
    for name, what, budget in ROWS:
        limit = "" if budget is None else f"{written(budget)}, {'met' if ours[name] <= budget else 'NOT MET'}"
        beside = f" {written(theirs[name]) if name in theirs else '–'} |" if theirs else ""
        lines.append(f"| {what} | {written(ours[name])} | {limit} |{beside}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefect", metavar="PYTHON", help="an interpreter of an environment that has Prefect")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page there too")
    options = parser.parse_args()
    theirs, version = None, ""
    if options.prefect:
        theirs, version = measure(options.prefect, THEIRS), version_of_prefect(options.prefect)
    text = page(measure(sys.executable, OURS), theirs, version)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
