"""`time.sleep` in the code of runs, by a fake clock.

Law: only code of runs sleeps by it; all else of the process sleeps as ever. (`asyncio.sleep` goes by the time of its
loop, which is the clock's already.)
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..engine.context import current
from ..engine.stopping import Post, Ready, my_post, shielded
from .clock import FakeClock

_real = time.sleep
Undo = Callable[[], None]
_undo: list[Undo] = []


class _Sleep:
    """What `time.sleep` is meanwhile."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __call__(self, seconds: float, /) -> None:
        context = current.get()
        if context is None or context.runtime.clock is not self._clock:
            _real(seconds)
            return
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
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
    try:
        yield
    finally:
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
