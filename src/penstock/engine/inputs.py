"""Arguments that stand for other runs' values: finding the futures in them, and putting the values in their place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from ..domain.errors import UpstreamTaskError
from ..domain.states import State
from .annotations import allow_failure, quote, unmapped
from .futures import PenstockFuture

# Nothing to look for in these; most arguments are of them.
LEAVES = frozenset({int, float, str, bytes, bool, type(None), complex})
_WRAPPERS = (allow_failure, unmapped)
DEEPEST = 50


def futures_in(values: Iterable[Any]) -> list[PenstockFuture[Any]]:
    """All futures in these values and in the lists, tuples, dicts and sets that they hold, not in what is quoted."""
    found: list[PenstockFuture[Any]] = []
    for value in values:
        if type(value) not in LEAVES:
            _collect(value, found, 0)
    return found


def _collect(value: Any, found: list[PenstockFuture[Any]], depth: int) -> None:
    kind = type(value)
    if isinstance(value, PenstockFuture):
        found.append(value)
    elif kind in _WRAPPERS:
        _collect(value.value, found, depth)
    elif (depth < DEEPEST and kind in (list, tuple, set, frozenset)) or isinstance(value, list | tuple):
        for item in value:
            if type(item) not in LEAVES:
                _collect(item, found, depth + 1)
    elif depth < DEEPEST and isinstance(value, dict):
        for item in value.values():
            if type(item) not in LEAVES:
                _collect(item, found, depth + 1)


def needs_resolving(values: Iterable[Any]) -> bool:
    """Whether `resolve` would change anything: futures, states or annotations are among the values."""
    return any(type(value) not in LEAVES and _stands_for(value, 0) for value in values)


def _stands_for(value: Any, depth: int) -> bool:
    kind = type(value)
    if isinstance(value, PenstockFuture | State) or kind in _WRAPPERS or kind is quote:
        return True
    if depth >= DEEPEST:
        return False
    if kind in (list, tuple, set, frozenset) or isinstance(value, list | tuple):
        return any(type(item) not in LEAVES and _stands_for(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return any(type(item) not in LEAVES and _stands_for(item, depth + 1) for item in value.values())
    return False


def resolve(value: Any, failed_allowed: bool = False, depth: int = 0) -> Any:
    """The value with the results of (done) futures and states in their places.

    Raises `UpstreamTaskError` for one that did not complete, unless `allow_failure` is around it.
    """
    kind = type(value)
    if kind in LEAVES:
        return value
    if isinstance(value, PenstockFuture):
        return _result_of(value.state, f"task run {value.task_run.name!r}", failed_allowed)
    if isinstance(value, State):
        return _result_of(value, "run", failed_allowed)
    if kind is quote:
        return value.unwrap()
    if kind is allow_failure:
        return resolve(value.value, True, depth)
    if kind is unmapped:
        return resolve(value.value, failed_allowed, depth)
    if depth >= DEEPEST or not _stands_for(value, depth):
        return value
    each: Callable[[Any], Any] = lambda item: resolve(item, failed_allowed, depth + 1)  # noqa: E731
    if isinstance(value, dict):
        copied = copy.copy(value)  # of its own kind: ordered, with its default
        copied.update({key: each(item) for key, item in value.items()})
        return copied
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*map(each, value))
    return kind(map(each, value))


def _result_of(state: State[Any], of: str, failed_allowed: bool) -> Any:
    if state.is_completed():
        return state.result()
    if failed_allowed:
        return state.result(raise_on_failure=False)
    # In few words: at the end of a long chain of such runs each would say again all that the one before it said.
    raise UpstreamTaskError(f"Upstream {of} did not reach a 'COMPLETED' state: it is {state.name}.")
