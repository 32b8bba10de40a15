"""The garbage collector of a server's process."""

from __future__ import annotations

import gc
import weakref

import pytest

from penstock.server import garbage


class Node:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def looked_at_all_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "ALL_SECONDS", 0.0)


def test_what_outlives_a_collection_is_not_looked_at_by_the_next_one() -> None:
    with garbage.short_pauses():
        kept = Node()
        gc.collect()
        assert not any(each is kept for each in gc.get_objects())
        new = weakref.ref(Node())
        gc.collect()
        assert new() is None
    assert gc.get_freeze_count() == 0
    assert any(each is kept for each in gc.get_objects())


def test_what_becomes_garbage_later_is_collected_all_the_same(looked_at_all_soon: None) -> None:
    with garbage.short_pauses():
        node = Node()
        gc.collect()
        later = weakref.ref(node)
        del node
        gc.collect()
        assert later() is None
