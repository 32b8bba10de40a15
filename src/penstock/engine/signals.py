"""Signals of the operating system, for as long as runs without a parent are on the main thread.

SIGURG is our own: it ends a blocking call of user code (see `stopping`). Ctrl-C and SIGTERM stop all such runs. A
program that handles one of them itself keeps its way; asyncio's handling of Ctrl-C goes on behind ours.

Law: handlers are installed by the first of the runs and taken away after the last, in whatever order they end; and
only if they are still ours.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from .stopping import STOP_SIGNAL, StopDelivered, my_post, on_stop_signal, undisturbed

# The runs on the main thread, in the order they began; what was there before our handlers, by signal.
_entered: list[Signals] = []
_before: dict[int, Any] = {}
_ours: dict[int, Any] = {}


class Signals:
    """Handles signals for one run, from when it is entered.

    `interrupted(again)` is called at Ctrl-C (`again` from the second on); user code then sees `KeyboardInterrupt`, as
    it would without us. `terminated()` is called at SIGTERM; user code sees a stop, and when the last run has ended the
    process ends by SIGTERM, as it would without us.
    """

    __slots__ = ("_interrupted", "_terminated", "behind_asyncio", "interrupts", "was_terminated")

    def __init__(self, interrupted: Callable[[bool], None], terminated: Callable[[], None] | None = None) -> None:
        self._interrupted = interrupted
        self._terminated = terminated
        self.interrupts = 0
        self.behind_asyncio = False
        self.was_terminated = False

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            _entered.append(self)
            if len(_entered) == 1:
                _install()
            self.behind_asyncio = _is_asyncios(_before.get(signal.SIGINT))
        return self

    def __exit__(self, *_: object) -> None:
        if self in _entered:
            _entered.remove(self)
            if not _entered:
                _put_back()

    def interrupt(self) -> None:
        self.interrupts += 1
        self._interrupted(self.interrupts > 1)

    def terminate(self) -> None:
        if self._terminated is not None:
            self.was_terminated = True
            self._terminated()

    def end_if_terminated(self) -> None:
        """After everything is recorded: the end that SIGTERM asked for, when all runs that it stopped have ended."""
        if self.was_terminated and not any(other.was_terminated for other in _entered):
            os.kill(os.getpid(), signal.SIGTERM)


def _install() -> None:
    if STOP_SIGNAL is not None and signal.getsignal(STOP_SIGNAL) in (signal.SIG_DFL, signal.SIG_IGN):
        _take(STOP_SIGNAL, on_stop_signal)
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler or _is_asyncios(handler):
        _take(signal.SIGINT, _on_interrupt)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _take(signal.SIGTERM, _on_terminate)


def _take(number: int, handler: Callable[[int, Any], None]) -> None:
    _before[number] = signal.signal(number, handler)
    _ours[number] = handler


def _put_back() -> None:
    for number, handler in _before.items():
        if signal.getsignal(number) is _ours[number]:  # else the program has set its own meanwhile
            signal.signal(number, handler)
    _before.clear()
    _ours.clear()


def _on_interrupt(number: int, frame: Any) -> None:
    for each in list(_entered):
        undisturbed(each.interrupt)
    behind = _before.get(signal.SIGINT)
    if behind is not None and _is_asyncios(behind):
        behind(number, frame)  # cancels the main asyncio task; the second time it raises
        return
    post = my_post()
    if asyncio_runs() and not post.armed:
        return  # the task that the run is in is cancelled, which the run turns into what it is
    # (Blocking code has the floor also where a loop runs: in a notebook one always does.)
    post.unheard = False
    if post.armed or not post.inside:
        raise KeyboardInterrupt


def _on_terminate(number: int, frame: Any) -> None:
    post = my_post()
    told = bool(post.frames) and post.frames[-1].scope.stop is not None and not post.unheard
    for each in list(_entered):
        undisturbed(each.terminate)
    # (Code that cleans up after a stop is left alone: who cancels a run sends it a signal as well.)
    if not told and post.armed and post.frames and post.frames[-1].scope.stop is not None:
        raise StopDelivered


def asyncio_runs() -> bool:
    """Whether an event loop is running in this thread."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _is_asyncios(handler: Any) -> bool:
    """Whether it is what `asyncio.run` installs (since Python 3.11)."""
    return isinstance(handler, functools.partial) and getattr(handler.func, "__name__", "") == "_on_sigint"


def _forked() -> None:
    """A process that was forked in a run is not the run: it ends by signals as it would without us."""
    with contextlib.suppress(ValueError):  # forked off another thread than the main one, which is main there
        _put_back()
    _entered.clear()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)
