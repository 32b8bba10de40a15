"""Ids sort by the time they were made, and text is taken for an id only when it is one."""

from __future__ import annotations

import pickle
import threading
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.ids import InvalidId, flow_id, parse_id, uuid7
from penstock.engine.clock import SYSTEM

NANOSECONDS = st.integers(0, 2**47 * 1_000_000)
RANDOM = st.integers(0, 2**64 - 1)
RESOLUTION = 245  # nanoseconds; 12 bits hold a fraction of a millisecond


@given(NANOSECONDS, RANDOM)
def test_an_id_is_a_version_7_uuid(nanoseconds: int, random: int) -> None:
    made = uuid7(nanoseconds, random)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == nanoseconds // 1_000_000
    assert UUID(str(made)) == made
    assert hash(UUID(str(made))) == hash(made)
    assert pickle.loads(pickle.dumps(made)) == made


@given(NANOSECONDS, st.integers(RESOLUTION, 10**15), RANDOM, RANDOM)
def test_ids_sort_by_the_time_they_were_made(nanoseconds: int, later: int, first: int, second: int) -> None:
    before, after = uuid7(nanoseconds, first), uuid7(nanoseconds + later, second)
    assert before < after
    assert before.bytes < after.bytes
    assert str(before) < str(after)


def test_two_ids_of_one_moment_differ() -> None:
    assert uuid7(1, 1) != uuid7(1, 2)


def test_threads_are_never_given_the_same_id() -> None:
    made: list[UUID] = []

    def make() -> None:
        made.extend([SYSTEM.new_id() for _ in range(5000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20_000


@given(st.text(), st.text())
def test_flows_of_one_name_have_one_id(one: str, other: str) -> None:
    assert (flow_id(one) == flow_id(other)) is (one == other)


def test_an_id_is_read_from_its_text_in_any_of_the_usual_forms() -> None:
    made = uuid7(10**18, 5)
    for form in (made, str(made), made.hex, str(made).upper(), f"{{{made}}}", made.urn):
        assert parse_id(form) == made


@pytest.mark.parametrize("text", ["", "0197", "not-an-id", "0197a3c2-6f1e-7b44-9c1d-2a5e8f3b7d1g", None, 5])
def test_what_is_not_an_id_is_named_in_the_error(text: str) -> None:
    with pytest.raises(InvalidId) as raised:
        parse_id(text)
    assert repr(text) in str(raised.value)
    assert isinstance(raised.value, ValueError)
