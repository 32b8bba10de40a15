"""Deleting what is old."""

from __future__ import annotations

import time

from .. import retention
from ..desk import Desk

# No other loop has to wait longer for it; where there is more to do, it is done the next time.
LONGEST_SECONDS = 1.5


def once(desk: Desk) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    retention.prune(desk.store, desk.now(), desk.ages, is_over=lambda: time.monotonic() > deadline)
