"""The states a run can be in, and the edges between them, as data.

Law: everything about what a state *is* lives here: its types, names, edges, colours and glyphs. This file does not know
whether the run is a flow's or a task's, where it is recorded, or what time it is: a state is given its moment.
The diagram in the docs and the UI's colours are made from these tables; there is no second one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from .errors import CancelledRun, CrashedRun, FailedRun, MissingResult, PausedRun, UnfinishedRun

R = TypeVar("R")


class StateType(StrEnum):
    """The kinds of state; rules speak of these, people mostly of `State.name`."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


SCHEDULED, PENDING, RUNNING = StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING
COMPLETED, FAILED, CANCELLED, CRASHED = (
    StateType.COMPLETED,
    StateType.FAILED,
    StateType.CANCELLED,
    StateType.CRASHED,
)
PAUSED, CANCELLING = StateType.PAUSED, StateType.CANCELLING

FINAL = frozenset({COMPLETED, FAILED, CANCELLED, CRASHED})

# What may follow what. Unlisted is illegal; a final state has no way out, whoever asks: a run that is retried
# as a whole goes on under a new epoch by its own, named transition (`reopening.py`), never by overwriting.
TRANSITIONS: dict[StateType, frozenset[StateType]] = {
    SCHEDULED: frozenset({SCHEDULED, PENDING, RUNNING, PAUSED, CANCELLING, CANCELLED, CRASHED, FAILED, COMPLETED}),
    PENDING: frozenset({PENDING, SCHEDULED, RUNNING, PAUSED, CANCELLING, CANCELLED, CRASHED, FAILED, COMPLETED}),
    RUNNING: frozenset({RUNNING, SCHEDULED, PENDING, PAUSED, CANCELLING, CANCELLED, CRASHED, FAILED, COMPLETED}),
    PAUSED: frozenset({PAUSED, SCHEDULED, PENDING, RUNNING, CANCELLING, CANCELLED, CRASHED, FAILED}),
    CANCELLING: frozenset({CANCELLING, CANCELLED}),
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
    CRASHED: frozenset(),
}

# name of the state -> its type. A user may give a state another name; these are the ones the engine writes.
NAMES: dict[str, StateType] = {
    "Scheduled": SCHEDULED,
    "Late": SCHEDULED,
    "AwaitingRetry": SCHEDULED,
    "AwaitingConcurrencySlot": SCHEDULED,
    "Resuming": SCHEDULED,
    "Pending": PENDING,
    "NotReady": PENDING,
    "Running": RUNNING,
    "Retrying": RUNNING,
    "Completed": COMPLETED,
    "Cached": COMPLETED,
    "Failed": FAILED,
    "TimedOut": FAILED,
    "Cancelling": CANCELLING,
    "Cancelled": CANCELLED,
    "Crashed": CRASHED,
    "Paused": PAUSED,
    "Suspended": PAUSED,
}

# How a state looks: a colour and a glyph each, so that colour is never the only sign.
LOOKS: dict[StateType, tuple[str, str]] = {
    SCHEDULED: ("#b58105", "◷"),
    PENDING: ("#7a7f87", "○"),
    RUNNING: ("#1860c4", "▶"),
    COMPLETED: ("#1f8a4c", "✓"),
    FAILED: ("#c9352b", "✗"),
    CANCELLED: ("#5d636f", "⊘"),
    CRASHED: ("#d9620d", "⚡"),
    PAUSED: ("#7a4fc0", "‖"),
    CANCELLING: ("#8a6d3b", "◌"),
}


class StoredValue:
    """Data of a state that was read from the record: it is fetched when it is asked for."""

    __slots__ = ()

    def load(self) -> Any:
        raise NotImplementedError  # by `engine.results`, which can read


class State(msgspec.Struct, Generic[R], frozen=True):
    """Where a run stands, since when, and why.

    `timestamp` is an aware UTC datetime. `data` is the value (or the exception) of a run of this process; in the
    record a state has none, the run carries a reference to its result instead. `details` is free, JSON-able detail:
    for a run that was stopped, the proof of how.

    Example::

        state = my_flow(return_state=True)
        if state.is_completed():
            print(state.result())
    """

    type: StateType
    name: str = ""
    timestamp: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    message: str | None = None
    details: dict[str, Any] | None = None
    data: Any = None

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", str(self.type).title())

    def is_scheduled(self) -> bool:
        return self.type is SCHEDULED

    def is_pending(self) -> bool:
        return self.type is PENDING

    def is_running(self) -> bool:
        return self.type is RUNNING

    def is_completed(self) -> bool:
        return self.type is COMPLETED

    def is_failed(self) -> bool:
        return self.type is FAILED

    def is_cancelled(self) -> bool:
        return self.type is CANCELLED

    def is_crashed(self) -> bool:
        return self.type is CRASHED

    def is_paused(self) -> bool:
        return self.type is PAUSED

    def is_cancelling(self) -> bool:
        return self.type is CANCELLING

    def is_final(self) -> bool:
        return self.type in FINAL

    def result(self, raise_on_failure: bool = True) -> R:
        """The run's value; for a run that ended otherwise, its exception is raised.

        With `raise_on_failure=False` the exception is returned instead. Raises `UnfinishedRun` before the end,
        `CancelledRun`, `CrashedRun`, `PausedRun`, `FailedRun` where there is no exception at hand, and
        `MissingResult` when the value was not kept.
        """
        return value_of(self, raise_on_failure)  # type: ignore[no-any-return]

    async def aresult(self, raise_on_failure: bool = True) -> R:
        """`result()` for those who like to await it."""
        return value_of(self, raise_on_failure)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        """As the field writes it: `Completed('All states completed.')`."""
        return f"{self.name}({self.message!r})" if self.message else f"{self.name}()"

    def __repr__(self) -> str:
        message = f"message={self.message!r}, " if self.message else ""
        return f"{self.name}({message}type={self.type.value})"


class EndedState(State[R], Generic[R], frozen=True):
    """The state that a run ended in, as its caller has it: with the run that it is of."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


def value_of(state: State[Any], raise_on_failure: bool = True) -> Any:
    """See `State.result`. States that stand for a value are given where nothing is to be raised."""
    data = state.data.load() if isinstance(state.data, StoredValue) else state.data
    if state.type is COMPLETED or (not raise_on_failure and _are_states(data)):
        return data
    error = failure_of(state, data)
    if raise_on_failure:
        raise error
    return error


def _are_states(data: Any) -> bool:
    several = data if isinstance(data, list | tuple | set) else [data]
    return bool(several) and all(isinstance(each, State) for each in several)


def failure_of(state: State[Any], data: Any = None) -> BaseException:
    """The exception that stands for a state that is not Completed.

    `data` is the exception itself, a State or several (then the first that did not complete speaks for all).
    """
    if isinstance(data, BaseException):
        return data
    if isinstance(data, State):
        data = [data]
    if isinstance(data, list | tuple | set):
        for inner in data:
            if isinstance(inner, State) and not inner.is_completed():
                return failure_of(inner, inner.data)
    kinds: dict[StateType, type[Exception]] = {
        FAILED: FailedRun,
        CRASHED: CrashedRun,
        CANCELLED: CancelledRun,
        CANCELLING: CancelledRun,
        PAUSED: PausedRun,
        COMPLETED: MissingResult,
    }
    kind = kinds.get(state.type, UnfinishedRun)
    return kind(state.message or f"The run is in state {state.name!r} and has no result.")


def make(name: str, timestamp: datetime | None = None, /, **fields: Any) -> State[Any]:
    """A state by one of the `NAMES`; without a timestamp it is given the present moment.

    This is the one place in the domain that reads the clock, and only for states that users construct
    themselves (`Completed(message="…")`); the engine and the services always pass theirs.
    """
    type_ = fields.pop("type", None)
    return State(
        type=NAMES[name] if type_ is None else StateType(type_),
        name=fields.pop("name", None) or name,
        timestamp=timestamp or fields.pop("timestamp", None) or datetime.now(UTC),
        **fields,
    )


def Completed(**fields: Any) -> State[Any]:
    """The run did what it should: `Completed(message=None, data=None, name="Completed")`."""
    return make("Completed", **fields)


def Failed(**fields: Any) -> State[Any]:
    """The run's code raised, or says itself that it failed."""
    return make("Failed", **fields)


def TimedOut(**fields: Any) -> State[Any]:
    """A Failed run whose own deadline passed."""
    return make("TimedOut", **fields)


def Crashed(**fields: Any) -> State[Any]:
    """The run's process ended before the run did."""
    return make("Crashed", **fields)


def Cancelling(**fields: Any) -> State[Any]:
    """The run was told to stop; its code is not yet known to have stopped."""
    return make("Cancelling", **fields)


def Cancelled(**fields: Any) -> State[Any]:
    """The run was stopped because somebody asked for it."""
    return make("Cancelled", **fields)


def Pending(**fields: Any) -> State[Any]:
    """The run is about to start."""
    return make("Pending", **fields)


def NotReady(**fields: Any) -> State[Any]:
    """A Pending run that cannot start, because a run it needs did not complete."""
    return make("NotReady", **fields)


def Scheduled(**fields: Any) -> State[Any]:
    """The run is to start later."""
    return make("Scheduled", **fields)


def Late(**fields: Any) -> State[Any]:
    """A Scheduled run whose time has passed."""
    return make("Late", **fields)


def AwaitingRetry(**fields: Any) -> State[Any]:
    """A Scheduled run that failed and will be tried again."""
    return make("AwaitingRetry", **fields)


def AwaitingConcurrencySlot(**fields: Any) -> State[Any]:
    """A Scheduled run that waits for a place under a limit."""
    return make("AwaitingConcurrencySlot", **fields)


def Running(**fields: Any) -> State[Any]:
    """The run's code is running."""
    return make("Running", **fields)


def Retrying(**fields: Any) -> State[Any]:
    """A Running run, not for the first time."""
    return make("Retrying", **fields)


def Cached(**fields: Any) -> State[Any]:
    """A Completed run that took its value from an earlier one."""
    return make("Cached", **fields)


def Paused(**fields: Any) -> State[Any]:
    """The run waits for a person or an event; its process waits with it."""
    return make("Paused", **fields)


def Suspended(**fields: Any) -> State[Any]:
    """A Paused run without a process."""
    return make("Suspended", **fields)
