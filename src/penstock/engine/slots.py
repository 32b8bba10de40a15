"""A task run's slots: before each of its attempts it takes one of every limit that is on a tag of its."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..domain.concurrency import why_waiting
from ..domain.states import make
from . import attempts
from .attempts import INFO
from .effects import Join, Script
from .runlog import say
from .stopping import StopDelivered

if TYPE_CHECKING:
    from ..ledger.slots import Place
    from .context import RunContext
    from .scopes import Scope
    from .task_run import TaskCall


def claim(context: RunContext[Any], names: tuple[str, ...], occupy: int = 1, **more: Any) -> Place:
    """A claim that ends with the run at the latest, and with the process that the run is of."""
    flow = context.flow_context
    holder = None if flow is None else flow.run.holder
    return context.runtime.slots().claim(
        names,
        occupy,
        holder=holder or context.runtime.holder,
        run_id=context.run.id,
        flow_run_id=None if flow is None or context.detached else flow.run.id,
        **more,
    )


def take(call: TaskCall, enter: Callable[..., None], end_stopped: Callable[..., Any]) -> Script[bool]:
    """Takes the slots that the run's tags ask for, before an attempt; waits for them in AwaitingConcurrencySlot. False
    when the run was stopped meanwhile. (How a run enters a state, and how it ends then, its script knows.)

    The slots are in `call.place`; they end with the run, and are given back before it is tried again.
    """
    slots, give = call.runtime.slots(), call.place
    if give is not None:  # of an attempt that was not the last
        slots.give_back(give)
        call.place = None
    names = slots.limited(call.context.run.tags)
    if names == ():
        return True
    scope = attempts.open_scope(call.context)
    try:
        if names is None:
            yield from Join([slots.learn()], scope)
            names = slots.limited(call.context.run.tags)
        if names:
            call.place = yield from _taken(call, names, scope, enter)
    except StopDelivered as stopped:
        end_stopped(call, scope, stopped)
        return False
    finally:
        scope.close()
    return True


def _taken(call: TaskCall, names: tuple[str, ...], scope: Scope, enter: Callable[..., None]) -> Script[Place]:
    place = claim(call.context, names)
    try:
        yield from Join([place.answered], scope)
        claimed = place.outcome()
        if not claimed.taken:
            message = why_waiting(claimed, 1)
            details = {"limit": claimed.limit, "slots": claimed.slots, "place": claimed.place}
            now = call.runtime.clock.now()
            enter(call, make("AwaitingConcurrencySlot", now, message=message, details=details))
            say(call.context, INFO, message)
            yield from Join([place.arrived], scope)
        place.outcome()
    except BaseException:
        call.runtime.slots().give_back(place)
        raise
    return place
