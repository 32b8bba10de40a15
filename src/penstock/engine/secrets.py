"""Values that say of themselves that they are secret: pydantic's `SecretStr` and the like.

Law: nothing is imported for this. A program that has no such type pays for one look at a dictionary.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from .inputs import LEAVES
from .masking import MASKER

# How deep in lists, models and the like secrets are looked for, and among how many items of each.
DEEPEST = 8
MOST_ITEMS = 10_000
_TYPES = "pydantic.types"

_following = False
_undo: Callable[[], None] | None = None


def follow() -> Callable[[], None]:
    """From now on whatever code takes out of a secret is masked; gives what ends that. Where pydantic is imported later
    it begins with the next call of a task or a flow."""
    global _following
    _following = True
    _stand_before()
    return _step_back


def _stand_before() -> None:
    """Puts a function of ours before pydantic's, which notes what that gives."""
    global _undo
    base: Any = getattr(sys.modules.get(_TYPES), "_SecretBase", None)
    if base is None or _undo is not None:
        return
    original = base.get_secret_value

    @functools.wraps(original)
    def get_secret_value(self: Any) -> Any:
        value = original(self)
        add(value)
        return value

    base.get_secret_value = get_secret_value

    def undo() -> None:
        if base.get_secret_value is get_secret_value:
            base.get_secret_value = original

    _undo = undo


def _step_back() -> None:
    global _following, _undo
    _following = False
    undo, _undo = _undo, None
    if undo is not None:
        undo()


def learn(values: Iterable[Any]) -> None:
    """Has the secrets in values masked from now on."""
    if _TYPES in sys.modules:
        if _following and _undo is None:
            _stand_before()
        for value in values:
            if type(value) not in LEAVES:
                _look(value, 0, set())


def learn_of(value: Any) -> None:
    """As `learn`, of one value."""
    learn((value,))


def learn_if_secret(value: Any) -> None:
    """As `learn`, and what is in the value is not looked for: for a pickler, which comes by it, however deep it is."""
    if callable(getattr(type(value), "get_secret_value", None)):
        add(value.get_secret_value())


def add(value: Any, depth: int = 0) -> None:
    """Has the clear value of a secret masked: of what holds several, each; of anything else, how it is written."""
    if isinstance(value, str | bytes):
        MASKER.add(value)
    elif value is not None and not isinstance(value, bool) and depth <= DEEPEST:
        parts = list(_parts(value))
        for part in parts:
            add(part, depth + 1)
        if not parts:
            MASKER.add(bytes(value) if isinstance(value, bytearray) else str(value))


def _look(value: Any, depth: int, seen: set[int]) -> None:
    kind = type(value)
    if kind in LEAVES or depth > DEEPEST or id(value) in seen:
        return
    seen.add(id(value))
    try:
        if callable(getattr(kind, "get_secret_value", None)):
            add(value.get_secret_value())
            return
        parts = list(islice(_parts(value), MOST_ITEMS))
    except Exception:  # code of the value's own: it is for those who use the value to find out
        return
    for part in parts:
        if type(part) not in LEAVES:
            _look(part, depth + 1, seen)


def _parts(value: Any) -> Iterable[Any]:
    kind = type(value)
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if hasattr(kind, "model_fields"):
        return [*value.__dict__.values(), *(getattr(value, "__pydantic_extra__", None) or {}).values()]
    for names in ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__"):
        if hasattr(kind, names):
            fields = (each if isinstance(each, str) else each.name for each in getattr(kind, names))
            return [getattr(value, name, None) for name in fields]
    return ()
