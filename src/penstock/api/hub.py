"""The one watcher of the record in a server: wakes whoever waits, and hands what has changed to all streams.

Law: what changes is read once, however many streams there are, and turned into bytes once. The watcher goes on only
when the event loop has taken what it read, so nothing grows between the two. A stream that takes too slowly is not
waited for: it reads for itself where it stood.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from ..domain.errors import PenstockError
from ..domain.runs import Holder
from ..domain.stops import Signal
from ..services import streaming
from ..store.contract import Store
from .events import Event, event_of
from .subscriptions import SignalSubscription, Subscription

# Between two looks: what happens within it is read at once.
PAUSE = 0.01
# How long a look may last where nothing happens; the end of the server is noticed then at the latest.
LOOK = 0.25
AWAY_PAUSE = 0.5

_log = logging.getLogger("penstock.server")


class Hub:
    """Watches `store` from `start` to `stop`. All else is for the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists: set[Subscription] = set()
        self._followers: dict[UUID, set[Subscription]] = {}
        self._signals: set[SignalSubscription] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Future[None] | None = None
        self._waiters: dict[UUID, set[asyncio.Future[None]]] = {}
        # Whether the record could be read at the last look.
        self.away = False
        self.closing = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="penstock-hub", daemon=True)
        self._thread.start()

    def close_streams(self) -> None:
        """Everybody who waits or listens is told that the server ends."""
        self.closing = True
        self._wake_waiters([*self._waiters])
        for each in (*self._subscriptions(), *self._signals):
            each.wake()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @contextlib.contextmanager
    def change(self, *of: UUID) -> Iterator[asyncio.Future[None]]:
        """Done when the record has changed; when one of these flow runs has, or one of these bells was rung. Taken
        before the record is asked, no change falls in between."""
        if not of:
            if self._changed is None:
                self._changed = asyncio.get_running_loop().create_future()
            yield self._changed
            return
        mine = asyncio.get_running_loop().create_future()
        for each in of:
            self._waiters.setdefault(each, set()).add(mine)
        try:
            yield mine
        finally:
            for each in of:
                waiters = self._waiters.get(each, set())
                waiters.discard(mine)
                if not waiters:
                    self._waiters.pop(each, None)

    # --- who listens ---------------------------------------------------------------------------------------------

    def join(self, subscription: Subscription) -> None:
        if subscription.run_id is None:
            self._lists.add(subscription)
        else:
            self._followers.setdefault(subscription.run_id, set()).add(subscription)

    def leave(self, subscription: Subscription) -> None:
        if subscription.run_id is None:
            self._lists.discard(subscription)
            return
        followers = self._followers.get(subscription.run_id, set())
        followers.discard(subscription)
        if not followers:
            self._followers.pop(subscription.run_id, None)

    def join_signals(self, subscription: SignalSubscription) -> None:
        self._signals.add(subscription)

    def leave_signals(self, subscription: SignalSubscription) -> None:
        self._signals.discard(subscription)

    @property
    def streams(self) -> dict[str, int]:
        """How many are open, by what they are about."""
        return {
            "runs": len(self._lists),
            "flow_run": sum(map(len, self._followers.values())),
            "signals": len(self._signals),
        }

    # --- the watcher's thread ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        seen, to = -1, -1
        while not self._stop.is_set():
            try:
                if to < 0:
                    seen, to = self._store.changes(), streaming.kept(self._store).last
                    # Who was there before does not hear of what came between: the watcher begins after it.
                    self._in_loop(self._have_all_look)
                    self._hand_over([], set(), streaming.open_signals(self._store) if self._signals else None)
                seen, to = self._look(seen, to)
                self.away = False
            except PenstockError as error:
                if self._stop.is_set():
                    return
                if not self.away:
                    _log.error("the record cannot be read: %s", error)
                self.away = True
                seen = -1
                self._stop.wait(AWAY_PAUSE)
            except Exception:
                _log.exception("the watcher of the record failed; it goes on")
                seen = -1
                self._stop.wait(AWAY_PAUSE)

    def _look(self, seen: int, to: int) -> tuple[int, int]:
        now = self._store.wait_for_change(seen, LOOK)
        if now == seen:
            return seen, to
        more = True
        while more and not self._stop.is_set():
            read = streaming.news_since(
                self._store, to, self._followers.__contains__, every_flow_run=lambda: bool(self._lists),
                signals=bool(self._signals),
            )  # fmt: skip
            to, more = read.to, read.more
            self._hand_over([event_of(each) for each in read.news], read.touched | read.bells, read.signals)
        self._stop.wait(PAUSE)
        return now, to

    def _hand_over(
        self, events: list[Event], touched: set[UUID], signals: list[tuple[Signal, Holder | None]] | None
    ) -> None:
        def deliver() -> None:
            self._deliver(events, touched)
            if signals is not None:
                for each in self._signals:
                    each.give(signals)

        self._in_loop(deliver)

    def _in_loop(self, work: Callable[[], None]) -> None:
        """Returns when the event loop has done it."""
        taken = threading.Event()

        def done() -> None:
            try:
                work()
            finally:
                taken.set()

        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(done)
            while not taken.wait(1.0) and not self._stop.is_set():
                pass

    # --- the event loop's thread ---------------------------------------------------------------------------------

    def _deliver(self, events: list[Event], touched: set[UUID]) -> None:
        self._wake_waiters(touched)
        by_run: dict[UUID | None, list[Event]] = {}
        for event in events:
            by_run.setdefault(event.flow_run_id, []).append(event)
        for run_id in touched:
            for follower in self._followers.get(run_id, ()):
                follower.give(by_run.get(run_id, []))
        if self._lists and (flow_run_events := [event for event in events if event.is_flow_run]):
            for each in self._lists:
                each.give(flow_run_events)

    def _have_all_look(self) -> None:
        self._wake_waiters([*self._waiters])
        for each in self._subscriptions():
            each.fall_behind()

    def _subscriptions(self) -> Iterator[Subscription]:
        yield from self._lists
        for followers in self._followers.values():
            yield from followers

    def _wake_waiters(self, of: Iterable[UUID]) -> None:
        changed, self._changed = self._changed, None
        waiting = [] if changed is None else [changed]
        for key in of:
            waiting.extend(self._waiters.get(key, ()))
        for each in waiting:
            if not each.done():
                each.set_result(None)
