"""SQL of launches: what waits to be launched, what is, and what is not over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.launches import EVERYBODYS_BELL, Depth, Launch
from ..domain.pools import WorkerRecord
from . import changes, codec, lanes
from .contract import Row, Tx, Value

COLUMNS = (
    "flow_run_id", "deployment_id", "schedule_id", "work_pool", "work_queue", "priority", "scheduled", "worker",
    "claimed", "scope", "stopping", "ended", "late", "data", "backfill_id", "line", "key",
)  # fmt: skip
_UPSERT = "ON CONFLICT (flow_run_id) DO UPDATE SET " + ", ".join(
    f"{c} = excluded.{c}" for c in COLUMNS if c != "flow_run_id"
)
_decode = msgspec.json.Decoder(Launch).decode
_decode_worker = msgspec.json.Decoder(WorkerRecord).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, launch: Launch) -> None:
    """Writes the record as it is; the caller holds the transaction in which it was read and decided."""
    tx.insert("launch", COLUMNS, [_row(launch)], _UPSERT)
    lanes.follow(tx, launch)
    _ring(tx, launch)


def _ring(tx: Tx, launch: Launch) -> None:
    """Tells those who wait for work what is news for them: that something waits, that there is room where something
    waits, that one is to be ended. (What its worker did with it, only that worker has to know, and does.)"""
    if launch.ended is not None:
        changes.ring(tx, [launch.bell], waiting=launch.line if launch.work_pool is None else f"{launch.work_pool}/")
    elif launch.claimed is None:
        changes.ring(tx, [launch.bell])
    elif launch.worker is None:
        changes.ring(tx, [EVERYBODYS_BELL])
    elif launch.stopping is not None:
        changes.ring(tx, [launch.worker])


def take(tx: Tx, launch: Launch) -> None:
    """Writes one that waited and was claimed just now. Whoever takes some says `lanes.clear` then."""
    tx.insert("launch", COLUMNS, [_row(launch)], _UPSERT)
    lanes.had_turn(tx, launch)


def get(tx: Tx, flow_run_id: UUID) -> Launch | None:
    row = tx.row("SELECT data FROM launch WHERE flow_run_id = ?", (flow_run_id.bytes,))
    return None if row is None else _decode(row[0])


def any_waiting(tx: Tx, line: str) -> bool:
    """Whether anything waits in a line, due or not."""
    sql = "SELECT 1 FROM launch WHERE line = ? AND claimed IS NULL AND ended IS NULL LIMIT 1"
    return tx.row(sql, (line,)) is not None


def next_due(tx: Tx, work_pool: str | None, deployment_ids: Sequence[UUID], after: datetime) -> datetime | None:
    """When the next is due that waits, of a pool, or of deployments that are in none."""
    params: list[Value]
    if work_pool is not None:
        where, params = "work_pool = ?", [work_pool]
    elif not deployment_ids:
        return None
    else:
        marks = ", ".join("?" * len(deployment_ids))
        where, params = f"work_pool IS NULL AND deployment_id IN ({marks})", [id.bytes for id in deployment_ids]
    row = tx.row(
        f"SELECT min(scheduled) FROM launch WHERE {where} AND scheduled > ? AND claimed IS NULL AND ended IS NULL",
        (*params, codec.micros(after)),
    )
    return None if row is None else codec.moment(row[0])


def late(tx: Tx, before: datetime, limit: int) -> list[Launch]:
    """What waits, was due before a moment, and was not said to be late yet; the longest first."""
    sql = """SELECT data FROM launch WHERE scheduled < ? AND late = 0 AND claimed IS NULL AND ended IS NULL
    ORDER BY scheduled LIMIT ?"""
    return list(map(_from, tx.rows(sql, (codec.micros(before), limit))))


def of_worker(tx: Tx, worker: UUID) -> list[Launch]:
    """What a worker has claimed and is not over."""
    sql = "SELECT data FROM launch WHERE worker = ? AND claimed IS NOT NULL AND ended IS NULL ORDER BY flow_run_id"
    return list(map(_from, tx.rows(sql, (worker.bytes,))))


def orphans(tx: Tx, scope: str, limit: int) -> list[tuple[Launch, WorkerRecord | None]]:
    """What is claimed and not over and is in this scope, or nowhere that is known; with the worker that has it."""
    sql = """SELECT l.data, w.data FROM launch l LEFT JOIN worker w ON w.id = l.worker
    WHERE l.claimed IS NOT NULL AND l.ended IS NULL AND (l.scope = ? OR l.scope IS NULL)
    ORDER BY l.claimed LIMIT ?"""
    return [
        (_decode(launch), None if worker is None else _decode_worker(worker))
        for launch, worker in tx.rows(sql, (scope, limit))
    ]


def claimed_of_key(tx: Tx, key: str, limit: int) -> list[Launch]:
    """Those with a key (`Launch.lane`) that are claimed and not over, the first of them."""
    sql = """SELECT data FROM launch WHERE key = ? AND key <> '' AND claimed IS NOT NULL AND ended IS NULL
    ORDER BY claimed LIMIT ?"""
    return list(map(_from, tx.rows(sql, (key, limit))))


def claimed_before(tx: Tx, key: str, nth: int, since: datetime) -> datetime | None:
    """When the nth last run with a key was claimed, if after a moment."""
    sql = """SELECT claimed FROM launch WHERE key = ? AND key <> '' AND claimed IS NOT NULL AND claimed > ?
    ORDER BY claimed DESC LIMIT 1 OFFSET ?"""
    row = tx.row(sql, (key, codec.micros(since), nth - 1))
    return None if row is None else codec.moment(row[0])


def count_claimed(tx: Tx, column: str, value: str | bytes) -> int:
    """How many are claimed and not over, of a pool (`work_pool`) or a deployment (`deployment_id`)."""
    assert column in ("work_pool", "deployment_id", "schedule_id")
    row = tx.row(f"SELECT count(*) FROM launch WHERE {column} = ? AND claimed IS NOT NULL AND ended IS NULL", (value,))
    return 0 if row is None else int(row[0])


def claimed_of_queue(tx: Tx, work_pool: str, queue: str) -> int:
    sql = """SELECT count(*) FROM launch WHERE work_pool = ? AND work_queue = ? AND claimed IS NOT NULL
    AND ended IS NULL"""
    row = tx.row(sql, (work_pool, queue))
    return 0 if row is None else int(row[0])


def open_of_queue(tx: Tx, work_pool: str, queue: str, limit: int) -> list[Launch]:
    """Those of a queue that are claimed and not over, the oldest first."""
    sql = """SELECT data FROM launch WHERE work_pool = ? AND work_queue = ? AND claimed IS NOT NULL AND ended IS NULL
    ORDER BY claimed LIMIT ?"""
    return list(map(_from, tx.rows(sql, (work_pool, queue, limit))))


def claimed_of(tx: Tx, column: str, value: bytes) -> list[Launch]:
    """Those of a deployment (`deployment_id`) or schedule (`schedule_id`) that are claimed and not over, the oldest
    first."""
    assert column in ("deployment_id", "schedule_id")
    sql = f"""SELECT data FROM launch WHERE {column} = ? AND claimed IS NOT NULL AND ended IS NULL
    ORDER BY scheduled, flow_run_id"""
    return list(map(_from, tx.rows(sql, (value,))))


def waiting_of(tx: Tx, column: str, value: bytes) -> list[Launch]:
    """Those of a deployment or schedule that nobody has claimed yet."""
    assert column in ("deployment_id", "schedule_id")
    sql = f"""SELECT data FROM launch WHERE {column} = ? AND claimed IS NULL AND ended IS NULL
    ORDER BY scheduled, flow_run_id"""
    return list(map(_from, tx.rows(sql, (value,))))


def open_ones(tx: Tx, work_pool: str | None, limit: int, before: UUID | None = None) -> list[Launch]:
    """What is claimed and not over, the newest first."""
    where, params = ["claimed IS NOT NULL", "ended IS NULL"], list[Value]()
    if work_pool is not None:
        where.append("work_pool = ?")
        params.append(work_pool)
    if before is not None:
        where.append("flow_run_id < ?")
        params.append(before.bytes)
    sql = f"SELECT data FROM launch WHERE {' AND '.join(where)} ORDER BY flow_run_id DESC LIMIT ?"
    return list(map(_from, tx.rows(sql, (*params, limit))))


def delete(tx: Tx, flow_run_id: UUID) -> None:
    where = (flow_run_id.bytes,)
    row = tx.row("SELECT line, priority, key, ended, data FROM launch WHERE flow_run_id = ?", where)
    if row is None:
        return
    line, priority, key, ended, data = row
    tx.run("DELETE FROM launch WHERE flow_run_id = ?", where)
    if ended is None:
        lanes.leave(tx, line, priority, key)
        lanes.open_gates(tx, key)
        launch = _decode(data)
        changes.ring(tx, [launch.bell, *([] if launch.worker is None else [launch.worker])])


def _row(launch: Launch) -> tuple[Value, ...]:
    return (
        launch.flow_run_id.bytes, codec.blob(launch.deployment_id), codec.blob(launch.schedule_id), launch.work_pool,
        launch.work_queue, launch.priority, codec.exact_micros(launch.scheduled), codec.blob(launch.worker),
        codec.micros(launch.claimed), None if launch.place is None else launch.place.scope,
        codec.micros(launch.stopping), codec.micros(launch.ended), int(launch.late), _encode(launch).decode(),
        codec.blob(launch.backfill_id), launch.line, launch.lane,
    )  # fmt: skip


def _from(row: Row) -> Launch:
    return _decode(row[0])


def depths(tx: Tx, now: datetime) -> list[Depth]:
    """Of the queues in which something waits or is at work."""
    found: dict[tuple[str | None, str | None], Depth] = {}
    rows = tx.rows(
        """SELECT work_pool, work_queue, count(*), min(scheduled) FROM launch
        WHERE claimed IS NULL AND ended IS NULL AND scheduled <= ? GROUP BY work_pool, work_queue""",
        (codec.micros(now),),
    )
    for pool, queue, due, oldest in rows:
        found[pool, queue] = Depth(pool, queue, int(due), codec.moment(oldest))
    rows = tx.rows(
        """SELECT work_pool, work_queue, count(*) FROM launch
        WHERE claimed IS NOT NULL AND ended IS NULL GROUP BY work_pool, work_queue"""
    )
    for pool, queue, at_work in rows:
        known = found.get((pool, queue), Depth(pool, queue))
        found[pool, queue] = msgspec.structs.replace(known, at_work=int(at_work))
    return list(found.values())
