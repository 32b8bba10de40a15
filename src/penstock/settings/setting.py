"""One setting: its name, kind, default and meaning, and a way to its current value.

This module does not know where values come from: `current` gives it the reader when the room is imported (the table
is made of settings, and the reader needs the table, so one of the two has to be handed over).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from penstock.settings.kinds import Kind

T = TypeVar("T")

PREFIX = "PENSTOCK_"

# Sources that are not somebody's choice; the others are labels of places: a path, "environment", "profile 'x'".
DEFAULT = "default"
DERIVED = "derived from "


class Resolved(Protocol):
    """What a setting asks of the settings of the moment."""

    def value(self, setting: str, /) -> Any: ...

    def source(self, setting: str, /) -> str: ...


_readers: list[Callable[[], Resolved]] = []


def read_with(reader: Callable[[], Resolved]) -> None:
    """Say how settings find their current values; called once, by `current`."""
    _readers[:] = [reader]


def attribute_of(name: str) -> str:
    """`PENSTOCK_API_URL` -> `api_url`."""
    return name.removeprefix(PREFIX).lower()


class Setting(Generic[T]):
    """A setting. `value()` and `source()` are those of this moment, overrides included."""

    def __init__(self, name: str, kind: Kind[T], default: T, description: str, *, secret: bool = False) -> None:
        self.name = name
        self.attribute = attribute_of(name)
        self.kind = kind
        self.default = default
        self.description = description
        self.secret = secret
        # Pickled by name, so that functions which mention a setting can be sent to another process.
        self.__module__ = "penstock.settings.table"

    def value(self) -> T:
        """The typed current value."""
        return cast(T, _readers[0]().value(self.name))

    def source(self) -> str:
        """Where the current value came from."""
        return _readers[0]().source(self.name)

    def shown(self, value: object) -> object:
        """The value as people may see it: a secret's is covered."""
        return "********" if self.secret and value not in (None, "") else value

    def __reduce__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Setting {self.name}: {self.kind.label}, default {self.default!r}>"
