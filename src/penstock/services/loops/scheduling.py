"""Planning what schedules want, and saying what is late."""

from __future__ import annotations

from .. import scheduling
from ..desk import Desk


def once(desk: Desk) -> None:
    now = desk.now()
    scheduling.plan(desk.store, now)
    scheduling.mark_late(desk.store, now)
