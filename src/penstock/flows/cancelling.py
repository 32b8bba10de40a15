"""Cancelling from Python: `cancel_flow_run`, `cancel_task_run`, and their twins to be awaited. The command line uses
their parts.

Law: user code calls this, also inside runs, so a stop may arrive at any moment. Whatever asks the record is shielded
from it, and takes little time; between two questions it is not.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from .. import connect
from ..domain.ids import parse_id
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State
from ..domain.stops import Signal, is_unconfirmed
from ..engine import identity, live
from ..engine.futures import check_patience
from ..engine.stopping import shielded
from ..protocol.flow_runs import CANCEL_FLOW_RUN, READ_FLOW_RUN, WAIT_FOR_FLOW_RUN, ById, CancelRun, WaitForRun
from ..protocol.task_runs import CANCEL_TASK_RUN, READ_TASK_RUN, WAIT_FOR_TASK_RUN
from ..settings import current
from ..settings.kinds import SECONDS

Run = TypeVar("Run", FlowRun, TaskRun)

WAY = "Python"
LOOK_SECONDS = 0.02
# A stop of who waits comes between two questions.
WAIT_SECONDS = 0.2
# How long to wait, after the end of a run, for the end of code that it went on without.
CONFIRM_SECONDS = 1.0
# A process that hears the request within this time sees to its own end; any other is seen to from outside.
ANSWER_SECONDS = 0.4


# --- what users call -------------------------------------------------------------------------------------------------


def cancel_flow_run(
    flow_run_id: UUID | str, *, grace: float | None = None, wait: bool = False, timeout: float | None = None
) -> FlowRun:
    """Cancels a flow run and all that it called, in whichever process it is; gives the run as it is then.

    A run whose process lives is `Cancelling` until its code has stopped, any other is `Cancelled` at once. Its code
    has `grace` seconds to come to its end by itself (default: as `PENSTOCK_STOP_GRACE_SECONDS` of its process says).
    With `wait=True` the run's end is waited for, at most `timeout` seconds; its state's details say how it stopped.

    Raises `ObjectNotFound`, `TransitionRefused` for a run that has ended, `TimeoutError` when waiting took too long
    (the request stands), and `ValueError` for an id, grace or timeout that cannot be one.

    Example::

        run = cancel_flow_run("0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d10", grace=5, wait=True)
        print(run.state, run.state.details["stopped"])
    """
    return _cancel_flow_run(flow_run_id, grace, wait, timeout, threading.Event())


async def acancel_flow_run(
    flow_run_id: UUID | str, *, grace: float | None = None, wait: bool = False, timeout: float | None = None
) -> FlowRun:
    """`cancel_flow_run()` to be awaited."""
    return await _in_thread(partial(_cancel_flow_run, flow_run_id, grace, wait, timeout))


def cancel_task_run(
    task_run_id: UUID | str, *, grace: float | None = None, wait: bool = False, timeout: float | None = None
) -> TaskRun:
    """Cancels one task run; its flow goes on, and decides what that means. Gives the run as it is then.

    The request is on its way when this returns; with `wait=True` the run's end is waited for. Arguments and errors are
    those of `cancel_flow_run`.
    """
    return _cancel_task_run(task_run_id, grace, wait, timeout, threading.Event())


async def acancel_task_run(
    task_run_id: UUID | str, *, grace: float | None = None, wait: bool = False, timeout: float | None = None
) -> TaskRun:
    """`cancel_task_run()` to be awaited."""
    return await _in_thread(partial(_cancel_task_run, task_run_id, grace, wait, timeout))


async def _in_thread(cancel: Callable[[threading.Event], Run]) -> Run:
    """In another thread, with the caller's context. Who is not waited for any more waits no longer."""
    import asyncio

    given_up = threading.Event()
    try:
        return await asyncio.to_thread(cancel, given_up)
    finally:
        given_up.set()


def _cancel_flow_run(
    id: UUID | str, grace: float | None, wait: bool, timeout: float | None, given_up: threading.Event
) -> FlowRun:
    run_id, seconds, deadline = parse_id(id), check_grace(grace), deadline_after(timeout)
    connect.settle()
    run = ask_flow_run(run_id, seconds)
    run = urge([run], until=deadline if wait else None, given_up=given_up)[0]
    return await_end(run, deadline, given_up) if wait else run


def _cancel_task_run(
    id: UUID | str, grace: float | None, wait: bool, timeout: float | None, given_up: threading.Event
) -> TaskRun:
    run_id, seconds, deadline = parse_id(id), check_grace(grace), deadline_after(timeout)
    connect.settle()
    run = ask_task_run(run_id, seconds)
    urge_task(run)
    return await_end(run, deadline, given_up) if wait else run


def check_grace(grace: Any) -> float | None:
    """The grace of a request: None, or seconds. Raises ValueError for what is no such number."""
    try:
        return None if grace is None else SECONDS.read(None if isinstance(grace, str) else grace)
    except ValueError:
        raise ValueError(f"grace must be {SECONDS.allowed}; it is {grace!r}.") from None


def deadline_after(timeout: Any) -> float | None:
    """The moment of the monotonic clock at which somebody's patience ends. Raises ValueError for what is no time."""
    patience = check_patience(timeout)
    return None if patience is None else time.monotonic() + patience


# --- the parts -------------------------------------------------------------------------------------------------------


def ask_flow_run(run_id: UUID, grace: float | None, way: str = WAY) -> FlowRun:
    """Records the request; the run as it is then. Raises `ObjectNotFound` or `TransitionRefused`."""
    run = connect.call(CANCEL_FLOW_RUN, CancelRun(id=run_id, grace=grace), way=way)
    # One of this process need not wait for the record to tell.
    shielded(live.hear, Signal(run_id, connect.clock().now(), _who(run.state, way), grace))
    return run


def ask_task_run(run_id: UUID, grace: float | None, way: str = WAY) -> TaskRun:
    """Records the request; the run as it is then. Raises `ObjectNotFound` or `TransitionRefused`."""
    run = connect.call(CANCEL_TASK_RUN, CancelRun(id=run_id, grace=grace), way=way)
    shielded(live.hear, Signal(run_id, connect.clock().now(), connect.asker(way), grace, run.flow_run_id))
    return run


def _who(state: State[Any], way: str) -> str:
    """Who asked, as the record has it: a server may know us by another name."""
    who = (state.details or {}).get("who")
    return who if isinstance(who, str) else connect.asker(way)


_READ: dict[type, Any] = {FlowRun: READ_FLOW_RUN, TaskRun: READ_TASK_RUN}
_WAIT: dict[type, Any] = {FlowRun: WAIT_FOR_FLOW_RUN, TaskRun: WAIT_FOR_TASK_RUN}


def read(run: Run) -> Run:
    """The run as it is now. Raises `ObjectNotFound`."""
    now: Run = connect.call(_READ[type(run)], ById(run.id))
    return now


def _wait(run: Run, seconds: float) -> Run:
    """The run as soon as it is another than this, or after so many seconds."""
    now: Run = connect.call(_WAIT[type(run)], WaitForRun(id=run.id, seen=run.version, wait=seconds))
    return now


def kind_of(run: FlowRun | TaskRun) -> str:
    return "Flow run" if isinstance(run, FlowRun) else "Task run"


def urge(
    runs: Iterable[FlowRun], *, until: float | None = None, given_up: threading.Event | None = None
) -> list[FlowRun]:
    """Sees to it that runs which are being cancelled will end: where the process of one is on this host and does not
    answer within `ANSWER_SECONDS` (or `until`), another one is started that ends it when its grace is over. The runs as
    they are then."""
    given_up = given_up or threading.Event()
    latest = {run.id: run for run in runs}
    last = time.monotonic() + ANSWER_SECONDS
    if until is not None:
        last = min(last, until)
    while True:
        silent = [run for run in latest.values() if _is_silent(run)]
        if not silent or given_up.is_set():
            return list(latest.values())
        if time.monotonic() >= last:
            break
        given_up.wait(LOOK_SECONDS)
        latest |= {run.id: read(run) for run in silent}
    for run in silent:
        shielded(_enforce, run)
    return list(latest.values())


def urge_task(run: TaskRun) -> None:
    """`urge` for a task run outside flows, which has a process of its own."""
    if run.flow_run_id is not None or run.holder in (None, identity.me()):
        return
    last = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < last:
        if read(run).state.is_final():
            return
        time.sleep(LOOK_SECONDS)
    shielded(_enforce, run)


def _is_silent(run: FlowRun) -> bool:
    """Whether the run is being cancelled, and another process of this host executes it. (This one hears: it asks.)"""
    return (
        run.state.is_cancelling()
        and run.holder is not None
        and run.holder != identity.me()
        and identity.lives(run.holder) is True
    )


def _enforce(run: FlowRun | TaskRun) -> None:
    from ..watchdog import detached, enforcement

    settings = current()
    record = settings.api_url or connect.database_path(settings)
    try:
        enforcement.launch_enforcer(record, run.id, settings.stop_grace_seconds)
    except (detached.CannotStart, OSError) as error:
        print(f"penstock: nobody will end flow run '{run.id}' if its process does not: {error}", file=sys.__stderr__)


def await_end(run: Run, deadline: float | None = None, given_up: threading.Event | None = None) -> Run:
    """The run as it ended, with the proof that its code did, if that comes soon. A run whose process dies is closed
    meanwhile: nobody waits for the dead.

    Raises `TimeoutError` when it has not ended at the moment `deadline` of the monotonic clock.
    """
    given_up = given_up or threading.Event()
    began = time.monotonic()
    ended = 0.0
    while True:
        now = time.monotonic()
        if given_up.is_set():
            return run
        if run.state.is_final():
            # The code may be ended, or its process, in a moment; who waits wants to know.
            ended = ended or now
            if (
                not is_unconfirmed(run.state)
                or now - ended > CONFIRM_SECONDS
                or (deadline is not None and now >= deadline)
            ):
                return run
        elif deadline is not None and now >= deadline:
            raise TimeoutError(
                f"{kind_of(run)} '{run.id}' did not end within {now - began:.2g} s: it is {run.state_name}. "
                "The request stands."
            )
        run = _wait(run, WAIT_SECONDS if deadline is None else max(0.0, min(WAIT_SECONDS, deadline - now)))
