"""Calls code that is to be stopped, in one of the ways there are: `stopped.py CODE WAY SECONDS NAME`.

SECONDS is the limit of the task, or of the subflow; 0 for none. NAME is the flow's. The flow does not end with the
code: it goes on, as flows do that have more to do.
"""

import asyncio
import sys
import time
from typing import Any

from stopping_code import AWAIT, LONG_SECONDS, perform, perform_awaiting  # type: ignore[import-not-found, unused-ignore]

from penstock import flow, task

CODE, WAY, SECONDS, NAME = sys.argv[1], sys.argv[2], float(sys.argv[3]) or None, sys.argv[4]
OWN: dict[str, Any] = {"isolation": "process"} if WAY == "isolated" else {}
MORE = int(LONG_SECONDS / 0.01)


@task(name="work", timeout_seconds=SECONDS, **OWN)
def work(item: int) -> None:
    perform(CODE, item)


@task(name="work", timeout_seconds=SECONDS)
async def work_in_coroutine(item: int) -> None:
    if CODE == AWAIT:
        await perform_awaiting(item)
    else:
        perform(CODE, item)


@flow(name=f"{NAME}-part", timeout_seconds=SECONDS)
def part() -> None:
    perform(CODE, 0)


def runner() -> Any:
    """A cluster of its own, where the way is one."""
    if WAY == "dask":
        from penstock.task_runners import DaskTaskRunner

        return DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"})
    if WAY == "ray":
        from penstock.task_runners import RayTaskRunner

        return RayTaskRunner(init_kwargs={"num_cpus": 1})
    return None


@flow(name=NAME, **({"task_runner": runner()} if WAY in ("dask", "ray") else {}))
def main() -> None:
    if WAY in ("direct", "isolated"):
        work(0, return_state=True)
    elif WAY in ("submitted", "dask", "ray"):
        work.submit(0).wait()
    elif WAY == "mapped":
        work.map([0, 1]).wait()
    else:
        part(return_state=True)
    for _ in range(MORE):
        time.sleep(0.01)


@flow(name=NAME)
async def main_in_coroutine() -> None:
    await work_in_coroutine(0, return_state=True)
    for _ in range(MORE):
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    if WAY == "async":
        asyncio.run(main_in_coroutine())
    else:
        main()
