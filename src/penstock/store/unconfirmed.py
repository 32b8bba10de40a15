"""SQL of runs that ended while their code went on: which, and in which process. They are few, and soon none."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from ..domain.runs import Holder
from . import codec, lists
from .contract import Tx

_decode = msgspec.json.Decoder(Holder).decode


def put(tx: Tx, run_id: UUID, holder: Holder) -> None:
    tx.run(
        "INSERT INTO unconfirmed (run_id, holder) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (run_id.bytes, codec.text(holder)),
    )


def delete(tx: Tx, run_id: UUID) -> None:
    tx.run("DELETE FROM unconfirmed WHERE run_id = ?", (run_id.bytes,))


def of(tx: Tx, some: Iterable[Holder]) -> dict[Holder, list[UUID]]:
    """The runs whose code is in these processes; of one that has none, nothing."""
    texts = {codec.text(holder): holder for holder in some}
    found: dict[Holder, list[UUID]] = {}
    for marks, piece in lists.pieces(texts):
        for holder, run_id in tx.rows(f"SELECT holder, run_id FROM unconfirmed WHERE holder IN {marks}", piece):
            found.setdefault(texts[str(holder)], []).append(UUID(bytes=bytes(run_id)))
    return found


def holders(tx: Tx) -> list[Holder]:
    """The processes in which there is such code."""
    return [_decode(text) for (text,) in tx.rows("SELECT DISTINCT holder FROM unconfirmed")]
