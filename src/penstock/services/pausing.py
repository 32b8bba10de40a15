"""Pauses of flow runs: begun by the run's process, answered by a person, taken up by the process; or timed out.

Law: each step is one transaction, which reads the pause and its run and decides; so of two answers, or of an answer
and the end of its time, exactly one counts, whoever else writes at that moment. A run whose process is gone while it
waits goes on waiting, without one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.errors import InputRefused, NotAllowed, NotPausedError, ObjectNotFound, TransitionRefused
from ..domain.pause_links import ANYONE_WITH_LINK
from ..domain.pauses import (
    NEVER_RESUMED,
    SUSPENDED,
    WAITS_FOR,
    Answer,
    Decision,
    Outcome,
    Pause,
    Verdict,
    going_on,
    waiting,
)
from ..domain.reopening import called
from ..domain.rules import Facts
from ..domain.runs import FlowRun
from ..domain.states import PAUSED, RUNNING, State, make
from ..domain.stops import PAUSE, RESUME, SUSPEND, Signal
from ..protocol.journal import BeginPause, TakeAnswer
from ..store import concurrency, flow_runs, pauses, signals
from ..store.contract import Store, Tx
from . import awaited_events, continuing, orchestrate, rescue, schemas

# Runs whose pause is over, that are closed in one transaction.
AT_ONCE = 500
# What a run that is entered again goes on with; of the rest it asks anew.
KEPT = (Outcome.RESUMED, Outcome.REJECTED)
NOBODY_DID = "nobody resumed it"


# --- what the run's process asks -------------------------------------------------------------------------------------


def begin(tx: Tx, asked: BeginPause) -> Pause:
    """The run waits from now on. A pause of this key that was resumed before is given instead, and nothing changes.

    Raises `ObjectNotFound`, and `TransitionRefused` where the run is not Running, or no more this process's.
    """
    pause, run = asked.pause, _run(tx, asked.pause.flow_run_id)
    _check_epoch(run, asked.epoch)
    earlier = pauses.latest(tx, run.id, pause.key)
    if earlier is not None and earlier.answer is not None and earlier.answer.outcome in KEPT:
        signals.heeded(tx, run.id, PAUSE, SUSPEND)
        return earlier
    if asked.look:
        return pause
    if earlier is not None and earlier.answer is None:  # of a process that is gone: its time goes on
        pause = msgspec.structs.replace(
            pause, id=earlier.id, begun=earlier.begun, deadline=earlier.deadline, decisions=earlier.decisions
        )
    if run.state.type is not RUNNING:
        raise TransitionRefused(f"{called(run)} is {run.state_name}: it cannot be paused.")
    pauses.put(tx, pause)
    signals.heeded(tx, run.id, PAUSE, SUSPEND)
    run.deadline = None  # time that is spent waiting for a person is nobody's time limit
    if pause.suspended:
        run.holder = None
    run.enter(waiting(pause, asked.now))
    flow_runs.put(tx, run)
    happened = awaited_events.happened_already(tx, pause)
    if happened is not None:
        continuing.answered(
            tx, run, msgspec.structs.replace(pause, answer=awaited_events.answer(happened, asked.now)), asked.now,
            continuing.unknown,
        )  # fmt: skip
    return pause


def take(tx: Tx, asked: TakeAnswer) -> Pause:
    """The pause as it stands for the process that waits. One that is over goes on: the run is Running again; with a
    `problem`, the answer is given back, and the run waits on. Without an answer yet, nothing changes.

    Raises `ObjectNotFound`, and `TransitionRefused` where the run is no more this process's.
    """
    pause = pauses.get(tx, asked.id)
    if pause is None:
        raise ObjectNotFound(f"Pause '{asked.id}' not found!")
    run = _run(tx, pause.flow_run_id)
    _check_epoch(run, asked.epoch)
    if pause.answer is None and pause.is_over(asked.now):
        pause.time_out(asked.now)
    if asked.withdrawn and pause.answer is None:
        pause.answer = Answer(Outcome.WITHDRAWN, asked.now)
    if pause.answer is None or not asked.goes_on:
        return pause
    signals.heeded(tx, run.id, RESUME)
    pause.problem = asked.problem
    over = pause.deadline is not None and pause.deadline <= asked.now
    if asked.problem is not None and not over:
        pause.answer = None
        state: State[Any] = waiting(pause, asked.now)
    else:
        if asked.problem is not None:
            pause.answer = Answer(Outcome.EXPIRED, pause.deadline or asked.now)
        state = going_on(pause, asked.now)
        run.deadline = asked.deadline
    pauses.put(tx, pause)
    orchestrate.enter(tx, run.id, state, Facts(epoch_of_writer=asked.epoch), deadline=run.deadline)
    return pause


# --- what people ask -------------------------------------------------------------------------------------------------


def request(store: Store, run_id: UUID, *, who: str, now: datetime, timeout: float | None, suspend: bool) -> FlowRun:
    """Asks a run to wait before its next task; the run as it is.

    Raises `ObjectNotFound`, and `TransitionRefused` for a run that is not Running.
    """
    with store.write() as tx:
        run = _run(tx, run_id)
        if run.state.type is not RUNNING:
            raise TransitionRefused(
                f"{called(run)} is {run.state_name}: only a run that is Running can be paused from outside."
            )
        signals.put(tx, Signal(run.id, now, who, timeout, kind=SUSPEND if suspend else PAUSE))
        run.version += 1  # who follows the run is told that this was asked
        flow_runs.put(tx, run)
        return run


def resume(
    store: Store, run_id: UUID, by: Person, *, now: datetime, lives: rescue.Lives, input: Any = None,
    comment: str | None = None,
) -> FlowRun:  # fmt: skip
    """Answers the pause of a run: the run as it is then, on its way.

    Raises `ObjectNotFound`; `NotPausedError` for a run that does not wait, or whose time is over; `InputRefused` for
    an input that is not what was asked for; `NotAllowed` for who is not asked. Then nothing has changed.
    """
    return decide(store, run_id, Verdict.APPROVE, by, now=now, lives=lives, input=input, comment=comment)


class Person(msgspec.Struct, frozen=True):
    """Who decides: a `name`, `who` that is in words, with which `role`, and whether a link is all that says so."""

    name: str
    who: str
    role: str = ""
    by_link: bool = False


def decide(
    store: Store, run_id: UUID, verdict: Verdict, by: Person, *, now: datetime, lives: rescue.Lives,
    input: Any = None, comment: str | None = None,
) -> FlowRun:  # fmt: skip
    """Answers the pause of a run, or adds a decision to it where several people decide: the run as it is then. What is
    raised, `resume` says; and `TransitionRefused` for who has decided already, or where there is nothing to reject."""
    with store.write() as tx:
        return decide_in(tx, run_id, verdict, by, now=now, lives=lives, input=input, comment=comment)


def decide_in(
    tx: Tx, run_id: UUID, verdict: Verdict, by: Person, *, now: datetime, lives: rescue.Lives, input: Any = None,
    comment: str | None = None,
) -> FlowRun:  # fmt: skip
    """`decide`, with what else is written together with it."""
    run = _run(tx, run_id)
    pause = pauses.open_of(tx, run_id)
    below = (run.state.details or {}).get(WAITS_FOR)
    if pause is None and run.state.name == SUSPENDED and below is not None:  # it waits with a subflow run
        run, pause = _run(tx, UUID(below)), pauses.open_of(tx, UUID(below))
    if run.state.type is not PAUSED or pause is None:
        raise NotPausedError(f"Cannot resume a run that isn't paused! {called(run)} is {run.state_name}.")
    if pause.is_over(now):
        raise NotPausedError(
            f"Cannot resume a run that isn't paused! The time to resume {called(run)} was over at "
            f"{pause.deadline:%Y-%m-%d %H:%M:%S} UTC."
        )
    if pause.plain and not (isinstance(input, dict) and input.keys() == {"value"}):
        input = {"value": input}
    _check_person(run, pause, verdict, by)
    if verdict is Verdict.APPROVE:
        _check_input(run, pause, input)
    decision = Decision(verdict, now, by.name, by.who, comment, input)
    if not pause.approval:
        pause.answer = Answer(Outcome.RESUMED, now, by.who, input, comment)
    elif pause.decide(decision) is None:
        pauses.put(tx, pause)
        orchestrate.enter(tx, run.id, waiting(pause, now), Facts(), deadline=run.deadline)
        return _run(tx, run.id)
    return continuing.answered(tx, run, pause, now, lives)


def _check_person(run: FlowRun, pause: Pause, verdict: Verdict, by: Person) -> None:
    if not pause.approval:
        if verdict is Verdict.REJECT:
            raise TransitionRefused(f"{called(run)} waits to be resumed, not for an approval: cancel it instead.")
        return
    if not (pause.may_decide(by.name, by.role) or (by.by_link and ANYONE_WITH_LINK in pause.approvers)):
        raise NotAllowed(f"{called(run)} is approved by {', '.join(pause.approvers)}, and not by {by.name}.")
    if any(each.name == by.name for each in pause.decisions):
        raise TransitionRefused(f"{by.name} has approved {called(run)} already: it waits for somebody else as well.")


def _check_input(run: FlowRun, pause: Pause, input: Any) -> None:
    if pause.schema is None:
        if input not in (None, {}):
            raise InputRefused(f"{called(run)} takes no input: it is resumed without.")
        return
    found = schemas.problems(pause.schema, {} if input is None else input)
    if found:
        raise InputRefused(f"The input for {called(run)} does not fit: {'; '.join(found)}. It is paused still.")


def listed(store: Store, run_id: UUID | None, limit: int, after: UUID | None) -> list[tuple[Pause, FlowRun]]:
    """Pauses that nobody has answered, or all of a run, with their runs; the oldest first."""
    with store.read() as tx:
        if run_id is None:
            found = pauses.open_ones(tx, limit, after)
        else:
            _run(tx, run_id)
            found = [each for each in pauses.of_run(tx, run_id) if after is None or each.id > after][:limit]
        return [(each, run) for each in found if (run := flow_runs.get(tx, each.flow_run_id)) is not None]


# --- what nobody asks for --------------------------------------------------------------------------------------------


def expire(store: Store, now: datetime, lives: rescue.Lives) -> int:
    """Ends the pauses whose time is over and for which no process waits; how many. (A process that waits does it for
    its own: its code is told.)"""
    count = 0
    last: tuple[datetime, UUID] | None = None
    while True:
        with store.read() as tx:
            due = pauses.due(tx, now, AT_ONCE, last)
            found = [pause.id for pause in due if _nobody_waits(tx, pause, lives)]
        if found:
            with store.write() as tx:
                count += _expire_all(tx, found, now, lives)
        if len(due) < AT_ONCE:
            return count
        assert due[-1].deadline is not None
        last = due[-1].deadline, due[-1].id


def _nobody_waits(tx: Tx, pause: Pause, lives: rescue.Lives) -> bool:
    if pause.suspended:
        return True
    run = flow_runs.get(tx, pause.flow_run_id)
    return run is None or run.holder is None or lives(run.holder) is False


def _expire_all(tx: Tx, ids: list[UUID], now: datetime, lives: rescue.Lives) -> int:
    """Most of them together: many may be over at one moment."""
    found = pauses.get_all(tx, ids)
    runs = flow_runs.get_all(tx, [pause.flow_run_id for pause in found])
    special = flow_runs.with_work(tx, runs) | {each.run_id for each in signals.all(tx)}
    idle = {}
    for pause in found:
        run = runs.get(pause.flow_run_id)
        waits = pause.suspended and pause.answer is None and pause.is_over(now) and run is not None
        if waits and run is not None and run.state.type is PAUSED and run.holder is None and run.id not in special:
            idle[pause.id] = (pause, run)
    over = [(pause, run) for pause, run in idle.values() if pause.time_out(now).outcome is Outcome.EXPIRED]
    if over and not concurrency.any_claims(tx):
        pauses.put(tx, *[pause for pause, _ in over])
        rescue.close_idle(tx, [run for _, run in over], _never_resumed(now), NOBODY_DID)
    else:
        over = []
    done = {pause.id for pause, _ in over}
    return len(over) + sum(_expire(tx, id, now, lives) for id in ids if id not in done)


def _never_resumed(now: datetime) -> State[Any]:
    return make("Failed", now, message=NEVER_RESUMED, details={"outcome": Outcome.EXPIRED.value})


def _expire(tx: Tx, id: UUID, now: datetime, lives: rescue.Lives) -> bool:
    pause = pauses.get(tx, id)
    if pause is None or pause.answer is not None or not pause.is_over(now) or not _nobody_waits(tx, pause, lives):
        return False
    answer = pause.time_out(now)
    run = flow_runs.get(tx, pause.flow_run_id)
    if run is None or run.state.type is not PAUSED:
        pauses.put(tx, pause)
    elif answer.outcome is not Outcome.EXPIRED:
        continuing.answered(tx, run, pause, now, lives)
    else:
        pauses.put(tx, pause)
        rescue.close(tx, run, _never_resumed(now), NOBODY_DID)
    return True


def _run(tx: Tx, run_id: UUID) -> FlowRun:
    run = flow_runs.get(tx, run_id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{run_id}' not found!")
    return run


def _check_epoch(run: FlowRun, epoch: int) -> None:
    if run.epoch != epoch:
        raise TransitionRefused(f"{called(run)} was taken over by another process.")
