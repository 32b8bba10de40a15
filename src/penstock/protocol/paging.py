"""Cursors: where in a list a page ends, as text that a client gives back and that nothing is believed of."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.filters import FilterError

MOST = 1000
Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST, description="At most so many.")]
Cursor = Annotated[str, msgspec.Meta(max_length=200, description="`next` of the page before.")]


def after(id: UUID) -> str:
    """The cursor of a list that is ordered by ids: what follows comes after this one."""
    return base64.urlsafe_b64encode(id.bytes).decode().rstrip("=")


def id_in(cursor: str | None) -> UUID | None:
    """Raises `FilterError` for what is no such cursor."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise FilterError(f"{cursor!r} is no cursor; give back `next` of the page before as it was.") from None
