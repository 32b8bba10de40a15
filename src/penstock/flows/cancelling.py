"""Cancelling from Python: `cancel_flow_run`, `cancel_task_run`, and their twins to be awaited. The command line uses
their parts.

Law: user code calls this, also inside runs, so a stop may arrive at any moment. Whatever touches the record is
shielded from it; resting between two looks is not.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from .. import connect
from ..domain.ids import parse_id
from ..domain.runs import FlowRun, TaskRun
from ..domain.stops import Signal
from ..engine import identity, live
from ..engine.clock import SYSTEM
from ..engine.futures import check_patience
from ..engine.stopping import shielded
from ..ledger.contract import Flush
from ..services import cancelling, reading
from ..services.proof import is_unconfirmed
from ..services.rescue import rescue
from ..settings import current
from ..settings.kinds import SECONDS
from ..store.sqlite import SqliteStore

Run = TypeVar("Run", FlowRun, TaskRun)
Get = Callable[[SqliteStore, UUID], Run]

LOOK_SECONDS = 0.02
RESCUE_SECONDS = 1.0
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
    run_id, seconds, deadline = parse_id(id), check_grace(grace), _deadline(timeout)
    with _record() as store:
        run = shielded(ask_flow_run, store, run_id, connect.asker("Python"), seconds)
        runs = urge(store, [run], until=deadline if wait else None, given_up=given_up)
        return await_end(store, reading.get_flow_run, runs[0], deadline, given_up) if wait else runs[0]


def _cancel_task_run(
    id: UUID | str, grace: float | None, wait: bool, timeout: float | None, given_up: threading.Event
) -> TaskRun:
    run_id, seconds, deadline = parse_id(id), check_grace(grace), _deadline(timeout)
    with _record() as store:
        run = shielded(ask_task_run, store, run_id, connect.asker("Python"), seconds)
        urge_task(store, run)
        return await_end(store, get_task_run, run, deadline, given_up) if wait else run


def check_grace(grace: Any) -> float | None:
    """The grace of a request: None, or seconds. Raises ValueError for what is no such number."""
    try:
        return None if grace is None else SECONDS.read(None if isinstance(grace, str) else grace)
    except ValueError:
        raise ValueError(f"grace must be {SECONDS.allowed}; it is {grace!r}.") from None


def _deadline(timeout: Any) -> float | None:
    patience = check_patience(timeout)
    return None if patience is None else time.monotonic() + patience


@contextlib.contextmanager
def _record() -> Iterator[SqliteStore]:
    """The record, with all that this process has reported in it; its own connection where there is one already."""
    ledger = connect._ledgers.get(current().database_path)
    speaker = connect._given or ledger
    if speaker is not None:
        shielded(speaker.ask, Flush())
    store = shielded(connect.open_store)
    try:
        yield store
    finally:
        if ledger is None or store is not ledger.store:
            store.close()  # unshielded: a stop that is on its way out would be raised again before this


# --- the parts -------------------------------------------------------------------------------------------------------


def ask_flow_run(store: SqliteStore, run_id: UUID, who: str, grace: float | None) -> FlowRun:
    """Records the request; the run as it is then. Raises `ObjectNotFound` or `TransitionRefused`."""
    now = SYSTEM.now()
    run = cancelling.cancel_flow_run(store, run_id, who=who, grace=grace, now=now, lives=identity.lives)
    live.hear(Signal(run_id, now, who, grace))  # one of this process need not wait for the record to tell
    return run


def ask_task_run(store: SqliteStore, run_id: UUID, who: str, grace: float | None) -> TaskRun:
    """Records the request; the run as it is then. Raises `ObjectNotFound` or `TransitionRefused`."""
    now = SYSTEM.now()
    run = cancelling.cancel_task_run(store, run_id, who=who, grace=grace, now=now)
    live.hear(Signal(run_id, now, who, grace, run.flow_run_id))
    return run


def get_task_run(store: SqliteStore, run_id: UUID) -> TaskRun:
    return reading.find_task_run(store, str(run_id))


def kind_of(run: FlowRun | TaskRun) -> str:
    return "Flow run" if isinstance(run, FlowRun) else "Task run"


def urge(
    store: SqliteStore,
    runs: Iterable[FlowRun],
    *,
    until: float | None = None,
    given_up: threading.Event | None = None,
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
        latest |= {run.id: shielded(reading.get_flow_run, store, run.id) for run in silent}
    for run in silent:
        shielded(_enforce, store, run)
    return list(latest.values())


def urge_task(store: SqliteStore, run: TaskRun) -> None:
    """`urge` for a task run outside flows, which has a process of its own."""
    if run.flow_run_id is not None or run.holder in (None, identity.me()):
        return
    last = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < last:
        if shielded(get_task_run, store, run.id).state.is_final():
            return
        time.sleep(LOOK_SECONDS)
    shielded(_enforce, store, run)


def _is_silent(run: FlowRun) -> bool:
    """Whether the run is being cancelled, and another process of this host executes it. (This one hears: it asks.)"""
    return (
        run.state.is_cancelling()
        and run.holder is not None
        and run.holder != identity.me()
        and identity.lives(run.holder) is True
    )


def _enforce(store: SqliteStore, run: FlowRun | TaskRun) -> None:
    from ..watchdog import detached, enforcement

    try:
        enforcement.launch_enforcer(store.path, run.id, current().stop_grace_seconds)
    except (detached.CannotStart, OSError) as error:
        print(f"penstock: nobody will end flow run '{run.id}' if its process does not: {error}", file=sys.__stderr__)


def await_end(
    store: SqliteStore,
    get: Get[Run],
    run: Run,
    deadline: float | None = None,
    given_up: threading.Event | None = None,
) -> Run:
    """The run as it ended, with the proof that its code did, if that comes soon. A run whose process dies is closed
    meanwhile: nobody waits for the dead.

    Raises `TimeoutError` when it has not ended at the moment `deadline` of the monotonic clock.
    """
    given_up = given_up or threading.Event()
    began = rescued = time.monotonic()
    ended = 0.0
    changes = -1
    while True:
        seen = shielded(store.changes)
        if seen != changes:
            changes = seen  # noted before it is read: what changes in between is read twice, not missed
            run = shielded(get, store, run.id)
        now = time.monotonic()
        if given_up.is_set():
            return run
        if run.state.is_final():
            # The code may be ended, or its process, in a moment; who waits wants to know.
            ended = ended or now
            if not is_unconfirmed(run) or now - ended > CONFIRM_SECONDS or (deadline is not None and now >= deadline):
                return run
        elif deadline is not None and now >= deadline:
            raise TimeoutError(
                f"{kind_of(run)} '{run.id}' did not end within {now - began:.2g} s: it is {run.state_name}. "
                "The request stands."
            )
        if now - rescued > RESCUE_SECONDS:
            shielded(rescue, store, identity.lives, SYSTEM.now)
            rescued = now
        given_up.wait(LOOK_SECONDS)
