"""A stored block: fields of a type, under a name. What is secret of it is only here as it was encrypted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from . import names
from .errors import InvalidName

# Where in the fields something stands: keys of objects, indexes of lists.
Place = tuple[str | int, ...]
Fields = dict[str, Any]


def parse_address(text: str) -> tuple[str, str]:
    """`secret/api-key` -> the type's slug and the name. Raises `InvalidName`."""
    slug, slash, name = text.partition("/")
    if not slash:
        raise InvalidName(f"A block is named by type and name, as in 'secret/api-key'; not {names.shown(text)}.")
    return names.check(slug, names.BLOCK_TYPE), names.check(name, names.BLOCK)


class BlockDocument(msgspec.Struct, frozen=True):
    """`type` is the slug of the block's type. `data` are its fields as JSON values, with None in the places of
    `secrets`, which are encrypted."""

    id: UUID
    type: str
    name: str
    data: Fields
    created: datetime
    updated: datetime
    secrets: tuple[tuple[Place, str], ...] = ()

    @property
    def address(self) -> str:
        """`secret/api-key`: what one block is called among all."""
        return f"{self.type}/{self.name}"

    def with_secrets(self, value: Callable[[Place, str], Any]) -> Fields:
        """The fields with `value(place, encrypted)` in the place of each secret."""
        fields: Fields = _copied(self.data)
        for place, sealed in self.secrets:
            inner: Any = fields
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = value(place, sealed)
        return fields


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
