"""A cached value is found by its key until it expires; the newest stands."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from penstock.domain.runs import ResultRef
from penstock.store import caches
from penstock.store.contract import Store

from .kit import at

REF = ResultRef("json", b"1", size=1)


def get(store: Store, key: str, now: datetime) -> tuple[UUID, ResultRef] | None:
    with store.read() as tx:
        return caches.get(tx, key, now)


def test_a_value_is_found_by_its_key(store: Store) -> None:
    made_by = uuid4()
    with store.write() as tx:
        caches.put(tx, "key", made_by, REF, at(0), None)
    assert get(store, "key", at(10**6)) == (made_by, REF)
    assert get(store, "Key", at(1)) is None


def test_a_value_is_not_found_from_the_moment_it_expires(store: Store) -> None:
    with store.write() as tx:
        caches.put(tx, "key", uuid4(), REF, at(0), at(10))
    assert get(store, "key", at(9.999999)) is not None
    assert get(store, "key", at(10)) is None


def test_the_newest_value_replaces_the_one_before(store: Store) -> None:
    newest = uuid4()
    file = ResultRef("pickle", None, "key", "/storage", 5)
    with store.write() as tx:
        caches.put(tx, "key", uuid4(), REF, at(0), at(10))
        caches.put(tx, "key", newest, file, at(5), None)
    assert get(store, "key", at(11)) == (newest, file)
