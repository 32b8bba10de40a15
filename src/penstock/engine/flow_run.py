"""The script of a flow run, from Pending to its end. Reads top to bottom; both drivers perform it.

A flow run's transitions are questions: the record may refuse them. User code starts only after the record says Running,
and the caller has the final state only after the record has it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from ..domain.errors import CancelledRun, FlowRunTimeoutError, RecordError, TransitionRefused
from ..domain.ids import flow_id
from ..domain.log_forms import ENGINE
from ..domain.pauses import SUSPENDED
from ..domain.rules import Facts
from ..domain.runs import Arguments, FlowRun
from ..domain.states import FAILED, State, make
from ..domain.stops import ABANDONED, PARENT, Stop
from ..domain.transition import Entered
from ..ledger.contract import Begin, Enter
from . import attempts, live, naming, origin, pausing, replay, tracing
from .attempts import ERROR, INFO
from .context import FlowRunContext, RunContext, current_tags
from .definitions import FlowDefinition
from .effects import Ask, Call, Effect, Join, Script, sleep
from .futures import PenstockFuture
from .gates import Suspending
from .generators import EMITTED, close_streams, generate
from .inputs import futures_in, needs_resolving, resolve
from .live import RUNS
from .masking import MASKER
from .outcome import outcome_state
from .parameters import bind, spread
from .previews import previews
from .printed import finish_text
from .runlog import say
from .runtime import Runtime
from .scopes import Scope
from .secrets import learn
from .stopping import Abandoned, StopDelivered

KIND = "Flow run"
# How often to look whether calls of other coroutines and threads have ended; how long after their grace at most.
POLL_SECONDS = 0.002
LAST_SECONDS = 1.0
CUT_SHORT_SECONDS = 0.2


class FlowCall(attempts.RunCall):
    """One call of a flow: what goes into its script, and what came out."""

    __slots__ = (
        "args", "context", "earlier", "flow", "generator", "given", "kwargs", "parent", "runtime", "upstream",
        "wait_for",
    )  # fmt: skip

    def __init__(
        self,
        flow: FlowDefinition,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        runtime: Runtime,
        parent: RunContext[Any] | None,
        task_runner: Any,
        wait_for: Any = None,
    ) -> None:
        pausing.check_call(parent)
        self.flow = flow
        self.runtime = runtime
        self.parent = parent
        self.args = args
        self.kwargs = kwargs
        self.value: Any = None
        self.error: BaseException | None = None
        self.generator: Any = None
        self.wait_for = wait_for
        parameters = bind(flow, args, kwargs)
        self.upstream = futures_in((*parameters.values(), wait_for))
        self.context = _new_context(flow, parameters, runtime, parent, task_runner, wait_for)
        self.state: State[Any] = self.context.run.state
        RUNS[self.context.run.id] = self.context
        # what it was called with, for a run that may be called again by itself
        self.given: Arguments | None = None
        self.earlier = replay.earlier_runs(self)


def _new_context(
    flow: FlowDefinition,
    parameters: dict[str, Any],
    runtime: Runtime,
    parent: RunContext[Any] | None,
    task_runner: Any,
    wait_for: Any,
) -> FlowRunContext:
    now = runtime.clock.now()
    above = parent.flow_context if parent is not None else None
    named = parameters if wait_for is None else {**parameters, "wait_for": wait_for}
    run = FlowRun(
        id=runtime.clock.new_id(),
        name=naming.random_name(),
        created=now,
        expected_start_time=now,
        states=(make("Pending", now),),
        version=1,
        flow_run_id=None if above is None else above.run.id,
        root_flow_run_id=None if above is None else above.run.root_flow_run_id or above.run.id,
        parent_task_run_id=parent.run.id if parent is not None and parent is not above else None,
        tags=tuple(sorted(flow.tags | current_tags.get())),
        parameters=previews(parameters),
        upstream=naming.upstream_of(named, above.links if above is not None else None),
        flow_id=flow_id(flow.name),
        flow_name=flow.name,
        flow_version=flow.version,
        holder=runtime.holder,
        entrypoint=origin.entrypoint(flow) if above is None else None,
    )
    log_prints = flow.log_prints
    if log_prints is None:
        log_prints = parent.log_prints if parent is not None else runtime.settings.logging_log_prints
    context = FlowRunContext(run, runtime, parent, log_prints, flow, task_runner)
    if flow.capture is not None:
        context.captures_all = flow.capture == "all"
    context.parameters = parameters
    return context


def run_flow(call: FlowCall) -> Script[FlowCall]:
    """The whole story of a flow run. The value, the state and the error are in `call` afterwards."""
    tracing.begin(call.context)
    try:
        if (yield from _begin(call)):
            while not (yield from _attempt(call)):
                pass
    except RecordError:
        raise
    except Exception as error:  # a delay that cannot be told: the run must not stay open
        if not call.state.is_final() and call.state.is_running():
            call.error = error
            attempts.report_failure(call.context, error, "")
            failed = attempts.failed_state(KIND, error, call.runtime.clock.now())
            yield from _enter(call, failed, Facts(epoch_of_writer=call.context.run.epoch))
            yield from _end(call, call.state)
    except GeneratorExit:  # nobody performs this script any more
        raise
    except BaseException as error:  # a handler of the program's own, say, that raised in the midst of ours
        if call.state.is_running():
            call.error = error
            aborted = attempts.aborted_state(error, call.runtime.clock.now())
            yield from _enter(call, aborted, Facts(epoch_of_writer=call.context.run.epoch))
        raise
    finally:
        _settle(call)
    return call


def _begin(call: FlowCall) -> Generator[Effect[Any], Any, bool]:
    """Records the run, and has the record allow it to start; False when it ended before it began."""
    flow, context, run = call.flow, call.context, call.context.run
    bad: Exception | None = None
    try:
        yield from _ready(call)
        yield from _admitted(call)
        if flow.flow_run_name is not None and (context.replay is None or context.replay.is_first):
            run.name = naming.run_name(flow.flow_run_name, context, f"flow_run_name of flow {flow.name!r}")
            context.source = f"Flow run {run.name!r}"
    except Exception as error:  # parameters that do not fit, an upstream that failed, a name that cannot be made
        bad = error
    if bad is None and call.earlier and (yield from replay.subflow(call)):
        return False
    _check_parent(call)
    run, now = context.run, call.runtime.clock.now()
    run.run_count = 0 if bad else 1
    run.deadline = _deadline(call, now)
    first = make("Running", now) if bad is None else make("Failed", now, message=str(bad))
    again = context.replay
    question = Begin(run, first, call.given) if again is None else again.entering(context, first)
    answer: Entered = yield from Ask(call.runtime.ledger, question)
    subflow = "flow run" if run.flow_run_id is None else "subflow run"
    if again is None:
        say(context, INFO, f"Created {subflow} {run.name!r} for flow {flow.name!r}", ENGINE)
    else:
        again.say_begun(context, subflow)
    call.state = answer.state
    run.states, run.version = (*run.states, answer.state), run.version + 1
    if context.trace is not None:
        context.trace.entered(answer.state, bad)
    if bad is None and answer.state.is_running():
        context.start_time = now
        return True
    call.error = bad if bad is not None else TransitionRefused(answer.why or f"The run is {answer.state}.")
    say(context, ERROR, f"Finished in state {answer.state}")
    yield from attempts.call_hooks(context, flow, _hooks(call, answer.state), call.final_state())
    return False


def _check_parent(call: FlowCall) -> None:
    """A run does not begin below one that went on without the code that calls it, and has ended."""
    above = None if call.parent is None else call.parent.scope
    if above is not None and above.ended == ABANDONED:
        raise Abandoned


def _admitted(call: FlowCall) -> Generator[Effect[Any], Any, None]:
    """While the run above waits, no subflow of it begins."""
    above = None if call.parent is None else call.parent.flow_context
    if above is not None and pausing.is_held(above):
        scope = attempts.open_scope(call.context)
        try:
            yield from pausing.admitted(call.context, above, scope)
        finally:
            scope.close()


def _ready(call: FlowCall) -> Generator[Effect[Any], Any, None]:
    """Puts the values of upstream runs in place, and the arguments into the types that the flow's author wrote."""
    flow, context = call.flow, call.context
    if call.upstream:
        # A scope of its own: the parent's is taken, by the code that made this call.
        scope = attempts.open_scope(context)
        try:
            yield from Join(call.upstream, scope)
        finally:
            scope.close()
        resolve(call.wait_for)
    parameters = context.parameters
    if needs_resolving(parameters.values()):
        parameters = {name: resolve(value) for name, value in parameters.items()}
    given = parameters
    try:
        if flow.validate_parameters:
            parameters = flow.check_parameters(given)
    finally:  # not before it is known which of them are secret
        learn(parameters.values())
        if MASKER.active:
            context.run.parameters = previews(context.parameters)
        if given and context.run.flow_run_id is None and context.replay is None:
            settings = call.runtime.settings
            call.given = origin.keep_arguments(flow, given, settings.results_inline_limit, call.runtime.vault)
    if parameters is not context.parameters:
        context.parameters = parameters
        context.run.parameters = previews(parameters)
        call.args, call.kwargs = spread(flow.fn, parameters)


def _attempt(call: FlowCall) -> Generator[Effect[Any], Any, bool]:
    """One try, from Running to a final state (True) or to the next try (False)."""
    flow, context = call.flow, call.context
    call.error = None
    context.begin_attempt()
    yield from attempts.call_hooks(context, flow, flow.on_running_hooks, call.state)
    scope = attempts.open_scope(context)
    try:
        if flow.timeout_seconds is not None:
            attempts.limit(context, scope, flow.timeout_seconds, context.run.run_count > _retries(call))
        proposed = yield from _body(call, scope)
    finally:
        scope.close()  # the code is done: what follows is the engine's time, not the author's
    return (yield from _conclude(call, proposed))


def _body(call: FlowCall, scope: Scope) -> Generator[Effect[Any], Any, State[Any]]:
    """The author's code and the tasks it submitted; gives the state that the run should end in."""
    clock = call.runtime.clock
    try:
        call.value = yield from _user_code(call)
        yield from close_streams(call.context)
        yield from _outstanding(call, scope)
        yield from _stragglers(call, scope, None)
        return outcome_state(call, clock.now())
    except StopDelivered as stopped:
        call.error = attempts.stopped_error(scope, KIND) or stopped
        state = attempts.stopped_state(call.context, scope, clock.now())
        if state.type is FAILED:
            say(call.context, ERROR, state.message or "")
    except Exception as error:
        call.error = error
        attempts.report_failure(call.context, error, "")
        state = attempts.failed_state(KIND, error, clock.now())
    except Suspending as leaving:
        call.error = leaving
        state = make(SUSPENDED, clock.now(), message="It was suspended before it began.")
    except BaseException as error:
        call.error = error
        if scope.stop is not None:
            state = attempts.stopped_state(call.context, scope, clock.now())
        else:
            state = attempts.aborted_state(error, clock.now())
        scope.wind_up(Stop(PARENT, state.message or state.name), call.runtime.settings.stop_grace_seconds)
    call.context.dropping = True
    try:
        yield from close_streams(call.context)
        yield from _outstanding(call, None)
        yield from _stragglers(call, scope, state)
    except BaseException as error:  # a second Ctrl-C while tasks wind up
        call.error = error
        yield from _cut_short(call, scope)
    return msgspec.structs.replace(state, timestamp=clock.now())


def _user_code(call: FlowCall) -> Generator[Effect[Any], Any, Any]:
    flow, context = call.flow, call.context
    awaits = flow.isasync and not flow.isgenerator
    fn = attempts.code_of(context, flow.fn, awaits)
    value = yield Call(fn, call.args, call.kwargs, context, context.scope, awaits)
    if flow.isgenerator:
        return (yield from generate(call, value))
    return value


def _outstanding(call: FlowCall, scope: Scope | None) -> Generator[Effect[Any], Any, None]:
    """A run that is over does not run: tasks that were submitted and not waited for come to their end first."""
    waiting: set[PenstockFuture[Any]] = call.context.outstanding
    while waiting:
        yield from Join(list(waiting), scope)


def _stragglers(call: FlowCall, scope: Scope, ended: State[Any] | None) -> Generator[Effect[Any], Any, None]:
    """Tasks and subflows called by other coroutines or threads of the flow, which go on when its own code has ended.

    They come to their end first. Where the flow `ended` badly, or nobody awaits them, they are stopped. (A generator
    that somebody holds is not at work.)
    """
    waiting = [child for child in scope.children if not child.suspended]
    if not waiting:
        return
    stopped = ended is not None or call.flow.isasync
    grace = call.runtime.settings.stop_grace_seconds
    if stopped:
        why = "it has ended" if ended is None else (ended.message or ended.name).rstrip(".")
        for child in waiting:
            child.wind_up(Stop(PARENT, f"Stopped with its parent: {why}."), grace)
    monotonic = call.runtime.clock.monotonic
    deadline = monotonic() + grace + LAST_SECONDS
    while any(not child.closed and not child.suspended for child in waiting):
        if stopped and monotonic() > deadline:
            return
        yield from sleep(call.runtime.clock, POLL_SECONDS, None if ended is not None else scope)


def _cut_short(call: FlowCall, scope: Scope) -> Generator[Effect[Any], Any, None]:
    """Nobody waits for the code below any longer, but its runs end before this one: by what interrupted them, or else
    without their code."""
    monotonic = call.runtime.clock.monotonic
    waiting = [child for child in scope.children if not child.suspended]
    try:
        for _ in range(2):
            deadline = monotonic() + CUT_SHORT_SECONDS
            while any(not child.closed for child in waiting) and monotonic() < deadline:
                yield from sleep(call.runtime.clock, POLL_SECONDS, None)
            for child in waiting:
                if not child.closed:
                    child.abandon()
    except GeneratorExit:
        raise
    except BaseException:  # a third one
        return


def _conclude(call: FlowCall, proposed: State[Any]) -> Generator[Effect[Any], Any, bool]:
    """Has the record take the end of an attempt; it may make a retry of it."""
    flow, run, settings = call.flow, call.context.run, call.runtime.settings
    if isinstance(call.error, Suspending):
        return (yield from _suspend(call, call.error))
    retries = _retries(call)
    delay = 0.0
    if proposed.type is FAILED and run.run_count <= retries:
        delay = attempts.retry_delay(flow, run.run_count, settings.flows_default_retry_delay_seconds)
    facts = Facts(
        attempts=run.run_count,
        retries=retries,
        # Ending because of somebody else's stop is not a failure of one's own to be tried again.
        retry_wanted=not isinstance(call.error, StopDelivered | KeyboardInterrupt)
        and call.generator is not EMITTED
        and not attempts.holds_program(call.context),
        retry_delay=delay,
        epoch_of_writer=run.epoch,
    )
    answer: Entered = yield from _enter(call, proposed, facts)
    if answer.state.is_final():
        if answer.status != "accepted":
            attempts.confirm_late(call.context, proposed)
            call.error = _overruled(call, answer)
        yield from _end(call, answer.state)
        return True
    say(call.context, INFO, f"Retry {run.run_count}/{retries} will start {delay:g} second(s) from now")
    yield from _sleep_before_retry(call, delay)
    if call.state.is_final():
        yield from _end(call, call.state)
        return True
    run.run_count += 1
    yield from _enter(call, make("Retrying", call.runtime.clock.now()), Facts(epoch_of_writer=run.epoch))
    return call.state.is_final()


def _suspend(call: FlowCall, leaving: Suspending) -> Generator[Effect[Any], Any, bool]:
    """The code was left. No hook is called: the run is not over."""
    context = call.context
    try:
        call.state = yield from pausing.suspended(context, leaving)
    except TransitionRefused as error:  # somebody cancelled it meanwhile
        call.error = error
        now = call.runtime.clock.now()
        return (yield from _conclude(call, make("Cancelled", now, message="It was to be suspended.")))
    say(context, INFO, "Suspending flow run, execution will be rescheduled when this flow run is resumed.")
    if context.parent is None:
        call.error = pausing.error_of(context)
    return True


def _overruled(call: FlowCall, answer: Entered) -> BaseException:
    """What the caller gets to see when the record has another end than the one proposed: it was closed from outside,
    or somebody cancelled the run while its code was at its last line."""
    state = answer.state
    if call.error is not None and not isinstance(call.error, Exception):
        return call.error
    if state.name == "TimedOut":
        return FlowRunTimeoutError(state.message)
    if state.is_cancelled():
        return CancelledRun(f"{KIND} was cancelled: {state.message}")
    return call.error or TransitionRefused(answer.why or f"The run is {state}.")


def _retries(call: FlowCall) -> int:
    """The number of the attempt that is tried again last. (A run that was entered again has all its retries anew.)"""
    retries, again = call.flow.retries, call.context.replay
    made = 0 if again is None else again.attempts
    return made + (call.runtime.settings.flows_default_retries if retries is None else retries)


def _enter(call: FlowCall, state: State[Any], facts: Facts) -> Generator[Effect[Any], Any, Entered]:
    """Proposes a state to the record, and takes over what the record says."""
    run = call.context.run
    if live.ends is not None:
        live.ends(call.context)
    finish_text(call.context)
    deadline = _deadline(call, state.timestamp) if state.is_running() else None
    question = Enter(run.id, state, facts, run.run_count, run.result, deadline)
    answer: Entered = yield from Ask(call.runtime.ledger, question)
    call.state = answer.state
    if answer.status != "refused":
        run.states, run.version, run.deadline = (*run.states, answer.state), run.version + 1, deadline
    if call.context.trace is not None:
        call.context.trace.entered(answer.state, call.error)
    return answer


def _sleep_before_retry(call: FlowCall, seconds: float) -> Generator[Effect[Any], Any, None]:
    scope = attempts.open_scope(call.context)
    try:
        yield from sleep(call.runtime.clock, seconds, scope)
    except StopDelivered as stopped:
        call.error = attempts.stopped_error(scope, KIND) or stopped
        state = attempts.stopped_state(call.context, scope, call.runtime.clock.now())
        yield from _enter(call, state, Facts(retry_wanted=False, epoch_of_writer=call.context.run.epoch))
    finally:
        scope.close()


def _end(call: FlowCall, state: State[Any]) -> Generator[Effect[Any], Any, None]:
    say(call.context, INFO if state.is_completed() else ERROR, f"Finished in state {state}")
    yield from attempts.call_hooks(call.context, call.flow, _hooks(call, state), call.final_state())


def _hooks(call: FlowCall, state: State[Any]) -> list[Any]:
    flow = call.flow
    if state.is_completed():
        return flow.on_completion_hooks
    if state.is_failed():
        return flow.on_failure_hooks
    return flow.on_cancellation_hooks if state.is_cancelled() else flow.on_crashed_hooks


def _settle(call: FlowCall) -> None:
    """Gives back what the run had, and tells its parent: what ran in it, and for the graph, whose value this is."""
    RUNS.pop(call.context.run.id, None)
    if call.context.trace is not None:
        call.context.trace.close()
    if call.context.task_runner is not None:
        call.context.task_runner.close()
    if call.parent is not None and call.parent.flow_context is not None:
        above = call.parent.flow_context
        above.count(call.state)
        if call.state.is_completed() and call.error is None:
            above.links.add(call.value, call.context.run.id)


def _deadline(call: FlowCall, now: Any) -> Any:
    seconds = call.flow.timeout_seconds
    return None if seconds is None else now + timedelta(seconds=seconds)
