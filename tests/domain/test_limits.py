"""A limit that cannot be is refused where it is written, by a sentence that names the parameter."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import flow, task
from penstock.domain.limits import check_delay, check_jitter, check_retries, check_timeout
from penstock.exceptions import DefinitionError

NOT_SECONDS: list[Any] = [-1, -0.001, math.nan, math.inf, -math.inf, True, False, "1", "", [], {}, object(), 1 + 2j]
NOT_RETRIES: list[Any] = [-1, 1.0, True, False, "1", math.nan, [1], Decimal(1), Fraction(1)]


@pytest.mark.parametrize("value", NOT_SECONDS)
def test_a_bad_timeout_is_refused(value: Any) -> None:
    with pytest.raises(DefinitionError, match=r"timeout_seconds of task 'fetch'") as raised:
        check_timeout(value, "task 'fetch'")
    assert isinstance(raised.value, ValueError)
    assert repr(value) in str(raised.value)


@given(st.floats(0, 1e9, exclude_min=True) | st.integers(1, 10**9))
def test_a_good_timeout_is_seconds_as_a_float(value: float) -> None:
    checked = check_timeout(value, "task")
    assert type(checked) is float
    assert checked == value


@pytest.mark.parametrize("value", [None, 0, 0.0, -0.0])
def test_none_and_zero_are_no_limit(value: Any) -> None:
    assert check_timeout(value, "task") is None


@pytest.mark.parametrize("value", NOT_RETRIES)
def test_bad_retries_are_refused(value: Any) -> None:
    with pytest.raises(DefinitionError, match=r"retries of flow 'etl'"):
        check_retries(value, "flow 'etl'")


@pytest.mark.parametrize("value", [value for value in NOT_SECONDS if not isinstance(value, list)])
def test_a_bad_delay_is_refused_alone_and_in_a_list(value: Any) -> None:
    for given_ in (value, [1, value]):
        with pytest.raises(DefinitionError, match="retry_delay_seconds"):
            check_delay(given_, "task 'fetch'")


@pytest.mark.parametrize("value", NOT_SECONDS)
def test_a_bad_jitter_is_refused(value: Any) -> None:
    with pytest.raises(DefinitionError, match="retry_jitter_factor"):
        check_jitter(value, "task 'fetch'")


def test_a_list_of_delays_has_at_most_fifty_entries() -> None:
    assert check_delay([1] * 50, "task") == [1.0] * 50
    with pytest.raises(DefinitionError, match="51 entries"):
        check_delay([1] * 51, "task")


def test_a_function_of_delays_is_taken_as_it_is() -> None:
    assert check_delay(len, "task") is len
    assert check_delay(None, "task") is None
    assert check_delay((1, 2), "task") == [1.0, 2.0]


@pytest.mark.parametrize("decorator", [flow, task])
@pytest.mark.parametrize(
    ("option", "value"),
    [("timeout_seconds", -1), ("timeout_seconds", True), ("retries", -1), ("retry_delay_seconds", "soon")],
)
def test_the_decorators_refuse_where_the_limit_is_written(decorator: Any, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option) as raised:

        @decorator(**{option: value})
        def a_certain_function() -> None: ...

    assert "certain" in str(raised.value)
