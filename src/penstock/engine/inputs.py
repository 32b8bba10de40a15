"""Arguments that stand for other runs' values: finding the futures in them, and putting the values in their place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from ..domain.errors import UpstreamTaskError
from ..domain.states import State, StoredValue, value_of
from .annotations import allow_failure, quote, unmapped
from .futures import PenstockFuture

# Nothing to look for in these; most arguments are of them.
LEAVES = frozenset({int, float, str, bytes, bool, type(None), complex})
_WRAPPERS = (allow_failure, unmapped)
_CONTAINERS = (list, tuple, set, frozenset)
DEEPEST = 50


class _Found:
    """What one look at a value found: the futures, whether anything stands for another value, and in which containers.

    Each container is looked into once, however often it is referred to, also by itself; none deeper than `DEEPEST`.
    """

    __slots__ = ("futures", "holding", "seen", "stays")

    def __init__(self) -> None:
        self.futures: list[PenstockFuture[Any]] = []
        self.seen: set[int] = set()
        self.holding: set[int] = set()
        self.stays: Callable[[StoredValue], bool] | None = None

    def look(self, value: Any, depth: int = 0) -> bool:
        """Whether `value` is, or holds, something that stands for another value."""
        kind = type(value)
        if kind in LEAVES:
            return False
        if isinstance(value, PenstockFuture):
            self.futures.append(value)
            return True
        if isinstance(value, State) or kind is quote:
            return True
        if kind in _WRAPPERS:
            self.look(value.value, depth)
            return True
        items: Iterable[Any]
        if isinstance(value, dict):
            items = value.values()
        elif isinstance(value, _CONTAINERS):
            items = value
        elif hasattr(kind, "__dataclass_fields__"):
            items = [getattr(value, name, None) for name in kind.__dataclass_fields__]
        else:
            return False
        key = id(value)
        if key in self.seen or depth >= DEEPEST:
            return key in self.holding
        self.seen.add(key)
        holds = False
        for item in items:
            if type(item) not in LEAVES and self.look(item, depth + 1):
                holds = True
        if holds:
            self.holding.add(key)
        return holds


def futures_in(values: Iterable[Any]) -> list[PenstockFuture[Any]]:
    """All futures in these values and in the lists, tuples, sets, dicts and dataclasses that they hold.

    What is in `quote(...)` is not looked at.
    """
    found = _Found()
    for value in values:
        found.look(value)
    return found.futures


def needs_resolving(values: Iterable[Any]) -> bool:
    """Whether `resolve` would change anything: futures, states or annotations are among the values."""
    return any(type(value) not in LEAVES and _Found().look(value) for value in values)


def resolve(value: Any, stays: Callable[[StoredValue], bool] | None = None) -> Any:
    """The value with the results of (done) futures and states in their places; containers that hold none stay as they
    are, the very same objects. Of results that are stored elsewhere those of which `stays` says so are not fetched.

    Raises `UpstreamTaskError` for one that did not complete, unless `allow_failure` is around it.
    """
    found = _Found()
    found.stays = stays
    return _resolved(value, found, False) if found.look(value) else value


def _resolved(value: Any, found: _Found, failed_allowed: bool) -> Any:
    kind = type(value)
    if kind in LEAVES:
        return value
    if isinstance(value, PenstockFuture):
        return _result_of(value.state, f"task run {value.task_run.name!r}", failed_allowed, found)
    if isinstance(value, State):
        return _result_of(value, "run", failed_allowed, found)
    if kind is quote:
        return value.unwrap()
    if kind in _WRAPPERS:
        return _resolved(value.value, found, failed_allowed or kind is allow_failure)
    if id(value) not in found.holding:
        return value
    if isinstance(value, dict):
        copied = copy.copy(value)  # of its own kind: ordered, with its default
        copied.update({key: _resolved(item, found, failed_allowed) for key, item in value.items()})
        return copied
    if hasattr(kind, "__dataclass_fields__"):
        made = copy.copy(value)
        for name in kind.__dataclass_fields__:
            # (also for frozen ones: this copy is ours until it is handed over)
            object.__setattr__(made, name, _resolved(getattr(value, name, None), found, failed_allowed))
        return made
    items = [_resolved(item, found, failed_allowed) for item in value]
    return kind(*items) if isinstance(value, tuple) and hasattr(value, "_fields") else kind(items)


def _result_of(state: State[Any], of: str, failed_allowed: bool, found: _Found) -> Any:
    if state.is_completed():
        if found.stays is not None and isinstance(state.data, StoredValue) and found.stays(state.data):
            return state.data
        return value_of(state)
    if failed_allowed:
        return value_of(state, raise_on_failure=False)
    # In few words: at the end of a long chain of such runs each would say again all that the one before it said.
    raise UpstreamTaskError(f"Upstream {of} did not reach a 'COMPLETED' state: it is {state.name}.")
