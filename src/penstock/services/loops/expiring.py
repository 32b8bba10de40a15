"""Ending pauses whose time is over, and for which no process waits."""

from __future__ import annotations

from .. import pausing
from ..desk import Desk


def once(desk: Desk) -> None:
    pausing.expire(desk.store, desk.now(), desk.lives)
