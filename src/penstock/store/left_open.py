"""SQL of what may be open still when a run ends: requests for its end, a pause that nobody answered, slots."""

from __future__ import annotations

from uuid import UUID

import msgspec

from .contract import Tx


class LeftOpen(msgspec.Struct, frozen=True):
    """Whether there are `requests` or a `pause` of the run; and whether anybody, it or another, has `claims`."""

    requests: bool
    pause: bool
    claims: bool


def of(tx: Tx, run_id: UUID) -> LeftOpen:
    """In one statement, for nearly always there is nothing."""
    row = tx.row(
        """SELECT EXISTS (SELECT 1 FROM request WHERE run_id = ? OR flow_run_id = ?),
        EXISTS (SELECT 1 FROM pause WHERE flow_run_id = ? AND open = 1), EXISTS (SELECT 1 FROM concurrency_claim)""",
        (run_id.bytes, run_id.bytes, run_id.bytes),
    )
    assert row is not None
    return LeftOpen(*map(bool, row))
