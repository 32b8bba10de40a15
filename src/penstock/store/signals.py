"""SQL of signals: requests about a run, each kept until it has been heeded, or the run has ended."""

from __future__ import annotations

from uuid import UUID

from ..domain.stops import STOP, Signal
from . import codec
from .contract import Row, Tx

_COLUMNS = "run_id, kind, flow_run_id, at, who, grace"


def put(tx: Tx, signal: Signal) -> None:
    """Records a request; the latest one of a kind for a run is the one that counts."""
    tx.run(
        f"""INSERT INTO request ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, kind) DO UPDATE SET
        at = excluded.at, who = excluded.who, grace = excluded.grace""",
        (
            signal.run_id.bytes,
            signal.kind,
            codec.blob(signal.flow_run_id),
            codec.exact_micros(signal.at),
            signal.who,
            signal.grace,
        ),
    )


def all(tx: Tx) -> list[Signal]:
    """All open requests, oldest first. They are few: each goes when its run has ended."""
    return [_from(row) for row in tx.rows(f"SELECT {_COLUMNS} FROM request ORDER BY at")]


def get(tx: Tx, run_id: UUID, kind: str = STOP) -> Signal | None:
    row = tx.row(f"SELECT {_COLUMNS} FROM request WHERE run_id = ? AND kind = ?", (run_id.bytes, kind))
    return None if row is None else _from(row)


def _from(row: Row) -> Signal:
    run_id, kind, flow_run_id, at, who, grace = row
    moment = codec.moment(at)
    assert moment is not None
    return Signal(UUID(bytes=bytes(run_id)), moment, who, grace, codec.unblob(flow_run_id), kind)


def delete(tx: Tx, run_id: UUID) -> None:
    """The run has ended: requests for it, and for task runs of it, are done with."""
    tx.run("DELETE FROM request WHERE run_id = ? OR flow_run_id = ?", (run_id.bytes, run_id.bytes))


def heeded(tx: Tx, run_id: UUID, *kinds: str) -> None:
    """What was asked for is done."""
    for kind in kinds:
        tx.run("DELETE FROM request WHERE run_id = ? AND kind = ?", (run_id.bytes, kind))
