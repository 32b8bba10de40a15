"""`FakeClock`: the time of a test, in which nothing is waited for.

Law: time moves for two reasons only: somebody calls `advance`, or all code that is at work in runs waits for the clock;
then it goes straight to the next thing that is due. What falls due on the way is done in its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from ..domain.ids import uuid7
from ..engine import live
from ..engine.clock import Clock, next_random
from ..engine.scopes import Scope
from ..engine.timers import Timer
from .quiet import AT_WORK, STANDS, Quiet

LOOK_SECONDS = 0.0003
# Ids that are made at one moment are in order all the same: they tell times so far apart.
STEP_NANOSECONDS = 250
# asyncio does what is due before the next nanosecond. On a machine that has been up for months, its clock's numbers are
# too large to tell that one from now, and a clock that stands at the very moment would stand there for ever.
LATER_SECONDS = 1e-7


class FakeClock(Clock):
    """A clock that stands still, and jumps over what a run waits for.

    `start`: what it shows first (default: now; without a zone, UTC). With `auto` (the default) it goes on by itself
    whenever all runs of the process wait for it: for the delay before a retry, a `time.sleep` or `asyncio.sleep` in a
    flow or task, the end of a pause, a limit. With `auto=False` it goes on by `advance` only.

    Code that computes or waits for something else is not hurried: the clock stands still meanwhile, and its limits do
    not pass (`TestHarness.time_out` is for that). Should such code keep the clock from going on for two real seconds,
    it goes on all the same, and says so on stderr.

    Example::

        with test_harness(clock=FakeClock()) as harness:
            assert flow_that_retries_after_an_hour() == 42
            assert harness.clock.elapsed >= 3600
    """

    def __init__(self, start: datetime | None = None, *, auto: bool = True) -> None:
        if start is not None and not isinstance(start, datetime):
            raise TypeError(f"A FakeClock begins at a datetime; {start!r:.80} is none.")
        moment = datetime.now(UTC) if start is None else start
        self._start = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        self._began = time.monotonic()
        self._auto = auto
        self._changed = threading.Condition(threading.RLock())
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._ids = count()
        self._elapsed = 0.0
        self._quiet = Quiet()
        self._thread: threading.Thread | None = None
        self._open = False

    # --- what the engine asks -----------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds that only ever go forward."""
        return self._began + self._elapsed

    def new_id(self) -> UUID:
        """A fresh uuid7 of this clock's time; of two, the later one is greater."""
        return uuid7(int(self.now().timestamp() * 1e6) * 1000 + next(self._ids) * STEP_NANOSECONDS, next_random())

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Has `action()` called when the clock has gone on by so many seconds."""
        timer = Timer(action)
        with self._changed:
            heapq.heappush(self._heap, (self._elapsed + max(seconds, 0.0), next(self._order), timer))
            self._changed.notify_all()
        return timer

    # --- what a test asks ---------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """How many seconds it has gone on since it was made, to the microsecond."""
        return round(self._elapsed, 6)

    def advance(self, by: float | timedelta) -> None:
        """Goes on by so many seconds, and does what falls due on the way; returns when runs have taken it up.

        Raises `ValueError` for time that would go backwards.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else float(by)
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"A clock goes forward, by a number of seconds; {by!r} is none.")
        until = self._elapsed + seconds
        while True:
            self._settle()
            with self._changed:
                due = self._next()
                if due is None or due > until:
                    break
            self._go_to(due)
        self._go_to(until)
        self._settle()

    # --- its life -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begins to go on by itself. (The harness does this.)"""
        with self._changed:
            if self._open:
                raise RuntimeError("This clock is in use by another harness: give each its own FakeClock().")
            self._open = True
            if self._auto and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="penstock-fake-clock", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stands still for good. What still waits for it would wait for ever, and is woken."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        for loop in self._quiet.loops():
            self._leave(loop)
        while (due := self._next()) is not None:
            self._go_to(due)

    def follow(self, thread: threading.Thread) -> None:
        """Code of a run has started a thread: while that is at work, the clock stands."""
        self._quiet.add_thread(thread)

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Event loops in which runs are at work take their time from this clock."""
        if self._quiet.add(loop):
            loop.time = self.monotonic  # type: ignore[method-assign]
            with self._changed:
                self._changed.notify_all()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(AttributeError):
            del loop.time

    # --- going on -----------------------------------------------------------------------------------------------------

    def _next(self) -> float | None:
        """When the next thing is due; None if nothing is. In seconds since the beginning."""
        with self._changed:
            while self._heap and self._heap[0][2].action is None:
                heapq.heappop(self._heap)
            found = [self._heap[0][0]] if self._heap else []
        found += [at - self._began + LATER_SECONDS for at in self._quiet.due()]
        return min(found, default=None)

    def _has_runs(self) -> bool:
        """Whether there is anybody whose time it is."""
        return any(context.runtime.clock is self for context in list(live.RUNS.values()))

    def _limit_comes_first(self, due: float) -> bool:
        """Whether what is due next is a limit of a run."""
        with self._changed:
            return any(
                at <= due and getattr(timer.action, "__func__", None) is Scope._passed for at, _, timer in self._heap
            )

    def _go_to(self, moment: float) -> None:
        with self._changed:
            self._elapsed = max(self._elapsed, moment)
            due = []
            while self._heap and self._heap[0][0] <= self._elapsed:
                due.append(heapq.heappop(self._heap)[2])
        for timer in due:
            action, timer.action = timer.action, None
            if action is not None:
                try:
                    action()
                except Exception as error:
                    print(f"penstock: a timer's action failed: {error!r}", file=sys.__stderr__)
        self._quiet.wake()

    def _settle(self) -> None:
        """Waits, really, until all code in runs waits for this clock, or for something that has no end of its own."""
        until, since, seen = time.monotonic() + AT_WORK, time.monotonic(), None
        me = threading.get_ident()
        while (now := time.monotonic()) < until:
            look = self._quiet.look(but=me)
            if (look.needs, look.mark) != seen:
                since, seen = now, (look.needs, look.mark)
            if now - since >= look.needs:
                return
            time.sleep(LOOK_SECONDS)

    def _work(self) -> None:
        since, seen = time.monotonic(), None
        while True:
            with self._changed:
                if not self._open:
                    return
                if (not self._heap and not self._quiet.loops()) or not self._has_runs():
                    # (Nobody says that a run has begun, but for what it then waits for.)
                    self._changed.wait(None if not self._heap else 10 * LOOK_SECONDS)
                    since, seen = time.monotonic(), None
                    continue
            look = self._quiet.look()
            now = time.monotonic()
            if (look.needs, look.mark) != seen:
                since, seen = now, (look.needs, look.mark)
            due = self._next()
            if due is not None and now - since >= look.needs:
                if look.needs == AT_WORK:
                    if self._limit_comes_first(due):  # which is perhaps of the very code that is at work
                        since = now
                        continue
                    print(
                        f"penstock: the fake clock goes on although code is at work: {look.what}", file=sys.__stderr__
                    )
                self._go_to(due)
                seen = None
                continue
            with self._changed:
                if self._open:
                    self._changed.wait(LOOK_SECONDS if now - since < STANDS else 10 * LOOK_SECONDS)
