"""Deleting what is old."""

from __future__ import annotations

import time

from .. import retention
from ..desk import Desk

# No other loop has to wait longer for it. What is left is done after a pause that keeps the record the others': so a
# fleet that writes all day has its old rows deleted as fast.
LONGEST_SECONDS = 0.5
PAUSE_SECONDS = 0.5


def once(desk: Desk) -> float | None:
    deadline = time.monotonic() + LONGEST_SECONDS
    pruned = retention.prune(desk.store, desk.now(), desk.ages, is_over=lambda: time.monotonic() > deadline)
    return None if pruned.finished else PAUSE_SECONDS
