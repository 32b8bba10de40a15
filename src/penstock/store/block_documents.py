"""SQL of stored blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

from ..domain.blocks import BlockDocument
from ..domain.errors import UnreadableBlock
from . import codec
from .contract import Row, Tx

_COLUMNS = "id, type, name, data, secrets, created, updated"


def get(tx: Tx, type: str, name: str) -> BlockDocument | None:
    row = tx.row(f"SELECT {_COLUMNS} FROM block_document WHERE type = ? AND name = ?", (type, name))
    return None if row is None else _document(row)


def is_there(tx: Tx, type: str, name: str) -> bool:
    """Also when it is damaged."""
    return tx.row("SELECT 1 FROM block_document WHERE type = ? AND name = ?", (type, name)) is not None


def by_id(tx: Tx, id: UUID) -> BlockDocument | None:
    row = tx.row(f"SELECT {_COLUMNS} FROM block_document WHERE id = ?", (id.bytes,))
    return None if row is None else _document(row)


def select(tx: Tx, type: str | None, limit: int, after: tuple[str, str] | None = None) -> Iterator[BlockDocument]:
    """By type and name; of all types when none is given; those behind the type and name `after`."""
    where, params = ["1 = 1"], []
    if type is not None:
        where.append("type = ?")
        params.append(type)
    if after is not None:
        where.append("(type > ? OR (type = ? AND name > ?))")
        params.extend((after[0], *after))
    sql = f"SELECT {_COLUMNS} FROM block_document WHERE {' AND '.join(where)} ORDER BY type, name LIMIT ?"
    return map(_document, tx.rows(sql, (*params, limit)))


def addresses(tx: Tx) -> list[tuple[str, str]]:
    """(type, name) of all."""
    return [(type, name) for type, name in tx.rows("SELECT type, name FROM block_document ORDER BY type, name")]


def put(tx: Tx, document: BlockDocument) -> None:
    """Records it, in place of one with the same id."""
    secrets = [[list(place), sealed] for place, sealed in document.secrets]
    tx.run(
        f"""INSERT INTO block_document ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
        data = excluded.data, secrets = excluded.secrets, updated = excluded.updated""",
        (
            document.id.bytes,
            document.type,
            document.name,
            json.dumps(document.data),
            json.dumps(secrets) if secrets else None,
            codec.micros(document.created),
            codec.micros(document.updated),
        ),
    )


def delete(tx: Tx, type: str, name: str) -> bool:
    """Whether there was one."""
    return tx.run("DELETE FROM block_document WHERE type = ? AND name = ?", (type, name)) > 0


def _document(row: Row) -> BlockDocument:
    id, type, name, data, secrets, created, updated = row
    try:
        return BlockDocument(
            UUID(bytes=bytes(id)),
            type,
            name,
            dict(json.loads(data)),
            codec.exact_moment(created),
            codec.exact_moment(updated),
            tuple((tuple(place), sealed) for place, sealed in json.loads(secrets or "[]")),
        )
    except (TypeError, ValueError):
        raise UnreadableBlock(
            f"Block '{type}/{name}' is damaged in the record. Delete it, `penstock block delete {type}/{name}`, and "
            "save it again."
        ) from None
