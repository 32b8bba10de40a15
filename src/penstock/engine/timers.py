"""One thread that calls functions at their moment: deadlines, the checks that follow them, and a pool's growth."""

from __future__ import annotations

import contextlib
import heapq
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import count

MANY = 1000
IDLE_SECONDS = 5.0


class Timer:
    """A call to come. `cancel()` it any time; a call that has begun goes on."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Timers:
    """A heap of timers and the thread that serves it, started when first needed. Actions must be short."""

    def __init__(self) -> None:
        self._order = count()
        self.forget()

    def forget(self) -> None:
        """In a forked child: the timers are the parent's, and so was the thread."""
        self._heap: list[tuple[float, int, Timer]] = []
        self._tidy_at = MANY
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._resting = False

    def rest(self) -> None:
        """Ends the thread at once if there is nothing left to be called."""
        with self._changed:
            self._heap = [each for each in self._heap if each[2].action is not None]
            heapq.heapify(self._heap)
            self._resting = True
            self._changed.notify()

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Has `action()` called in so many seconds, by the monotonic clock, in the timers' thread."""
        timer = Timer(action)
        with self._changed:
            self._resting = False
            entry = (time.monotonic() + seconds, next(self._order), timer)
            if len(self._heap) >= self._tidy_at:  # most are cancelled long before their time
                self._heap = [each for each in self._heap if each[2].action is not None]
                heapq.heapify(self._heap)
                self._tidy_at = max(2 * len(self._heap), MANY)
            heapq.heappush(self._heap, entry)
            if sys.is_finalizing():  # a thread that is started now would be waited for without end
                return timer
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="penstock-timers", daemon=True)
                self._thread.start()
            elif self._heap[0] is entry:
                self._changed.notify()
        return timer

    def _serve(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][2].action is None:
                    heapq.heappop(self._heap)
                if not self._heap:
                    # An idle thread is kept for a moment: most programs set many timers, one after the other.
                    if (self._resting or not self._changed.wait(IDLE_SECONDS)) and not self._heap:
                        self._thread = None
                        return
                    continue
                left = self._heap[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                timer = heapq.heappop(self._heap)[2]
            action, timer.action = timer.action, None
            if action is not None:
                try:
                    action()
                except Exception as error:
                    print(f"penstock: a timer's action failed: {error!r}", file=sys.__stderr__)


TIMERS = Timers()
with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=TIMERS.forget)
