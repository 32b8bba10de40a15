"""SQL of the arguments that flow runs were called with."""

from __future__ import annotations

from uuid import UUID

from ..domain.runs import Arguments
from .contract import Tx


def put(tx: Tx, run_id: UUID, arguments: Arguments) -> None:
    """Records them, once and for all."""
    tx.run(
        "INSERT INTO arguments (run_id, data, parameter, problem) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (run_id.bytes, arguments.data, arguments.parameter, arguments.problem),
    )


def get(tx: Tx, run_id: UUID) -> Arguments | None:
    """None for a run that was called without any."""
    row = tx.row("SELECT data, parameter, problem FROM arguments WHERE run_id = ?", (run_id.bytes,))
    return None if row is None else Arguments(None if row[0] is None else bytes(row[0]), row[1], row[2])
