"""SQL of deployments' schedules."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ..domain.schedules import DeploymentSchedule
from . import codec
from .contract import Tx

_decode = msgspec.json.Decoder(DeploymentSchedule).decode
_encode = msgspec.json.Encoder().encode


def put(tx: Tx, schedule: DeploymentSchedule) -> None:
    tx.insert(
        "deployment_schedule",
        ("id", "deployment_id", "active", "planned_until", "data"),
        [
            (
                schedule.id.bytes,
                schedule.deployment_id.bytes,
                int(schedule.active),
                codec.micros(schedule.planned_until),
                _encode(schedule).decode(),
            )
        ],
        """ON CONFLICT (id) DO UPDATE SET active = excluded.active, planned_until = excluded.planned_until,
        data = excluded.data""",
    )


def get(tx: Tx, id: UUID) -> DeploymentSchedule | None:
    row = tx.row("SELECT data FROM deployment_schedule WHERE id = ?", (id.bytes,))
    return None if row is None else _decode(row[0])


def of(tx: Tx, deployment_id: UUID) -> list[DeploymentSchedule]:
    """A deployment's schedules, in the order in which they were made."""
    rows = tx.rows("SELECT data FROM deployment_schedule WHERE deployment_id = ? ORDER BY id", (deployment_id.bytes,))
    return [_decode(row[0]) for row in rows]


def active(tx: Tx) -> list[DeploymentSchedule]:
    """All that are not paused themselves."""
    return [_decode(row[0]) for row in tx.rows("SELECT data FROM deployment_schedule WHERE active = 1 ORDER BY id")]


def delete(tx: Tx, id: UUID) -> bool:
    """Whether there was one."""
    return tx.run("DELETE FROM deployment_schedule WHERE id = ?", (id.bytes,)) > 0
