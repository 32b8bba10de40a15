"""Retention: deleting what is old, a little at a time.

Law: a run goes with all that it called and all that belongs to them, or it stays; nothing goes of one that is pinned
or has not ended. Each transaction is short, and after each the writers of running flows get their turn. A run goes
last, after what belongs to it: what was interrupted is gone on with the next time. Files of results are left where they
are: a cached result, or a person, may name them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

from ..domain.errors import RecordError
from ..domain.retention import Ages, Pruned
from ..store import audit, codec, logs, task_runs
from ..store import retention as old
from ..store.contract import Store, Tx

# Rows that go in one transaction; flow runs cost some statements each.
PIECE = 2_000
FLOW_RUN_ROWS = 10
ROOTS = 100
# How long others may write after each of our transactions: as long as it took, and no longer than this.
LONGEST_REST = 0.05
PAGES = 500

Ended = Callable[[], bool]


def prune(
    store: Store,
    now: datetime,
    ages: Ages,
    *,
    is_over: Ended = lambda: False,
    rest: Callable[[float], None] = time.sleep,
) -> Pruned:
    """Deletes all that is older than `ages`; gives up between two transactions when `is_over()`.

    Example::

        prune(store, now, Ages.of_days(runs=90, logs=30))
    """
    return _Pruning(store, now, ages, is_over, rest).all()


def prune_if_due(store: Store, now: datetime, ages: Ages, *, is_over: Ended) -> Pruned | None:
    """`prune`, for programs that have the record open themselves: None when one of them did it in the last hour. What
    there was no time for, the next one does."""
    with store.write() as tx:
        if not old.is_due(tx, now):
            return None
        old.set_mark(tx, old.PRUNED, codec.exact_micros(now))
    pruned = prune(store, now, ages, is_over=is_over)
    if not pruned.finished:
        with store.write() as tx:
            old.set_mark(tx, old.PRUNED, 0)
    return pruned


class _Over(Exception):
    """There is no time for more."""


class _Pruning:
    """One pass."""

    def __init__(self, store: Store, now: datetime, ages: Ages, is_over: Ended, rest: Callable[[float], None]) -> None:
        self._store = store
        self._now = now
        self._ages = ages
        self._is_over = is_over
        self._rest = rest
        self.pruned = Pruned()

    def all(self) -> Pruned:
        steps = (
            self._flow_runs, self._task_runs, self._lines_of_flow_runs, self._lines_of_task_runs, self._events,
            self._artifacts, self._audit, self._cached,
        )  # fmt: skip
        try:
            for step in steps:
                step()
            self._pages()
        except _Over:
            self.pruned.finished = False
        return self.pruned

    def _before(self, name: str) -> int | None:
        moment = self._ages.before(name, self._now)
        return None if moment is None else codec.exact_micros(moment)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Tx]:
        """A short transaction, and then a rest for the others."""
        if self._is_over():
            raise _Over
        began = time.monotonic()
        with self._store.write() as tx:
            yield tx
        self._rest(min(time.monotonic() - began, LONGEST_REST))

    # --- runs ---

    def _flow_runs(self) -> None:
        before = self._before("runs")
        place = old.FIRST
        while before is not None:
            with self._store.read() as tx:
                roots = old.old_roots(tx, before, place, ROOTS)
            if not roots:
                return
            place = roots[-1][0]
            self._families([root for _, root in roots], before)

    def _families(self, roots: list[UUID], before: int) -> None:
        """Children before parents, many small families in one transaction."""
        with self._store.read() as tx:
            families = [old.family(tx, root) for root in roots]
            going = [each for each in families if all(old.may_go(tx, id, before) for id in each)]
        waiting = [(family[0], id) for family in going for id in reversed(family)]
        waiting.reverse()
        while waiting:
            with self._writing() as tx:
                room = PIECE
                while waiting and room > 0:
                    root, id = waiting[-1]
                    if not (old.may_go(tx, root, before) and old.may_go(tx, id, before)):
                        # somebody pinned it, or has it tried again, meanwhile
                        waiting = [each for each in waiting if each[0] != root]
                        continue
                    room -= self._some_of_flow_run(tx, id, room)
                    if room > 0:
                        self.pruned.flow_runs += old.delete_flow_run(tx, id)
                        room -= FLOW_RUN_ROWS
                        waiting.pop()

    def _some_of_flow_run(self, tx: Tx, id: UUID, room: int) -> int:
        """Deletes so many rows of a run at most; as many as there was room for means that there may be more."""
        tasks = task_runs.delete_some(tx, id, room)
        self.pruned.task_runs += tasks
        lines = logs.delete_some(tx, id, room - tasks) if tasks < room else 0
        self.pruned.log_lines += lines
        return tasks + lines

    def _task_runs(self) -> None:
        """Those outside flows."""
        before = self._before("runs")
        behind, at = b"", codec.exact_micros(self._now)
        while before is not None:
            with self._store.read() as tx:
                found = old.old_task_runs(tx, before, 0, behind, PIECE // 4)
            if not found:
                return
            behind = found[-1][0]
            going = [id for id, ended in found if ended]
            while going:
                with self._writing() as tx:
                    room = PIECE
                    while going and room > 0:
                        lines = logs.delete_some(tx, UUID(bytes=going[-1]), room)
                        self.pruned.log_lines += lines
                        room -= lines
                        if room > 0:
                            self.pruned.task_runs += old.delete_task_run(tx, going.pop(), at)
                            room -= 2

    # --- lines ---

    def _lines_of_flow_runs(self) -> None:
        """By the ends of their runs, from where the last pass came to."""
        before = self._before("logs")
        if before is None:
            return
        with self._store.read() as tx:
            place = (old.mark(tx, "logs") or 0, b"")
        while True:
            with self._store.read() as tx:
                found = old.old_flow_runs(tx, before, place, ROOTS)
            if not found:
                return
            self._lines_of([id for (_, id), kept in found if not kept])
            if found[-1][0][0] > place[0]:
                with self._writing() as tx:
                    old.set_mark(tx, "logs", found[-1][0][0])
            place = found[-1][0]

    def _lines_of_task_runs(self) -> None:
        before = self._before("logs")
        behind = b""
        while before is not None:
            with self._store.read() as tx:
                start = old.mark(tx, "logs-of-task-runs") or 0
                found = old.old_task_runs(tx, before, start, behind, ROOTS)
            self._lines_of([id for id, ended in found if ended])
            if not found:
                return
            behind = found[-1][0]
            # Not beyond one that has not ended: its lines are to be looked at again.
            first_open = next((id for id, ended in found if not ended), None)
            last = old.created_at(behind if first_open is None else first_open)
            if last > start:
                with self._writing() as tx:
                    old.set_mark(tx, "logs-of-task-runs", last)
            if first_open is not None:
                return

    def _lines_of(self, ids: list[bytes]) -> None:
        waiting = list(reversed(ids))
        while waiting:
            with self._store.read() as tx:  # most have none any more, or never had any
                while waiting and not old.has_lines(tx, waiting[-1]):
                    waiting.pop()
            if not waiting:
                return
            with self._writing() as tx:
                room = PIECE
                while waiting and room > 0:
                    lines = logs.delete_some(tx, UUID(bytes=waiting[-1]), room)
                    self.pruned.log_lines += lines
                    room -= lines
                    if room > 0:
                        waiting.pop()

    # --- the rest ---

    def _pieces(self, delete: Callable[[Tx], int]) -> int:
        count = 0
        while True:
            with self._writing() as tx:
                some = delete(tx)
            count += some
            if some < PIECE:
                return count

    def _events(self) -> None:
        before = self._before("events")
        if before is not None and self._any(lambda tx: old.count_old(tx, "event", before)):
            self.pruned.events += self._pieces(lambda tx: old.delete_old(tx, "event", before, PIECE))

    def _artifacts(self) -> None:
        before = self._before("artifacts")
        if before is not None and self._any(lambda tx: old.count_old(tx, "artifact", before)):
            self.pruned.artifacts += self._pieces(lambda tx: old.delete_old(tx, "artifact", before, PIECE))

    def _audit(self) -> None:
        moment = self._ages.before("audit", self._now)
        if moment is not None and self._any(lambda tx: audit.count(tx, moment)):
            self.pruned.audit_entries += self._pieces(lambda tx: audit.prune(tx, moment, PIECE))

    def _cached(self) -> None:
        at = codec.exact_micros(self._now)
        if self._any(lambda tx: old.count_expired_results(tx, at)):
            self.pruned.cached += self._pieces(lambda tx: old.delete_expired_results(tx, at, PIECE))

    def _any(self, count: Callable[[Tx], int]) -> bool:
        """Looking keeps nobody from writing."""
        with self._store.read() as tx:
            return count(tx) > 0

    def _pages(self) -> None:
        """What the file does not need any more is the system's again, where the database gives it back by itself."""
        with contextlib.suppress(RecordError):
            while True:
                if self._is_over():
                    raise _Over
                began = time.monotonic()
                some = self._store.give_back(PAGES)
                self.pruned.pages += some
                if some < PAGES:
                    return
                self._rest(min(time.monotonic() - began, LONGEST_REST))


# --- looking ---------------------------------------------------------------------------------------------------------


def count(store: Store, now: datetime, ages: Ages) -> Pruned:
    """What `prune` would delete; nothing is changed. It reads all that would go."""
    found = Pruned()

    def before(name: str) -> int | None:
        moment = ages.before(name, now)
        return None if moment is None else codec.exact_micros(moment)

    with store.read() as tx:
        gone = _count_flow_runs(tx, before("runs"), found)
        gone_too = _count_task_runs(tx, before("runs"), found)
        _count_lines(tx, before("logs"), gone, gone_too, found)
        for name, table in (("events", "event"), ("artifacts", "artifact")):
            moment = before(name)
            if moment is not None:
                setattr(found, name, old.count_old(tx, table, moment))
        oldest = ages.before("audit", now)
        if oldest is not None:
            found.audit_entries = audit.count(tx, oldest)
        found.cached = old.count_expired_results(tx, codec.exact_micros(now))
    return found


def _count_flow_runs(tx: Tx, before: int | None, found: Pruned) -> set[UUID]:
    gone: set[UUID] = set()
    place = old.FIRST
    while before is not None:
        roots = old.old_roots(tx, before, place, ROOTS)
        if not roots:
            break
        place = roots[-1][0]
        for _, root in roots:
            family = old.family(tx, root)
            if all(old.may_go(tx, id, before) for id in family):
                gone.update(family)
    for id in gone:
        tasks, lines = old.count_of_run(tx, id)
        found.task_runs += tasks
        found.log_lines += lines
    found.flow_runs = len(gone)
    return gone


def _count_task_runs(tx: Tx, before: int | None, found: Pruned) -> set[bytes]:
    gone: set[bytes] = set()
    behind = b""
    while before is not None:
        some = old.old_task_runs(tx, before, 0, behind, PIECE)
        if not some:
            break
        behind = some[-1][0]
        gone.update(id for id, ended in some if ended)
    found.task_runs += len(gone)
    found.log_lines += sum(old.count_lines(tx, id) for id in gone)
    return gone


def _count_lines(tx: Tx, before: int | None, gone: set[UUID], gone_too: set[bytes], found: Pruned) -> None:
    """Of runs that stay."""
    if before is None:
        return
    place, behind = (old.mark(tx, "logs") or 0, b""), b""
    while some := old.old_flow_runs(tx, before, place, PIECE):
        place = some[-1][0]
        found.log_lines += sum(
            old.count_lines(tx, id) for (_, id), kept in some if not kept and UUID(bytes=id) not in gone
        )
    while True:
        alone = old.old_task_runs(tx, before, old.mark(tx, "logs-of-task-runs") or 0, behind, PIECE)
        if not alone:
            return
        behind = alone[-1][0]
        found.log_lines += sum(old.count_lines(tx, id) for id, ended in alone if ended and id not in gone_too)
