"""What a stream says: events, each with the cursor at which a stream goes on after it.

A cursor is text that a client gives back, and nothing is believed of it: `17` is after change 17, `17.2` after its
first two runs; behind a `~`, where in the log of its run a stream is.
"""

from __future__ import annotations

import re
from uuid import UUID

import msgspec

from ..domain.errors import BadRequest
from ..domain.runs import FlowRun, TaskRun
from ..services.log_reading import LogPosition, position_in
from ..services.streaming import News
from .answers import run_json

LONGEST_CURSOR = 20_000
_CURSOR = re.compile(r"(\d{1,18})(?:\.(\d{1,6}))?(?:~([A-Za-z0-9_-]*))?")
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True):
    """A run that changed, as bytes that every stream sends. `cursor` is without what a stream's log adds to it."""

    n: int
    place: int
    cursor: str
    kind: str
    data: bytes
    flow_run_id: UUID | None
    is_flow_run: bool
    run: FlowRun | TaskRun | None


class Cursor(msgspec.Struct, frozen=True):
    """After change `n`, or before it but after its first `place` runs, where `place` is not 0."""

    n: int
    place: int = 0
    log: LogPosition | None = None

    @property
    def after(self) -> int:
        """The change whose successors are to be read."""
        return self.n - 1 if self.place else self.n


def event_of(news: News) -> Event:
    kind = "flow_run" if news.is_flow_run else "task_run"
    if news.run is None:
        kind, data = "deleted", _encode({"id": news.run_id})
    else:
        data = run_json(news.run, listed=True)
    cursor = f"{news.n}" if news.last else f"{news.n}.{news.place + 1}"
    return Event(news.n, news.place, cursor, kind, data, news.flow_run_id, news.is_flow_run, news.run)


def cursor_in(text: str) -> Cursor:
    """Raises `BadRequest` or `FilterError`."""
    found = _CURSOR.fullmatch(text) if len(text) <= LONGEST_CURSOR else None
    if found is None:
        raise _no_cursor(text)
    log = position_in(found[3]) if found[3] else None
    return Cursor(int(found[1]), int(found[2] or 0), log)


def _no_cursor(text: str) -> BadRequest:
    return BadRequest(f"{text[:60]!r} is no cursor of a stream; give back the id of the last event as it was.")
