"""Values survive the columns."""

from __future__ import annotations

from datetime import UTC, datetime

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


@given(
    st.lists(st.tuples(st.sampled_from(sorted(NAMES)), MOMENTS, st.none() | st.text(max_size=20), DETAILS), max_size=5)
)
def test_a_path_of_states_is_kept(path: list[tuple[str, datetime, str | None, dict[str, object] | None]]) -> None:
    states = tuple(make(name, at, message=message, details=details) for name, at, message, details in path)
    assert codec.states_from(codec.states_text(states)) == states
