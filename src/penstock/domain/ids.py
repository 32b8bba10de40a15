"""Identifiers: uuid7 (RFC 9562), so that keys sort by the time they were made; and the short forms people type."""

from __future__ import annotations

from uuid import UUID, uuid5

from .errors import PenstockError

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_FLOW_NAMESPACE = UUID("6f1a7c5e-0d3b-5a86-9a51-3b0c3f1f7a10")
_set = object.__setattr__
_unknown = UUID(int=0).is_safe


def uuid7(nanoseconds: int, random: int) -> UUID:
    """A version 7 UUID of `nanoseconds` since 1970 and 62 bits of `random`.

    The 12 bits after the milliseconds hold their fraction (RFC 9562, method 3), so that ids of one process sort in
    the order they were made, not only within a millisecond.
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    value = (milliseconds << 80) | (fraction << 64) | _VERSION_AND_VARIANT | (random & 0x3FFFFFFFFFFFFFFF)
    # UUID() checks its arguments for about a microsecond; this number is right by construction.
    made = UUID.__new__(UUID)
    _set(made, "int", value)
    _set(made, "is_safe", _unknown)
    return made


def flow_id(name: str) -> UUID:
    """A flow's id follows from its name, so that no store need be asked for it."""
    return uuid5(_FLOW_NAMESPACE, name)


class InvalidId(PenstockError, ValueError):
    """Text that is neither an id nor a part of one."""

    code = "invalid-id"


def parse_id(text: str | UUID) -> UUID:
    """A full id from text; raises `InvalidId` naming it otherwise."""
    if isinstance(text, UUID):
        return text
    try:
        return UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise InvalidId(f"{text!r} is not an id; ids look like 0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d10.") from None
