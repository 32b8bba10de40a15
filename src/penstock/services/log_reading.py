"""Reading a run's log: in pages, so that its length does not matter, and following it while it grows."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.filters import FilterError, LogFilter
from ..domain.logs import LogLine
from ..store import logs, task_runs
from ..store.contract import Store

PAGE = 1000
LANE = logs.ATTEMPT
_ALL = LogFilter()


def page(
    store: Store,
    run_id: UUID,
    filter: LogFilter,
    limit: int,
    *,
    after: int = logs.FIRST,
    before: int | None = None,
    backwards: bool = False,
) -> tuple[list[LogLine], int | None]:
    """The first lines of a run that fit, between two sequence numbers, in their order, or the last one first; and the
    number that the next page goes on from, None when there is none."""
    with store.read() as tx:
        found = logs.page(tx, run_id, filter, limit, after=after, before=before, backwards=backwards)
    return found, None if logs.is_last(found, limit) else found[-1].seq


def before_last(store: Store, run_id: UUID, filter: LogFilter, count: int) -> int:
    """The number after which the last `count` lines that fit begin."""
    with store.read() as tx:
        return max(logs.start_of_last(tx, run_id, filter, count) - 1, logs.FIRST)


def task_names(store: Store, lines: Iterable[LogLine]) -> dict[UUID, tuple[str, str]]:
    """Task run -> its name and its task's, for the lines of a page."""
    ids = {line.task_run_id for line in lines if line.task_run_id is not None}
    if not ids:
        return {}
    with store.read() as tx:
        return task_runs.names(tx, ids)


# Everything that text which comes back may say: nothing that is out of these bounds is looked at.
_Seq = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]


class LogPosition(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Where a reader is. `behind` is the number of the last line that it had of those that were there when it came;
    None when it has had all. `ended` says that it knows of the run's end."""

    next: Annotated[dict[_Seq, _Seq], msgspec.Meta(max_length=4000)]
    missing: Annotated[list[_Seq], msgspec.Meta(max_length=500)]
    waiting: Annotated[dict[_Seq, datetime], msgspec.Meta(max_length=4000)]
    behind: _Seq | None = None
    ended: bool = False

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")


def position_in(text: str) -> LogPosition:
    """Raises `FilterError` for what is no such text."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        position = msgspec.msgpack.decode(packed, type=LogPosition)
        if any(moment.tzinfo is None for moment in position.waiting.values()):
            raise ValueError
        return position
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise FilterError(
            "The position is none of a log; give back `position` of the answer before as it was."
        ) from None


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

    @classmethod
    def at(cls, store: Store, run_id: UUID, position: LogPosition) -> LogCursor:
        """A reader that goes on where another one was."""
        cursor = cls(store, run_id)
        cursor._next = dict(position.next)
        cursor._missing = dict.fromkeys(position.missing)
        cursor._waiting = {lane: moment.astimezone(UTC) for lane, moment in position.waiting.items()}
        return cursor

    def position(self, behind: int | None, ended: bool) -> LogPosition:
        return LogPosition(self._next, list(self._missing), self._waiting, behind, ended)

    @property
    def awaits(self) -> bool:
        """Whether there are lines that wait for one before them."""
        return bool(self._waiting)

    def backlog(self, filter: LogFilter, after: int) -> tuple[list[LogLine], int | None]:
        """A page of the lines that fit of what is behind the reader, after a number; and the number to go on after,
        None when that was all."""
        awaited = frozenset(self._missing)
        for lane, end in sorted(self._next.items()):
            if end - 1 <= after:
                continue
            lines, _ = page(self._store, self._run_id, filter, PAGE, after=max(after, lane * LANE - 1), before=end)
            if lines:
                return [line for line in lines if line.seq not in awaited], lines[-1].seq
            after = end - 1
        return [], None

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
