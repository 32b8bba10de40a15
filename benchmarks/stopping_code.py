"""The work that is to be stopped, and the board where it stamps what it does, for another process to read.

It is copied beside `stopped.py` and uses nothing but the standard library (and numpy, in its own row). As a program,
`stopping_code.py BOARD ITEM`, it is the child process of the row `subprocess`.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

# How long the work would go on if nobody stopped it.
LONG_SECONDS = 60.0
ITEMS = 2

# Stamps are CLOCK_MONOTONIC, which on Linux is the same in all processes. `beat`: the last time a loop came round.
SLOTS = ("began", "pid", "beat", "ended", "child_beat", "child_pid")
_SIZE = ITEMS * len(SLOTS) * 8


class Board:
    """Numbers in a mapped file: what one process writes, the others see at once, also when it dies."""

    def __init__(self, path: str | Path, new: bool = False) -> None:
        if new:
            Path(path).write_bytes(bytes(_SIZE))
        with open(path, "r+b") as file:
            # Written through a view, a number is there at once; `struct.pack_into` writes zeros first.
            self._numbers = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("d")

    def get(self, item: int, slot: str) -> float:
        return self._numbers[_place(item, slot)]

    def put(self, item: int, slot: str, value: float) -> None:
        self._numbers[_place(item, slot)] = value

    def began(self) -> list[int]:
        """The items whose code began."""
        return [item for item in range(ITEMS) if self.get(item, "began")]


def _place(item: int, slot: str) -> int:
    return item * len(SLOTS) + SLOTS.index(slot)


@cache
def board() -> Board:
    return Board(os.environ["STOPPING_BOARD"])


def perform(code: str, item: int) -> None:
    """The work, which says when it begins and, if it gets to, when it ends."""
    _begin(item)
    try:
        CODES[code](item)
    finally:
        board().put(item, "ended", time.monotonic())


async def perform_awaiting(item: int) -> None:
    """The work of the row `await asyncio.sleep`."""
    _begin(item)
    try:
        await asyncio.sleep(LONG_SECONDS)
    finally:
        board().put(item, "ended", time.monotonic())


def _begin(item: int) -> None:
    board().put(item, "pid", os.getpid())
    board().put(item, "began", time.monotonic())


def _moment(item: int) -> None:
    """About a millisecond of Python, and a beat."""
    x = item
    for i in range(20_000):
        x = (x * 31 + i) % 1_000_003
    board().put(item, "beat", time.monotonic())


def sleep(item: int) -> None:
    time.sleep(LONG_SECONDS)


def lock(item: int) -> None:
    taken = threading.Lock()
    taken.acquire()
    taken.acquire()


def recv(item: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def child(item: int) -> None:
    program = [sys.executable, "-S", __file__, os.environ["STOPPING_BOARD"], str(item)]
    subprocess.run(program, check=False)


def loop(item: int) -> None:
    end = time.monotonic() + LONG_SECONDS
    while time.monotonic() < end:
        _moment(item)


def loop_that_swallows_exceptions(item: int) -> None:
    end = time.monotonic() + LONG_SECONDS
    while True:
        try:
            while time.monotonic() < end:
                _moment(item)
            return
        except Exception:
            continue


def loop_that_swallows_all(item: int) -> None:
    end = time.monotonic() + LONG_SECONDS
    while True:
        try:
            while time.monotonic() < end:
                _moment(item)
            return
        except BaseException:
            continue


def regex(item: int) -> None:
    """Exponential. It holds Python's lock, but looks for signals now and then."""
    re.match(r"(a+)+$", "a" * 50 + "b")


def sort(item: int) -> None:
    """Rows that are slow to compare: the first field is equal in all, and never the same object."""
    fields = [tuple(map(float, range(20_000))) for _ in range(16)]
    rows = [(fields[i % 16], i * 7919 % 50_021) for i in range(50_021)]
    rows.sort()


def eigenvalues(item: int) -> None:
    import numpy  # type: ignore[import-not-found, unused-ignore]

    numpy.linalg.eigvals(numpy.random.default_rng(item).random((4_000, 4_000)))


AWAIT = "await asyncio.sleep"
NUMPY = "numpy call"
CODES: dict[str, Callable[[int], None]] = {
    "sleep": sleep,
    "lock": lock,
    "recv": recv,
    "subprocess": child,
    "Python loop": loop,
    "except Exception": loop_that_swallows_exceptions,
    "except BaseException": loop_that_swallows_all,
    "regex": regex,
    "sort": sort,
    NUMPY: eigenvalues,
}
CHILDREN = frozenset({"subprocess"})
ROWS = (*CODES, AWAIT)


def beat(path: str, item: int) -> None:
    """What the child process does."""
    stamps = Board(path)
    stamps.put(item, "child_pid", os.getpid())
    end = time.monotonic() + LONG_SECONDS
    while time.monotonic() < end:
        stamps.put(item, "child_beat", time.monotonic())
        time.sleep(0.001)


if __name__ == "__main__":
    beat(sys.argv[1], int(sys.argv[2]))
