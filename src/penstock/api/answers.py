"""From what an operation gives to JSON.

Runs carry beside their fields what is computed from their states, for people who use curl; clients of ours leave it
aside. In lists the bytes of results are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State, StateType
from ..protocol.operation import Page

Shape = Callable[[Any], Any]
_encode = msgspec.json.Encoder().encode
_COLLECTIONS = (list, tuple, set, frozenset)
_under_way: set[type] = set()


class Computed(msgspec.Struct):
    """What a run's JSON has besides the run's fields; `total_run_time` in seconds."""

    state: State[Any] | None
    state_type: StateType | None
    state_name: str | None
    start_time: datetime | None
    end_time: datetime | None
    total_run_time: float


def writer(gives: Any) -> Callable[[Any], bytes]:
    """How answers of this type are written as JSON."""
    shape = _shape(gives, False)
    return _encode if shape is None else lambda value: _encode(shape(value))


def run_json(run: FlowRun | TaskRun, *, listed: bool = False) -> bytes:
    """A run as the API shows it; `listed`: one of many, without its result's bytes."""
    if listed and run.result is not None and run.result.inline is not None:
        bare = msgspec.structs.replace(run.result, inline=None)
        run = msgspec.structs.replace(run, result=bare)
    state = run.states[-1] if run.states else None
    computed = Computed(
        state,
        state.type if state else None,
        state.name if state else None,
        run.start_time if state else None,
        run.end_time if state else None,
        run.total_run_time.total_seconds(),
    )
    return _encode(run)[:-1] + b"," + _encode(computed)[1:]


def _one(run: Any) -> Any:
    return msgspec.Raw(run_json(run))


def _listed(run: Any) -> Any:
    return msgspec.Raw(run_json(run, listed=True))


def _shape(kind: Any, listed: bool) -> Shape | None:
    """What is done to a value of a type before it is encoded; None: nothing."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is FlowRun or kind is TaskRun:
        return _listed if listed else _one
    if origin is Page:
        return _of_each(_shape(arguments[0], True), _page)
    if origin in _COLLECTIONS:
        return _of_each(_shape(arguments[0], True), _list)
    if origin is dict:
        return _of_each(_shape(arguments[1], True), _dict)
    if type(None) in arguments:
        shapes = [_shape(each, listed) for each in arguments if each is not type(None)]
        return _of_each(shapes[0] if len(shapes) == 1 else None, _optional)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _shape_of_struct(kind, listed)
    return None


def _of_each(shape: Shape | None, around: Callable[[Shape, Any], Any]) -> Shape | None:
    return None if shape is None else partial(around, shape)


def _page(shape: Shape, page: Page[Any]) -> Any:
    return Page(items=[shape(each) for each in page.items], next=page.next)


def _list(shape: Shape, values: Any) -> Any:
    return [shape(each) for each in values]


def _dict(shape: Shape, values: Any) -> Any:
    return {key: shape(each) for key, each in values.items()}


def _optional(shape: Shape, value: Any) -> Any:
    return None if value is None else shape(value)


def _shape_of_struct(kind: type[msgspec.Struct], listed: bool) -> Shape | None:
    if kind in _under_way:  # a tree of itself: its runs are written as they are
        return None
    _under_way.add(kind)
    try:
        hints = get_type_hints(kind)
        shapes = {name: shape for name in kind.__struct_fields__ if (shape := _shape(hints[name], listed)) is not None}
    finally:
        _under_way.discard(kind)
    if not shapes:
        return None

    def fields_of(value: Any) -> dict[str, Any]:
        found = {name: getattr(value, name) for name in value.__struct_fields__}
        for name, shape in shapes.items():
            found[name] = shape(found[name])
        return found

    return fields_of
