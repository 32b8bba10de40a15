"""Making a request to cancel true where the run's own process does not answer it.

Law: nothing is done before the grace has passed and the process had its chance. A process is ended only if the record
says that it may be, only if it is seen from here to be the one that executes the run, and only for a flow run (or a
task run outside flows, which is all that its process was asked for). Where nothing may be ended the run is closed all
the same, and says that its code was not stopped; where the process cannot be seen from here, the request stays open
for whoever can see it.

A task run of a flow is never a reason to end the flow's process: its flow is to go on. A request for one that its
engine does not answer stays open until the flow run ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from ..domain.runs import Holder
from ..domain.stops import Signal
from ..protocol.deeds import CloseEnforced, CloseGone, FindRequests
from ..services.rescue import Lives
from . import detached
from .doors import Door
from .ending import end_process, sentence

# After the grace, the process's own watchdog and its engine come first.
MARGIN = timedelta(seconds=0.1)
POLL_SECONDS = 0.1

End = Callable[[Holder, str], bool]


class Outcome(StrEnum):
    """What became of a request: nobody asks (any more), its time has not come, it is not for us to enforce, or how it
    was enforced."""

    DONE = "done"
    EARLY = "early"
    LEFT = "left"
    GONE = "gone"
    KILLED = "killed"
    ABANDONED = "abandoned"


def enforce(
    door: Door,
    run_id: UUID,
    *,
    now: Callable[[], datetime],
    default_grace: float,
    lives: Lives,
    end: End = end_process,
    only: Holder | None = None,
) -> Outcome:
    """Enforces the request to stop a run, if its time has come. With `only`, for runs of that process alone.

    What is read is read again in the transaction that writes; but the process is ended outside it: one that is frozen
    may hold the record locked.
    """
    requests = door.ask(FindRequests(run_id=run_id))
    if not requests:
        return Outcome.DONE
    (request,) = requests
    signal, holder = request.signal, request.holder
    if now() < due(door, signal, default_grace):
        return Outcome.EARLY
    if holder is None or (only is not None and holder != only):
        return Outcome.LEFT
    alive = lives(holder)
    if alive is None:
        return Outcome.LEFT
    if not alive:
        door.take_spooled()
        door.rescue(lives)
        door.ask(CloseGone(holder, now()))
        return Outcome.GONE
    line = sentence(request.kind, request.name, run_id, signal.stop, _grace(signal, default_grace), holder)
    killed = request.may_be_killed and end(holder, line)
    return Outcome(door.ask(CloseEnforced(signal, holder, killed, now())))


def due(door: Door, signal: Signal, default_grace: float) -> datetime:
    """From when on a request may be enforced."""
    return door.asked_at(signal) + timedelta(seconds=_grace(signal, default_grace)) + MARGIN


def _grace(signal: Signal, default: float) -> float:
    return default if signal.grace is None else signal.grace


# --- standing by itself ----------------------------------------------------------------------------------------------


def launch_enforcer(record: Path | str, run_id: UUID, default_grace: float = 30.0) -> None:
    """Has the open request to stop a run enforced by a process of its own, when its time has come; the caller may end.
    `record` is a database, or the URL of a server's API (which the process is let in to by its settings).

    Raises `detached.CannotStart` or `OSError` where no process can be started.
    """
    where = ["--server", record] if isinstance(record, str) else ["--database", str(record.absolute())]
    pid = detached.start(
        "penstock.watchdog.__main__", ["--enforce", str(run_id), *where, "--grace", repr(default_grace)]
    )
    deadline = time.monotonic() + 1.0
    while not detached.wait_for(pid) and time.monotonic() < deadline:
        time.sleep(0.002)


def enforce_in_time(
    door: Door,
    run_id: UUID,
    *,
    now: Callable[[], datetime],
    default_grace: float,
    lives: Lives,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Waits until the run has ended or its grace has passed, and enforces the request then."""
    seen: int | None = None
    due_at: datetime | None = None
    while True:
        changes = door.changes()
        if seen != changes or due_at is None or now() >= due_at:
            requests = door.ask(FindRequests(run_id=run_id))
            due_at = due(door, requests[0].signal, default_grace) if requests else now()
            outcome = enforce(door, run_id, now=now, default_grace=default_grace, lives=lives)
            if outcome is not Outcome.EARLY:
                return outcome
            seen = changes
        sleep(POLL_SECONDS)
