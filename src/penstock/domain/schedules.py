"""Schedules: when a deployment's runs are due, and what becomes of those that were missed or would overlap.

Law: a schedule is a value. When its next times are is computed from it and a moment (`schedule_times`); nothing here
reads a clock, and what was planned is in the record.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

Parameters = dict[str, Any]


class CronSchedule(msgspec.Struct, frozen=True, tag="cron", tag_field="kind", forbid_unknown_fields=True):
    """Five fields of cron (or a word like `@daily`), read in `timezone` (an IANA name). `day_or`: where both days are
    given, either is enough."""

    cron: str
    timezone: str = "UTC"
    day_or: bool = True


class IntervalSchedule(msgspec.Struct, frozen=True, tag="interval", tag_field="kind", forbid_unknown_fields=True):
    """Every `interval` seconds from `anchor_date` on (None: from when it was made). A day's multiple keeps its time of
    day in `timezone`, also where clocks are changed."""

    interval: float
    anchor_date: datetime | None = None
    timezone: str = "UTC"


class RRuleSchedule(msgspec.Struct, frozen=True, tag="rrule", tag_field="kind", forbid_unknown_fields=True):
    """A recurrence rule as RFC 5545 writes it, with its DTSTART or without, read in `timezone`."""

    rrule: str
    timezone: str = "UTC"


class OneOffSchedule(msgspec.Struct, frozen=True, tag="once", tag_field="kind", forbid_unknown_fields=True):
    """Once, at that moment."""

    at: datetime


Schedule = CronSchedule | IntervalSchedule | RRuleSchedule | OneOffSchedule


class CatchUp(StrEnum):
    """What becomes of times that passed while nobody planned runs (no server and no worker ran): all of them are run,
    the latest only, or none. (Times at which a schedule was paused are never run.)"""

    ALL = "all"
    LATEST = "latest"
    NONE = "none"


class Overlap(StrEnum):
    """What becomes of a run that is due while an earlier one of the same schedule has not ended: it runs beside it, it
    is skipped, it waits, or the earlier one is cancelled."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_OLD = "cancel-old"


class DeploymentSchedule(msgspec.Struct, kw_only=True):
    """One of a deployment's schedules. `parameters` go over the deployment's own. `jitter` is up to how many seconds
    later a run may begin, at random, the same for the same run. `catchup_window` is how many seconds back a missed time
    is looked at, None: however long. `planned_until` is up to when its runs are in the record, and `plan_again` when
    more of them will be; None: nothing is yet. `problem` is why it was stopped: its times cannot be told."""

    id: UUID
    deployment_id: UUID
    schedule: Schedule
    created: datetime
    updated: datetime
    slug: str | None = None
    active: bool = True
    parameters: Parameters = {}
    catchup: CatchUp = CatchUp.LATEST
    catchup_window: float | None = None
    overlap: Overlap = Overlap.ALLOW
    jitter: float = 0.0
    planned_until: datetime | None = None
    plan_again: datetime | None = None
    problem: str | None = None
