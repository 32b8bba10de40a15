"""SQL of workers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.pools import WorkerRecord
from . import codec
from .contract import Tx, Value

_decode = msgspec.json.Decoder(WorkerRecord).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, worker: WorkerRecord) -> None:
    tx.insert(
        "worker",
        ("id", "work_pool", "heard", "data"),
        [(worker.id.bytes, worker.work_pool, codec.micros(worker.heard), _encode(worker).decode())],
        "ON CONFLICT (id) DO UPDATE SET heard = excluded.heard, data = excluded.data",
    )


def get(tx: Tx, id: UUID) -> WorkerRecord | None:
    row = tx.row("SELECT data FROM worker WHERE id = ?", (id.bytes,))
    return None if row is None else _decode(row[0])


def select(
    tx: Tx, work_pool: str | None, since: datetime | None, limit: int, before: datetime | None = None
) -> list[WorkerRecord]:
    """Those heard of last first; of a pool; heard of since a moment, and not after another."""
    where, params = ["1 = 1"], list[Value]()
    if work_pool is not None:
        where.append("work_pool = ?")
        params.append(work_pool)
    if since is not None:
        where.append("heard >= ?")
        params.append(codec.micros(since))
    if before is not None:
        where.append("heard < ?")
        params.append(codec.micros(before))
    sql = f"SELECT data FROM worker WHERE {' AND '.join(where)} ORDER BY heard DESC LIMIT ?"
    return [_decode(row[0]) for row in tx.rows(sql, (*params, limit))]


def prune(tx: Tx, before: datetime) -> int:
    """Forgets those not heard of since; how many."""
    return tx.run("DELETE FROM worker WHERE heard < ?", (codec.micros(before),))
