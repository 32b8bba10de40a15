"""SQL of pauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.pauses import Pause
from . import codec
from .contract import Row, Tx, Value

# Pauses that are asked for in one statement.
AT_ONCE = 100
_COLUMNS = ("id", "flow_run_id", "key", "deadline", "open", "awaits", "data")
_decode = msgspec.json.Decoder(Pause).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, *pauses: Pause) -> None:
    """Writes them as they are; the caller holds the transaction in which they were read and decided."""
    tx.insert(
        "pause", _COLUMNS, list(map(_row, pauses)),
        "ON CONFLICT (id) DO UPDATE SET deadline = excluded.deadline, open = excluded.open, data = excluded.data",
    )  # fmt: skip


def get(tx: Tx, id: UUID) -> Pause | None:
    row = tx.row("SELECT data FROM pause WHERE id = ?", (id.bytes,))
    return None if row is None else _from(row)


def get_all(tx: Tx, ids: Sequence[UUID]) -> list[Pause]:
    """Those of these that are recorded."""
    found = []
    for start in range(0, len(ids), AT_ONCE):
        some = [id.bytes for id in ids[start : start + AT_ONCE]]
        sql = f"SELECT data FROM pause WHERE id IN ({', '.join('?' * len(some))})"
        found += [_from(row) for row in tx.rows(sql, some)]
    return found


def latest(tx: Tx, flow_run_id: UUID, key: str | None = None) -> Pause | None:
    """The latest pause of a run, of this key."""
    where, params = ("", ()) if key is None else (" AND key = ?", (key,))
    row = tx.row(
        f"SELECT data FROM pause WHERE flow_run_id = ?{where} ORDER BY id DESC LIMIT 1", (flow_run_id.bytes, *params)
    )
    return None if row is None else _from(row)


def of_run(tx: Tx, flow_run_id: UUID) -> list[Pause]:
    """All pauses of a run, the oldest first."""
    return [
        _from(row) for row in tx.rows("SELECT data FROM pause WHERE flow_run_id = ? ORDER BY id", (flow_run_id.bytes,))
    ]


def open_of(tx: Tx, flow_run_id: UUID) -> Pause | None:
    """The pause of a run that nobody has answered."""
    row = tx.row(
        "SELECT data FROM pause WHERE flow_run_id = ? AND open = 1 ORDER BY id DESC LIMIT 1", (flow_run_id.bytes,)
    )
    return None if row is None else _from(row)


def open_ones(tx: Tx, limit: int, after: UUID | None = None) -> list[Pause]:
    """Those that nobody has answered, the oldest first."""
    where, params = ("", ()) if after is None else (" AND id > ?", (after.bytes,))
    return [
        _from(row)
        for row in tx.rows(f"SELECT data FROM pause WHERE open = 1{where} ORDER BY id LIMIT ?", (*params, limit))
    ]


def awaiting(tx: Tx, names: Iterable[str]) -> list[Pause]:
    """Those that nobody has answered and that wait for an event of one of these names, the oldest first."""
    if tx.row("SELECT 1 FROM pause WHERE open = 1 AND awaits IS NOT NULL LIMIT 1") is None:
        return []
    wanted = {text for name in names for text in (name, *(f"{name[:end]}*" for end in range(len(name) + 1)))}
    found: list[Pause] = []
    texts = sorted(wanted)
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        sql = f"SELECT data FROM pause WHERE open = 1 AND awaits IN ({', '.join('?' * len(some))})"
        found += [_from(row) for row in tx.rows(sql, some)]
    return sorted(found, key=lambda pause: pause.id)


def due(tx: Tx, now: datetime, limit: int, later_than: tuple[datetime, UUID] | None = None) -> list[Pause]:
    """Those that nobody has answered and whose time is over, the longest first; those behind one of these."""
    where = ""
    params: tuple[Value, ...] = ()
    if later_than is not None:
        where, params = " AND (deadline, id) > (?, ?)", (codec.micros(later_than[0]), later_than[1].bytes)
    sql = f"""SELECT data FROM pause WHERE open = 1 AND deadline IS NOT NULL AND deadline <= ?{where}
    ORDER BY deadline, id LIMIT ?"""
    return [_from(row) for row in tx.rows(sql, (codec.micros(now), *params, limit))]


def next_deadline(tx: Tx, after: datetime) -> datetime | None:
    """When the next is over that nobody has answered."""
    sql = "SELECT min(deadline) FROM pause WHERE open = 1 AND deadline IS NOT NULL AND deadline > ?"
    row = tx.row(sql, (codec.micros(after),))
    return None if row is None else codec.moment(row[0])


def _row(pause: Pause) -> tuple[bytes | str | int | None, ...]:
    return (
        pause.id.bytes, pause.flow_run_id.bytes, codec.writable(pause.key), codec.micros(pause.deadline),
        int(pause.answer is None), None if pause.event is None else codec.writable(pause.event.event),
        _encode(codec.all_writable(pause)).decode(),
    )  # fmt: skip


def _from(row: Row) -> Pause:
    return _decode(row[0])


def count_open(tx: Tx) -> tuple[int, datetime | None]:
    """How many nobody has answered; since when the oldest waits."""
    row = tx.row("SELECT count(*) FROM pause WHERE open = 1")
    oldest = open_ones(tx, 1)
    return (0 if row is None else int(row[0])), (oldest[0].begun if oldest else None)
