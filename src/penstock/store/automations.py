"""SQL of automations, and of what they did."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.automations import Automation, Firing, Happened, Notify
from . import codec
from .contract import Tx

_automation = msgspec.json.Decoder(Automation).decode
_firing = msgspec.json.Decoder(Firing).decode
_encode = msgspec.json.Encoder().encode
# Of a firing that is to be done: what it is about.
DO, TELL = 1, 2
_FIRING = ("id", "automation", "subject", "place", "at", "open", "data")


def put(tx: Tx, automation: Automation) -> None:
    waits = int(automation.enabled and isinstance(automation.trigger, Happened))
    data = _encode(codec.all_writable(automation)).decode()
    tx.insert(
        "automation", ("name", "awaits_event", "data"), [(automation.name, waits, data)],
        "ON CONFLICT (name) DO UPDATE SET awaits_event = excluded.awaits_event, data = excluded.data",
    )  # fmt: skip


def get(tx: Tx, name: str) -> Automation | None:
    row = tx.row("SELECT data FROM automation WHERE name = ?", (codec.writable(name),))
    return None if row is None else _automation(row[0])


def all_of(tx: Tx) -> list[Automation]:
    return [_automation(row[0]) for row in tx.rows("SELECT data FROM automation ORDER BY name")]


def awaiting_events(tx: Tx) -> list[Automation]:
    """Those that are enabled and begun by events."""
    return [_automation(row[0]) for row in tx.rows("SELECT data FROM automation WHERE awaits_event = 1 ORDER BY name")]


def delete(tx: Tx, name: str) -> bool:
    """Whether there was one. What it was to do and has not done, it does not do."""
    tx.run("DELETE FROM firing WHERE automation = ? AND open > 0", (codec.writable(name),))
    return tx.run("DELETE FROM automation WHERE name = ?", (codec.writable(name),)) > 0


def cursor(tx: Tx) -> int | None:
    row = tx.row("SELECT n FROM automation_cursor WHERE id = 1")
    return None if row is None else int(row[0])


def set_cursor(tx: Tx, n: int) -> None:
    tx.run("INSERT INTO automation_cursor (id, n) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET n = excluded.n", (n,))


def fire(tx: Tx, firings: list[Firing]) -> None:
    """Those that were fired already stay as they are."""
    if firings:
        tx.insert("firing", _FIRING, [_row(each) for each in firings], "ON CONFLICT DO NOTHING")


def settle(tx: Tx, firing: Firing) -> None:
    data = _encode(codec.all_writable(firing)).decode()
    tx.run("UPDATE firing SET open = 0, data = ? WHERE id = ?", (data, firing.id.bytes))


def open_ones(tx: Tx, notifications: bool, limit: int) -> list[Firing]:
    """What is to be told, or what else is to be done, the oldest first."""
    sql = "SELECT data FROM firing WHERE open = ? ORDER BY id LIMIT ?"
    return [_firing(row[0]) for row in tx.rows(sql, (TELL if notifications else DO, limit))]


def fired(tx: Tx, automation: str | None, limit: int, behind: UUID | None) -> list[Firing]:
    """What was fired, the latest first."""
    where: list[str] = ["1 = 1"]
    params: list[str | bytes] = []
    if automation is not None:
        where.append("automation = ?")
        params.append(codec.writable(automation))
    if behind is not None:
        where.append("id < ?")
        params.append(behind.bytes)
    sql = f"SELECT data FROM firing WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
    return [_firing(row[0]) for row in tx.rows(sql, (*params, limit))]


def prune(tx: Tx, before: datetime, limit: int) -> int:
    """Forgets at most `limit` that were done before; how many."""
    return tx.run(
        "DELETE FROM firing WHERE id IN (SELECT id FROM firing WHERE at < ? AND open = 0 LIMIT ?)",
        (codec.micros(before), limit),
    )


def _open(firing: Firing) -> int:
    if firing.done is not None:
        return 0
    return TELL if isinstance(firing.action, Notify) else DO


def _row(firing: Firing) -> tuple[bytes | str | int | None, ...]:
    return (
        firing.id.bytes, codec.writable(firing.automation), codec.writable(firing.subject), firing.place,
        codec.micros(firing.at), _open(firing), _encode(codec.all_writable(firing)).decode(),
    )  # fmt: skip
