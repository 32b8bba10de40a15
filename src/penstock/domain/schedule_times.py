"""When schedules are due: their next times, and what is wrong with one that cannot be.

Law: pure functions of a schedule and a moment. Times are given in UTC, ascending; which there are does not depend on
where one starts to count. Clocks that are changed: a time of day that does not exist (spring) is due right after the
gap, one that exists twice (autumn) is due once; what is due every so many minutes goes on through both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from . import recurrence
from .errors import ScheduleError
from .names import suggestion
from .schedules import CronSchedule, IntervalSchedule, OneOffSchedule, RRuleSchedule, Schedule

DAY = 86_400
LEAST_INTERVAL = 1.0
MOST_INTERVAL = 100 * 366 * DAY
# Two times of a rule may be so near to one another, for a hundred times in a row.
LOOKED_AT = 100
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_RANGES = ("0-59", "0-23", "1-31", "1-12 or JAN-DEC", "0-7 or SUN-SAT")
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_NEAR = datetime(2026, 1, 1, tzinfo=UTC)


def times(schedule: Schedule, *, created: datetime, after: datetime, limit: int, until: datetime) -> list[datetime]:
    """The times after a moment (not it itself) up to another, at most so many. Raises `ScheduleError`.

    Example::

        times(CronSchedule("0 6 * * *", timezone="Europe/Berlin"), created=now, after=now, limit=3, until=in_a_year)
    """
    found = []
    with _told():
        for each in islice(_from(schedule, created, after), limit):
            if each > until:
                break
            found.append(each)
    return found


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong while times are computed (a moment beyond all that calendars know, a rule that contradicts
    itself) is said of the schedule."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        if isinstance(error, ScheduleError):
            raise
        raise ScheduleError(f"The times of this schedule cannot be told: {error}.") from None


def latest(schedule: Schedule, *, created: datetime, after: datetime, before: datetime) -> datetime | None:
    """The last time in between, `before` included; None when there is none. Raises `ScheduleError`."""
    with _told():
        return _latest(schedule, created, after, before)


def _latest(schedule: Schedule, created: datetime, after: datetime, before: datetime) -> datetime | None:
    span = timedelta(minutes=10)
    # From the end, in growing steps: a schedule of every minute has many times in a month.
    start = max(after, before - span)
    while True:
        last = max(_until(schedule, created, start, before), default=None)
        if last is not None or start <= after:
            return last
        span *= 8
        start = max(after, before - span)


def check(schedule: Schedule) -> None:
    """Raises `ScheduleError` for a schedule that cannot be."""
    with _told():
        _check(schedule)
        # What planning will do.
        next(_from(schedule, _NEAR, _NEAR), None)


def _check(schedule: Schedule) -> None:
    if isinstance(schedule, OneOffSchedule):
        _aware(schedule.at, "at")
        return
    _zone(schedule.timezone)
    if isinstance(schedule, CronSchedule):
        _cron(schedule, _FIRST)
    elif isinstance(schedule, IntervalSchedule):
        if not LEAST_INTERVAL <= schedule.interval <= MOST_INTERVAL:
            raise ScheduleError(
                f"An interval is 1 second to 100 years long, in seconds; this is {schedule.interval!r}."
            )
        if schedule.anchor_date is not None:
            _aware(schedule.anchor_date, "anchor_date")
    else:
        few = list(islice(_rrule(schedule, _FIRST, _FIRST), LOOKED_AT))
        if not few:
            raise ScheduleError(f"No moment is ever due by the rule {schedule.rrule!r}.")
        if len(few) == LOOKED_AT and few[-1] - few[0] < timedelta(seconds=LOOKED_AT - 1):
            raise ScheduleError("This rule is due more than once a second.")


def in_words(schedule: Schedule) -> str:
    """A line that says when it is due: `every day at 06:00 (Europe/Berlin)`."""
    if isinstance(schedule, OneOffSchedule):
        return f"once, at {schedule.at.isoformat(timespec='seconds')}"
    zone = "" if schedule.timezone == "UTC" else f" ({schedule.timezone})"
    if isinstance(schedule, IntervalSchedule):
        days = schedule.interval % DAY == 0  # of hours and minutes the zone says nothing
        return f"every {_span(schedule.interval)}{zone if days else ''}"
    if isinstance(schedule, RRuleSchedule):
        return f"by the rule {schedule.rrule.splitlines()[-1]}{zone}"
    from cronsim import CronSim

    try:
        said = CronSim(_plain(schedule.cron), _FIRST).explain()
    except Exception:  # a help to people, no more
        return f"cron {schedule.cron}{zone}"
    return f"{said[:1].lower()}{said[1:]}{zone}"


# --- kinds -----------------------------------------------------------------------------------------------------------


def _from(schedule: Schedule, created: datetime, after: datetime) -> Iterator[datetime]:
    if isinstance(schedule, OneOffSchedule):
        at = _aware(schedule.at, "at")
        return iter((at,) if at > after else ())
    if isinstance(schedule, CronSchedule):
        return _ascending(_cron(schedule, after), after)
    if isinstance(schedule, IntervalSchedule):
        return _ascending(_interval(schedule, created, after), after)
    return _ascending(_rrule(schedule, created, after), after)


def _until(schedule: Schedule, created: datetime, after: datetime, before: datetime) -> Iterator[datetime]:
    for each in _from(schedule, created, after):
        if each > before:
            return
        yield each


def _ascending(found: Iterator[datetime], after: datetime) -> Iterator[datetime]:
    """In UTC, each once: two local times may be the same moment."""
    last = after
    for each in found:
        moment = each.astimezone(UTC)
        if moment > last:
            last = moment
            yield moment


def _cron(schedule: CronSchedule, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    text, zone = _plain(schedule.cron), _zone(schedule.timezone)
    fields = text.split()
    if len(fields) != 5:
        raise ScheduleError(
            f"A cron schedule has 5 fields ({', '.join(_FIELDS)}); {schedule.cron!r} has {len(fields)}."
        )
    try:
        # From a little before: a time in the gap of a changed clock is found from before the gap only.
        sim = CronSim(text, after.astimezone(zone) - timedelta(hours=3))
    except CronSimError:
        raise ScheduleError(_wrong_field(schedule.cron, fields)) from None
    if not schedule.day_or:
        sim.day_and = True
    return iter(sim)


def _plain(cron: str) -> str:
    return _WORDS.get(cron.strip().lower(), cron)


def _wrong_field(cron: str, fields: list[str]) -> str:
    """Which field is wrong, and where it stands."""
    from cronsim import CronSim, CronSimError

    for place, field in enumerate(fields):
        alone = ["*"] * 5
        alone[place] = field
        try:
            CronSim(" ".join(alone), _FIRST)
        except CronSimError:
            found = list(re.finditer(r"\S+", cron))
            start = found[place].start() if len(found) == 5 else 0
            pointer = f"\n  {cron}\n  {' ' * start}{'^' * len(field)}"
            return f"{field!r} is no {_FIELDS[place]} of a cron schedule ({_RANGES[place]}):{pointer}"
    return f"No day is ever due by the cron schedule {cron!r}."


def _interval(schedule: IntervalSchedule, created: datetime, after: datetime) -> Iterator[datetime]:
    zone = _zone(schedule.timezone)
    anchor = created if schedule.anchor_date is None else _aware(schedule.anchor_date, "anchor_date")
    if schedule.interval % DAY == 0:
        return _days(anchor.astimezone(zone), int(schedule.interval // DAY), after)
    return _steps(anchor, timedelta(seconds=schedule.interval), after)


def _steps(anchor: datetime, step: timedelta, after: datetime) -> Iterator[datetime]:
    place = max(0, (after - anchor) // step)
    while True:
        try:
            yield anchor + place * step
        except OverflowError:
            return
        place += 1


def _days(anchor: datetime, days: int, after: datetime) -> Iterator[datetime]:
    """The same time of day, by the clocks of the zone."""
    zone = anchor.tzinfo
    local = anchor.replace(tzinfo=None)
    place = max(0, (after.astimezone(zone).replace(tzinfo=None) - local).days // days - 1)
    while True:
        try:
            yield (local + timedelta(days=place * days)).replace(tzinfo=zone)
        except OverflowError:
            return
        place += 1


def _rrule(schedule: RRuleSchedule, created: datetime, after: datetime) -> Iterator[datetime]:
    return recurrence.times(schedule.rrule, _zone(schedule.timezone), created, after)


# --- parts -----------------------------------------------------------------------------------------------------------


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ScheduleError(f"There is no time zone {name!r}.{suggestion(str(name), available_timezones())}") from None


def _aware(moment: datetime, what: str) -> datetime:
    if moment.tzinfo is None:
        raise ScheduleError(f"{what} needs a time zone; {moment.isoformat()} has none.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ScheduleError(f"{what} is a moment that there is everywhere; {moment.isoformat()} is not.") from None


def _span(seconds: float) -> str:
    for size, name in ((7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            count = int(seconds // size)
            return name if count == 1 else f"{count} {name}s"
    return "second" if seconds == 1 else f"{seconds:,.15g} seconds"
