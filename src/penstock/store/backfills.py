"""SQL of backfills."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ..domain.backfills import Backfill
from . import codec
from .codec import FINAL_TYPES
from .contract import Tx, Value

_decode = msgspec.json.Decoder(Backfill).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, backfill: Backfill) -> None:
    """Writes it as it is; what its runs are doing is not kept with it."""
    bare = msgspec.structs.replace(backfill, counts={})
    tx.insert(
        "backfill",
        ("id", "deployment_id", "ended", "data"),
        [(bare.id.bytes, bare.deployment_id.bytes, codec.micros(bare.ended), _encode(bare).decode())],
        "ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, data = excluded.data",
    )


def get(tx: Tx, id: UUID) -> Backfill | None:
    row = tx.row("SELECT data FROM backfill WHERE id = ?", (id.bytes,))
    return None if row is None else _decode(row[0])


def open_ones(tx: Tx) -> list[Backfill]:
    """Those that have not ended, the oldest first."""
    return [_decode(row[0]) for row in tx.rows("SELECT data FROM backfill WHERE ended IS NULL ORDER BY id")]


def select(tx: Tx, limit: int, deployment_id: UUID | None = None, after: UUID | None = None) -> list[Backfill]:
    """The newest first, behind `after`."""
    where: list[str] = []
    params: list[Value] = []
    if deployment_id is not None:
        where.append("deployment_id = ?")
        params.append(deployment_id.bytes)
    if after is not None:
        where.append("id < ?")
        params.append(after.bytes)
    condition = f"WHERE {' AND '.join(where)}" if where else ""
    rows = tx.rows(f"SELECT data FROM backfill {condition} ORDER BY id DESC LIMIT ?", (*params, limit))
    return [_decode(row[0]) for row in rows]


def counts(tx: Tx, id: UUID) -> dict[str, int]:
    """Of its runs, by type of state."""
    sql = """SELECT f.state_type, count(*) FROM launch l JOIN flow_run f ON f.id = l.flow_run_id
    WHERE l.backfill_id = ? GROUP BY f.state_type"""
    return {str(row[0]): int(row[1]) for row in tx.rows(sql, (id.bytes,))}


def unfinished(tx: Tx, id: UUID) -> list[UUID]:
    """Those of its runs that have not ended."""
    sql = f"""SELECT l.flow_run_id FROM launch l JOIN flow_run f ON f.id = l.flow_run_id
    WHERE l.backfill_id = ? AND f.state_type NOT IN {FINAL_TYPES}
    ORDER BY l.flow_run_id"""
    return [UUID(bytes=bytes(row[0])) for row in tx.rows(sql, (id.bytes,))]
