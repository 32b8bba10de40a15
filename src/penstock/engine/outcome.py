"""Which state a flow run ends in, from what its code returned and how its tasks ended.

The outcome follows the 3.x line of the field: a flow that returns a plain value, or nothing, is Completed whatever
became of tasks whose failure it did not raise; one that returns states or futures is as they are. The message is the
2.x line's and counts the tasks. With the setting `flows_fail_on_failed_tasks` the 2.x rule for flows that return
nothing holds as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ..domain.errors import SerializationError
from ..domain.runs import ResultRef
from ..domain.states import State, make, value_of
from . import attempts, naming, results
from .futures import PenstockFuture

if TYPE_CHECKING:
    from .flow_run import FlowCall


def outcome_state(call: FlowCall, now: datetime) -> State[Any]:
    """The state to propose; sets `call.value` and `call.error` to what the caller is to have."""
    value = call.value
    states = _states_of(value)
    if states is not None:
        return _from_states(call, states, now)
    if call.runtime.settings.flows_return_states:
        call.value = value = with_states(value)
    try:
        call.context.run.result = keep_result(call)
    except SerializationError as error:
        call.error = error
        attempts.report_failure(call.context, error, "")
        return attempts.failed_state("Flow run", error, now)
    if value is not None:
        return make("Completed", now)
    return _from_tally(call, now)


def _states_of(value: Any) -> list[State[Any]] | None:
    """The states that were returned, one or several (futures count as theirs); None for any other value."""
    if isinstance(value, State):
        return [value]
    if isinstance(value, PenstockFuture):
        return [value.state]
    if isinstance(value, list | tuple | set) and value and all(isinstance(v, State | PenstockFuture) for v in value):
        return [each if isinstance(each, State) else each.state for each in value]
    return None


def _from_states(call: FlowCall, states: list[State[Any]], now: datetime) -> State[Any]:
    single = isinstance(call.value, State | PenstockFuture)
    if single and isinstance(call.value, State):
        given = call.value
        returned = attempts.ended(given, "Flow run", now)
        call.value = returned.data if returned.is_completed() else None
        call.error = None if returned.is_completed() else _error_of(returned)
        if call.runtime.settings.flows_return_states and returned.is_completed():
            call.value = given
        return msgspec.structs.replace(returned, data=None, timestamp=now)
    state = aggregate([(each.type.value, each.is_final(), each.is_completed()) for each in states], now)
    if call.runtime.settings.flows_return_states:
        failed = next((each for each in states if not each.is_completed()), None)
        call.value, call.error = with_states(call.value), None if failed is None else _error_of(failed)
    elif state.is_completed():
        call.value = value_of(states[0]) if single else [value_of(each) for each in states]
        call.context.run.result = results.keep_if_small(call.value, call.context)
    else:
        failed = next(each for each in states if not each.is_completed())
        call.value, call.error = None, _error_of(failed)
    return state


def with_states(value: Any) -> Any:
    """The value with the states of (done) futures in their places, also within lists, tuples, sets and dicts."""
    if isinstance(value, PenstockFuture):
        return value.state
    if isinstance(value, dict):
        return {key: with_states(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set) and not hasattr(value, "_fields"):
        kind: Any = list if isinstance(value, list) else type(value)
        return kind(with_states(item) for item in value)
    return value


def _error_of(state: State[Any]) -> BaseException | None:
    error = value_of(state, raise_on_failure=False)
    return error if isinstance(error, BaseException) else None


def aggregate(ends: Iterable[tuple[str, bool, bool]], now: datetime) -> State[Any]:
    """One state for several of (type, is final, is completed)."""
    ends = list(ends)
    cancelled = sum(type_ == "CANCELLED" for type_, _, _ in ends)
    failed = sum(final and not completed and type_ != "CANCELLED" for type_, final, completed in ends)
    open_ = sum(not final for _, final, _ in ends)
    if cancelled:
        return make("Cancelled", now, message=f"{cancelled}/{len(ends)} states cancelled.")
    if failed:
        return make("Failed", now, message=f"{failed}/{len(ends)} states failed.")
    if open_:
        return make("Failed", now, message=f"{open_}/{len(ends)} states are not final.")
    return make("Completed", now, message="All states completed.")


def _from_tally(call: FlowCall, now: datetime) -> State[Any]:
    """For a flow that returned nothing."""
    tally = call.context.tally
    total = sum(tally.values())
    bad = {name: count for name, count in tally.items() if name != "COMPLETED"}
    if not bad:
        return make("Completed", now, message="All states completed.")
    failed = sum(bad.values())
    message = f"{failed}/{total} states failed."
    if set(bad) == {"CANCELLED"}:
        message = f"{failed}/{total} states cancelled."
    if not call.runtime.settings.flows_fail_on_failed_tasks:
        return make("Completed", now, message=message)
    return make("Cancelled" if set(bad) == {"CANCELLED"} else "Failed", now, message=message)


def keep_result(call: FlowCall) -> ResultRef | None:
    """Keeps a flow's value as its author asked for. Raises `SerializationError`."""
    flow, settings, run = call.flow, call.runtime.settings, call.context.run
    wanted = flow.persist_result
    if wanted is None and not (settings.results_persist_by_default or flow.result_storage or flow.result_serializer):
        return results.keep_if_small(call.value, call.context)
    if wanted is False:
        return None
    return results.keep(
        call.value,
        f"flow_runs/{run.id}",
        flow.result_serializer or settings.results_default_serializer,
        naming.storage_path(flow.result_storage, settings.local_storage_path),
        settings.results_inline_limit,
        f"flow {flow.name!r}",
        call.runtime.vault,
    )
