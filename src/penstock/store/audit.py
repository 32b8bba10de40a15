"""SQL of the audit log. Lines are added and, when they are old, pruned; none is ever changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..domain.audit import AuditEntry, AuditFilter
from . import codec
from .contract import Row, Tx, Value

_COLUMNS = "at, who, role, operation, objects, arguments, outcome, address, agent, key"


def add(tx: Tx, entry: AuditEntry) -> None:
    """Gives it its number."""
    tx.run(
        f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            codec.micros(entry.at),
            codec.writable(entry.who),
            entry.role,
            entry.operation,
            codec.text(entry.objects),
            codec.text(entry.arguments),
            entry.outcome,
            entry.address,
            codec.writable(entry.agent),
            entry.key,
        ),
    )


def select(tx: Tx, filter: AuditFilter, before: int | None, limit: int) -> Iterator[AuditEntry]:
    """The newest first, those before the number `before`."""
    conditions: list[tuple[str, Value]] = []
    if before is not None:
        conditions.append(("n < ?", before))
    if filter.since is not None:
        conditions.append(("at >= ?", codec.micros(filter.since)))
    if filter.until is not None:
        conditions.append(("at < ?", codec.micros(filter.until)))
    if filter.who is not None:
        conditions.append(("lower(who) LIKE ? ESCAPE '!'", f"%{_escaped(filter.who.lower())}%"))
    if filter.operation is not None:
        conditions.append(("operation = ?", filter.operation))
    where = "WHERE " + " AND ".join(sql for sql, _ in conditions) if conditions else ""
    params = [value for _, value in conditions]
    return map(_entry, tx.rows(f"SELECT n, {_COLUMNS} FROM audit {where} ORDER BY n DESC LIMIT ?", (*params, limit)))


def prune(tx: Tx, before: datetime, limit: int) -> int:
    """Deletes the oldest, `limit` at most; how many."""
    return tx.run(
        "DELETE FROM audit WHERE n IN (SELECT n FROM audit WHERE at < ? ORDER BY at LIMIT ?)",
        (codec.micros(before), limit),
    )


def count(tx: Tx, before: datetime) -> int:
    """How many `prune` would delete in the end."""
    row = tx.row("SELECT count(*) FROM audit WHERE at < ?", (codec.micros(before),))
    return int(row[0]) if row else 0


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _entry(row: Row) -> AuditEntry:
    n, at, who, role, operation, objects, arguments, outcome, address, agent, key = row
    return AuditEntry(
        n=n,
        at=codec.exact_moment(at),
        who=who,
        role=role,
        operation=operation,
        objects=tuple(codec.untext(objects, [])),
        arguments=codec.untext(arguments, {}),
        outcome=outcome,
        address=address,
        agent=agent,
        key=key,
    )
