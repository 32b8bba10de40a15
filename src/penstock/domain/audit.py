"""A line of the audit log: who asked for what change, when, from where, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

DONE = "done"

# Of texts only names are kept: any other (a value, a password, a message) may be a secret, and a digest of a short
# secret is no secret either. What is left out is said with its length.
_NAMES = frozenset(
    {
        "artifact_key", "block_type", "flow_name", "key", "kind", "limit_name", "name", "name_contains", "new_name",
        "operation", "owner", "prefix", "scopes", "slug", "state_names", "status", "tags", "type", "user", "who",
    }
)  # fmt: skip
_SECRET = frozenset(
    {"arguments", "current", "data", "fields", "parameters", "password", "payload", "secrets", "token", "value"}
)
_LONGEST_TEXT, _MOST_ITEMS, _DEEPEST = 200, 20, 3


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`n` orders the log; 0 before it has a number. `outcome` is "done", else the code of the error that was answered.
    `arguments` have no secrets: of texts that are no names there is only the length. `key` is the API key's prefix."""

    at: datetime
    who: str
    role: str
    operation: str
    outcome: str
    objects: tuple[str, ...] = ()
    arguments: dict[str, Any] = {}
    address: str = ""
    agent: str = ""
    key: str | None = None
    n: int = 0


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Lines from `since` on, before `until`, whose `who` has this text in it, of this operation."""

    who: str | None = None
    operation: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def harmless(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's arguments as they may be kept: what is empty goes, what may be secret is not shown."""
    return {name: _shown(name, value, 0) for name, value in arguments.items() if not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    return value is None or value is msgspec.UNSET or (hasattr(value, "__len__") and len(value) == 0)


def _shown(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if name in _SECRET:
        return _size_of(value)
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return value[:_LONGEST_TEXT] if name in _NAMES else _size_of(value)
    if depth >= _DEEPEST:
        return _size_of(value)
    if isinstance(value, Mapping):
        known = {key: each for key, each in value.items() if not _is_empty(each)}
        if not all(isinstance(key, str) and key.isidentifier() for key in known) or len(known) > _MOST_ITEMS:
            return _size_of(value)
        return {key: _shown(key, each, depth + 1) for key, each in known.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        items = list(value)
        shown = [_shown(name, each, depth + 1) for each in items[:_MOST_ITEMS]]
        return shown if len(items) <= _MOST_ITEMS else [*shown, f"… {len(items) - _MOST_ITEMS} more"]
    return _size_of(value)


def _size_of(value: Any) -> str:
    if isinstance(value, str):
        return f"(text of {len(value)})"
    return f"({type(value).__name__} of {len(value)})" if hasattr(value, "__len__") else f"({type(value).__name__})"
