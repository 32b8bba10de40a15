"""Functions of `prefect.states`."""

from __future__ import annotations

from typing import Any

from ..domain.states import State, value_of
from .dispatched import dispatched


def is_state(value: Any) -> bool:
    """Whether something is a state."""
    return isinstance(value, State)


@dispatched
def get_state_exception(state: State[Any]) -> Any:
    """The exception of a state that is not Completed."""
    return value_of(state, raise_on_failure=False)


@dispatched
def raise_state_exception(state: State[Any]) -> None:
    """Raises the exception of a state that did not complete; nothing for one that did."""
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        value_of(state)
