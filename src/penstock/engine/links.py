"""Which run made a value: so that the graph shows `b(a())`, where a plain value goes from one task to the next.

Law: a link is only ever made to the very object that a run returned, and no user's object is kept alive for long for
it. Objects that allow it are known by weak reference; of the others (lists, texts, numbers …) the latest few are held.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any
from uuid import UUID

HELD = 16
LARGEST_HELD = 10_000
# Python has one object for all equal ones of these: a link to it would be a link to everybody's.
_SHARED = frozenset({type(None), bool, type(Ellipsis), type(NotImplemented)})


class Links:
    """The values that runs of one flow run returned, and by which run."""

    __slots__ = ("_held", "_weak")

    def __init__(self) -> None:
        self._held: OrderedDict[int, tuple[Any, UUID]] = OrderedDict()
        self._weak: dict[int, tuple[weakref.ref[Any], UUID]] = {}

    def add(self, value: Any, run_id: UUID) -> None:
        """`value` is what the run returned."""
        kind = type(value)
        if kind in _SHARED or (kind is int and -6 < value < 257):
            return
        key = id(value)
        if kind in (int, float, str, bytes, list, tuple, dict):
            if kind in (str, bytes, list, tuple, dict) and not 0 < len(value) <= LARGEST_HELD:
                return
            self._held[key] = (value, run_id)
            self._held.move_to_end(key)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
            return
        try:
            self._weak[key] = (weakref.ref(value, lambda _: self._weak.pop(key, None)), run_id)
        except TypeError:
            return

    def of(self, value: Any) -> UUID | None:
        """The run that returned this very object, if that is known."""
        key = id(value)
        held = self._held.get(key)
        if held is not None and held[0] is value:
            return held[1]
        weak = self._weak.get(key)
        return weak[1] if weak is not None and weak[0]() is value else None
