"""Runs one workload on the clock, in a process of its own; `measure.py` starts it.

It is copied beside the workload and uses nothing but the standard library, so that any interpreter can run it.
`timed.py JOB` reads the job from a JSON file and writes the outcome to the file that the job names.
"""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, perf_counter, process_time, sleep, thread_time
from typing import Any

LOOK_EVERY_SECONDS = 0.2


def count(database: str, queries: dict[str, str]) -> dict[str, list[int]]:
    """For each kind of row how many there are, and how many of them are as they should be."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        return {kind: [number or 0 for number in connection.execute(sql).fetchone()] for kind, sql in queries.items()}


def wait_until_recorded(job: dict[str, Any]) -> bool:
    """Whether all that is expected came to be in the record within the job's patience."""
    give_up = monotonic() + job["patience"]
    while monotonic() < give_up:
        counted = count(job["database"], job["queries"])
        if all(counted[kind][1] >= expected for kind, expected in job["expected"].items()):
            return True
        sleep(LOOK_EVERY_SECONDS)
    return False


def finish(job: dict[str, Any]) -> bool:
    """Returns when the record is complete: True, or False when one stopped waiting for it."""
    if job["package"] == "penstock":
        importlib.import_module("penstock.connect").disconnect()
    elif job["patience"]:
        return wait_until_recorded(job)
    return True


def resident() -> float:
    """MiB, now. (0 where the system has no such file.)"""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def run(job: dict[str, Any]) -> dict[str, Any]:
    workload = importlib.import_module("workload")
    workload.main(1)  # starts what is started once; the cold script is a row of its own
    tenths: list[tuple[float, float]] = []
    began = perf_counter()

    def noting(n: int) -> Iterator[int]:
        for tenth in range(10):
            yield from range(n * tenth // 10, n * (tenth + 1) // 10)
            tenths.append((perf_counter() - began, resident()))

    if job["tenths"]:
        workload.range = noting  # type: ignore[attr-defined]  # (what its loop goes over)
    here, everywhere = thread_time(), process_time()
    began = perf_counter()
    value = workload.main(job["n"])
    returned = perf_counter()
    recorded = finish(job)
    ended = perf_counter()
    here, everywhere = thread_time() - here, process_time() - everywhere
    seconds = {"returned": returned - began, "seconds": ended - began, "here": here, "elsewhere": everywhere - here}
    return {"value": value, "recorded": recorded, "tenths": tenths, **seconds}


def end() -> None:
    """Ends what the workload's first call started, when it is measured."""
    ending = getattr(sys.modules.get("workload"), "end", None)
    if ending is not None:
        ending()


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    try:
        outcome = run(job)
    except BaseException:
        outcome = {"error": traceback.format_exc()}
    Path(job["outcome"]).write_text(json.dumps(outcome))
    end()
