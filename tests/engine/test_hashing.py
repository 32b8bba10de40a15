"""A stable hash is the same in every process, and differs where values differ."""

from __future__ import annotations

import dataclasses
import enum
import math
import threading
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.hashing import stable_hash
from penstock.exceptions import HashError

from ..flows.kit import Programs

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=3)
    ),
    max_leaves=8,
)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Model(pydantic.BaseModel):
    x: int
    names: set[str] = set()


def exact(value: Any) -> Any:
    """The value with its types: 1, 1.0 and True are equal to Python and not to a cache."""
    if isinstance(value, dict):
        return "dict", frozenset((exact(key), exact(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(exact(item) for item in value)
    if isinstance(value, frozenset):
        return "frozenset", frozenset(exact(item) for item in value)
    return type(value).__name__, repr(value)


@given(PLAIN, PLAIN)
def test_values_hash_alike_exactly_when_they_are_alike(one: Any, other: Any) -> None:
    assert (stable_hash(one) == stable_hash(other)) is (exact(one) == exact(other))


@given(PLAIN)
def test_a_hash_is_32_digits(value: Any) -> None:
    assert len(stable_hash(value)) == 32
    int(stable_hash(value), 16)


def test_the_order_of_dicts_and_sets_does_not_count() -> None:
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1})
    assert stable_hash({3, 1, 2}) == stable_hash({1, 2, 3})


def test_parts_do_not_run_into_each_other() -> None:
    different = [("a", "b"), ("ab",), ("ab", ""), ("", "ab"), (["a"], "b"), (["a", "b"],), (("a", "b"),), ("a>b",)]
    assert len({stable_hash(*values) for values in different}) == len(different)
    assert stable_hash(["a", ["b"]]) != stable_hash([["a"], "b"])
    assert stable_hash({"a": {"b": 1}}) != stable_hash({"a": {}, "b": 1})


def test_objects_are_known_by_what_is_in_them() -> None:
    assert stable_hash(Point(1)) == stable_hash(Point(1)) != stable_hash(Point(2))
    assert stable_hash(Model(x=1)) == stable_hash(Model(x=1)) != stable_hash(Model(x=2))
    assert stable_hash(Point(1)) != stable_hash({"x": 1, "y": None})
    assert stable_hash(Colour.RED) != stable_hash(Colour.BLUE)


def test_not_a_number_is_like_itself() -> None:
    assert stable_hash(math.nan) == stable_hash(float("nan"))


def test_hashes_are_the_same_in_another_process(programs: Programs) -> None:
    program = programs.write("""
        from collections import OrderedDict, namedtuple
        from dataclasses import dataclass
        from datetime import date
        from pathlib import Path
        from penstock.engine.hashing import stable_hash

        @dataclass(frozen=True)
        class Point:
            x: int
            names: frozenset

        Pair = namedtuple("Pair", "a b")
        point = Point(1, frozenset("abcdefgh"))
        values = [
            {"b", "a", "c"}, {point: 1}, point, Pair(1, {"x", "y", "z"}), date(2026, 1, 1), Path("/tmp"),
            OrderedDict(a={"q", "w", "e"}), [{"a", "b"}], {frozenset("abc"): {"d", "e"}}, 1.5, "ü", None,
        ]
        print(*[stable_hash(value) for value in values])
    """)
    outputs = {programs.run(program, PYTHONHASHSEED=str(seed)).stdout for seed in (1, 2, 3)}
    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == 12


@pytest.mark.parametrize(
    "value", [threading.Lock(), [threading.Lock()], {"k": (x for x in ())}], ids=["lock", "list", "dict"]
)
def test_what_cannot_be_hashed_is_an_error_that_names_its_type(value: Any) -> None:
    with pytest.raises(HashError, match=r"lock|generator"):
        stable_hash(value)


def test_a_value_that_contains_itself_is_an_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(HashError, match="contains itself"):
        stable_hash(loop)
