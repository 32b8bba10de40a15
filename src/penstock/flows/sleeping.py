"""`sleep_until`: a flow run waits for a moment, and the wait outlives its process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..engine.context import FlowRunContext
from ..engine.pausing import Answered, Wish
from .pausing import LONGEST, begin, wish_of


def sleep_until(moment: datetime | timedelta | float, *, suspend: bool = False, key: str | None = None) -> Any:
    """Has the flow run wait until a moment (a datetime; without a zone, by this machine's clock), or for so long (a
    timedelta, or seconds). A moment that has passed is not waited for.

    It is a pause: the run is `Paused`, no task of it begins, no limit counts, and the wait outlives the process. A run
    whose process was killed goes on from its remaining time when it is entered again; with `suspend` no process waits:
    a run of a deployment is launched once more at that moment, any other is entered by `penstock flow-run resume` from
    then on. `penstock flow-run resume` wakes it early. `key` is as in `pause_flow_run`. In an asynchronous flow or task
    it is awaited.

    Raises `MissingContextError` outside of flows, and `ValueError` for what is no moment, or is more than a year away.

    Example::

        sleep_until(datetime(2026, 7, 1, 6, tzinfo=UTC), suspend=True)
    """
    return begin(partial(_wish, moment, key), suspends=suspend, take=_nothing)


def _wish(moment: Any, key: str | None, flow: FlowRunContext) -> Wish:
    now = flow.runtime.clock.now()
    if isinstance(moment, datetime):
        seconds = (moment.astimezone(UTC) - now).total_seconds()
    elif isinstance(moment, timedelta):
        seconds = moment.total_seconds()
    elif isinstance(moment, int | float) and not isinstance(moment, bool):
        seconds = float(moment)
    else:
        raise ValueError(f"sleep_until takes a datetime, a timedelta or seconds; this is {moment!r:.80}.")
    if not seconds <= LONGEST:  # not a number is no number of seconds either
        raise ValueError(f"sleep_until waits for a year at most; {moment!r:.80} is farther away.")
    return wish_of(None, max(seconds, 0.0), key, "resume", None, "Waits for a moment.", flow)


def _nothing(answered: Answered) -> None:
    return None
