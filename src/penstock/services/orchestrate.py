"""Transitions of flow runs: gather only the facts the edge's rules need, decide, apply, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.errors import ObjectNotFound, TransitionRefused
from ..domain.pauses import SUSPENDED, Answer, Outcome
from ..domain.rules import Facts, Refuse, Replace, Transition, Wait
from ..domain.runs import Arguments, FlowRun, ResultRef, TaskRun
from ..domain.states import CANCELLED, CANCELLING, FINAL, State, make
from ..domain.stops import IDLE, PARENT, Signal
from ..domain.trace_context import trace_of
from ..domain.transition import Entered, decide
from ..protocol.journal import Enter
from ..store import arguments, flow_runs, launches, left_open, pauses, signals
from ..store.contract import Tx
from . import concurrency, proof, tallies


def begin(tx: Tx, run: FlowRun, running: State[Any], called_with: Arguments | None = None) -> Entered:
    """Records a new run in its first state, and lets it start, in one transaction.

    Raises `TransitionRefused` when a run of this id is there already.
    """
    if flow_runs.get(tx, run.id) is not None:
        raise TransitionRefused(f"A flow run with the id {run.id} is recorded already.")
    flow_runs.put_flow(tx, run.flow_id, run.flow_name, run.created)
    if called_with is not None:
        arguments.put(tx, run.id, called_with)
    # A copy: the engine keeps its own record and takes over what it is answered, near as far away.
    fresh = msgspec.structs.replace(run)
    return _apply(tx, fresh, running, Facts(epoch=run.epoch, epoch_of_writer=run.epoch))


def enter(
    tx: Tx,
    run_id: UUID,
    state: State[Any],
    facts: Facts,
    *,
    run_count: int | None = None,
    result: ResultRef | None = None,
    deadline: datetime | None = None,
    lines_lost: int = 0,
    name: str | None = None,
    parameters: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> Entered:
    """Proposes a state for a flow run. Raises `ObjectNotFound`."""
    run = flow_runs.get(tx, run_id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{run_id}' not found!")
    run.deadline = deadline
    run.lines_lost = max(run.lines_lost, lines_lost)
    if run_count is not None:
        run.run_count = run_count
    if facts.epoch_of_writer in (None, run.epoch):
        run.name = name or run.name
        run.parameters = run.parameters if parameters is None else parameters
        run.labels = run.labels if labels is None else run.labels | trace_of(labels)
    return _apply(tx, run, state, msgspec.structs.replace(facts, epoch=run.epoch), result)


def propose(tx: Tx, asked: Enter) -> Entered:
    """`enter`, as an engine asks for it. Raises `ObjectNotFound`."""
    return enter(
        tx,
        asked.run_id,
        asked.state,
        asked.facts,
        run_count=asked.run_count,
        result=asked.result,
        deadline=asked.deadline,
        lines_lost=asked.lines_lost,
        name=asked.name,
        parameters=asked.parameters,
        labels=asked.labels,
    )


def _apply(tx: Tx, run: FlowRun, state: State[Any], facts: Facts, result: ResultRef | None = None) -> Entered:
    before = run.states[-1] if run.states else None
    decision = decide(Transition(before, state), facts)
    if isinstance(decision, Refuse):
        return Entered("refused", before or state, decision.why)
    if isinstance(decision, Wait):
        return Entered("wait", before or state, decision.why, decision.seconds)
    entered = decision.state if isinstance(decision, Replace) else state
    run.enter(entered)
    if entered.name == SUSPENDED:
        run.holder = None
    if result is not None and entered.is_completed():  # a run that was cancelled at its last line has no value
        run.result = result
    flow_runs.put(tx, run)
    tallies.entered(entered.type)
    if entered.type in (CANCELLING, CANCELLED) or entered.name == "TimedOut":
        end_launched(tx, run, entered.timestamp)
    if entered.is_final():
        clear_up(tx, run, entered.timestamp)
    if isinstance(decision, Replace):
        return Entered("replaced", entered, decision.rule)
    return Entered("accepted", entered)


def clear_up(tx: Tx, run: FlowRun | TaskRun, now: datetime) -> None:
    """A run has ended: nothing is asked of it any more, it holds nothing, and what is not known of its end is noted."""
    left = left_open.of(tx, run.id)
    if left.requests:
        signals.delete(tx, run.id)
    if left.claims:
        concurrency.end_with_runs(tx, [run.id], now)
    pause = pauses.open_of(tx, run.id) if left.pause and isinstance(run, FlowRun) else None
    if pause is not None:
        pause.answer = Answer(Outcome.WITHDRAWN, now)
        pauses.put(tx, pause)
    proof.note(tx, run)


def end_launched(tx: Tx, parent: FlowRun, now: datetime) -> None:
    """Asks for the end of what a run had launched by deployments: it has processes of its own, so it is not closed for
    its parent's sake, but when it is known to have ended. What nobody has claimed yet is cancelled at once."""
    for id in flow_runs.children(tx, parent.id):
        run, launch = flow_runs.get(tx, id), launches.get(tx, id)
        if run is None or launch is None or run.state.type in FINAL or run.state.type is CANCELLING:
            continue
        who = str((parent.state.details or {}).get("who") or f"flow run {parent.name!r}")
        message = f"Its flow run {parent.name!r} is {parent.state_name}"
        details: dict[str, Any] = {"reason": PARENT, "who": who}
        if launch.claimed is None and run.holder is None:
            launch.ended = now
            details |= {"stopped": IDLE, "confirmed": True}
            state: State[Any] = make("Cancelled", now, message=f"{message}.", details=details)
        else:
            if launch.claimed is not None and launch.ended is None:
                launch.stopping = launch.stopping or now
                launch.stopped_by = who
            signals.put(tx, Signal(id, now, who))
            state = make("Cancelling", now, message=f"{message}; its code is told to stop.", details=details)
        launches.put(tx, launch)
        enter(tx, id, state, Facts(), deadline=run.deadline)
