"""Who listens to a stream, and what waits for them: as little as can be, for there may be ten thousand.

Law: what waits is bounded. Who takes too slowly loses what waits, and reads it from the record, where it is as well; so
a stream costs the same however far behind it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from uuid import UUID

from ..domain.runs import Holder
from ..domain.stops import Signal
from .events import Event

# Events that may wait for one stream.
MOST_WAITING = 1_000


class Waking:
    """Somebody who waits until there is something."""

    __slots__ = ("_waker",)

    def __init__(self) -> None:
        self._waker: asyncio.Future[None] | None = None

    def wake(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None and not waker.done():
            waker.set_result(None)

    async def wait(self, timeout: float) -> None:
        """Until `wake`, or for `timeout` seconds."""
        loop = asyncio.get_running_loop()
        self._waker = loop.create_future()
        timer = loop.call_later(timeout, self.wake)
        try:
            await self._waker
        finally:
            timer.cancel()
            self._waker = None


class Subscription(Waking):
    """Of one flow run, with its `log` or without, or (`run_id` None) of all. `log_due`: there may be new lines.
    `behind`: what came was not kept, and has to be read from the record."""

    __slots__ = ("run_id", "log", "waiting", "behind", "log_due")

    def __init__(self, run_id: UUID | None, log: bool) -> None:
        super().__init__()
        self.run_id = run_id
        self.log = log
        self.waiting: deque[Event] = deque()
        self.behind = False
        self.log_due = False

    def give(self, events: Sequence[Event]) -> None:
        """What has changed; nothing, where only lines were written."""
        if not events and not self.log:
            return
        self.log_due = self.log
        if not self.behind:
            self.waiting.extend(events)
            if len(self.waiting) > MOST_WAITING:
                self.fall_behind()
        self.wake()

    def fall_behind(self) -> None:
        """What it does not know has to be read from the record."""
        self.waiting.clear()
        self.behind = True
        self.log_due = self.log
        self.wake()


class SignalSubscription(Waking):
    """Of requests to stop runs of one process; each is given once."""

    __slots__ = ("holder", "waiting", "_given")

    def __init__(self, holder: Holder) -> None:
        super().__init__()
        self.holder = holder
        self.waiting: list[Signal] = []
        self._given: set[Signal] = set()

    def give(self, open_signals: list[tuple[Signal, Holder | None]]) -> None:
        """All requests that are open now."""
        if not open_signals and not self._given:
            return  # as nearly always, and there may be ten thousand who listen
        mine = {signal for signal, holder in open_signals if holder == self.holder}
        new = mine - self._given
        self._given = mine
        if new:
            self.waiting.extend(sorted(new, key=lambda signal: signal.at))
            self.wake()
