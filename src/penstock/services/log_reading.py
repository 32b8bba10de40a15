"""Reading a run's log: in pages, so that its length does not matter, and following it while it grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from ..domain.filters import LogFilter
from ..domain.logs import LogLine
from ..store import logs, task_runs
from ..store.contract import Store

PAGE = 1000
LANE = logs.ATTEMPT
_ALL = LogFilter()


def pages(
    store: Store,
    run_id: UUID,
    filter: LogFilter,
    *,
    after: int = logs.FIRST,
    before: int | None = None,
    backwards: bool = False,
    limit: int | None = None,
) -> Iterator[list[LogLine]]:
    """The lines of a run that fit, between two sequence numbers, in their order, or the last one first; at most
    `limit`."""
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        with store.read() as tx:
            found = logs.page(tx, run_id, filter, size, after=after, before=before, backwards=backwards)
        if found:
            yield found
        if logs.is_last(found, size):
            return
        if backwards:
            before = found[-1].seq
        else:
            after = found[-1].seq
        left = None if left is None else left - len(found)


def last_pages(store: Store, run_id: UUID, filter: LogFilter, count: int) -> Iterator[list[LogLine]]:
    """The last `count` lines that fit, in their order."""
    return pages(store, run_id, filter, after=_before_last(store, run_id, filter, count))


def _before_last(store: Store, run_id: UUID, filter: LogFilter, count: int) -> int:
    with store.read() as tx:
        return logs.start_of_last(tx, run_id, filter, count) - 1


def task_names(store: Store, lines: Iterable[LogLine]) -> dict[UUID, tuple[str, str]]:
    """Task run -> its name and its task's, for the lines of a page."""
    ids = {line.task_run_id for line in lines if line.task_run_id is not None}
    if not ids:
        return {}
    with store.read() as tx:
        return task_runs.names(tx, ids)


def knows_task(store: Store, run_id: UUID, name: str) -> bool:
    """Whether a flow run has a task run of this name, or one of a task of this name."""
    with store.read() as tx:
        return task_runs.has_name(tx, run_id, name)


class LogCursor:
    """A reader of a log that grows: gives each line once.

    Each lane of numbers is read by itself, for several processes may write at once. Within one, a line may be recorded
    a moment after the one that follows it: a gap before a line that is new is waited for, but only for `patience`;
    after that the reader goes on, and gives the late line when it comes.
    """

    # Lines lost for good leave gaps that are never filled; no more of them than this are looked for.
    REMEMBERED = 500
    # Before a line that is older than this there is nothing to wait for.
    NEW = timedelta(seconds=2)

    def __init__(self, store: Store, run_id: UUID, *, patience: timedelta = timedelta(seconds=0.1)) -> None:
        self._store = store
        self._run_id = run_id
        self._patience = patience
        self._next: dict[int, int] = {}  # the number that comes next, by lane
        self._missing: dict[int, None] = {}
        self._waiting: dict[int, datetime] = {}  # since when a gap is waited for, by lane

    @classmethod
    def at_end(cls, store: Store, run_id: UUID) -> LogCursor:
        """A reader of what comes from now on. What there is already, `backlog` gives."""
        cursor = cls(store, run_id)
        with store.read() as tx:
            for lane in logs.lanes(tx, run_id):
                last = logs.last_seqs(tx, run_id, lane, cls.REMEMBERED)
                cursor._next[lane] = last[0] + 1
                whole = len(last) < cls.REMEMBERED and not _is_forked(last[0])
                here = set(last)
                begin = max(lane * LANE, last[0] - cls.REMEMBERED) if whole else last[-1]
                cursor._miss(seq for seq in range(begin, last[0]) if seq not in here)
        return cursor

    def backlog(self, filter: LogFilter, count: int | None = None) -> Iterator[list[LogLine]]:
        """The lines that fit of what is behind the reader, or the last `count` of the log."""
        after = logs.FIRST if count is None else _before_last(self._store, self._run_id, filter, count)
        awaited = frozenset(self._missing)
        for lane, end in sorted(self._next.items()):
            first = max(after, lane * LANE - 1)
            for page in pages(self._store, self._run_id, filter, after=first, before=end):
                yield [line for line in page if line.seq not in awaited]

    def fresh(self, now: datetime) -> list[LogLine]:
        """What has come since the last call, no more of it than a page or two; empty when there is nothing for now."""
        with self._store.read() as tx:
            found = logs.numbered(tx, self._run_id, self._missing) if self._missing else []
            for line in found:
                del self._missing[line.seq]
            for lane in logs.lanes(tx, self._run_id):
                if len(found) >= PAGE:
                    break
                after = self._next.get(lane, lane * LANE) - 1
                for line in logs.page(tx, self._run_id, _ALL, PAGE, after=after, before=(lane + 1) * LANE):
                    if not self._is_due(line, lane, now):
                        break
                    found.append(line)
                    self._next[lane] = line.seq + 1
        return found

    def _is_due(self, line: LogLine, lane: int, now: datetime) -> bool:
        expected = self._next.get(lane, lane * LANE)
        if line.seq > expected:
            # A forked process counts on from where the other stood: its lane may begin anywhere.
            begins = lane not in self._next and _is_forked(line.seq)
            to_come = not begins and abs(now - line.timestamp) < self.NEW
            if to_come and now - self._waiting.setdefault(lane, now) < self._patience:
                return False
            self._miss(range(max(expected, line.seq - self.REMEMBERED), line.seq))
        self._waiting.pop(lane, None)
        return True

    def _miss(self, seqs: Iterable[int]) -> None:
        self._missing.update(dict.fromkeys(seqs))
        for seq in list(islice(self._missing, max(0, len(self._missing) - self.REMEMBERED))):
            del self._missing[seq]


def _is_forked(seq: int) -> bool:
    return logs.FORKED <= seq < logs.LATE
