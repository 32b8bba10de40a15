"""Runs to look at: one that went well, one tried again, one that timed out, one that failed; and one that waits, here,
for somebody to resume it (`make demo`). With `--no-wait` it ends before that one.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Literal

from pydantic import Field

from penstock import flow, get_run_logger, pause_flow_run, task
from penstock.artifacts import create_table_artifact
from penstock.input import RunInput

_tried: set[int] = set()


@task(retries=2, retry_delay_seconds=0.4)
def extract(part: int) -> list[int]:
    time.sleep(0.1 + part * 0.05)
    if part == 3 and part not in _tried:
        _tried.add(part)
        raise ConnectionError("the source did not answer")
    print(f"part {part}: {part * 100} rows")
    return list(range(part * 100))


@task
def transform(rows: list[int]) -> int:
    time.sleep(0.15)
    return sum(rows)


@task(tags=["database"])
def load(total: int) -> int:
    time.sleep(0.2)
    if total == 0:
        get_run_logger().warning("nothing to load")
    return total


@flow
def reconcile(totals: list[int]) -> int:
    return load(sum(totals))


@flow(log_prints=True, flow_run_name="etl-of-{parts}-parts")
def etl(parts: int = 6) -> int:
    """Parts are extracted beside one another, one of them in two attempts."""
    loaded = [load.submit(transform.submit(extract.submit(part))) for part in range(parts)]
    totals = [each.result() for each in loaded]
    create_table_artifact([{"part": part, "total": total} for part, total in enumerate(totals)], key="totals")
    return reconcile(totals)


@flow(timeout_seconds=1, log_prints=True)
def crawl() -> None:
    """Its time is over before it is."""
    for page in range(1_000):
        print("page", page)
        time.sleep(0.2)


@flow
def report() -> None:
    raise ValueError("there are no rows of today")


class Release(RunInput):
    version: str
    channel: Literal["beta", "stable"] = "beta"
    percent: int = Field(10, ge=1, le=100, description="How many of the users get it first.")
    notify: bool = True


@task
def publish(given: Release) -> None:
    print(f"published {given.version} to {given.percent} % of {given.channel}")


@flow(log_prints=True, flow_run_name="release")
def release() -> None:
    """Waits for a person, who says what is released, and to whom."""
    print("all tests passed")
    given = pause_flow_run(wait_for_input=Release, timeout=3600, description="The tests passed. What is released?")
    publish(given)


def main(*, wait: bool = True) -> None:
    for each in (etl, crawl, report):
        with contextlib.suppress(Exception):  # that they fail is what is to be seen
            each()
    if wait:
        release()


if __name__ == "__main__":
    main(wait="--no-wait" not in sys.argv)
