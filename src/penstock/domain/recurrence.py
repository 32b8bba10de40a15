"""Recurrence rules (RFC 5545): their times near a moment, however long ago they began.

Law: what a rule costs is bounded by what is asked of it, never by how far back it begins or by how rarely it is due:
where no `COUNT` asks for its beginning, it is begun again near the moment, in step; and it is followed for a hundred
years (ten, where it may be due several times a day) and no farther.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from .errors import ScheduleError

LONGEST_RULE = 6_500
MOST_COUNT = 10_000
HORIZON, SHORT_HORIZON = timedelta(days=36_525), timedelta(days=3_653)
# Rules that count their occurrences are followed from their beginning.
FIRST = datetime(1970, 1, 1)
# By the names of dateutil: YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY.
_STEPS = {2: timedelta(days=7), 3: timedelta(days=1), 4: timedelta(hours=1), 5: timedelta(minutes=1),
          6: timedelta(seconds=1)}  # fmt: skip
_HOURLY = 4
_START = re.compile(r"DTSTART(;[^:\n]*)?:(\d{8}(?:T\d{6})?)(Z?)", re.I)
_PLACE = re.compile(r"TZID=([^;:]+)", re.I)


def times(text: str, zone: ZoneInfo, created: datetime, after: datetime) -> Iterator[datetime]:
    """The times of a rule from a little before `after` on, as aware moments, nearly in order. A rule without a DTSTART
    begins when it was `created`; one with a TZID is about the local times of that zone, else of `zone`.

    Raises `ScheduleError` for what is no rule.
    """
    if len(text) > LONGEST_RULE:
        raise ScheduleError(f"A recurrence rule has at most {LONGEST_RULE} characters; this has {len(text)}.")
    try:
        text, zone = _in_one_zone(text, zone)
        start = created.astimezone(zone).replace(tzinfo=None, microsecond=0)
        local = after.astimezone(zone).replace(tzinfo=None) - timedelta(hours=3)
        rules = _parsed(text, start)
        sub_daily = any(rule._freq >= _HOURLY for rule in _parts(rules))
        found = _near(rules, local).xafter(local, inc=True)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ScheduleError(f"{text!r} is no recurrence rule: {error}.") from None
    return _twice(found, zone) if sub_daily else (each.replace(tzinfo=zone) for each in found)


def _in_one_zone(text: str, zone: ZoneInfo) -> tuple[str, ZoneInfo]:
    """The rule with a beginning in local time, and the zone that this is of."""
    # (An end in UTC, as RFC 5545 has it beside a start in a zone, is meant as local time here.)
    text = re.sub(r"(UNTIL=\d{8}T\d{6})Z", r"\1", text, flags=re.I)
    found = _START.search(text)
    if found is None:
        return text, zone
    place = _PLACE.search(found[1] or "")
    if place is not None:
        zone = ZoneInfo(place[1])
    moment = found[2]
    if found[3] and "T" in moment:
        utc = datetime.strptime(moment, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        moment = utc.astimezone(zone).strftime("%Y%m%dT%H%M%S")
    return f"{text[: found.start()]}DTSTART:{moment}{text[found.end() :]}", zone


def _parsed(text: str, start: datetime) -> Any:
    from dateutil import rrule

    rules: Any = rrule.rrulestr(text, dtstart=start, ignoretz=True)
    for rule in _parts(rules):
        if rule._interval < 1:
            raise ValueError("INTERVAL is 1 or more")
        count = rule._count
        if count is not None and not 0 < count <= MOST_COUNT:
            raise ValueError(f"COUNT is 1 to {MOST_COUNT:,}")
        if not _has_days(rule):
            raise ValueError("no day is ever due by it")
        if count is not None and rule._dtstart < FIRST:
            raise ValueError("a rule with a COUNT begins in 1970 or later")
    return rules


def _has_days(rule: Any) -> bool:
    """Whether any day fits. (Asked year by year, which is cheap; by the second, dateutil would look at every day up to
    the year 9999.)"""
    from dateutil import rrule

    if rule._freq <= rrule.WEEKLY:
        return True
    yearly = rule.replace(
        freq=rrule.YEARLY, interval=1, count=None, until=None, bysetpos=None, byhour=0, byminute=0, bysecond=0
    )
    return next(iter(yearly), None) is not None


def _parts(rules: Any) -> list[Any]:
    """The rules of a set; one by itself is the only one."""
    return [rules] if hasattr(rules, "_freq") else [*rules._rrule, *rules._exrule]


def _near(rules: Any, local: datetime) -> Any:
    """The same rules, begun again near a moment, and with an end."""
    from dateutil import rrule

    if hasattr(rules, "_freq"):
        return _begun_near(rules, local)
    found: Any = rrule.rruleset()
    for each in rules._rrule:
        found.rrule(_begun_near(each, local))
    for each in rules._exrule:
        found.exrule(_begun_near(each, local))
    for each in rules._rdate:
        found.rdate(each)
    for each in rules._exdate:
        found.exdate(each)
    return found


def _begun_near(rule: Any, local: datetime) -> Any:
    begin, end = rule._dtstart, rule._until
    step = _STEPS.get(rule._freq)
    if rule._count is None and step is not None:
        whole = step * rule._interval
        # (One step earlier: in the step of a week that the moment is in, days may have passed.)
        begin += max(0, (local - begin) // whole - 1) * whole
    farthest, ahead = max(local, begin), SHORT_HORIZON if rule._freq >= _HOURLY else HORIZON
    farthest = datetime.max if datetime.max - farthest < ahead else farthest + ahead
    end = farthest if end is None else min(end, farthest)
    near = rule.replace(dtstart=begin)
    near._until = end  # (Asked for beside a COUNT, dateutil warns of it.)
    return near


def _twice(found: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """What is due every so many hours or minutes goes on through an hour that clocks show twice."""
    again: list[datetime] = []
    for each in found:
        first, second = each.replace(tzinfo=zone), each.replace(tzinfo=zone, fold=1)
        if first.utcoffset() == second.utcoffset():
            yield from again
            again = []
        elif first.astimezone(UTC) < second.astimezone(UTC):
            again.append(second)
        yield first
    yield from again
