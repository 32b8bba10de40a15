"""Futures and states in arguments: found wherever they are, put in their place, left alone where that is asked for."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest

from penstock import allow_failure, quote, unmapped
from penstock.domain.runs import TaskRun
from penstock.engine.clock import SYSTEM
from penstock.engine.futures import PenstockFuture
from penstock.engine.inputs import futures_in, needs_resolving, resolve
from penstock.exceptions import UpstreamTaskError
from penstock.states import Completed, Failed, Running

Pair = namedtuple("Pair", "a b")


def future(state: Any) -> PenstockFuture[Any]:
    run = TaskRun(id=SYSTEM.new_id(), name="up-0", created=SYSTEM.now(), task_name="up", task_key="up", states=(state,))
    made: PenstockFuture[Any] = PenstockFuture(run)
    made.settle(state)
    return made


ONE, BAD = future(Completed(data=1)), future(Failed(data=ValueError("boom")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ONE, 1),
        ([ONE, 2], [1, 2]),
        ((ONE,), (1,)),
        ({"a": ONE}, {"a": 1}),
        ({ONE, 2}, {1, 2}),
        (frozenset([ONE]), frozenset([1])),
        (Pair(ONE, [ONE]), Pair(1, [1])),
        ([[{"a": (ONE,)}]], [[{"a": (1,)}]]),
        (Completed(data=5), 5),
        ([Completed(data=5)], [5]),
        (allow_failure(ONE), 1),
        (unmapped(ONE), 1),
        ("text", "text"),
        (None, None),
    ],
)
def test_values_are_put_in_the_place_of_futures(value: Any, expected: Any) -> None:
    found = resolve(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "make", [lambda v: OrderedDict(a=v), lambda v: defaultdict(list, a=v)], ids=["OrderedDict", "defaultdict"]
)
def test_dicts_of_other_kinds_are_looked_into_too(make: Any) -> None:
    value = make(ONE)
    assert futures_in([value]) == [ONE]
    assert needs_resolving([value])
    assert resolve(value)["a"] == 1


@dataclass(frozen=True)
class Pack:
    content: Any


class Box:
    def __init__(self, content: Any) -> None:
        self.content = content


def test_dataclasses_are_looked_into_and_copied_where_something_changes() -> None:
    pack = Pack([ONE])
    assert futures_in([pack]) == [ONE]
    assert resolve(pack) == Pack([1])
    assert pack.content == [ONE]
    plain = Pack([1])
    assert resolve(plain) is plain


def test_other_objects_of_users_are_handed_on_as_they_are() -> None:
    box = Box(ONE)
    assert resolve(box) is box
    assert not needs_resolving([box])


def test_a_container_that_holds_itself_is_looked_into_once() -> None:
    loop: list[Any] = [ONE]
    loop.append({"again": loop})
    assert futures_in([loop]) == [ONE]
    shared: list[Any] = []
    for _ in range(60):
        shared = [shared, shared]
    assert resolve(shared) is shared


def test_values_without_futures_are_handed_on_as_they_are() -> None:
    plain = {"a": [1, (2, {3})]}
    assert resolve(plain) is plain
    assert not needs_resolving([plain, "text", 5])


def test_what_is_quoted_is_unwrapped_and_left_alone() -> None:
    inner = [ONE]
    assert resolve(quote(inner)) is inner
    assert futures_in([quote(inner)]) == []


def test_every_future_is_found() -> None:
    assert futures_in([ONE, {"a": [BAD, {"b": (ONE,)}]}, "text", allow_failure([BAD])]) == [ONE, BAD, ONE, BAD]


def test_a_failure_is_an_error_that_names_the_run_unless_it_is_allowed() -> None:
    with pytest.raises(UpstreamTaskError, match=r"'up-0'.*Failed"):
        resolve([ONE, BAD])
    with pytest.raises(UpstreamTaskError):
        resolve(Running())
    error = resolve(allow_failure([BAD, ONE]))
    assert isinstance(error[0], ValueError)
    assert error[1] == 1


def test_the_wrappers_are_equal_when_what_they_hold_is() -> None:
    assert unmapped([1]) == unmapped([1]) != unmapped([2])
    assert unmapped(1) != allow_failure(1)
    assert repr(quote([1])) == "quote([1])"
    assert unmapped(5)[1000] == 5
