"""Pausing from Python: `pause_flow_run`, `suspend_flow_run`, `resume_flow_run`, and their twins to be awaited.

Law: user code calls this, inside runs, so a stop may arrive at any moment: it ends the waiting. Whether a coroutine is
given is decided by the code that calls: an asynchronous flow or task awaits, any other waits in its thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

from .. import connect
from ..domain.errors import MissingContextError
from ..domain.ids import parse_id
from ..domain.pauses import OnTimeout
from ..domain.runs import FlowRun
from ..domain.stops import RESUME, Signal
from ..engine import blocking, live, pausing
from ..engine.context import FlowRunContext, current, is_awaited
from ..engine.effects import Script
from ..engine.pausing import Answered, Wish
from ..engine.stopping import shielded
from ..protocol.flow_runs import PAUSE_FLOW_RUN, RESUME_FLOW_RUN, PauseRun, ResumeRun
from .run_inputs import Wanted

WAY = "Python"
TIMEOUT = 3600.0
# A year; a pause that may last longer has no limit (None).
LONGEST = 365 * 86_400
# A key is a name; it is compared, and shown.
LONGEST_KEY = 200


# --- what users call -------------------------------------------------------------------------------------------------


def pause_flow_run(
    wait_for_input: Any = None,
    timeout: float | None = TIMEOUT,
    poll_interval: float | None = None,
    key: str | None = None,
    reschedule: bool = False,
    flow_run_id: UUID | str | None = None,
    *,
    on_timeout: str = "fail",
    default: Any = None,
    description: str | None = None,
) -> Any:
    """Has the flow run that calls this wait for somebody: it is `Paused`, in its process, until it is resumed.

    Tasks that have begun come to their end meanwhile, others do not begin. Called in a task, its flow waits. A person
    resumes it by `penstock flow-run resume`, `resume_flow_run` or `POST /api/flow_runs/{id}/resume`. Waiting costs no
    processor, and does not count for time limits.

    `wait_for_input` is what the person is to give: a pydantic model or `RunInput`, or a type such as `str`, `int`,
    `list[str]`; the value is what this gives then. What does not fit is refused, and the run waits on. `timeout` is in
    seconds (default: an hour; None: for ever). When it is over, `on_timeout="fail"` raises `FlowPauseTimeout`, and
    `on_timeout="resume"` goes on with the input `default`. `key` names the pause: when the run is entered again (a
    retry), one that was resumed is not waited for again. `description` is what the person reads. With
    `reschedule=True` it is `suspend_flow_run`. With the `flow_run_id` of another run, that one waits before its next
    task. `poll_interval` is accepted and not needed: news is pushed.

    In an asynchronous flow or task, and in a coroutine outside of runs, it is awaited. Raises `FlowPauseTimeout`,
    `MissingContextError` outside of flows, `TransitionRefused` for a run that cannot be paused, and `ValueError` for
    what cannot be a timeout, key or type.

    Example::

        class Review(RunInput):
            approved: bool
            reason: str = ""

        @flow
        def publish():
            build()
            review = pause_flow_run(wait_for_input=Review, timeout=600)
            if review.approved:
                deploy()
    """
    del poll_interval
    ask = partial(wish_of, wait_for_input, timeout, key, on_timeout, default, description)
    return begin(ask, flow_run_id, timeout, suspends=reschedule)


def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | str | None = None,
    timeout: float | None = TIMEOUT,
    key: str | None = None,
    *,
    on_timeout: str = "fail",
    default: Any = None,
    description: str | None = None,
) -> Any:
    """Has the flow run that calls this wait without a process: its code is left here, and when the run is resumed its
    flow is called again, in a process of its own. Tasks that had completed are not run again: their results are used,
    as far as they were kept. This call gives the person's input then.

    A run of a deployment is launched once more by its worker; any other is entered by `penstock flow-run resume`,
    which knows its program, arguments and folder. Whoever called the flow gets `RunSuspended` (a `PausedRun`) raised;
    in flows that called it, that leaves these as well. Arguments and errors are those of `pause_flow_run`; a task
    cannot suspend its flow.

    Example::

        @flow
        def order(number: int):
            reserve(number)
            suspend_flow_run(timeout=7 * 86400)  # until somebody has paid
            ship(number)
    """
    ask = partial(wish_of, wait_for_input, timeout, key, on_timeout, default, description)
    return begin(ask, flow_run_id, timeout, suspends=True)


def resume_flow_run(flow_run_id: UUID | str, run_input: Any = None, *, comment: str | None = None) -> Any:
    """Has a run go on that is paused or suspended, with the input that it waits for; gives the run as it is then.

    `run_input` is a model or what JSON has (a dict of its fields). `comment` is kept with who resumed it, and when. In
    a coroutine it is awaited.

    Raises `ObjectNotFound`, `NotPausedError` for a run that does not wait (of two who resume it, one gets this), and
    `InputRefused` for an input that does not fit; then it waits on.

    Example::

        resume_flow_run("0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d10", {"approved": True})
    """
    from .run_inputs import jsonable

    work = partial(resume_now, parse_id(flow_run_id), jsonable(run_input), comment)
    return asyncio.to_thread(work) if is_awaited(current.get()) else work()


async def apause_flow_run(*args: Any, **options: Any) -> Any:
    """`pause_flow_run()` to be awaited, with the same arguments."""
    return await _in_coroutine(pause_flow_run, args, options)


async def asuspend_flow_run(*args: Any, **options: Any) -> Any:
    """`suspend_flow_run()` to be awaited, with the same arguments."""
    return await _in_coroutine(suspend_flow_run, args, options)


async def aresume_flow_run(*args: Any, **options: Any) -> Any:
    """`resume_flow_run()` to be awaited, with the same arguments."""
    return await _in_coroutine(resume_flow_run, args, options)


async def _in_coroutine(call: Callable[..., Any], args: Any, options: Any) -> Any:
    found = call(*args, **options)
    return await found if asyncio.iscoroutine(found) else found


# --- the parts -------------------------------------------------------------------------------------------------------


def wish_of(
    wait_for_input: Any, timeout: float | None, key: Any, on_timeout: Any, default: Any, description: Any,
    flow: FlowRunContext,
) -> Wish:  # fmt: skip
    """Raises `ValueError` for what cannot be."""
    wanted = Wanted.of(wait_for_input)
    if on_timeout not in tuple(OnTimeout):
        raise ValueError(f"on_timeout is 'fail', 'resume' or 'reject'; it is {on_timeout!r:.40}.")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_KEY):
        raise ValueError(f"key is a text of up to {LONGEST_KEY} characters; it is {key!r:.40}.")
    if description is not None and not isinstance(description, str):
        raise ValueError(f"description is a text; it is {description!r:.40}.")
    given = wanted.jsonable(default) if on_timeout == OnTimeout.RESUME else None
    return Wish(
        key=flow.next_pause() if key is None else key,
        timeout=check_timeout(timeout),
        text=description if description is not None else wanted.description,
        schema=wanted.schema,
        plain=wanted.plain,
        initial=wanted.initial,
        on_timeout=OnTimeout(on_timeout),
        default=given,
        check=wanted.check,
    )


def check_timeout(timeout: Any, name: str = "timeout") -> float | None:
    """Seconds, or None. Raises ValueError for what is no such number."""
    if timeout is None:
        return None
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not 0 <= timeout <= LONGEST:
        raise ValueError(f"{name} is a number of seconds from 0 to {LONGEST:,}, or None; it is {timeout!r:.40}.")
    return float(timeout)


def begin(
    ask: Callable[..., Wish], flow_run_id: UUID | str | None = None, timeout: float | None = None, *, suspends: bool,
    take: Callable[[Answered], Any] = lambda answered: answered.value,
) -> Any:  # fmt: skip
    """Has the run of the calling code wait (or another one), for what `ask(flow=…)` makes of it; what `take` makes of
    the answer."""
    context = current.get()
    flow = None if context is None else context.flow_context
    other = None if flow_run_id is None else parse_id(flow_run_id)
    if other is not None and (flow is None or other != flow.run.id):
        query = PauseRun(id=other, timeout=check_timeout(timeout), suspend=suspends)
        work = partial(connect.call, PAUSE_FLOW_RUN, query, way=WAY)
        return asyncio.to_thread(work) if is_awaited(context) else work()
    if context is None or flow is None:
        _refuse()
    if flow.run.holder not in (None, context.runtime.holder):
        raise MissingContextError(
            "This code is in a process of its own, so it cannot wait on behalf of its flow: pause in the flow, or in a "
            "task that runs in its process."
        )
    if suspends and context is not flow:
        raise MissingContextError(
            "A task cannot suspend its flow: its code could not be left. Suspend in the flow, or pause_flow_run."
        )
    wish = ask(flow=flow)
    script = (pausing.suspend if suspends else pausing.pause)(context, flow, wish)
    if is_awaited(context):
        return _await(script, take)
    return take(shielded(blocking.run, script))


def _refuse() -> NoReturn:
    raise MissingContextError(
        "There is no flow run here to be paused: call this inside a flow or a task, or give it a flow_run_id."
    )


async def _await(script: Script[Answered], take: Callable[[Answered], Any]) -> Any:
    from ..engine import asynchronous
    from ..engine.stopping import StopDelivered

    try:
        return take(await asynchronous.run(script))
    except StopDelivered:  # the run that waits is stopped
        raise asyncio.CancelledError("The flow run was stopped while it was paused.") from None


def resume_now(run_id: UUID, run_input: Any, comment: str | None) -> FlowRun:
    connect.settle()
    run = connect.call(RESUME_FLOW_RUN, ResumeRun(id=run_id, run_input=run_input, comment=comment), way=WAY)
    # One of this process need not wait for the record to tell.
    shielded(live.hear, Signal(run_id, connect.clock().now(), "", kind=RESUME))
    return run
