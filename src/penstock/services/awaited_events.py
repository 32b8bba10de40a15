"""Runs that wait for an event: which one it is that they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..domain.events import Event, EventFilter
from ..domain.pauses import Answer, Outcome, Pause
from ..domain.states import PAUSED
from ..store import events, flow_runs, pauses
from ..store.contract import Tx
from . import continuing

# Earlier events that are looked at when a run begins to wait for one that may have happened.
MOST_LOOKED_AT = 1_000


def arrived(tx: Tx, happened: Sequence[Event], now: datetime) -> None:
    """Has the runs go on that wait for one of these. Called before they are written: one that the record has already
    is no news."""
    for pause in pauses.awaiting(tx, {event.event for event in happened}):
        match = pause.event
        assert match is not None
        found = next((each for each in happened if match.fits(each) and events.get(tx, each.id) is None), None)
        run = flow_runs.get(tx, pause.flow_run_id)
        if found is None or run is None or run.state.type is not PAUSED or pause.is_over(now):
            continue
        # It may have been said before the wait began, and come only now.
        at = max(now, run.state.timestamp)
        pause.answer = answer(found, at)
        continuing.answered(tx, run, pause, at, continuing.unknown)


def happened_already(tx: Tx, pause: Pause) -> Event | None:
    """The first event since the moment from which on one counts."""
    match = pause.event
    if match is None or match.after is None:
        return None
    names = EventFilter(
        events=(match.event,), resource_ids=() if match.resource_id is None else (match.resource_id,), after=match.after
    )
    fitting = [each for each in events.select(tx, names, MOST_LOOKED_AT) if match.fits(each)]
    return fitting[-1] if fitting else None


def answer(event: Event, now: datetime) -> Answer:
    return Answer(Outcome.RESUMED, now, f"event {event.event}", event.jsonable())
