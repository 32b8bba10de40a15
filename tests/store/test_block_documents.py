"""Stored blocks are found by type and name, and come back as they were put."""

from __future__ import annotations

import pytest

from penstock.domain.blocks import BlockDocument
from penstock.engine.clock import SYSTEM
from penstock.exceptions import UnreadableBlock
from penstock.store import block_documents
from penstock.store.contract import Store

from .kit import at


def document(type: str, name: str, **fields: object) -> BlockDocument:
    known = {"id": SYSTEM.new_id(), "type": type, "name": name, "data": {"value": None}, "created": at(0)}
    return BlockDocument(**{**known, "updated": at(0), **fields})  # type: ignore[arg-type]


def test_a_block_comes_back_as_it_was_put(store: Store) -> None:
    data = {"a": [1, 2.5, None, {"ü\x00\ud800": True}], "password": None}
    put = document("login", "x", data=data, secrets=((("password",), "sealed"), (("a", 0), "other")), updated=at(5))
    with store.write() as tx:
        block_documents.put(tx, put)
        assert block_documents.get(tx, "login", "x") == put
        assert block_documents.get(tx, "login", "y") is None
        assert block_documents.get(tx, "string", "x") is None


def test_a_name_is_one_blocks_in_each_type(store: Store) -> None:
    first = document("secret", "x")
    with store.write() as tx:
        block_documents.put(tx, first)
        block_documents.put(tx, document("string", "x"))
    with pytest.raises(Exception, match=r"(?i)unique"), store.write() as tx:
        block_documents.put(tx, document("secret", "x"))
    with store.read() as tx:
        assert block_documents.get(tx, "secret", "x") == first


def test_put_again_replaces_fields_and_keeps_when_it_was_made(store: Store) -> None:
    first = document("secret", "x")
    with store.write() as tx:
        block_documents.put(tx, first)
        block_documents.put(tx, document("secret", "x", id=first.id, data={"new": 1}, created=at(9), updated=at(9)))
        found = block_documents.get(tx, "secret", "x")
    assert found is not None
    assert (found.data, found.created, found.updated) == ({"new": 1}, at(0), at(9))


def test_blocks_are_listed_by_type_and_name(store: Store) -> None:
    with store.write() as tx:
        for type, name in (("b", "y"), ("b", "x"), ("a", "z")):
            block_documents.put(tx, document(type, name))
        assert block_documents.addresses(tx) == [("a", "z"), ("b", "x"), ("b", "y")]
        assert [each.address for each in block_documents.select(tx, None, 2)] == ["a/z", "b/x"]
        assert [each.address for each in block_documents.select(tx, "b", 9)] == ["b/x", "b/y"]


def test_deleting_tells_whether_there_was_one(store: Store) -> None:
    with store.write() as tx:
        block_documents.put(tx, document("a", "x"))
        assert not block_documents.delete(tx, "b", "x")
        assert block_documents.delete(tx, "a", "x")
        assert not block_documents.delete(tx, "a", "x")


def test_a_damaged_row_names_the_block(store: Store) -> None:
    with store.write() as tx:
        block_documents.put(tx, document("a", "x"))
        tx.run("UPDATE block_document SET data = '{'")
    with pytest.raises(UnreadableBlock, match="'a/x'"), store.read() as tx:
        block_documents.get(tx, "a", "x")
