"""Flows that the tests of the UI look at: `python programs.py NAME`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

from pydantic import Field

from penstock import flow, get_run_logger, pause_flow_run, task
from penstock.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from penstock.input import RunInput
from penstock.runtime import flow_run


@task(retries=1, retry_delay_seconds=0.1)
def extract(part: int) -> int:
    if part == 2 and not Path("tried").exists():
        Path("tried").touch()
        raise ConnectionError("the source did not answer")
    return part * 10


@task(tags=["database"])
def load(rows: int) -> int:
    get_run_logger().warning("loaded %s rows\nin two lines", rows)
    return rows


@flow
def audit(total: int) -> int:
    return load(total)


@flow(log_prints=True)
def etl(parts: int = 3) -> dict[str, int]:
    total = sum(each.result() for each in [load.submit(extract.submit(part)) for part in range(parts)])
    audit(total)
    create_table_artifact([{"part": part, "rows": part * 10} for part in range(parts)], key="rows")
    create_markdown_artifact("# <b>not bold</b>", key="report")
    create_link_artifact("https://example.com/", key="link")
    print("all loaded")
    return {"total": total}


@flow(timeout_seconds=0.3)
def too_slow() -> None:
    while True:
        time.sleep(0.01)


class Release(RunInput):
    version: str
    channel: Literal["stable", "beta"] = "beta"
    percent: int = Field(10, ge=1, le=100, description="How many of the users get it first.")


@flow(log_prints=True)
def release() -> None:
    given = pause_flow_run(wait_for_input=Release, timeout=600)
    print(f"released {given.version} to {given.percent} % of {given.channel}")


@task
def step(number: int) -> int:
    return number


@flow(log_prints=True)
def ticking() -> None:
    """Until somebody ends it; a line for each file that is put there."""
    print("see", flow_run.ui_url)
    number = 0
    while True:
        if Path(f"tick-{number}").exists():
            print("tick", number)
            step(number)
            number += 1
        time.sleep(0.01)


@flow(log_prints=True)
def many_lines(lines: int = 30_000) -> None:
    for number in range(lines):
        print(f"line {number} of many")


@flow(log_prints=True)
def odd_lines() -> None:
    for number in range(30):
        print("\x1b[31mred\x1b[0m", "漢字" * 150, "🎉" * 60, "a\tb\t" * 60, number)


@flow
def wide(tasks: int = 1_500) -> None:
    for each in step.map(range(tasks)):
        each.result()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
