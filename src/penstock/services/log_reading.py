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
_ALL = LogFilter()


def pages(
    store: Store, run_id: UUID, filter: LogFilter, *, backwards: bool = False, limit: int | None = None
) -> Iterator[list[LogLine]]:
    """The lines of a run that fit, in their order, or the last one first; at most `limit`."""
    after, before = logs.FIRST, None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        with store.read() as tx:
            found = logs.page(tx, run_id, filter, size, after=after, before=before, backwards=backwards)
        if found:
            yield found
        if len(found) < size:
            return
        if backwards:
            before = found[-1].seq
        else:
            after = found[-1].seq
        left = None if left is None else left - len(found)


def last_pages(store: Store, run_id: UUID, filter: LogFilter, count: int) -> Iterator[list[LogLine]]:
    """The last `count` lines that fit, in their order."""
    with store.read() as tx:
        after = logs.start_of_last(tx, run_id, filter, count) - 1
    while True:
        with store.read() as tx:
            found = logs.page(tx, run_id, filter, PAGE, after=after)
        if found:
            yield found
        if len(found) < PAGE:
            return
        after = found[-1].seq


def task_names(store: Store, lines: Iterable[LogLine]) -> dict[UUID, tuple[str, str]]:
    """Task run -> its name and its task's, for the lines of a page."""
    ids = {line.task_run_id for line in lines if line.task_run_id is not None}
    if not ids:
        return {}
    with store.read() as tx:
        return task_runs.names(tx, ids)


class LogCursor:
    """A reader of a log that grows: gives each line once.

    Lines are recorded in batches of several threads, so a line may come a moment after the one that follows it. A gap
    before a line that is younger than `patience` is waited for; after that the reader goes on, and gives a late line
    when it comes.
    """

    # Lines lost for good leave gaps that are never filled; no more of them than this are looked for.
    REMEMBERED = 500

    def __init__(
        self, store: Store, run_id: UUID, *, start: int = 0, patience: timedelta = timedelta(seconds=2)
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._next = start
        self._patience = patience
        self._missing: dict[int, None] = {}

    def fresh(self, now: datetime) -> list[LogLine]:
        """What has come since the last call, at most a page of it; empty when there is nothing for now."""
        with self._store.read() as tx:
            late = logs.numbered(tx, self._run_id, self._missing) if self._missing else []
            lines = logs.page(tx, self._run_id, _ALL, PAGE, after=self._next - 1)
        for line in late:
            del self._missing[line.seq]
        for line in lines:
            if line.seq > self._next:
                if abs(now - line.timestamp) < self._patience:
                    break
                self._forget_gap(line.seq)
            late.append(line)
            self._next = line.seq + 1
        return late

    def _forget_gap(self, end: int) -> None:
        self._missing.update(dict.fromkeys(range(max(self._next, end - self.REMEMBERED), end)))
        for seq in list(islice(self._missing, max(0, len(self._missing) - self.REMEMBERED))):
            del self._missing[seq]
