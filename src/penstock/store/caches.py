"""SQL of cached task results."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ..domain.runs import ResultRef
from . import codec
from .contract import Tx


def get(tx: Tx, key: str, now: datetime) -> tuple[UUID, ResultRef] | None:
    """The run that made the value for this key, and where the value is; None when there is none or it expired."""
    row = tx.row(
        f"""SELECT task_run_id, {", ".join(codec.RESULT_COLUMNS)} FROM cache
        WHERE key = ? AND (expires IS NULL OR expires > ?)""",
        (key, codec.micros(now)),
    )
    ref = codec.result_from(row[1:]) if row else None
    return None if row is None or ref is None else (UUID(bytes=bytes(row[0])), ref)


def put(tx: Tx, key: str, task_run_id: UUID, result: ResultRef, now: datetime, expires: datetime | None) -> None:
    """The newest value for a key replaces the one before."""
    columns = ("key", "task_run_id", "created", "expires", *codec.RESULT_COLUMNS)
    update = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
    row = (key, task_run_id.bytes, codec.micros(now), codec.micros(expires), *codec.result_row(result))
    tx.insert("cache", columns, [row], f"ON CONFLICT (key) DO UPDATE SET {update}")
