"""SQL of runs that ended while their code went on: which, and in which process. They are few, and soon none."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ..domain.runs import Holder
from . import codec
from .contract import Tx

_decode = msgspec.json.Decoder(Holder).decode


def put(tx: Tx, run_id: UUID, holder: Holder) -> None:
    tx.run(
        "INSERT INTO unconfirmed (run_id, holder) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (run_id.bytes, codec.text(holder)),
    )


def delete(tx: Tx, run_id: UUID) -> None:
    tx.run("DELETE FROM unconfirmed WHERE run_id = ?", (run_id.bytes,))


def of(tx: Tx, holder: Holder) -> list[UUID]:
    """The runs whose code is in this process."""
    rows = tx.rows("SELECT run_id FROM unconfirmed WHERE holder = ?", (codec.text(holder),))
    return [UUID(bytes=bytes(run_id)) for (run_id,) in rows]


def holders(tx: Tx) -> list[Holder]:
    """The processes in which there is such code."""
    return [_decode(text) for (text,) in tx.rows("SELECT DISTINCT holder FROM unconfirmed")]
