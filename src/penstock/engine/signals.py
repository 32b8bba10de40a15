"""Signals of the operating system, for as long as a run without a parent is on the main thread.

SIGURG is our own: it ends a blocking call of user code (see `stopping`). Ctrl-C and SIGTERM stop the run. A program
that handles one of them itself keeps its way; asyncio's handling of Ctrl-C goes on behind ours.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from .stopping import STOP_SIGNAL, StopDelivered, my_post, on_stop_signal, undisturbed


class Signals:
    """Installs handlers when entered, and puts back what was.

    `interrupted(again)` is called at Ctrl-C (`again` from the second on); user code then sees `KeyboardInterrupt`, as
    it would without us. `terminated()` is called at SIGTERM; user code sees a stop, and when the run has ended the
    process ends by SIGTERM, as it would without us.
    """

    __slots__ = ("_before", "_behind", "_interrupted", "_interrupts", "_terminated", "was_terminated")

    def __init__(self, interrupted: Callable[[bool], None], terminated: Callable[[], None] | None = None) -> None:
        self._interrupted = interrupted
        self._terminated = terminated
        self._before: list[tuple[int, Any]] = []
        self._behind: Any = None
        self._interrupts = 0
        self.was_terminated = False

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            if STOP_SIGNAL is not None and signal.getsignal(STOP_SIGNAL) in (signal.SIG_DFL, signal.SIG_IGN):
                self._install(STOP_SIGNAL, on_stop_signal)
            handler = signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler or _is_asyncios(handler):
                self._behind = None if handler is signal.default_int_handler else handler
                self._install(signal.SIGINT, self._on_interrupt)
            if self._terminated is not None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._install(signal.SIGTERM, self._on_terminate)
        return self

    def _install(self, number: int, handler: Callable[[int, Any], None]) -> None:
        self._before.append((number, signal.signal(number, handler)))

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)
        self._before.clear()

    def end_if_terminated(self) -> None:
        """After everything is recorded: the end that SIGTERM asked for."""
        if self.was_terminated:
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_interrupt(self, number: int, frame: Any) -> None:
        self._interrupts += 1
        again = self._interrupts > 1
        undisturbed(lambda: self._interrupted(again))
        if self._behind is not None:
            self._behind(number, frame)  # cancels the main asyncio task; the second time it raises
            return
        if asyncio_runs():
            return  # the task that the run is in is cancelled, which the run turns into what it is
        post = my_post()
        post.unheard = False
        if post.armed or not post.inside:
            raise KeyboardInterrupt

    def _on_terminate(self, number: int, frame: Any) -> None:
        assert self._terminated is not None
        self.was_terminated = True
        undisturbed(self._terminated)
        post = my_post()
        if post.armed and post.frames and post.frames[-1].scope.stop is not None:
            raise StopDelivered


def asyncio_runs() -> bool:
    """Whether an event loop is running in this thread."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _is_asyncios(handler: Any) -> bool:
    """Whether it is what `asyncio.run` installs (since Python 3.11)."""
    return isinstance(handler, functools.partial) and getattr(handler.func, "__name__", "") == "_on_sigint"
