"""What a fault run does things to: `python program.py KIND SEED`, with the rest in the environment (`FAULT_CASE`).

Each flow works in short steps until it has worked for `length` seconds. All code that works beats: it appends to a file
that is named after its run, whose time of change is then the last moment at which that code is known to have run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from penstock import flow, runtime, task
from penstock.task_runners import ProcessPoolTaskRunner

CASE = json.loads(os.environ["FAULT_CASE"])
KIND, SEED = sys.argv[1:3] if len(sys.argv) == 3 else ("", "0")  # workers have arguments of their own
NAME, LENGTH, STEP, BEATS = CASE["name"], CASE["length"], CASE["step"], CASE["beats"]
CHANCE = random.Random(int(SEED))
OF_FLOW: dict[str, Any] = {"timeout_seconds": CASE.get("flow_timeout")}
OF_TASK: dict[str, Any] = {"timeout_seconds": CASE.get("task_timeout")}
BEGUN = time.monotonic()


def over() -> bool:
    return time.monotonic() - BEGUN >= LENGTH


def beat() -> None:
    id = runtime.task_run.id or runtime.flow_run.id
    if id is not None:
        fd = os.open(os.path.join(BEATS, id), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, b".")
        os.close(fd)


def work(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        beat()
        time.sleep(0.02)


# --- tasks -----------------------------------------------------------------------------------------------------------


@task(**OF_TASK)
def step(seconds: float) -> float:
    work(seconds)
    return seconds


@task(**OF_TASK)
def sleep(seconds: float) -> float:
    """In a thread it cannot be stopped."""
    beat()
    time.sleep(seconds)
    beat()
    return seconds


@task(**OF_TASK)
async def awaited(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        beat()
        await asyncio.sleep(0.02)
    return seconds


@task(isolation="process", **OF_TASK)
def apart(seconds: float) -> float:
    work(seconds)
    return seconds


@task(isolation="process", **OF_TASK)
def apart_refusing(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            work(0.05)
        except BaseException:
            pass
    return seconds


@task(retries=2, retry_delay_seconds=0.1, **OF_TASK)
def failing(seconds: float) -> int:
    """Completes at the third attempt."""
    work(seconds / 3)
    if runtime.task_run.run_count < 3:
        raise ValueError("not yet")
    return runtime.task_run.run_count


@task(**OF_TASK)
def child(seconds: float) -> int:
    beat()
    return subprocess.run(["sleep", str(seconds)], check=True).returncode


@task(**OF_TASK)
def tree(seconds: float) -> int:
    """Children of a child, which decent code ends when it is stopped."""
    beat()
    started = subprocess.Popen(["sh", "-c", f"sleep {seconds} & sleep {seconds}; wait"], start_new_session=True)
    try:
        work(seconds)
    finally:
        os.killpg(started.pid, signal.SIGKILL)
    return started.wait()


@task(**OF_TASK)
def holding(what: str, seconds: float) -> str:
    """Keeps the interpreter to itself, for about so many seconds."""
    beat()
    if what == "sum":
        sum(range(int(seconds * 4e7)))
    elif what == "regex":
        re.match(r"(a+)+$", "a" * (23 if seconds < 5 else 60) + "b")
    else:
        sorted(range(int(min(seconds, 20) * 4e6)), key=(-1).__mul__)
    beat()
    return what


# --- flows -----------------------------------------------------------------------------------------------------------


@flow(name=NAME, **OF_FLOW)
def direct() -> str:
    while not over():
        step(STEP)
    return "done"


@flow(name=NAME, **OF_FLOW)
def submitted() -> str:
    while not over():
        futures = [*step.map([STEP] * 3), sleep.submit(min(STEP, LENGTH))]
        for future in futures:
            future.result()
    return "done"


@flow(name=f"{NAME}/innermost")
def innermost() -> str:
    step(STEP)
    return "done"


@flow(name=f"{NAME}/inner")
def inner() -> str:
    future = step.submit(STEP)
    step(STEP)
    innermost()
    future.result()
    return "done"


@flow(name=NAME, **OF_FLOW)
def nested() -> str:
    while not over():
        step(STEP / 4)
        inner()
    return "done"


@flow(name=NAME, **OF_FLOW)
async def awaiting() -> str:
    while not over():
        await awaited(STEP)
        futures = [awaited.submit(STEP), step.submit(STEP)]
        await asyncio.gather(awaited(STEP), awaited(STEP / 2))
        while not all(future.done() for future in futures):
            await asyncio.sleep(0.02)
        for future in futures:
            future.result()
    return "done"


@flow(name=NAME, **OF_FLOW)
def isolated() -> str:
    while not over():
        future = apart.submit(STEP)
        (apart_refusing if CHANCE.random() < 0.5 else apart)(STEP)
        future.result()
    return "done"


@flow(name=NAME, task_runner=ProcessPoolTaskRunner(max_workers=2), **OF_FLOW)
def pool() -> str:
    while not over():
        step.map([STEP] * 2).result()
    return "done"


@flow(name=NAME, **OF_FLOW)
def children() -> str:
    while not over():
        if CHANCE.random() < 0.5:
            (tree if CHANCE.random() < 0.5 else child)(STEP)
        else:
            child.submit(STEP).result()
    return "done"


@flow(name=NAME, **OF_FLOW)
def refusing() -> str:
    while not over():
        try:
            step(STEP) if CHANCE.random() < 0.5 else work(0.15)
        except BaseException:
            pass
    return "done"


@flow(name=NAME, **OF_FLOW)
def greedy() -> str:
    work(0.2)
    holding(CHANCE.choice(["sum", "regex", "sorted"]), LENGTH if LENGTH < 5 else 30)
    while not over():
        work(0.1)
    return "done"


@flow(name=NAME, retries=1, retry_delay_seconds=0.1, **OF_FLOW)
def retried() -> str:
    while not over():
        failing(STEP)
        if runtime.flow_run.run_count == 1:
            raise ValueError("the flow's first attempt fails")
    return "done"


@flow(name=NAME, **OF_FLOW)
def generating() -> Iterator[float]:
    while not over():
        work(0.05)
        yield step(STEP / 2)


@flow(name=NAME, **OF_FLOW)
async def agenerating() -> AsyncIterator[float]:
    while not over():
        await asyncio.sleep(0.05)
        yield await awaited(STEP / 2)


@task(name=NAME, **OF_TASK)
def lone() -> str:
    work(LENGTH)
    return "done"


def generate() -> None:
    for _ in generating():
        time.sleep(0.01)


def agenerate() -> None:
    async def consume() -> None:
        async for _ in agenerating():
            await asyncio.sleep(0.01)

    asyncio.run(consume())


PROGRAMS: dict[str, Callable[[], Any]] = {
    "direct": direct,
    "submitted": submitted,
    "nested": nested,
    "async": lambda: asyncio.run(awaiting()),
    "isolated": isolated,
    "pool": pool,
    "children": children,
    "refusing": refusing,
    "greedy": greedy,
    "retried": retried,
    "generator": lambda: CHANCE.choice([generate, agenerate])(),
    "lone": lone,
}

if __name__ == "__main__":
    if CASE.get("exit_after"):
        timer = threading.Timer(CASE["exit_after"], os._exit, (7,))
        timer.daemon = True
        timer.start()
    PROGRAMS[KIND]()
