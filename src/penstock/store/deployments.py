"""SQL of deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.deployments import Deployment
from . import codec, schedules
from .contract import Row, Tx, Value

_COLUMNS = (
    "id", "name", "flow_id", "flow_name", "work_pool", "work_queue", "paused", "created", "updated", "data",
)  # fmt: skip
_UPSERT = "ON CONFLICT (id) DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in _COLUMNS if c != "id")
_SELECT = "SELECT data, last_polled FROM deployment"
_decode = msgspec.json.Decoder(Deployment).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, deployment: Deployment) -> None:
    """Writes all but its schedules, which are rows of their own, and `last_polled`."""
    bare = msgspec.structs.replace(deployment, schedules=(), last_polled=None)
    row = (
        bare.id.bytes, bare.name, bare.flow_id.bytes, bare.flow_name, bare.work_pool, bare.work_queue,
        int(bare.paused), codec.micros(bare.created), codec.micros(bare.updated), _encode(bare).decode(),
    )  # fmt: skip
    tx.insert("deployment", _COLUMNS, [row], _UPSERT)


def get(tx: Tx, id: UUID) -> Deployment | None:
    row = tx.row(f"{_SELECT} WHERE id = ?", (id.bytes,))
    return None if row is None else _whole(tx, row)


def by_name(tx: Tx, flow_name: str, name: str) -> Deployment | None:
    row = tx.row(f"{_SELECT} WHERE flow_name = ? AND name = ?", (flow_name, name))
    return None if row is None else _whole(tx, row)


def select(
    tx: Tx,
    limit: int,
    *,
    flow_name: str | None = None,
    work_pool: str | None = None,
    after: tuple[str, str] | None = None,
) -> list[Deployment]:
    """By flow and name; those behind these."""
    where, params = _where(flow_name, work_pool)
    if after is not None:
        where += " AND (flow_name > ? OR (flow_name = ? AND name > ?))"
        params += [after[0], after[0], after[1]]
    rows = list(tx.rows(f"{_SELECT} WHERE {where} ORDER BY flow_name, name LIMIT ?", (*params, limit)))
    return [_whole(tx, row) for row in rows]


def count(tx: Tx, flow_name: str | None = None, work_pool: str | None = None) -> int:
    where, params = _where(flow_name, work_pool)
    row = tx.row(f"SELECT count(*) FROM deployment WHERE {where}", params)
    return 0 if row is None else int(row[0])


def _where(flow_name: str | None, work_pool: str | None) -> tuple[str, list[Value]]:
    where, params = "1 = 1", list[Value]()
    for column, value in (("flow_name", flow_name), ("work_pool", work_pool)):
        if value is not None:
            where += f" AND {column} = ?"
            params.append(value)
    return where, params


def note_polled(tx: Tx, ids: Sequence[UUID], now: datetime) -> None:
    """A process that serves these asked for work."""
    for id in ids:
        tx.run("UPDATE deployment SET last_polled = ? WHERE id = ?", (codec.micros(now), id.bytes))


def of_queue(tx: Tx, work_pool: str, name: str) -> list[str]:
    """The full names of the deployments whose runs go into a queue."""
    sql = "SELECT flow_name, name FROM deployment WHERE work_pool = ? AND work_queue = ? ORDER BY flow_name, name"
    return [f"{flow}/{each}" for flow, each in tx.rows(sql, (work_pool, name))]


def delete(tx: Tx, id: UUID) -> bool:
    """With its schedules; whether there was one."""
    tx.run("DELETE FROM deployment_schedule WHERE deployment_id = ?", (id.bytes,))
    return tx.run("DELETE FROM deployment WHERE id = ?", (id.bytes,)) > 0


def _whole(tx: Tx, row: Row) -> Deployment:
    found = _decode(row[0])
    found.last_polled = codec.moment(row[1])
    found.schedules = tuple(schedules.of(tx, found.id))
    return found
