"""Planning what schedules and backfills want, and saying what is late."""

from __future__ import annotations

from .. import backfills, scheduling
from ..desk import Desk


def once(desk: Desk) -> None:
    now = desk.now()
    scheduling.plan(desk.store, now)
    backfills.go_on(desk.store, now)
    scheduling.mark_late(desk.store, now)
