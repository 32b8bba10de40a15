"""SQL of artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.artifacts import Artifact
from . import codec
from .contract import Row, Tx, Value

_COLUMNS = (
    "id", "key", "type", "description", "data", "metadata", "flow_run_id", "task_run_id", "created", "updated",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM artifact"
# Said twice, or late, it changes nothing.
_UPSERT = """ON CONFLICT (id) DO UPDATE SET description = excluded.description, data = excluded.data,
    metadata = excluded.metadata, updated = excluded.updated WHERE excluded.updated >= artifact.updated"""
_LATEST = """(key IS NULL OR NOT EXISTS (SELECT 1 FROM artifact AS newer
    WHERE newer.key = artifact.key AND newer.id > artifact.id))"""
_encode = msgspec.json.Encoder().encode

Condition = tuple[str, list[Value]]


def put(tx: Tx, artifact: Artifact) -> None:
    row = (
        artifact.id.bytes,
        artifact.key,
        artifact.type,
        artifact.description,
        _json(artifact.data),
        codec.text(artifact.metadata),
        codec.blob(artifact.flow_run_id),
        codec.blob(artifact.task_run_id),
        codec.exact_micros(artifact.created),
        codec.exact_micros(artifact.updated),
    )
    tx.insert("artifact", _COLUMNS, [row], _UPSERT)


def get(tx: Tx, id: UUID) -> Artifact | None:
    row = tx.row(f"{_SELECT} WHERE id = ?", (id.bytes,))
    return None if row is None else _artifact(row)


def latest(tx: Tx, key: str) -> Artifact | None:
    row = tx.row(f"{_SELECT} WHERE key = ? ORDER BY id DESC LIMIT 1", (key,))
    return None if row is None else _artifact(row)


def keys(tx: Tx) -> list[str]:
    return [str(key) for (key,) in tx.rows("SELECT DISTINCT key FROM artifact WHERE key IS NOT NULL ORDER BY key")]


def select(tx: Tx, where: Condition, limit: int) -> Iterator[Artifact]:
    """The newest that fit, by a condition made by `fitting`."""
    return map(_artifact, tx.rows(f"{_SELECT} WHERE {where[0]} ORDER BY id DESC LIMIT ?", (*where[1], limit)))


def count(tx: Tx, where: Condition) -> int:
    row = tx.row(f"SELECT count(*) FROM artifact WHERE {where[0]}", where[1])
    return 0 if row is None else int(row[0])


def fitting(
    *,
    keys: Iterable[str] = (),
    types: Iterable[str] = (),
    flow_run_id: UUID | None = None,
    task_run_id: UUID | None = None,
    after: datetime | None = None,
    before: datetime | None = None,
    latest: bool = False,
    behind: UUID | None = None,
) -> Condition:
    """The condition of artifacts that fit all of these; `latest`: of each key only the newest."""
    parts: list[str] = []
    params: list[Value] = []

    def also(sql: str, *values: Value) -> None:
        parts.append(sql)
        params.extend(values)

    for column, wanted in (("key", list(keys)), ("type", list(types))):
        if wanted:
            also(f"{column} IN ({', '.join('?' * len(wanted))})", *wanted)
    if flow_run_id is not None:
        also("flow_run_id = ?", flow_run_id.bytes)
    if task_run_id is not None:
        also("task_run_id = ?", task_run_id.bytes)
    if after is not None:
        also("created >= ?", codec.exact_micros(after))
    if before is not None:
        also("created < ?", codec.exact_micros(before))
    if behind is not None:
        also("id < ?", behind.bytes)
    if latest:
        also(_LATEST)
    return " AND ".join(parts) or "1 = 1", params


def delete(tx: Tx, id: UUID) -> bool:
    """Whether there was one."""
    return tx.run("DELETE FROM artifact WHERE id = ?", (id.bytes,)) > 0


def _json(value: Any) -> str:
    return _encode(value).decode()


def _artifact(row: Row) -> Artifact:
    id, key, type_, description, data, metadata, flow_run_id, task_run_id, created, updated = row
    return Artifact(
        id=UUID(bytes=bytes(id)),
        key=key,
        type=type_,
        description=description,
        data=codec.untext(data, None),
        metadata=codec.untext(metadata, {}),
        flow_run_id=codec.unblob(flow_run_id),
        task_run_id=codec.unblob(task_run_id),
        created=codec.exact_moment(created),
        updated=codec.exact_moment(updated),
    )
