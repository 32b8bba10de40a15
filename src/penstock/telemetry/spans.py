"""Runs as spans: one for a run, one for each attempt of a run that may be tried again, one for each wait, one for each
stop.

Law: spans are made of the states that the record is given, with their times; so the trace says what the record says.
Nothing of a run's parameters is in them, and texts are masked like the log's. What goes wrong here is said once, and
is never the run's affair.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..domain.concurrency import shown
from ..domain.runs import FlowRun
from ..domain.states import CANCELLED, COMPLETED, PAUSED, RUNNING, State
from ..domain.stops import IDLE
from ..domain.trace_context import TRACEPARENT, trace_in, trace_of
from ..engine.attempts import describe, user_traceback
from ..engine.context import FlowRunContext, RunContext
from ..engine.masking import MASKER
from ..engine.stopping import StopDelivered

W3C = TraceContextTextMapPropagator()
# States in which a run waits, and what for.
WAITS = {"AwaitingRetry": "retry", "AwaitingConcurrencySlot": "slot", "Paused": "pause"}
SUSPENDED = "Suspended"
# How much of a text is kept, in characters.
MOST_MESSAGE, MOST_TRACEBACK = 2_000, 20_000
# A run that begins within it did not wait.
NOTABLE_NS = 1_000_000
# What a state's details say of a stop: attribute, key.
STOP_DETAILS = (
    ("penstock.stop.reason", "reason"),
    ("penstock.stop.how", "stopped"),
    ("penstock.stop.confirmed", "confirmed"),
    ("penstock.stop.seconds", "seconds_to_stop"),
    ("penstock.stop.who", "who"),
    ("penstock.stop.where", "where"),
)


def nanoseconds(moment: datetime) -> int:
    """Since 1970, as OpenTelemetry counts."""
    return round(moment.timestamp() * 1_000_000) * 1000


class RunTracer:
    """Makes spans by one tracer of OpenTelemetry."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begin(self, context: RunContext[Any]) -> RunTrace | None:
        try:
            return RunTrace(self._tracer, context)
        except Exception as error:  # of a sampler or a processor of the user's, say
            _complain(error)
            return None

    def carry(self, headers: dict[str, str]) -> None:
        """Puts what is current into the headers of a request."""
        propagate.inject(headers)

    def current(self) -> dict[str, str]:
        """The W3C trace context of what is current; {} where nothing is."""
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier

    def elsewhere(self, carrier: dict[str, str]) -> Elsewhere:
        return Elsewhere(carrier)


class Elsewhere:
    """The trace of a run whose function is called here, for another process."""

    def __init__(self, carrier: dict[str, str]) -> None:
        self._carrier = carrier
        self._context = W3C.extract(carrier)

    def attach(self) -> Any:
        return contexts.attach(self._context)

    def detach(self, token: Any) -> None:
        contexts.detach(token)

    def entered(self, state: State[Any], error: BaseException | None = None) -> None:
        """The other process says that."""

    def waits(self, what: str, of: str) -> Waiting:
        return Waiting(NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))

    def close(self) -> None:
        """The other process says that."""

    def carrier(self) -> dict[str, str]:
        return self._carrier


class Waiting:
    """The span of something that code waits for."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self) -> None:
        self._span.end()


class RunTrace:
    """The spans of one run in this process."""

    __slots__ = ("_attempt", "_attempts", "_base", "_began", "_current", "_name", "_run", "_span", "_tracer", "_wait")

    def __init__(self, tracer: trace.Tracer, context: RunContext[Any]) -> None:
        self._tracer = tracer
        self._run = context
        self._attempt: Span | None = None
        self._wait: Span | None = None
        # whether each of the run's attempts has a span of its own
        self._attempts = _may_be_repeated(context)
        run = context.run
        now = nanoseconds(context.runtime.clock.now())
        around = _around(context)
        again = _is_there_already(context)
        if again:
            _suspended(tracer, context, around, now)
        kind = SpanKind.CONSUMER if again and isinstance(run, FlowRun) and run.deployment_id else SpanKind.INTERNAL
        self._began = now if again else nanoseconds(run.created)
        self._name = run.name
        self._span = span = tracer.start_span(_name(context), around, kind, _identity(context), start_time=self._began)
        self._base = self._current = trace.set_span_in_context(span, around)
        if isinstance(context, FlowRunContext) or context.flow_context is None:
            # (A task run of a flow is of the flow's trace.)
            run.labels = {**run.labels, **self._labels()} if TRACEPARENT not in run.labels else run.labels

    def _labels(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        W3C.inject(carrier, self._base)
        return carrier

    # --- around code -----------------------------------------------------------------------------------------------

    def attach(self) -> Any:
        return contexts.attach(self._current)

    def detach(self, token: Any) -> None:
        contexts.detach(token)

    def carrier(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        W3C.inject(carrier)  # what is current: perhaps a span of the user's
        return carrier

    def waits(self, what: str, of: str) -> Waiting:
        attributes = {"penstock.wait": what, "penstock.wait.for": MASKER.head(of, MOST_MESSAGE)}
        return Waiting(self._tracer.start_span(f"wait for {what}", attributes=attributes))

    # --- states ----------------------------------------------------------------------------------------------------

    def entered(self, state: State[Any], error: BaseException | None = None) -> None:
        try:
            self._enter(state, error)
        except Exception as failure:
            _complain(failure)

    def _enter(self, state: State[Any], error: BaseException | None) -> None:
        moment = nanoseconds(state.timestamp)
        if self._wait is not None:
            self._wait.end(moment)
            self._wait = None
        if state.type is RUNNING:
            self._begin_attempt(state, moment)
        elif state.is_final() or state.name == SUSPENDED:
            self._finish(state, error, moment)
        elif state.name in WAITS:
            if state.type is not PAUSED:
                self._end_attempt(state, error, moment)
            self._begin_wait(state, moment)

    def _begin_attempt(self, state: State[Any], moment: int) -> None:
        if not self._attempts:
            if moment - self._began > NOTABLE_NS:  # it waited, for other runs or for a thread
                self._span.add_event(state.name, timestamp=moment)
        elif self._attempt is None:  # else it goes on, after a pause
            number = self._run.run.run_count
            self._attempt = span = self._tracer.start_span(
                "attempt",
                self._base,
                attributes={**_identity(self._run), "penstock.attempt": number},
                start_time=moment,
            )
            self._current = trace.set_span_in_context(span, self._base)

    def _end_attempt(self, state: State[Any], error: BaseException | None, moment: int) -> None:
        span, self._attempt = self._attempt, None
        self._current = self._base
        if span is None:
            return
        self._say_stop(span, state, moment)
        if error is not None or state.is_failed() or state.is_crashed():
            _say_error(span, state, error, moment)
        span.end(moment)

    def _begin_wait(self, state: State[Any], moment: int) -> None:
        what = WAITS[state.name]
        attributes: dict[str, Any] = {"penstock.wait": what, "penstock.state.name": state.name}
        limit = (state.details or {}).get("limit")
        if limit is not None:
            attributes["penstock.wait.for"] = MASKER.head(shown(str(limit)), MOST_MESSAGE)
        self._wait = self._tracer.start_span(
            f"wait for {what}", self._current, attributes=attributes, start_time=moment
        )

    def _finish(self, state: State[Any], error: BaseException | None, moment: int) -> None:
        span, parted = self._span, self._attempt is not None
        self._end_attempt(state, error, moment)
        if not span.is_recording():
            return
        run = self._run.run
        span.set_attributes(_outcome(self._run, state))
        if run.name != self._name:  # it was given one since, or is another run, entered again
            span.set_attributes(_identity(self._run))
        if not parted:
            self._say_stop(span, state, moment)
        else:
            span.set_attributes(_stop_attributes(state))
        if state.is_failed() or state.is_crashed():
            _say_error(span, state, error, moment, spelled_out=not parted)
        span.end(moment)

    def _say_stop(self, span: Span, state: State[Any], moment: int) -> None:
        """How a stop went: attributes, and a span from the request to the end of the code."""
        attributes = _stop_attributes(state)
        if not attributes:
            return
        span.set_attributes(attributes)
        if attributes.get("penstock.stop.how") == IDLE:
            return
        began = moment - round(float(attributes.get("penstock.stop.seconds", 0.0)) * 1e9)
        above = trace.set_span_in_context(span, self._base)
        self._tracer.start_span("stop", above, attributes=attributes, start_time=began).end(moment)

    def close(self) -> None:
        """Spans that are open still are ended: an earlier run stands for this one, or the process gave it up."""
        if not self._span.is_recording():
            return
        for span in (self._wait, self._attempt, self._span):
            if span is not None and span.is_recording():
                if span is self._span:
                    span.set_attributes({**_identity(self._run), **_outcome(self._run, self._run.run.state)})
                span.end()
        self._wait = self._attempt = None


# --- what spans say --------------------------------------------------------------------------------------------------


def _kind(context: RunContext[Any]) -> str:
    return "flow" if isinstance(context, FlowRunContext) else "task"


def _name(context: RunContext[Any]) -> str:
    run = context.run
    return f"flow {run.flow_name}" if isinstance(run, FlowRun) else f"task {run.task_name}"


def _identity(context: RunContext[Any]) -> dict[str, Any]:
    """What a run is. (No parameters: they are the user's data.)"""
    run = context.run
    kind = _kind(context)
    said: dict[str, Any] = {
        f"penstock.{kind}_run.id": str(run.id),
        f"penstock.{kind}_run.name": MASKER.head(run.name, MOST_MESSAGE),
    }
    if isinstance(run, FlowRun):
        said["penstock.flow.name"] = run.flow_name
        if run.flow_version is not None:
            said["penstock.flow.version"] = run.flow_version
        if run.flow_run_id is not None:
            said["penstock.flow_run.parent_id"] = str(run.flow_run_id)
        if run.deployment_id is not None:
            said["penstock.deployment.id"] = str(run.deployment_id)
            if run.expected_start_time is not None:
                said["penstock.flow_run.scheduled_time"] = run.expected_start_time.isoformat()
    else:
        said["penstock.task.name"] = run.task_name
        if run.flow_run_id is not None:
            said["penstock.flow_run.id"] = str(run.flow_run_id)
    if run.tags:
        said["penstock.tags"] = [MASKER.head(tag, MOST_MESSAGE) for tag in run.tags]
    return said


def _outcome(context: RunContext[Any], state: State[Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "penstock.state.name": MASKER.head(state.name, MOST_MESSAGE),
        "penstock.state.type": state.type.value,
        "penstock.run_count": context.run.run_count,
    }
    cached = (state.details or {}).get("cached_from")
    if cached is not None:
        said["penstock.cached_from"] = str(cached)
    if state.message and state.type not in (COMPLETED, CANCELLED):
        said["penstock.state.message"] = MASKER.head(state.message, MOST_MESSAGE)
    return said


def _stop_attributes(state: State[Any]) -> dict[str, Any]:
    details = state.details or {}
    if "reason" not in details:
        return {}
    found = {name: details[key] for name, key in STOP_DETAILS if details.get(key) is not None}
    return {name: MASKER.head(each, MOST_MESSAGE) if isinstance(each, str) else each for name, each in found.items()}


def _say_error(
    span: Span, state: State[Any], error: BaseException | None, moment: int, spelled_out: bool = True
) -> None:
    """Status ERROR, and the exception as OpenTelemetry's conventions have it; masked, and without frames of ours."""
    if error is None or isinstance(error, StopDelivered):
        span.set_status(Status(StatusCode.ERROR, MASKER.head(state.message or state.name, MOST_MESSAGE)))
        return
    span.set_status(Status(StatusCode.ERROR, describe(error)))
    if not spelled_out:  # its attempt has it
        return
    kind, name = type(error), type(error).__qualname__
    attributes = {
        "exception.type": name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}",
        "exception.message": describe(error).partition(": ")[2],
        "exception.stacktrace": MASKER.head(user_traceback(error), MOST_TRACEBACK),
    }
    span.add_event("exception", attributes, moment)


# --- where a run is in a trace ---------------------------------------------------------------------------------------


def _around(context: RunContext[Any]) -> Context:
    """What a run is a part of: what is current; else the trace that its labels name; else, of a program that was
    started with one, that of its environment."""
    here = contexts.get_current()
    if trace.get_current_span(here).get_span_context().is_valid:
        return here
    found = trace_of(context.run.labels)
    if not found and not _is_there_already(context):
        found = trace_in(os.environ)
    return W3C.extract(found, here) if found else here


def _is_there_already(context: RunContext[Any]) -> bool:
    """Whether the run was recorded before this process began with it."""
    return isinstance(context, FlowRunContext) and context.replay is not None


def _suspended(tracer: trace.Tracer, context: RunContext[Any], around: Context, now: int) -> None:
    """A run that was suspended goes on: its wait was in no process, and is told now."""
    began: datetime | None = None
    for state in context.run.states:
        if state.name == SUSPENDED:
            began = state.timestamp
        elif state.type is RUNNING:
            began = None
    if began is not None:
        attributes = {**_identity(context), "penstock.wait": "resume", "penstock.state.name": SUSPENDED}
        span = tracer.start_span("wait for resume", around, attributes=attributes, start_time=nanoseconds(began))
        span.end(now)


def _may_be_repeated(context: RunContext[Any]) -> bool:
    settings = context.runtime.settings
    if isinstance(context, FlowRunContext):
        retries = context.flow.retries
        retries = settings.flows_default_retries if retries is None else retries
        return retries > 0
    retries = context.task.retries  # type: ignore[attr-defined]
    return (settings.tasks_default_retries if retries is None else retries) > 0


_told = False


def _complain(error: Exception) -> None:
    """Once: what is wrong with one span is wrong with all."""
    global _told
    if not _told:
        _told = True
        print(f"penstock: runs cannot be traced: {describe(error)}. This is said once.", file=sys.__stderr__)
