"""When schedules are due: in any zone, through changed clocks, from wherever one counts."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.schedule_times import check, in_words, latest, times
from penstock.domain.schedules import CronSchedule, IntervalSchedule, OneOffSchedule, RRuleSchedule, Schedule
from penstock.exceptions import ScheduleError

BERLIN = "Europe/Berlin"
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)


def due(schedule: Schedule, after: datetime, limit: int = 3) -> list[datetime]:
    return times(schedule, created=CREATED, after=after, limit=limit, until=FAR)


def local(schedule: Schedule, after: str, limit: int = 3, zone: str = BERLIN) -> list[str]:
    """As the clock on the wall there shows them."""
    start = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = due(schedule, start.astimezone(UTC), limit)
    return [each.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for each in found]


def test_a_time_of_day_stays_what_it_is_when_clocks_are_changed() -> None:
    daily = CronSchedule("0 6 * * *", timezone=BERLIN)
    assert local(daily, "2026-03-28T05:00") == ["03-28 06:00 +0100", "03-29 06:00 +0200", "03-30 06:00 +0200"]
    assert local(daily, "2026-10-24T05:00") == ["10-24 06:00 +0200", "10-25 06:00 +0100", "10-26 06:00 +0100"]


def test_a_time_that_does_not_exist_is_due_after_the_gap() -> None:
    night = CronSchedule("30 2 * * *", timezone=BERLIN)
    found = local(night, "2026-03-28T12:00")
    assert found[0].startswith("03-29 03:")
    assert found[1:] == ["03-30 02:30 +0200", "03-31 02:30 +0200"]


def test_a_time_that_exists_twice_is_due_once() -> None:
    night = CronSchedule("30 2 * * *", timezone=BERLIN)
    assert [each[:5] for each in local(night, "2026-10-24T12:00")] == ["10-25", "10-26", "10-27"]


def test_what_is_due_every_hour_is_due_in_both_hours_of_one_name() -> None:
    found = due(CronSchedule("0 * * * *", timezone=BERLIN), datetime(2026, 10, 24, 23, 30, tzinfo=UTC), 4)
    assert [b - a for a, b in itertools.pairwise(found)] == [timedelta(hours=1)] * 3


def test_a_day_s_interval_keeps_its_time_of_day_and_an_hour_s_its_distance() -> None:
    anchor = datetime(2026, 3, 1, 6, tzinfo=ZoneInfo(BERLIN))
    daily = IntervalSchedule(86_400, anchor_date=anchor, timezone=BERLIN)
    assert local(daily, "2026-03-28T05:00") == ["03-28 06:00 +0100", "03-29 06:00 +0200", "03-30 06:00 +0200"]
    hourly = due(IntervalSchedule(3600, anchor_date=anchor, timezone=BERLIN), datetime(2026, 3, 29, tzinfo=UTC), 5)
    assert {b - a for a, b in itertools.pairwise(hourly)} == {timedelta(hours=1)}


def test_a_rule_is_about_the_clock_of_its_zone() -> None:
    rule = RRuleSchedule("DTSTART:20260301T060000\nRRULE:FREQ=DAILY;BYHOUR=6", timezone=BERLIN)
    assert local(rule, "2026-03-28T05:00") == ["03-28 06:00 +0100", "03-29 06:00 +0200", "03-30 06:00 +0200"]


def test_a_rule_with_an_end_ends() -> None:
    rule = RRuleSchedule("FREQ=DAILY;COUNT=2")
    assert len(due(rule, CREATED - timedelta(days=1), 9)) == 2
    assert due(RRuleSchedule("FREQ=DAILY;UNTIL=20260103T000000Z"), CREATED, 9)[-1] == datetime(2026, 1, 3, tzinfo=UTC)


def test_once_is_once() -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert due(OneOffSchedule(at), CREATED) == [at]
    assert due(OneOffSchedule(at), at) == []


def test_days_of_the_month_and_of_the_week_are_either_or_both() -> None:
    either = due(CronSchedule("0 0 13 * 5"), CREATED, 60)
    both = due(CronSchedule("0 0 13 * 5", day_or=False), CREATED, 3)
    assert all(each.day == 13 or each.weekday() == 4 for each in either)
    assert [each.date().isoformat() for each in both] == ["2026-02-13", "2026-03-13", "2026-11-13"]


def test_the_latest_time_is_found_however_often_it_is_due() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for schedule in (CronSchedule("* * * * *"), CronSchedule("0 0 29 2 *"), IntervalSchedule(1.0)):
        found = latest(schedule, created=start, after=start, before=CREATED)
        assert found is not None
        assert times(schedule, created=start, after=found, limit=1, until=CREATED) == []
    assert latest(CronSchedule("0 0 29 2 *"), created=start, after=CREATED - timedelta(days=9), before=CREATED) is None


SCHEDULES = st.one_of(
    st.builds(
        lambda m, h, d, zone: CronSchedule(f"{m} {h} {d} * *", timezone=zone),
        st.sampled_from(["*", "*/7", "0", "30", "59"]),
        st.sampled_from(["*", "2", "3", "0,12", "*/5"]),
        st.sampled_from(["*", "1", "*/3"]),
        st.sampled_from([BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe"]),
    ),
    st.builds(
        lambda seconds, zone: IntervalSchedule(float(seconds), timezone=zone),
        st.sampled_from([61, 3600, 86_400, 3 * 86_400]),
        st.sampled_from([BERLIN, "UTC", "America/New_York"]),
    ),
    st.builds(
        lambda freq, zone: RRuleSchedule(f"FREQ={freq};INTERVAL=2", timezone=zone),
        st.sampled_from(["HOURLY", "DAILY", "WEEKLY"]),
        st.sampled_from([BERLIN, "UTC"]),
    ),
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


@given(SCHEDULES, MOMENTS)
def test_times_ascend_and_do_not_depend_on_where_one_starts(schedule: Schedule, after: datetime) -> None:
    found = due(schedule, after, 12)
    assert found == sorted(set(found))
    assert all(each > after for each in found)
    assert due(schedule, found[4], 7) == found[5:]
    assert due(schedule, found[4] - timedelta(microseconds=1), 8) == found[4:]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (CronSchedule("61 * * * *"), r"'61' is no minute of a cron schedule \(0-59\):\n  61 \* \* \* \*\n  \^\^$"),
        (CronSchedule("0 0 * 13 *"), r"'13' is no month of a cron schedule .*:\n  0 0 \* 13 \*\n {8}\^\^$"),
        (CronSchedule("0 0 * *"), "has 5 fields .* has 4"),
        (CronSchedule("0 0 31 2 *"), "No day is ever due"),
        (CronSchedule("* * * * *", timezone="Europe/Berln"), "There is no time zone 'Europe/Berln'. Did you mean"),
        (CronSchedule("* * * * *", timezone="../etc/passwd"), "There is no time zone"),
        (IntervalSchedule(0), "1 second to 100 years"),
        (IntervalSchedule(float("nan")), "1 second to 100 years"),
        (IntervalSchedule(60, anchor_date=datetime(2026, 1, 1)), "anchor_date needs a time zone"),
        (OneOffSchedule(datetime(2026, 1, 1)), "at needs a time zone"),
        (RRuleSchedule("FREQ=SOMETIMES"), "is no recurrence rule"),
        (RRuleSchedule("FREQ=DAILY;" + "BYHOUR=1;" * 1000), "at most 6500 characters"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(schedule: Schedule, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        check(schedule)


@pytest.mark.parametrize("word", ["@daily", "@HOURLY", "@weekly", "@monthly", "@yearly"])
def test_words_stand_for_fields(word: str) -> None:
    check(CronSchedule(word))


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (CronSchedule("0 6 * * *", timezone=BERLIN), f"at 06:00 every day ({BERLIN})"),
        (IntervalSchedule(600), "every 10 minutes"),
        (IntervalSchedule(86_400), "every day"),
        (OneOffSchedule(CREATED), "once, at 2026-01-01T00:00:00+00:00"),
        (RRuleSchedule("FREQ=DAILY"), "by the rule FREQ=DAILY"),
    ],
)
def test_people_are_told_in_words(schedule: Schedule, words: str) -> None:
    assert in_words(schedule) == words
