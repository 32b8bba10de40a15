"""What a watchdog asks of a record, on behalf of a process that cannot speak for itself: questions like the engine's.

`now` is the watchdog's moment, and `seconds` count from when the run's code was told to stop.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.runs import Holder, TaskRun
from ..domain.stops import Signal, Stop


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose code was told to stop. `task_run` is a task run as its process last reported it, which the record may
    not know yet; `open` says that the record was not closed by a watchdog before."""

    run_id: UUID
    is_flow: bool
    stop: Stop
    seconds: float
    task_run: TaskRun | None = None
    open: bool = True


class CloseStopped(msgspec.Struct, frozen=True, tag=True):
    """Close a run whose code has not stopped in time, and goes on. Answer: whether the record knows the run."""

    run: Ended
    now: datetime


class CloseKilled(msgspec.Struct, frozen=True, tag=True):
    """Close all runs of a process that was ended because the first of `runs` did not stop. Answer: None."""

    holder: Holder
    runs: tuple[Ended, ...]
    now: datetime


class FindRequests(msgspec.Struct, frozen=True, tag=True):
    """Whose end is asked for, of the runs of a process, or this one run? Answer: `Request`s."""

    holder: Holder | None = None
    run_id: UUID | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An open request to stop a run that a process may be ended for: no task run of a flow. `kind` is "flow run" or
    "task run", `name` the run's."""

    signal: Signal
    kind: str
    name: str
    holder: Holder | None
    may_be_killed: bool


class CloseEnforced(msgspec.Struct, frozen=True, tag=True):
    """Close a run whose end was asked for, when its grace has passed; `killed` says that its process was ended for it.
    Answer: killed, abandoned or done."""

    signal: Signal
    holder: Holder
    killed: bool
    now: datetime


class CloseGone(msgspec.Struct, frozen=True, tag=True):
    """Close what a process left open that is seen to be gone. Answer: None."""

    holder: Holder
    now: datetime


Deed = CloseStopped | CloseKilled | FindRequests | CloseEnforced | CloseGone
