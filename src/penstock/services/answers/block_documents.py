"""Answers about stored blocks.

Law: a clear secret comes in with a request to save a block and is encrypted before anything is stored; it goes out to
who asks for it by name and may, and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from typing import Any
from uuid import UUID

from ...domain.accounts import OPERATOR
from ...domain.blocks import BlockDocument, Fields, Place
from ...domain.errors import NotAllowed, UnstorableValue
from ...domain.filters import FilterError
from ...domain.ids import uuid7
from ...protocol import block_documents as asked
from ...protocol.block_documents import MASK, Block, ClearSecret
from ...protocol.operation import Nothing, Page
from .. import block_documents
from ..desk import Desk, answers

# More blocks than this are looked at in pieces.
MOST_ENCRYPTED = 1_000_000


@answers(asked.FILTER_BLOCKS)
def filter_block_documents(desk: Desk, query: asked.FilterBlocks) -> Page[Block]:
    found = block_documents.list_documents(desk.store, query.type, query.limit, after=_address_in(query.cursor))
    more = _cursor(found[-1]) if len(found) == query.limit else None
    return Page(items=[_closed(document) for document in found], next=more)


@answers(asked.COUNT_BLOCKS)
def count_block_documents(desk: Desk, _: Nothing) -> dict[str, int]:
    return block_documents.count(desk.store)


@answers(asked.READ_BLOCK)
def read_block_document(desk: Desk, query: asked.ReadBlockById) -> Block:
    return _shown(desk, block_documents.get_by_id(desk.store, query.id), query.include_secrets)


@answers(asked.READ_BLOCK_BY_NAME)
def read_block_document_by_name(desk: Desk, query: asked.ReadBlock) -> Block:
    return _shown(desk, block_documents.get(desk.store, query.type, query.name), query.include_secrets)


@answers(asked.CREATE_BLOCK)
def create_block_document(desk: Desk, query: asked.SaveBlock) -> Block:
    return _saved(desk, query.type, query.name, query.data, query.secrets, query.id, overwrite=query.overwrite)


@answers(asked.UPDATE_BLOCK)
def update_block_document(desk: Desk, query: asked.UpdateBlock) -> Block:
    block_documents.check_exists(desk.store, query.type, query.name)
    return _saved(desk, query.type, query.name, query.data, query.secrets, None, overwrite=True)


@answers(asked.DELETE_BLOCK)
def delete_block_document(desk: Desk, query: asked.BlockAddress) -> None:
    block_documents.delete(desk.store, query.type, query.name)


@answers(asked.REENCRYPT_BLOCKS)
def reencrypt_block_documents(desk: Desk, _: Nothing) -> asked.Reencrypted:
    return asked.Reencrypted(*block_documents.encrypt_anew(desk.store, desk.vault, MOST_ENCRYPTED))


def _saved(
    desk: Desk,
    type: str,
    name: str,
    data: Fields,
    clear: list[ClearSecret],
    id: UUID | None,
    *,
    overwrite: bool,
) -> Block:
    now = desk.now()
    _check_places(data, clear)
    document = block_documents.save(
        desk.store,
        desk.vault,
        id=id or uuid7(int(now.timestamp() * 1e9), secrets.randbits(62)),
        type=type,
        name=name,
        data=data,
        secrets=[(each.place, each.clear()) for each in clear],
        overwrite=overwrite,
        now=now,
    )
    return _closed(document)


def _check_places(data: Fields, clear: list[ClearSecret]) -> None:
    """A secret whose place is not there could never be put back."""
    for each in clear:
        inner: Any = data
        try:
            for step in each.place:
                inner = inner[step]
        except (LookupError, TypeError):
            inner = False
        if inner is not None:
            raise UnstorableValue(f"There is no null in the fields at {list(each.place)}, where a secret is to be.")


def _shown(desk: Desk, document: BlockDocument, include_secrets: bool) -> Block:
    if not include_secrets:
        return _closed(document)
    if not desk.role.includes(OPERATOR):
        raise NotAllowed(
            f"{desk.who} has the role {desk.role.value}, and the secrets of blocks want {OPERATOR.value}. Ask an admin "
            "for it."
        )
    block = _closed(document)
    clear: list[Any] = []
    block_documents.opened(document, desk.vault, clear.append)
    places = [place for place, _ in document.secrets]
    block.opened = [_clear(place, value) for place, value in zip(places, clear, strict=True)]
    return block


def _clear(place: Place, value: Any) -> ClearSecret:
    return ClearSecret(place, None, value) if isinstance(value, bytes) else ClearSecret(place, value)


def _closed(document: BlockDocument) -> Block:
    return Block(
        id=document.id,
        type=document.type,
        name=document.name,
        data=block_documents.masked(document, MASK),
        created=document.created,
        updated=document.updated,
        secrets=tuple(place for place, _ in document.secrets),
    )


def _cursor(document: BlockDocument) -> str:
    return base64.urlsafe_b64encode(json.dumps([document.type, document.name]).encode()).decode()


def _address_in(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    try:
        type, name = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        if not isinstance(type, str) or not isinstance(name, str):
            raise ValueError
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise FilterError(f"{cursor!r} is no cursor; give back `next` of the page before as it was.") from None
    return type, name
