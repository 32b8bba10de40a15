"""Why runs are stopped, what people ask for, and the proof of how a stop ended: values.

A *stop* is delivered to code that runs. A *signal* is somebody's request, in the record, on its way to the process
that runs the code: to stop, to pause, or to go on. A *proof* says, in the details of the run's last state, what became
of the code.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from .states import State

# Why a run is stopped.
TIMEOUT, CANCEL, INTERRUPT, SHUTDOWN, PARENT = "timeout", "cancel", "interrupt", "shutdown", "parent"

# How code that was stopped came to its end: it raised, or returned a value (which does not count); its process was
# killed; it goes on while its run went on without it; its process was found to be gone; there was no code at work
# (the run waited).
RAISED, RETURNED, KILLED, ABANDONED, GONE, IDLE = "raised", "returned", "killed", "abandoned", "gone", "idle"


# What a signal asks for: the end of a run; that it waits before its next task (in its process, or without one); that it
# looks what its pause was answered.
STOP, PAUSE, SUSPEND, RESUME = "stop", "pause", "suspend", "resume"


class Stop(msgspec.Struct, frozen=True):
    """Why a run is stopped. `message` is for the record, `who` asked for it or set the limit; `grace` is how many
    seconds the code has to come to its end by itself (None: as the settings say)."""

    reason: str
    message: str
    who: str | None = None
    grace: float | None = None


def time_limit(kind: str, seconds: float, name: str | None = None) -> Stop:
    """The stop that a passed `timeout_seconds` is. `kind` is "Flow run" or "Task run", `name` the run's."""
    who = None if name is None else f"timeout_seconds={seconds:g} of {kind.lower()} {name!r}"
    return Stop(TIMEOUT, f"{kind} exceeded timeout of {seconds} second(s)", who)


class Proof(msgspec.Struct):
    """What became of the code of a run that was stopped. `seconds` is from the request (or the deadline) to the end of
    the code, or to the moment when the run went on without it; `where` is the line of the user's code that was at work
    when the stop was delivered, `stack` the lines that led there, outermost first."""

    stopped: str
    seconds: float
    where: str | None = None
    stack: tuple[str, ...] = ()

    @property
    def confirmed(self) -> bool:
        """Whether the code is known to be still."""
        return self.stopped != ABANDONED


def details_of(stop: Stop, proof: Proof) -> dict[str, Any]:
    """What a state's details say of a stop."""
    details: dict[str, Any] = {
        "reason": stop.reason,
        "stopped": proof.stopped,
        "confirmed": proof.confirmed,
        "seconds_to_stop": round(proof.seconds, 4),
    }
    if stop.who:
        details["who"] = stop.who
    if proof.where:
        details["where"] = proof.where
    if len(proof.stack) > 1:
        details["stack"] = list(proof.stack)
    return details


class Signal(msgspec.Struct, frozen=True):
    """A request about a run, in the record until it is heeded or the run has ended. `flow_run_id` is the flow run that
    a task run is of; None for a flow run and for a task outside flows. `grace` is how many seconds code that is to stop
    has for it, or how long a pause that is asked for lasts at most."""

    run_id: UUID
    at: datetime
    who: str
    grace: float | None = None
    flow_run_id: UUID | None = None
    kind: str = STOP

    @property
    def stop(self) -> Stop:
        return Stop(CANCEL, f"Cancelled by {self.who}.", self.who, self.grace)


def is_unconfirmed(state: State[Any]) -> bool:
    """Whether a run has ended, and its code, as far as is known, has not."""
    return state.is_final() and (state.details or {}).get("confirmed") is False


class Stilled(msgspec.Struct, frozen=True):
    """A fact about a run that ended unconfirmed: its code is still now. `seconds` is from the request to that end;
    `where` and `stack` are as in the proof, for a run that another process closed, which could not know;
    `attempt` is the run's `run_count` when the code was at work (a later attempt's code is not meant)."""

    run_id: UUID
    attempt: int
    stopped: str
    seconds: float
    where: str | None = None
    stack: tuple[str, ...] = ()
