"""The one way out of an end: a person asks for a retry of the whole run.

Law: no process can propose this transition, and it is no edge of `states.TRANSITIONS`; `final-is-final` stands for all
the rest. A run that is reopened goes on under a raised epoch, so whatever its former process still says does not count.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from .pauses import RESUMING
from .rules import ACCEPT, Decision, Refuse, Transition
from .runs import Arguments, FlowRun, TaskRun
from .states import CANCELLED, CRASHED, FAILED, FINAL, PAUSED, SCHEDULED, State, StateType, make

NAME = "reopening"
# From which ends to what. A run that completed has nothing to be tried again.
REOPENED: dict[StateType, frozenset[StateType]] = {
    FAILED: frozenset({SCHEDULED}),
    CRASHED: frozenset({SCHEDULED}),
    CANCELLED: frozenset({SCHEDULED}),
}


class Recalled(msgspec.Struct, frozen=True):
    """A flow run, and what its flow was called with (None: nothing)."""

    run: FlowRun
    arguments: Arguments | None


class Reopened(msgspec.Struct, frozen=True):
    """A flow run that goes on, and what its earlier attempts left: task runs and subflow runs in the order they were
    created. `first_seq` is the number of its next log line."""

    run: FlowRun
    task_runs: list[TaskRun]
    subflow_runs: list[FlowRun]
    first_seq: int


def awaiting_retry(who: str, now: datetime) -> State[Any]:
    """The state that a run is reopened with."""
    return make("AwaitingRetry", now, message=f"Retry asked for by {who}.", details={"who": who})


def decide(transition: Transition) -> Decision:
    """Accept, or Refuse with a sentence that goes on from the run's name."""
    before, after = transition.before, transition.after
    assert before is not None
    if before.type not in FINAL:
        return Refuse(
            f"is {before.name}: only a run that has ended can be retried. Wait for its end, or cancel it first.", NAME
        )
    if after.type not in REOPENED.get(before.type, frozenset()):
        return Refuse(f"is {before.name}: there is nothing to retry. Call its flow for a new run.", NAME)
    return ACCEPT


def waits_for_process(run: FlowRun) -> bool:
    """Whether a run is not over, and goes on in the process that enters it next: it was resumed, or it waits and the
    run that it is a part of was entered again."""
    waits = run.state.name == RESUMING or (run.state.type is PAUSED and run.flow_run_id is not None)
    return waits and run.holder is None


def not_callable(run: FlowRun, arguments: Arguments | None, *, elsewhere: bool = False) -> str | None:
    """Why the flow of a run cannot be called again by itself, going on from the run's name; None when it can.

    `elsewhere` says that the flow is not looked for where it was.
    """
    if run.flow_run_id is not None:
        return f"is a subflow run of {run.flow_run_id}: retry that one, and it is entered again where it had failed."
    entry = run.entrypoint
    if not elsewhere:
        function = None if entry is None else entry.function
        if entry is None or function is None:
            return "does not say where its flow is: it is a method, or no plain function. Call it again for a new run."
        if "<" in function:
            what = "a lambda" if function.endswith("<lambda>") else "a function inside another"
            return (
                f"is of {what} ({function}), which cannot be found from outside. Move the flow to the top of its file."
            )
        if entry.module == "__main__" and entry.program is None:
            return "was called in a notebook or typed in, so there is no file to call it from. Call it again there."
    if arguments is not None and arguments.data is None:
        return (
            f"cannot be called again: its argument {arguments.parameter!r} was not kept ({arguments.problem}). Call "
            "the flow for a new run; give it something small that can be pickled, such as a path or a name, and its "
            "runs can be retried."
        )
    return None


def called(run: FlowRun) -> str:
    """The run as sentences about it begin."""
    return f"Flow run {run.name!r} ({run.id})"
