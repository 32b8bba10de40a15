"""The script of a task run, from Pending to its end. Reads top to bottom; both drivers perform it.

A task run is decided here, by the domain's rules, and *reported*: nothing in it waits for the record, but for the
question whether a cached value is there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec

from ..domain.caching import CacheEntry
from ..domain.errors import CancelledRun, CrashedRun, FailedRun, RecordError, SerializationError, UpstreamTaskError
from ..domain.rules import Facts, Replace, Transition
from ..domain.runs import TaskRun
from ..domain.states import COMPLETED, FAILED, PENDING, RUNNING, State, StoredValue, make
from ..domain.stops import IDLE, Proof, details_of
from ..domain.transition import decide
from ..ledger.contract import FindCached
from ..ledger.masked import masked_key
from . import attempts, live, naming, pausing, replay, results, slots, tracing
from .attempts import ERROR, INFO
from .caching import NoCache
from .context import RunContext, TaskRunContext, current_tags
from .definitions import TaskDefinition
from .effects import Ask, Call, Effect, Join, Script, sleep
from .futures import PenstockFuture
from .generators import EMITTED, generate
from .inputs import futures_in, needs_resolving, resolve
from .live import RUNS
from .masking import MASKER
from .parameters import bind
from .previews import previews
from .printed import finish_text
from .runlog import say, say_ended
from .runtime import Runtime
from .scopes import Scope
from .secrets import learn
from .stopping import StopDelivered

KIND = "Task run"


class TaskCall(attempts.RunCall):
    """One call of a task: what goes into its script, and what came out."""

    __slots__ = (
        "args", "cache_key", "context", "earlier", "future", "generator", "kwargs", "needs", "place",
        "remote", "runtime", "takes_stored", "task", "unreported", "upstream", "wait_for",
    )  # fmt: skip

    def __init__(
        self,
        task: TaskDefinition,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        runtime: Runtime,
        parent: RunContext[Any] | None,
        wait_for: Any = None,
        progress: Any = None,
    ) -> None:
        if parent is not None:
            pausing.check_call(parent)
        self.task = task
        self.runtime = runtime
        self.args = args
        self.kwargs = kwargs
        self.wait_for = wait_for
        parameters = bind(task, args, kwargs)
        learn(parameters.values())
        self.needs = needs_resolving(parameters.values())
        self.upstream = futures_in((*parameters.values(), wait_for)) if self.needs or wait_for is not None else []
        self.context = context = _new_context(task, parameters, runtime, parent)
        _link(context, parameters, wait_for)
        if progress is not None:
            context.progress, context.collapsed = progress, progress.takes()
        self.value: Any = None
        self.error: BaseException | None = None
        self.state: State[Any] = context.run.state
        self.future: PenstockFuture[Any] | None = None
        self.cache_key: str | None = None
        self.generator: Any = None
        # what has the task's function called elsewhere, whatever its colour, and gives its value
        self.remote: Callable[..., Any] | None = None
        # whether it takes a value where that is stored, and need not have it here
        self.takes_stored: Callable[[StoredValue], bool] | None = None
        if not self.needs:
            _name(self)
        RUNS[context.run.id] = context
        # nobody waits for anything before it begins: who has it begin later reports it
        self.unreported = False
        # the slots that its tags ask for
        self.place: Any = None
        # a run of an earlier attempt that may stand for this one, while that is not decided
        self.earlier: TaskRun | None = None
        replay.begin(self)


def _new_context(
    task: TaskDefinition, parameters: dict[str, Any], runtime: Runtime, parent: RunContext[Any] | None
) -> TaskRunContext:
    clock = runtime.clock
    now, run_id = clock.now(), clock.new_id()
    flow = parent.flow_context if parent is not None else None
    # (A run that was entered again counts otherwise: see `replay`.)
    dynamic = str(flow.number(task.name)) if flow is not None and flow.replay is None else run_id.hex[-8:]
    tags = task.tags | current_tags.get()
    run = TaskRun(
        id=run_id,
        name=f"{task.name}-{dynamic}",
        created=now,
        states=(State(PENDING, "Pending", now),),
        version=1,
        flow_run_id=None if flow is None else flow.run.id,
        tags=tuple(sorted(tags)) if tags else (),
        parameters=previews(parameters) if parameters else {},
        task_name=task.name,
        task_key=task.task_key,
        task_version=task.version,
        dynamic_key=dynamic,
        parent_task_run_id=parent.run.id if isinstance(parent, TaskRunContext) else None,
        holder=runtime.holder if flow is None or task.detach else None,
        epoch=1 if flow is None else flow.run.epoch,
    )
    log_prints = task.log_prints
    if log_prints is None:
        log_prints = parent.log_prints if parent is not None else runtime.settings.logging_log_prints
    context = TaskRunContext(run, runtime, parent, log_prints, task)
    context.parameters = parameters
    return context


def _link(context: TaskRunContext, parameters: dict[str, Any], wait_for: Any) -> None:
    """Notes which runs the arguments came from, for the graph."""
    flow = context.flow_context
    named = parameters if wait_for is None else {**parameters, "wait_for": wait_for}
    upstream = naming.upstream_of(named, flow.links if flow is not None else None)
    if upstream:
        context.run.upstream = upstream


def _name(call: TaskCall) -> None:
    """The author's name for the run, once the arguments are known."""
    task, run = call.task, call.context.run
    if task.task_run_name is not None:
        run.name = naming.run_name(task.task_run_name, call.context, f"task_run_name of task {task.name!r}")
        call.context.source = f"Task run {run.name!r}"


def run_task(call: TaskCall) -> Script[TaskCall]:
    """The whole story of a task run. The value, the state and the error are in `call` afterwards."""
    try:
        if call.state.is_final():
            return call
        tracing.begin(call.context)
        if _dropped(call):
            return call
        plain = not call.needs and not call.upstream
        if not plain and not (yield from _ready(call)):
            return call
        if call.earlier is not None and replay.decide(call):
            return call
        if call.task.cache_policy is None or not (yield from _cached(call)):
            flow, run = call.context.flow_context, call.context.run
            # (Asked here what `_admitted` asks: a call of it would cost every task.)
            while (((flow is None or flow.gate is None) and not run.tags) or (yield from _admitted(call))) and not (
                yield from _attempt(call)
            ):
                pass
    except RecordError:
        raise
    except StopDelivered as stopped:  # while a function of the author's was asked about the run
        if not call.state.is_final() and call.context.scope is not None:
            _end_stopped(call, call.context.scope, stopped)
    except Exception as error:  # a name that cannot be made, a delay that cannot be told: the run must not stay open
        if not call.state.is_final():
            _fail(call, error)
    except GeneratorExit:
        raise
    except BaseException as error:  # a handler of the program's own, say, that raised in the midst of ours
        if not call.state.is_final():
            call.error = error
            _enter(call, attempts.aborted_state(error, call.runtime.clock.now()))
        raise
    finally:
        _settle(call)
    return call


def _dropped(call: TaskCall) -> bool:
    """Whether the flow failed, or the run was cancelled, before it began."""
    flow, halted, now = call.context.flow_context, call.context.halted, call.runtime.clock.now
    if halted is not None:
        call.error = CancelledRun(f"{KIND} was cancelled: {halted.message}")
        _enter(call, make("Cancelled", now(), message=halted.message, details=details_of(halted, Proof(IDLE, 0.0))))
    elif flow is not None and flow.dropping and not call.context.detached:
        _enter(call, make("Cancelled", now(), message="Its flow failed before it began."))
    return call.state.is_final()


def _admitted(call: TaskCall) -> Generator[Effect[Any], Any, bool]:
    """Whether an attempt may begin, now: not while the flow waits, nor before slots are free; False when it ended."""
    context = call.context
    flow = context.flow_context
    if flow is not None and flow.gate is not None and not (yield from pausing.let_in(call, flow, _end_stopped)):
        return False
    if _dropped(call):  # meanwhile
        return False
    return not context.run.tags or (yield from slots.take(call, _enter, _end_stopped))


def _ready(call: TaskCall) -> Generator[Effect[Any], Any, bool]:
    """Waits for upstream runs and puts their values in place; False when one did not complete."""
    scope = attempts.open_scope(call.context)
    try:
        if call.upstream:
            yield from Join(call.upstream, scope)
        stays = None if call.task.cache_policy is not None else call.takes_stored
        call.args = [resolve(value, stays) for value in call.args]
        call.kwargs = {name: resolve(value, stays) for name, value in call.kwargs.items()}
        if call.wait_for is not None:
            resolve(call.wait_for)
        call.context.parameters = bind(call.task, call.args, call.kwargs)
        learn(call.context.parameters.values())
        call.context.run.parameters = previews(call.context.parameters)
        _name(call)
    except UpstreamTaskError as error:
        _enter(call, make("NotReady", call.runtime.clock.now(), message=str(error)))
        call.error = error
        return False
    except StopDelivered as stopped:
        _end_stopped(call, scope, stopped)
        return False
    finally:
        scope.close()
    return True


def _cached(call: TaskCall) -> Generator[Effect[Any], Any, bool]:
    """Takes the value from an earlier run where the task's policy finds one."""
    task, context, settings = call.task, call.context, call.runtime.settings
    policy = task.cache_policy
    if policy is None or isinstance(policy, NoCache) or settings.tasks_disable_caching or call.generator:
        return False
    try:
        inputs = {**task.bound_to, **context.parameters} if task.bound_to else context.parameters
        key = yield from _asked(call, policy.compute_key, (context, inputs))
        call.cache_key = None if key is None else masked_key(MASKER, key)
    except Exception as error:
        _fail(call, error)
        return True
    if call.cache_key is None:
        return False
    context.run.cache_key = call.cache_key
    refresh = task.refresh_cache if task.refresh_cache is not None else settings.tasks_refresh_cache
    if refresh:
        return False
    found = yield from Ask(call.runtime.ledger, FindCached(call.cache_key, call.runtime.clock.now()))
    if found is None:
        return False
    try:
        where = results.StoredResult(found.result, f"the cached run of task {task.name!r}", call.runtime.vault)
        call.value = where.load()
    except Exception as error:  # a lost or unreadable file is a cache miss, and said
        say(context, attempts.WARNING, f"The cached result cannot be used: {error}")
        return False
    context.run.result = found.result
    details = {"cached_from": str(found.task_run_id), "cache_key": call.cache_key}
    _enter(call, make("Cached", call.runtime.clock.now(), details=details))
    yield from attempts.call_hooks(context, task, task.on_completion_hooks, call.final_state())
    return True


def _attempt(call: TaskCall) -> Generator[Effect[Any], Any, bool]:
    """One try, from Running to a final state (True) or to the next try (False)."""
    task, context, run = call.task, call.context, call.context.run
    scope = attempts.open_scope(context)
    try:
        _start(call)
        if task.on_running_hooks:
            yield from attempts.call_hooks(context, task, task.on_running_hooks, run.state)
        if task.timeout_seconds is not None:
            attempts.limit(context, scope, task.timeout_seconds, run.run_count > _retries(call))
        try:
            if task.isgenerator or call.remote is not None:
                call.value = yield from _user_code(call)
            else:
                code = attempts.code_of(context, task.fn, task.isasync)
                call.value = yield Call(code, call.args, call.kwargs, context, scope, task.isasync)
            if isinstance(call.value, State):
                yield from _as_returned(call)
            else:
                _complete(call)
        except StopDelivered as stopped:
            yield from _stop(call, scope, stopped)
        except Exception as error:
            call.error = error
            now = call.runtime.clock.now()
            its_own = isinstance(error, CrashedRun) and error.task_run_id == context.run.id
            crashed = make("Crashed", now, message=str(error)) if its_own else None
            yield from _retry_or_fail(call, attempts.failed_state(KIND, error, now), crashed=crashed)
        except GeneratorExit as error:  # nobody performs this script any more
            _enter(call, attempts.aborted_state(error, call.runtime.clock.now()))
            raise
        except BaseException as error:
            call.error = error
            if scope.stop is not None:
                _end_stopped(call, scope, error)
            else:
                _enter(call, attempts.aborted_state(error, call.runtime.clock.now()))
    finally:
        scope.close()
    state = call.state
    if not state.is_final():
        return False
    if hooks := _hooks(call, state):
        yield from attempts.call_hooks(context, task, hooks, call.final_state())
    return True


def _user_code(call: TaskCall) -> Generator[Effect[Any], Any, Any]:
    """Code that is more than a function called here: one that is called elsewhere, or a generator."""
    task, context = call.task, call.context
    if call.remote is not None:
        remote = attempts.code_of(context, call.remote, False)
        return (yield Call(remote, call.args, call.kwargs, context, context.scope))
    code = attempts.code_of(context, task.fn, False)
    generator = yield Call(code, call.args, call.kwargs, context, context.scope)
    return (yield from generate(call, generator))


def _start(call: TaskCall) -> None:
    run, now = call.context.run, call.runtime.clock.now()
    run.run_count += 1
    call.error = None
    call.context.start_time = now
    run.enter(State(RUNNING, "Running" if run.run_count == 1 else "Retrying", now))
    if call.context.trace is not None:
        call.context.trace.entered(run.state)
    call.runtime.ledger.write(run)


def _complete(call: TaskCall) -> None:
    """The code gave a value: it is kept as asked, and the run is Completed."""
    task, run, now = call.task, call.context.run, call.runtime.clock.now()
    try:
        run.result = results.keep_of(call)
    except SerializationError as error:
        _fail(call, error)
        return
    if call.cache_key is not None and run.result is not None:
        expires = None if task.cache_expiration is None else now + task.cache_expiration
        call.runtime.ledger.write(CacheEntry(call.cache_key, run.id, run.result, now, expires))
    _enter(call, State(COMPLETED, "Completed", now))
    flow = call.context.flow_context
    if flow is not None:
        flow.links.add(call.value, run.id)


def _as_returned(call: TaskCall) -> Generator[Effect[Any], Any, None]:
    """The code says itself how it ended."""
    now = call.runtime.clock.now()
    returned = attempts.ended(call.value, KIND, now)
    state = msgspec.structs.replace(returned, data=None, timestamp=now)
    call.value, call.error = (returned.data, None) if returned.is_completed() else (None, attempts.error_of(returned))
    if returned.is_failed():
        call.error = call.error or FailedRun(state.message or f"{KIND} returned {state}.")
        yield from _retry_or_fail(call, state)
    else:
        _enter(call, state)


def _stop(call: TaskCall, scope: Scope, stopped: BaseException) -> Generator[Effect[Any], Any, None]:
    state = _end_stopped(call, scope, stopped, enter=False)
    if state.type is FAILED:
        say(call.context, ERROR, state.message or "")
        yield from _retry_or_fail(call, state, reported=True)
    else:
        _enter(call, state)


def _end_stopped(call: TaskCall, scope: Scope, stopped: BaseException, enter: bool = True) -> State[Any]:
    """The end of what was stopped in `scope`, with its proof."""
    call.error = attempts.stopped_error(scope, KIND) or stopped
    state = attempts.stopped_state(call.context, scope, call.runtime.clock.now())
    if enter:
        _enter(call, state)
    return state


def _retries(call: TaskCall) -> int:
    return call.runtime.settings.tasks_default_retries if call.task.retries is None else call.task.retries


def _retry_or_fail(
    call: TaskCall, failed: State[Any], reported: bool = False, crashed: State[Any] | None = None
) -> Generator[Effect[Any], Any, None]:
    """The rules say whether a failed try is the last; then the run waits, or has ended (as `crashed`, if it was)."""
    task, context, run = call.task, call.context, call.context.run
    settings = call.runtime.settings
    retries = _retries(call)
    delay, wanted = 0.0, False
    if run.run_count <= retries and call.generator is not EMITTED and not attempts.holds_program(context):
        delay = attempts.retry_delay(
            task, run.run_count, settings.tasks_default_retry_delay_seconds, task.retry_jitter_factor
        )
        wanted = yield from _wants_retry(call, crashed or failed)
    facts = Facts(attempts=run.run_count, retries=retries, retry_wanted=wanted, retry_delay=delay)
    decision = decide(Transition(run.state, failed), facts)
    assert call.error is not None
    if isinstance(decision, Replace):
        then = f" - Retry {run.run_count}/{retries} will start {delay:g} second(s) from now"
        if reported:
            say(context, INFO, then.removeprefix(" - "))
        else:
            attempts.report_failure(context, call.error, then)
        _enter(call, decision.state)
        yield from _pause_before_retry(call, delay)
        return
    if not reported:
        then = "" if not retries else " - Retries are exhausted" if run.run_count > retries else " - No retry is wanted"
        attempts.report_failure(context, call.error, then)
    _enter(call, crashed or failed)


def _wants_retry(call: TaskCall, failed: State[Any]) -> Generator[Effect[Any], Any, bool]:
    """The author's own condition; one that raises means no."""
    condition = call.task.retry_condition_fn
    if condition is None:
        return True
    state = msgspec.structs.replace(failed, data=call.error)
    arguments = (call.task, call.context.run, state)
    try:
        return bool((yield from _asked(call, condition, arguments)))
    except Exception as error:
        say(call.context, ERROR, f"retry_condition_fn failed, so there is no retry: {attempts.describe(error)}")
        return False


def _asked(call: TaskCall, fn: Any, arguments: tuple[Any, ...]) -> Generator[Effect[Any], Any, Any]:
    """What a function of the author's says about the run. It can be stopped, like the task's own code."""
    scope = attempts.open_scope(call.context)
    try:
        return (yield from Call(fn, arguments, None, call.context, scope, attempts.is_async(fn)))
    finally:
        scope.close()


def _pause_before_retry(call: TaskCall, seconds: float) -> Generator[Effect[Any], Any, None]:
    if seconds <= 0:
        return
    scope = attempts.open_scope(call.context)
    try:
        yield from sleep(call.runtime.clock, seconds, scope)
    except StopDelivered as stopped:
        _end_stopped(call, scope, stopped)
    finally:
        scope.close()


def _fail(call: TaskCall, error: BaseException) -> None:
    """An end that trying again would not change."""
    call.error = error
    attempts.report_failure(call.context, error, "")
    _enter(call, attempts.failed_state(KIND, error, call.runtime.clock.now()))


def _enter(call: TaskCall, state: State[Any]) -> None:
    run = call.context.run
    if live.ends is not None:
        live.ends(call.context)
    if call.context.partial:
        finish_text(call.context)
    run.enter(state)
    call.state = state
    if call.context.trace is not None:
        call.context.trace.entered(state, call.error)
    call.runtime.ledger.write(run)
    if state.is_final():
        attempts.confirm_late(call.context, state)
        say_ended(call.context, state)


def _settle(call: TaskCall) -> None:
    """Whoever waits for the run is told, whatever happened."""
    flow = call.context.flow_context
    RUNS.pop(call.context.run.id, None)
    if call.context.trace is not None:
        call.context.trace.close()
    if flow is not None:
        flow.count(call.state)
    if call.future is not None:
        call.future.settle(call.final_state())


def _hooks(call: TaskCall, state: State[Any]) -> list[Any]:
    task = call.task
    return task.on_completion_hooks if state.is_completed() else task.on_failure_hooks if state.is_failed() else []
