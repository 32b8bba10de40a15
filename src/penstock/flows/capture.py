"""What follows the code of runs for as long as any run is under way, so that what it writes is known as the run's.

`following()`: threads, programs that are started. `streams()`: what is written to stdout and stderr. All of it is
undone when the last run that has no parent ends.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..engine import console, secrets
from . import children, threads
from .streams import CapturedStream

_lock = threading.Lock()
_roots = 0
_undo: list[Any] = []
_captured = False
# `print` borrows the stream that it writes to, until Python 3.13: one that went while a thread is in a print would take
# the process with it.
_kept: deque[CapturedStream] = deque(maxlen=16)


@contextlib.contextmanager
def following() -> Iterator[None]:
    """For as long as any run is under way, threads and programs that a run starts are known as its own."""
    global _roots, _captured
    with _lock:
        _roots += 1
        if _roots == 1:
            _undo.append(threads.follow())
            _undo.append(secrets.follow())
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
                proxy = _stream_before(original, name)
                setattr(sys, name, proxy)
                _undo.append(lambda name=name, proxy=proxy, original=original: _restore(name, proxy, original))


def _stream_before(original: Any, name: str) -> CapturedStream:
    for kept in _kept:
        if kept.penstock_original is original and kept.name == name:
            return kept
    _kept.append(CapturedStream(original, name))
    return _kept[-1]


def _restore(name: str, proxy: Any, original: Any) -> None:
    # Somebody who replaced the stream since is left alone; what holds on to the proxy still writes through it.
    if getattr(sys, name) is proxy:
        setattr(sys, name, original)
