"""Task runs that have ended, in few bytes: of a million mapped items each future holds one.

A `TaskRun` of three states takes some 2,300 bytes as objects, and some 350 as what is made here, with all its fields.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, get_type_hints

import msgspec

from ..domain.runs import TaskRun

_FIELDS = TaskRun.__struct_fields__
_values = attrgetter(*_FIELDS)
_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode: Any = None


def pack(run: TaskRun) -> bytes | TaskRun:
    """What `unpack` makes the run from. One with details that have no such form (an author's own) stays as it is."""
    try:
        return _encode(_values(run))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return run


def unpack(packed: bytes | TaskRun) -> TaskRun:
    if isinstance(packed, TaskRun):
        return packed
    return TaskRun(**dict(zip(_FIELDS, (_decode or _make_decoder())(packed), strict=True)))


def _make_decoder() -> Any:
    """When first needed: it takes a look at the types."""
    global _decode
    hints = get_type_hints(TaskRun)
    types: Any = tuple[tuple(hints[name] for name in _FIELDS)]  # type: ignore[misc]
    _decode = msgspec.msgpack.Decoder(types).decode
    return _decode
