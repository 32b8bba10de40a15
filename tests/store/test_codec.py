"""Values survive the columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.states import NAMES, make
from penstock.store import codec

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2106, 1, 1), timezones=st.just(UTC))
DETAILS = st.none() | st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.text(max_size=5), min_size=1)


@given(MOMENTS)
def test_a_moment_is_kept_to_the_microsecond(moment: datetime) -> None:
    assert codec.moment(codec.micros(moment)) == moment


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    moment = datetime.fromisoformat("2026-06-30T23:59:59.000001+05:45")
    assert codec.moment(codec.micros(moment)) == moment


ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), timezone(timedelta(seconds=1234))]


@given(st.lists(st.tuples(st.integers(-(10**7), 10**7), st.sampled_from(ZONES), st.booleans()), min_size=2, max_size=9))
def test_moments_near_each_other_are_kept_whatever_their_zones_and_clocks_that_go_back(
    given: list[tuple[int, tzinfo, bool]],
) -> None:
    """What was written of a second is used for the next moment in it: only where it is the same second."""
    for micros, zone, again in given:
        clock = datetime(2026, 10, 25, 2, 30) + timedelta(microseconds=micros)
        moment = clock.replace(tzinfo=zone, fold=int(again))
        assert codec.exact_moment(codec.exact_micros(moment)) == moment.astimezone(UTC)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(NAMES)), MOMENTS, st.none() | st.text(max_size=20), DETAILS), max_size=5)
)
def test_a_path_of_states_is_kept(path: list[tuple[str, datetime, str | None, dict[str, object] | None]]) -> None:
    states = tuple(make(name, at, message=message, details=details) for name, at, message, details in path)
    assert codec.states_from(codec.states_text(states)) == states


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.999999", "0001-01-01T00:00:00"])
@pytest.mark.parametrize("offset", ["", "+00:00", "+23:59", "-23:59"])
def test_whatever_moment_is_written_can_be_read_back(text: str, offset: str) -> None:
    """One that cannot would take every list with it that it is in."""
    written = codec.exact_micros(datetime.fromisoformat(text + offset))
    assert abs(codec.exact_moment(written) - datetime.fromisoformat(text).replace(tzinfo=UTC)) < timedelta(days=3)


def test_details_without_end_are_cut_where_they_could_not_be_read_back() -> None:
    details: dict[str, object] = {"last": 1}
    for _ in range(900):
        details = {"more": [details]}
    (kept,) = codec.states_from(codec.states_text((make("Failed", datetime.now(UTC), details=details),)))
    depth, value = 0, kept.details
    while isinstance(value, dict | list):
        value = value["more"] if isinstance(value, dict) else value[0]
        depth += 1
    assert (depth, value) == (codec.DEEPEST, codec.CUT)
