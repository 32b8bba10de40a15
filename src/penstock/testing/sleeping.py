"""`time.sleep` in the code of runs, by a fake clock.

Law: only code of runs sleeps by it; all else of the process sleeps as ever. (`asyncio.sleep` goes by the time of its
loop, which is the clock's already.)
"""

from __future__ import annotations

import contextlib
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..engine.context import current
from ..engine.stopping import OURS, Post, Ready, my_post, shielded
from .clock import FakeClock

_real = time.sleep
# It waits for other processes, which know nothing of this clock.
_SUBPROCESS = subprocess.__file__
LONGEST = 1e9
Undo = Callable[[], None]
_undo: list[Undo] = []


class _Sleep:
    """What `time.sleep` is meanwhile."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __call__(self, seconds: float, /) -> None:
        context = current.get()
        file = sys._getframe(1).f_code.co_filename
        if context is None or context.runtime.clock is not self._clock or file.startswith(OURS) or file == _SUBPROCESS:
            _real(seconds)
            return
        if not 0 <= seconds <= LONGEST:
            _real(seconds if seconds != seconds or seconds < 0 else float("inf"))  # which says what is wrong with it
        ready = Ready()
        timer = self._clock.after(seconds, ready.tell)
        try:
            shielded(_wait, my_post(), ready)
        finally:
            timer.cancel()


def _wait(post: Post, ready: Ready) -> None:
    post.wait(ready, None, post.frames[-1].scope if post.frames else None)


@contextlib.contextmanager
def patched(clock: FakeClock) -> Iterator[None]:
    """Code of runs sleeps by this clock."""
    before, time.sleep = time.sleep, _Sleep(clock)  # type: ignore[assignment]
    start = threading.Thread.start

    def start_followed(self: threading.Thread) -> None:
        if current.get() is not None and not self.name.startswith("penstock-"):
            clock.follow(self)
        start(self)

    threading.Thread.start = start_followed  # type: ignore[method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        time.sleep = before
        while _undo:
            _undo.pop()()


def prepare_for(clock: FakeClock | None) -> Callable[[Callable[..., Any]], None]:
    """What is done before a function of the author's is called: `from time import sleep` in its module has been done
    long ago, and means the real one."""
    if clock is None:
        return lambda fn: None

    def prepare(fn: Callable[..., Any]) -> None:
        names: dict[str, Any] = getattr(inspect.unwrap(fn), "__globals__", {})
        for name in [name for name, value in list(names.items()) if value is _real]:
            names[name] = time.sleep
            _undo.append(lambda name=name: names.__setitem__(name, _real))  # type: ignore[misc]

    return prepare
