"""Schedules as Prefect 2 and its client make them: with a timedelta, and without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..domain import schedules


def CronSchedule(cron: str, timezone: str | None = None, day_or: bool = True) -> schedules.CronSchedule:
    """See `penstock.schedules.CronSchedule`."""
    return schedules.CronSchedule(cron, timezone=timezone or "UTC", day_or=day_or)


def IntervalSchedule(
    interval: float | timedelta, anchor_date: datetime | None = None, timezone: str | None = None
) -> schedules.IntervalSchedule:
    """See `penstock.schedules.IntervalSchedule`; `interval` in seconds, or a timedelta."""
    seconds: Any = interval.total_seconds() if isinstance(interval, timedelta) else interval
    if anchor_date is not None and anchor_date.tzinfo is None:
        anchor_date = anchor_date.replace(tzinfo=UTC)
    return schedules.IntervalSchedule(float(seconds), anchor_date=anchor_date, timezone=timezone or "UTC")


def RRuleSchedule(rrule: str, timezone: str | None = None) -> schedules.RRuleSchedule:
    """See `penstock.schedules.RRuleSchedule`."""
    return schedules.RRuleSchedule(rrule, timezone=timezone or "UTC")
