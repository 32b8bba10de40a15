"""SQL of the inputs that are sent to flow runs."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ..domain.run_inputs import SentInput
from . import codec
from .contract import Tx

_decode = msgspec.json.Decoder(SentInput).decode
_encode = msgspec.json.Encoder().encode


def last(tx: Tx, flow_run_id: UUID) -> int:
    """The number of a run's last; 0 when there is none."""
    row = tx.row("SELECT max(seq) FROM run_input WHERE flow_run_id = ?", (flow_run_id.bytes,))
    return 0 if row is None or row[0] is None else int(row[0])


def add(tx: Tx, sent: SentInput) -> None:
    row = (sent.flow_run_id.bytes, sent.seq, codec.writable(sent.key), _encode(codec.all_writable(sent)).decode())
    tx.run("INSERT INTO run_input (flow_run_id, seq, key, data) VALUES (?, ?, ?, ?)", row)


def behind(tx: Tx, flow_run_id: UUID, key: str | None, seq: int, limit: int) -> list[SentInput]:
    """Those that came after the one of this number, of this key, in the order of their coming."""
    where, params = ("", ()) if key is None else (" AND key = ?", (codec.writable(key),))
    sql = f"SELECT data FROM run_input WHERE flow_run_id = ? AND seq > ?{where} ORDER BY seq LIMIT ?"
    return [_decode(row[0]) for row in tx.rows(sql, (flow_run_id.bytes, seq, *params, limit))]
