"""When schedules are due: in any zone, through changed clocks, from wherever one counts."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
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


# --- rules that would cost without end -------------------------------------------------------------------------------


def rule_times(rule: str, after: datetime, limit: int, zone: str = "UTC") -> list[str]:
    schedule = RRuleSchedule(rrule=rule, timezone=zone)
    check(schedule)
    found = times(schedule, created=after, after=after, limit=limit, until=datetime(9000, 1, 1, tzinfo=UTC))
    return [f"{each:%Y-%m-%d %H:%M:%S}" for each in found]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("DTSTART:20200101T000003\nRRULE:FREQ=SECONDLY;INTERVAL=7", ["2026-11-27 09:00:01", "2026-11-27 09:00:08"]),
        ("DTSTART:00010101T000000\nRRULE:FREQ=SECONDLY", ["2026-11-27 09:00:01", "2026-11-27 09:00:02"]),
        ("DTSTART:19900101T000000\nRRULE:FREQ=MINUTELY;INTERVAL=45", ["2026-11-27 09:45:00", "2026-11-27 10:30:00"]),
        (
            "DTSTART:20200101T060000\nRRULE:FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,FR",
            ["2026-12-14 06:00:00", "2026-12-18 06:00:00"],
        ),
        ("DTSTART:20200229T060000\nRRULE:FREQ=YEARLY", ["2028-02-29 06:00:00", "2032-02-29 06:00:00"]),
        ("DTSTART:20261127T000000\nRRULE:FREQ=HOURLY;COUNT=11", ["2026-11-27 10:00:00"]),
    ],
)
def test_a_rule_that_began_long_ago_is_told_at_once_and_in_step(rule: str, expected: list[str]) -> None:
    assert rule_times(rule, datetime(2026, 11, 27, 9, tzinfo=UTC), 2) == expected


def test_begun_again_near_a_moment_a_rule_has_the_times_that_it_has_from_its_beginning() -> None:
    from dateutil.rrule import rrulestr

    begin, after = datetime(2025, 3, 4, 5, 6, 7), datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    for rule in (
        "FREQ=DAILY;INTERVAL=3", "FREQ=DAILY;INTERVAL=2;BYHOUR=1,13", "FREQ=WEEKLY;INTERVAL=5",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,WE;WKST=SU", "FREQ=HOURLY;INTERVAL=7", "FREQ=HOURLY;INTERVAL=5;BYDAY=MO",
        "FREQ=MINUTELY;INTERVAL=11;BYHOUR=3", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=DAILY;INTERVAL=10;BYMONTH=3,5",
    ):  # fmt: skip
        whole = rrulestr(rule, dtstart=begin).xafter(after.replace(tzinfo=None), count=20)
        expected = [f"{each:%Y-%m-%d %H:%M:%S}" for each in whole]
        assert rule_times(f"DTSTART:{begin:%Y%m%dT%H%M%S}\nRRULE:{rule}", after, 20) == expected, rule


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "no day is ever due"),
        ("FREQ=SECONDLY;COUNT=5;BYMONTH=2;BYMONTHDAY=30", "no day is ever due"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "No moment is ever due"),
        ("FREQ=SECONDLY;COUNT=1000000000", "COUNT is 1 to 10,000"),
        ("DTSTART:00010101T000000\nRRULE:FREQ=SECONDLY;COUNT=5", "begins in 1970 or later"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL is 1 or more"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL is 1 or more"),
        ("FREQ=SECONDLY;BYSECOND=61", "cannot be told"),
        ("DTSTART;TZID=Nowhere/Land:20270101T060000\nRRULE:FREQ=DAILY", "Nowhere/Land"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused_in_a_sentence(rule: str, said: str) -> None:
    with pytest.raises(ScheduleError, match=said):
        check(RRuleSchedule(rrule=rule))


def test_hourly_and_minutely_rules_go_on_through_both_changes_of_the_clock() -> None:
    begin = "DTSTART:20270101T000000\nRRULE:FREQ="
    autumn, spring = datetime(2027, 10, 30, 22, 40, tzinfo=UTC), datetime(2027, 3, 28, 0, 10, tzinfo=UTC)
    assert [each[11:16] for each in rule_times(f"{begin}HOURLY", autumn, 5, BERLIN)] == [
        "23:00", "00:00", "01:00", "02:00", "03:00",
    ]  # fmt: skip
    halves = ["23:00", "23:30", "00:00", "00:30", "01:00", "01:30", "02:00", "02:30"]
    assert [each[11:16] for each in rule_times(f"{begin}MINUTELY;INTERVAL=30", autumn, 8, BERLIN)] == halves
    halves = ["00:30", "01:00", "01:30", "02:00"]
    assert [each[11:16] for each in rule_times(f"{begin}MINUTELY;INTERVAL=30", spring, 4, BERLIN)] == halves
    once = rule_times("DTSTART:20270101T023000\nRRULE:FREQ=DAILY", autumn, 2, BERLIN)
    assert once == ["2027-10-31 00:30:00", "2027-11-01 01:30:00"]


def test_the_zone_of_a_rules_beginning_counts() -> None:
    after = datetime(2027, 1, 1, tzinfo=UTC)
    assert rule_times("DTSTART;TZID=America/New_York:20270101T060000\nRRULE:FREQ=DAILY", after, 1) == [
        "2027-01-01 11:00:00"
    ]
    assert rule_times("DTSTART:20270101T060000Z\nRRULE:FREQ=DAILY", after, 1, BERLIN) == ["2027-01-01 06:00:00"]


@pytest.mark.parametrize(
    "schedule",
    [
        IntervalSchedule(86_400, datetime(1, 1, 1, tzinfo=UTC), "America/Los_Angeles"),
        IntervalSchedule(1, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        OneOffSchedule(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12)))),
    ],
)
def test_moments_beyond_all_that_calendars_know_are_refused(schedule: Any) -> None:
    with pytest.raises(ScheduleError):
        check(schedule)


def test_a_question_about_the_ends_of_time_is_refused() -> None:
    for after in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)):
        with pytest.raises(ScheduleError):
            times(CronSchedule("0 6 * * *"), created=after, after=after, limit=1, until=after)
