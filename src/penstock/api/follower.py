"""One stream's reader: what it was given by the hub, and what it reads from the record for itself, in one order.

Law: no change is left out, and none is said twice. From the record everything up to a change is read; what the hub
gives of changes up to that one is passed over, and what it gives after it is new. Events of one run are in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.filters import RunFilter
from ..domain.logs import LogLine
from ..domain.runs import FlowRun
from ..services import streaming
from ..services.log_reading import LANE, LogCursor, LogPosition
from ..store.contract import Store
from .answers import run_json
from .events import Cursor, Event, event_of
from .pool import Pool
from .subscriptions import Subscription

# How soon a line is looked for again that should have come before another one.
LOG_PATIENCE = 0.1
_encode = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True):
    """An event on its way to one stream, with its whole cursor."""

    kind: str
    cursor: str
    data: bytes


class Follower:
    """Follows one flow run, with its log if `log`, or (`run_id` None) all flow runs that fit `filter`, from `cursor`
    on; without a cursor from now on, after the run as it is and what its log has."""

    def __init__(
        self, store: Store, pool: Pool, now: Callable[[], datetime], run_id: UUID | None, filter: RunFilter,
        *, log: bool, cursor: Cursor | None,
    ) -> None:  # fmt: skip
        self.subscription = Subscription(run_id, log)
        self._store = store
        self._pool = pool
        self._now = now
        self._filter = filter
        self._cursor = cursor or Cursor(0)
        self._fresh = cursor is None
        self._log: LogCursor | None = None
        self._mark = ""
        if log and run_id is not None:
            position = None if cursor is None else cursor.log
            self._log = LogCursor(store, run_id) if position is None else LogCursor.at(store, run_id, position)
            self._mark = _mark(self._log.position(None, False))

    async def begin(self) -> list[Said]:
        """What is said first. To be called after the hub has been joined. Raises `ObjectNotFound`."""
        self.subscription.fall_behind()  # until the record has been read, what the hub gives is in there, too
        return await self._pool.run_patiently(self._begin)

    def _begin(self) -> list[Said]:
        kept, run = streaming.start(self._store, self.subscription.run_id)
        if self._fresh:
            self._cursor = Cursor(kept.last)
            begun = [self._said("begin", b"{}")]
            return begun if run is None else [*begun, self._said("flow_run", run_json(run, listed=True))]
        if not kept.reaches(self._cursor.after):
            self._cursor = Cursor(kept.last)
            return [self._said("reset", b"{}")]
        return [self._said("begin", b"{}")]

    async def more(self, timeout: float) -> list[Said]:
        """What has come; nothing, after `timeout` seconds of silence or when the stream is woken for another reason."""
        subscription = self.subscription
        if not (subscription.behind or subscription.waiting or subscription.log_due):
            await subscription.wait(timeout)
        said: list[Said] = []
        if subscription.behind:
            said += await self._catch_up()
        elif subscription.waiting:
            events = list(subscription.waiting)
            subscription.waiting.clear()
            said += self._say(events)
        if self._log is not None and subscription.log_due:
            subscription.log_due = False
            lines = await self._pool.run_patiently(self._new_lines)
            if lines:
                said += lines
                subscription.log_due = True
            elif self._log.awaits:
                subscription.log_due = True
                if not said:
                    await subscription.wait(LOG_PATIENCE)
        return said

    async def _catch_up(self) -> list[Said]:
        """A piece of what the record has after the cursor. The hub's events are taken again when that was all: they are
        of later changes, or are passed over."""
        subscription = self.subscription
        subscription.waiting.clear()
        subscription.behind = False
        read = await self._pool.run_patiently(self._read)
        if read is None:
            return [self._said("reset", b"{}")]
        said = self._say([event_of(each) for each in read.news])
        if read.to > self._cursor.n:
            self._cursor = Cursor(read.to)
        if read.more:
            subscription.waiting.clear()
            subscription.behind = True
        return said

    def _read(self) -> streaming.Read | None:
        """None, when what comes next is not kept any more."""
        kept = streaming.kept(self._store)
        if not kept.reaches(self._cursor.after):
            self._cursor = Cursor(kept.last)
            return None
        run_id = self.subscription.run_id
        return streaming.news_since(
            self._store, self._cursor.after, lambda each: run_id is not None and each == run_id,
            every_flow_run=lambda: run_id is None, place=self._cursor.place,
        )  # fmt: skip

    def _say(self, events: list[Event]) -> list[Said]:
        said = []
        for event in events:
            if event.n < self._cursor.n or (
                event.n == self._cursor.n and event.place < (self._cursor.place or 1 << 30)
            ):
                continue
            if self.subscription.run_id is None and not event.is_flow_run:
                continue
            self._cursor = Cursor(event.n) if "." not in event.cursor else Cursor(event.n, event.place + 1)
            if self.subscription.run_id is not None or self._fits(event):
                said.append(Said(event.kind, event.cursor + self._mark, event.data))
        return said

    def _fits(self, event: Event) -> bool:
        """That a run was deleted, everybody is told: what it was is not known any more."""
        return event.run is None or (isinstance(event.run, FlowRun) and streaming.fits(self._filter, event.run))

    def _said(self, kind: str, data: bytes) -> Said:
        cursor = self._cursor
        place = f".{cursor.place}" if cursor.place else ""
        return Said(kind, f"{cursor.n}{place}{self._mark}", data)

    # --- the log -------------------------------------------------------------------------------------------------

    def _new_lines(self) -> list[Said]:
        assert self._log is not None
        before = self._log.position(None, False)
        tracker = _Tracker(before)
        said = []
        lines = self._log.fresh(self._now())
        for line in lines[:-1]:
            tracker.take(line)
            self._mark = _mark(tracker.position)
            said.append(self._said("log", _encode(line)))
        self._mark = _mark(self._log.position(None, False))
        if lines:
            said.append(self._said("log", _encode(lines[-1])))
        return said


class _Tracker:
    """Where a `LogCursor` is after each of the lines that it gave at once."""

    def __init__(self, position: LogPosition) -> None:
        self.position = LogPosition(dict(position.next), list(position.missing), {})

    def take(self, line: LogLine) -> None:
        position, lane = self.position, line.seq // LANE
        if line.seq in position.missing:
            position.missing.remove(line.seq)
            return
        expected = position.next.get(lane, lane * LANE)
        position.missing.extend(range(max(expected, line.seq - LogCursor.REMEMBERED), line.seq))
        del position.missing[: -LogCursor.REMEMBERED]
        position.next[lane] = line.seq + 1


def _mark(position: LogPosition) -> str:
    return "~" + position.text()
