"""Prints of runs, and threads that they start.

`threads()` makes threads and thread pools that are started inside a run carry its context. `streams()` puts a proxy
before stdout and stderr, which hands what a run with `log_prints` writes to its log and everything else to the stream
itself. Both are undone when the last run that has no parent ends.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ..engine import console
from ..engine.context import current
from ..engine.runlog import write_text
from . import children

_lock = threading.Lock()
_roots = 0
_undo: list[Any] = []
_captured = False


@contextlib.contextmanager
def threads() -> Iterator[None]:
    """For as long as any run is under way, threads started in a run know it."""
    global _roots, _captured
    with _lock:
        _roots += 1
        if _roots == 1:
            _follow_threads()
            undo = children.follow()
            if undo is not None:
                _undo.append(undo)
    try:
        yield
    finally:
        console.flush()
        with _lock:
            _roots -= 1
            if _roots == 0:
                while _undo:
                    _undo.pop()()
                _captured = False


def streams() -> None:
    """From now on, until the last run ends, what runs with `log_prints` write to stdout and stderr is in their logs."""
    global _captured
    if _captured or not _roots:
        return
    with _lock:
        if _captured or not _roots:  # type: ignore[redundant-expr]  # another thread may have been here
            return
        _captured = True
        for name in ("stdout", "stderr"):
            original = getattr(sys, name)
            if original is not None:
                proxy = CapturedStream(original, name)
                setattr(sys, name, proxy)
                _undo.append(lambda name=name, proxy=proxy, original=original: _restore(name, proxy, original))


def _restore(name: str, proxy: Any, original: Any) -> None:
    # Somebody who replaced the stream since is left alone; what holds on to the proxy still writes through it.
    if getattr(sys, name) is proxy:
        setattr(sys, name, original)


class CapturedStream:
    """Stands before a stream: `write` asks whose text it is, all else is the stream's own."""

    def __init__(self, original: Any, name: str) -> None:
        self.penstock_original = original
        self._name = name

    def write(self, text: str) -> int:
        context = current.get()
        if context is None or not context.log_prints or not isinstance(text, str):
            console.flush()
            return self.penstock_original.write(text)  # type: ignore[no-any-return]
        if text:
            write_text(context, self._name, text, sys._getframe(1))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.penstock_original, name)

    def __iter__(self) -> Any:
        return iter(self.penstock_original)

    def __enter__(self) -> CapturedStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.penstock_original.flush()


def _follow_threads() -> None:
    """Has `threading.Thread.start` and `ThreadPoolExecutor.submit` take the run's context along.

    Python itself does so for asyncio only. Threads of ours are left out: they are nobody's in particular.
    """
    start = threading.Thread.start
    pools_followed = False

    def follow_pools() -> None:
        nonlocal pools_followed
        pools_followed = _follow_pools()

    def start_in_context(self: threading.Thread) -> None:
        if current.get() is not None and not self.name.startswith("penstock-"):
            context, run = contextvars.copy_context(), self.run
            self.run = lambda: context.run(run)  # type: ignore[method-assign]
            if not pools_followed:
                follow_pools()
        start(self)

    threading.Thread.start = start_in_context  # type: ignore[method-assign]
    _undo.append(lambda: setattr(threading.Thread, "start", start))

    follow_pools()


def _follow_pools() -> bool:
    """A pool keeps its threads for later callers, so each call must bring its own context.

    False in a program that has not imported it: it has no pool yet, and starts a thread when it has one.
    """
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is None:
        return False
    submit = pools.ThreadPoolExecutor.submit

    def submit_in_context(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.get() is None:
            return submit(self, fn, *args, **kwargs)
        return submit(self, contextvars.copy_context().run, fn, *args, **kwargs)

    pools.ThreadPoolExecutor.submit = submit_in_context
    _undo.append(lambda: setattr(pools.ThreadPoolExecutor, "submit", submit))
    return True
