"""Previews are short, whatever the value, and run no code of the value's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.previews import LONGEST, preview

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


class Touchy:
    """Cannot be looked at."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __len__ = __iter__ = __bool__ = __repr__  # type: ignore[assignment]


class Array:
    shape = (3, 4)


@given(ANY)
def test_a_preview_is_short_and_of_characters_that_can_be_stored(value: Any) -> None:
    text = preview(value)
    assert len(text) <= LONGEST * 2
    text.encode()


@pytest.mark.parametrize("value", [1, -1.5, True, None, "text", b"bytes", [1, "a"], (1,), {"a": [1]}, [], {}])
def test_small_values_are_written_as_python_writes_them(value: Any) -> None:
    assert preview(value).replace(",)", ")") == repr(value).replace(",)", ")")


def test_large_values_are_written_by_size() -> None:
    assert "(1,000,000 items)" in preview([0] * 1_000_000)
    assert "(1,000 items)" in preview(dict.fromkeys(range(1000)))
    assert "(100,000 bytes)" in preview(b"x" * 100_000)
    assert len(preview("x" * 10**7)) < 300
    assert len(preview(10**5000)) < 300


def test_other_objects_are_named_by_their_kind_and_are_not_asked() -> None:
    assert "Touchy" in preview(Touchy())
    assert "Touchy" in preview([Touchy()])
    assert preview(Array()) == "<Array 3×4>"
    assert "test_large_values" in preview(test_large_values_are_written_by_size)


def test_what_contains_itself_has_an_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert len(preview(loop)) < 300


def test_deep_values_have_an_end() -> None:
    deep: Any = 0
    for _ in range(5000):
        deep = [deep]
    assert len(preview(deep)) < 300


def test_an_int_that_takes_long_to_write_is_not_written() -> None:
    assert preview(10**100 - 1) == "9" * 100
    assert preview(1 - 10**100) == "-" + "9" * 100
    assert preview(10**100) == preview(-(10**100)) == preview(10**100_000) == "a very large int"
