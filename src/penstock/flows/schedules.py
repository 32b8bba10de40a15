"""Schedules as users write them: `Cron(...)`, `Interval(...)`, `RRule(...)`, `Once(...)`, and the shorter forms of
`serve` and `deploy`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ..domain.errors import DeploymentError
from ..domain.schedules import CatchUp, CronSchedule, IntervalSchedule, OneOffSchedule, Overlap, RRuleSchedule, Schedule
from ..protocol.deployments import ScheduleGiven


def schedules_of(
    interval: Any, cron: Any, rrule: Any, timezone: str, schedule: Any, schedules: Sequence[Any] | None
) -> tuple[ScheduleGiven, ...]:
    found: list[Any] = [] if schedule is None else [schedule]
    found += schedules or ()
    found += [CronSchedule(each, timezone=timezone) for each in _several(cron)]
    found += [IntervalSchedule(_seconds(each), timezone=timezone) for each in _several(interval)]
    found += [RRuleSchedule(each, timezone=timezone) for each in _several(rrule)]
    return tuple(_given(each) for each in found)


def _given(each: Any) -> ScheduleGiven:
    if isinstance(each, ScheduleGiven):
        return each
    if isinstance(each, Schedule):
        return ScheduleGiven(schedule=each)
    if isinstance(each, dict):
        try:
            return msgspec.convert(each, ScheduleGiven)
        except msgspec.ValidationError as error:
            raise DeploymentError(f"{each!r:.200} is no schedule: {error}.") from None
    raise DeploymentError(
        f"{each!r:.200} is no schedule: use Cron(…), Interval(…), RRule(…) or Once(…) of penstock.schedules."
    )


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str | int | float | timedelta) else list(value)


def _seconds(value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeploymentError(f"interval is a number of seconds or a timedelta; it is {value!r:.80}.")
    return float(value)


def cron(
    cron: str, timezone: str = "UTC", *, day_or: bool = True, active: bool = True, parameters: Any = None,
    slug: str | None = None, **policies: Any,
) -> ScheduleGiven:  # fmt: skip
    """A schedule of five fields, `Cron("0 6 * * 1-5", timezone="Europe/Berlin")`. `policies`: see
    `domain.schedules.DeploymentSchedule` (`catchup`, `catchup_window`, `overlap`, `jitter`)."""
    return _with(CronSchedule(cron, timezone=timezone, day_or=day_or), active, parameters, slug, policies)


def interval(
    interval: float | timedelta, anchor_date: datetime | None = None, timezone: str = "UTC", *, active: bool = True,
    parameters: Any = None, slug: str | None = None, **policies: Any,
) -> ScheduleGiven:  # fmt: skip
    """Every so many seconds (or a timedelta): `Interval(timedelta(hours=6))`."""
    made = IntervalSchedule(_seconds(interval), anchor_date=anchor_date, timezone=timezone)
    return _with(made, active, parameters, slug, policies)


def rrule(
    rrule: str, timezone: str = "UTC", *, active: bool = True, parameters: Any = None, slug: str | None = None,
    **policies: Any,
) -> ScheduleGiven:  # fmt: skip
    """A recurrence rule as RFC 5545 writes it: `RRule("FREQ=MONTHLY;BYDAY=-1FR")`."""
    return _with(RRuleSchedule(rrule, timezone=timezone), active, parameters, slug, policies)


def once(at: datetime, *, parameters: Any = None, slug: str | None = None, **policies: Any) -> ScheduleGiven:
    """One time: `Once(datetime(2026, 12, 24, 18, tzinfo=UTC))`."""
    return _with(OneOffSchedule(at), True, parameters, slug, policies)


def _with(
    schedule: Schedule, active: bool, parameters: Any, slug: str | None, policies: dict[str, Any]
) -> ScheduleGiven:
    unknown = sorted(policies.keys() - {"catchup", "catchup_window", "overlap", "jitter"})
    if unknown:
        raise DeploymentError(f"A schedule has no {unknown[0]!r}; it has catchup, catchup_window, overlap and jitter.")
    for name, kind in (("catchup", CatchUp), ("overlap", Overlap)):
        if name in policies:
            try:
                policies[name] = kind(policies[name])
            except ValueError:
                raise DeploymentError(f"{name} is one of {', '.join(kind)}; this is {policies[name]!r}.") from None
    return ScheduleGiven(schedule=schedule, active=active, parameters=parameters or {}, slug=slug, **policies)
