"""Which record a program uses, as a text that it shares with its watchdog through memory that nobody else sees: for a
server it holds the key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class ServerPlace(NamedTuple):
    url: str
    key: str | None
    basic: str | None
    spool: Path


def where_is(record: Path) -> bytes:
    """A database; the watchdog stands in another folder."""
    return os.fsencode(os.path.abspath(record))


def where_is_server(place: ServerPlace) -> bytes:
    return "\0".join((place.url, place.key or "", place.basic or "", str(place.spool))).encode(
        "utf-8", "surrogateescape"
    )


def place_in(where: bytes) -> Path | ServerPlace:
    if b"\0" not in where:
        return Path(os.fsdecode(where))
    url, key, basic, spool = where.decode("utf-8", "surrogateescape").split("\0")
    return ServerPlace(url, key or None, basic or None, Path(spool))
