"""Backfills: a deployment's runs for a stretch of a schedule's times that lie in the past. Values only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from .schedules import Schedule

Json = dict[str, Any]
Counts = dict[str, int]

# A stretch with more times than this is a mistake, or several backfills.
MOST_RUNS = 10_000


class BackfillStatus(StrEnum):
    """Its runs are being made and run; all of them have ended; somebody cancelled it, and they are ending or have."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Backfill(msgspec.Struct, kw_only=True):
    """One run for each time of `schedule` from `start` on and before `end`, at most `parallelism` of them at once, the
    oldest first. `schedule` is as it was when the backfill was made. `total` runs will have been made when it is
    `completed`; `made` have been, up to the time `made_until`. `counts` says in which types of state those are.
    """

    id: UUID
    deployment_id: UUID
    deployment_name: str
    schedule: Schedule
    schedule_created: datetime
    start: datetime
    end: datetime
    parallelism: int
    total: int
    created: datetime
    who: str
    parameters: Json = {}
    made: int = 0
    made_until: datetime | None = None
    cancelled: datetime | None = None
    ended: datetime | None = None
    counts: Counts = {}

    @property
    def status(self) -> BackfillStatus:
        if self.cancelled is not None:
            return BackfillStatus.CANCELLED
        return BackfillStatus.RUNNING if self.ended is None else BackfillStatus.COMPLETED
