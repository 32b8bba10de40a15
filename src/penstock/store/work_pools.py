"""SQL of work pools and their queues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ..domain import names
from ..domain.errors import ObjectNotFound
from ..domain.launches import bell_of_pool
from ..domain.pools import WorkPool, WorkQueue
from . import changes, codec
from .contract import Row, Tx

_decode_pool = msgspec.json.Decoder(WorkPool).decode
_decode_queue = msgspec.json.Decoder(WorkQueue).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, pool: WorkPool) -> None:
    tx.insert(
        "work_pool",
        ("id", "name", "data"),
        [(pool.id.bytes, pool.name, _encode(pool).decode())],
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, data = excluded.data",
    )
    changes.ring(tx, [bell_of_pool(pool.name)])


def get(tx: Tx, name: str) -> WorkPool | None:
    row = tx.row("SELECT data FROM work_pool WHERE name = ?", (name,))
    return None if row is None else _decode_pool(row[0])


def need(tx: Tx, name: str) -> WorkPool:
    """Raises `ObjectNotFound`, with names that are near."""
    found = get(tx, name)
    if found is None:
        known = [str(row[0]) for row in tx.rows("SELECT name FROM work_pool ORDER BY name")]
        raise ObjectNotFound(f"Work pool {name!r} not found!{names.suggestion(name, known)}")
    return found


def select(tx: Tx, limit: int, after: str | None = None) -> list[WorkPool]:
    """By name; those behind the name `after`."""
    rows = tx.rows("SELECT data FROM work_pool WHERE name > ? ORDER BY name LIMIT ?", (after or "", limit))
    return [_decode_pool(row[0]) for row in rows]


def delete(tx: Tx, name: str) -> bool:
    """With its queues; whether there was one."""
    changes.ring(tx, [bell_of_pool(name)])
    tx.run("DELETE FROM work_queue WHERE work_pool = ?", (name,))
    return tx.run("DELETE FROM work_pool WHERE name = ?", (name,)) > 0


def put_queue(tx: Tx, queue: WorkQueue) -> None:
    """Writes all but `last_polled`."""
    bare = msgspec.structs.replace(queue, last_polled=None)
    tx.insert(
        "work_queue",
        ("id", "work_pool", "name", "priority", "data"),
        [(bare.id.bytes, bare.work_pool, bare.name, bare.priority, _encode(bare).decode())],
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, priority = excluded.priority, data = excluded.data",
    )
    changes.ring(tx, [bell_of_pool(bare.work_pool)])


def queue(tx: Tx, work_pool: str, name: str) -> WorkQueue | None:
    row = tx.row("SELECT data, last_polled FROM work_queue WHERE work_pool = ? AND name = ?", (work_pool, name))
    return None if row is None else _queue(row)


def queues_of(tx: Tx, work_pool: str) -> list[WorkQueue]:
    """Those that go first first: by priority, then by name."""
    rows = tx.rows("SELECT data, last_polled FROM work_queue WHERE work_pool = ? ORDER BY priority, name", (work_pool,))
    return [_queue(row) for row in rows]


def delete_queue(tx: Tx, work_pool: str, name: str) -> bool:
    """Whether there was one."""
    changes.ring(tx, [bell_of_pool(work_pool)])
    return tx.run("DELETE FROM work_queue WHERE work_pool = ? AND name = ?", (work_pool, name)) > 0


def note_polled(tx: Tx, work_pool: str, queues: Sequence[str], now: datetime) -> None:
    """A worker asked for runs of these queues."""
    for name in queues:
        tx.run(
            "UPDATE work_queue SET last_polled = ? WHERE work_pool = ? AND name = ?",
            (codec.micros(now), work_pool, name),
        )


def _queue(row: Row) -> WorkQueue:
    found = _decode_queue(row[0])
    found.last_polled = codec.moment(row[1])
    return found
