"""Which object came from which run: only the very object, and no object is held for long for it."""

from __future__ import annotations

import gc
import weakref
from uuid import uuid4

import pytest

from penstock.engine.links import HELD, LARGEST_HELD, Links


class Thing: ...


def test_an_object_is_known_by_itself_not_by_its_value() -> None:
    links, id = Links(), uuid4()
    value = [1, 2]
    links.add(value, id)
    assert links.of(value) == id
    assert links.of([1, 2]) is None


@pytest.mark.parametrize("value", [None, True, False, ..., 0, 5, 256, "", (), b"", []])
def test_what_python_shares_is_not_linked(value: object) -> None:
    links = Links()
    links.add(value, uuid4())
    assert links.of(value) is None


def test_large_values_are_not_held() -> None:
    links = Links()
    large = [0] * (LARGEST_HELD + 1)
    links.add(large, uuid4())
    assert links.of(large) is None


def test_only_the_latest_few_are_held() -> None:
    links = Links()
    values = [[number] for number in range(HELD * 2)]
    for value in values:
        links.add(value, uuid4())
    assert [links.of(value) is not None for value in values] == [False] * HELD + [True] * HELD


def test_objects_are_not_kept_alive_and_their_successors_not_mistaken_for_them() -> None:
    links = Links()
    for _ in range(100):
        thing = Thing()
        reference = weakref.ref(thing)
        links.add(thing, uuid4())
        del thing
        gc.collect(0)
        assert reference() is None
        assert links.of(Thing()) is None


def test_what_cannot_be_linked_is_no_error() -> None:
    class Slots:
        __slots__ = ()

    Links().add(Slots(), uuid4())
