"""SQL of signals: requests to stop a run, kept until the run has ended."""

from __future__ import annotations

from uuid import UUID

from ..domain.stops import Signal
from . import codec
from .contract import Row, Tx

_COLUMNS = "run_id, flow_run_id, at, who, grace"


def put(tx: Tx, signal: Signal) -> None:
    """Records a request; the latest one for a run is the one that counts."""
    tx.run(
        f"""INSERT INTO signal ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET
        at = excluded.at, who = excluded.who, grace = excluded.grace""",
        (
            signal.run_id.bytes,
            codec.blob(signal.flow_run_id),
            codec.exact_micros(signal.at),
            signal.who,
            signal.grace,
        ),
    )


def all(tx: Tx) -> list[Signal]:
    """All open requests, oldest first. They are few: each goes when its run has ended."""
    return [_from(row) for row in tx.rows(f"SELECT {_COLUMNS} FROM signal ORDER BY at")]


def get(tx: Tx, run_id: UUID) -> Signal | None:
    row = tx.row(f"SELECT {_COLUMNS} FROM signal WHERE run_id = ?", (run_id.bytes,))
    return None if row is None else _from(row)


def _from(row: Row) -> Signal:
    run_id, flow_run_id, at, who, grace = row
    return Signal(UUID(bytes=bytes(run_id)), codec.moment(at), who, grace, codec.unblob(flow_run_id))  # type: ignore[arg-type]


def delete(tx: Tx, run_id: UUID) -> None:
    """The run has ended: requests for it, and for task runs of it, are done with."""
    tx.run("DELETE FROM signal WHERE run_id = ? OR flow_run_id = ?", (run_id.bytes, run_id.bytes))
