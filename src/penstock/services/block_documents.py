"""Stored blocks: saving them with their secrets encrypted, finding, opening and deleting them.

Law: a secret is encrypted before a transaction begins, so nothing clear ever reaches the store; and it is opened only
for who asks for the values.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain import names
from ..domain.blocks import BlockDocument, Fields, Place
from ..domain.errors import BlockNotFound, DecryptionError, NameTaken, UnreadableBlock, UnstorableValue
from ..store import block_documents
from ..store.contract import Store, Tx
from ..vault import Vault


def save(
    store: Store,
    vault: Vault,
    *,
    id: UUID,
    type: str,
    name: str,
    data: Fields,
    secrets: Iterable[tuple[Place, Any]],
    overwrite: bool,
    now: datetime,
) -> BlockDocument:
    """Saves a block, with None in `data` in the places of `secrets` (clear values: JSON, or bytes). One that is
    overwritten keeps its id.

    Raises `InvalidName`, `NameTaken`, `UnstorableValue`, `ConfigurationError` (no usable key).
    """
    names.check(name, names.BLOCK)
    address = f"{type}/{name}"
    try:
        json.dumps(data)
        sealed = tuple((place, vault.seal(_text(value, address, place)).decode()) for place, value in secrets)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnstorableValue(f"Block {address!r} has a value that is not JSON: {error}.") from None
    with store.write() as tx:
        there = block_documents.get(tx, type, name)
        if there is not None and not overwrite:
            raise NameTaken(f"There is a block {address!r} already; overwrite=True (`--overwrite`) replaces it.")
        first = there or BlockDocument(id, type, name, data, now, now)
        document = BlockDocument(first.id, type, name, data, first.created, now, sealed)
        block_documents.put(tx, document)
    return document


def get(store: Store, type: str, name: str) -> BlockDocument:
    """Raises `BlockNotFound`, with names that are near, or where there is a block of this name."""
    with store.read() as tx:
        document = block_documents.get(tx, type, name)
        if document is None:
            raise _not_found(tx, type, name)
    return document


def get_by_id(store: Store, id: UUID) -> BlockDocument:
    """Raises `BlockNotFound`."""
    with store.read() as tx:
        document = block_documents.by_id(tx, id)
    if document is None:
        raise BlockNotFound(f"Block '{id}' not found!")
    return document


def check_exists(store: Store, type: str, name: str) -> None:
    """Raises `BlockNotFound`. A block that cannot be read exists, too."""
    with store.read() as tx:
        if not block_documents.is_there(tx, type, name):
            raise _not_found(tx, type, name)


def count(store: Store) -> dict[str, int]:
    """How many blocks there are of each type."""
    with store.read() as tx:
        return dict(Counter(type for type, _ in block_documents.addresses(tx)))


def list_documents(
    store: Store, type: str | None, limit: int, *, after: tuple[str, str] | None = None
) -> list[BlockDocument]:
    """By type and name; of all types when none is given; those that come after a type and name."""
    with store.read() as tx:
        return list(block_documents.select(tx, type, limit, after))


def delete(store: Store, type: str, name: str) -> None:
    """Raises `BlockNotFound`."""
    with store.write() as tx:
        if not block_documents.delete(tx, type, name):
            raise _not_found(tx, type, name)


def opened(document: BlockDocument, vault: Vault, tell: Callable[[Any], object] | None = None) -> Fields:
    """The fields with their secrets, each of which `tell` is told. Raises `DecryptionError`, `ConfigurationError` or
    `UnreadableBlock`."""

    def value(place: Place, sealed: str) -> Any:
        clear = _value(vault.open(sealed.encode(), f"Block {document.address!r}"), document.address, place)
        if tell is not None:
            tell(clear)
        return clear

    return _with_secrets(document, value)


def masked(document: BlockDocument, mask: str) -> Fields:
    """The fields with `mask` in the places of secrets. Raises `UnreadableBlock`."""
    return _with_secrets(document, lambda _place, _sealed: mask)


def _with_secrets(document: BlockDocument, value: Callable[[Place, str], Any]) -> Fields:
    try:
        return document.with_secrets(value)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise UnreadableBlock(f"Block {document.address!r} is damaged: its secrets do not fit its fields.") from None


def encrypt_anew(store: Store, vault: Vault, limit: int) -> tuple[int, int]:
    """Encrypts with the present key what was encrypted with another: how many blocks were, of how many.

    Each block is a transaction of its own; interrupted, it can be asked for again. Raises `DecryptionError` for those
    that cannot be opened, when all others are done.
    """
    done = 0
    failed: list[DecryptionError] = []
    documents = list_documents(store, None, limit)
    for document in documents:
        if all(vault.is_current(sealed.encode()) for _, sealed in document.secrets):
            continue
        try:
            secrets = tuple((place, _sealed_anew(vault, sealed, document)) for place, sealed in document.secrets)
        except DecryptionError as error:
            failed.append(error)
            continue
        with store.write() as tx:
            # What was saved meanwhile is encrypted with the present key anyway.
            if block_documents.get(tx, document.type, document.name) == document:
                block_documents.put(tx, msgspec.structs.replace(document, secrets=secrets))
        done += 1
    if failed:
        raise DecryptionError(
            f"Of {len(documents):,} blocks {done:,} were encrypted anew, and {len(failed):,} cannot be opened: "
            + " ".join(map(str, failed[:10]))
        )
    return done, len(documents)


def _sealed_anew(vault: Vault, sealed: str, document: BlockDocument) -> str:
    return vault.seal(vault.open(sealed.encode(), f"Block {document.address!r}")).decode()


def _not_found(tx: Tx, type: str, name: str) -> BlockNotFound:
    known = block_documents.addresses(tx)
    others = [other for other, each in known if each == name]
    if others:
        hint = f" There is {' and '.join(repr(f'{other}/{name}') for other in others)}."
    else:
        hint = names.suggestion(name, [each for other, each in known if other == type])
    return BlockNotFound(f"Block {names.shown(f'{type}/{name}')} not found!{hint}")


def _text(value: Any, address: str, place: Place) -> bytes:
    """A secret as the bytes that are encrypted; of bytes it is remembered that they are bytes, and of all where they
    belong: who can write to the record, but has no key, cannot put one secret in the place of another."""
    kind, plain = ("bytes", base64.b64encode(value).decode()) if isinstance(value, bytes) else ("value", value)
    return json.dumps({kind: plain, "of": [address, *place]}).encode()


def _value(text: bytes, address: str, place: Place) -> Any:
    held = json.loads(text)
    if held["of"] != [address, *place]:
        raise DecryptionError(
            f"Block {address!r} is damaged: in its field {'.'.join(map(str, place))!r} is a secret that was encrypted "
            f"as that of {held['of'][0]!r}, field {'.'.join(map(str, held['of'][1:]))!r}."
        )
    return base64.b64decode(held["bytes"]) if "bytes" in held else held["value"]
