"""SQL of retention: what is old, found by an index, oldest first; and deleted a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from ..domain.ids import uuid7
from . import changes, codec, flow_runs
from .codec import FINAL_TYPES
from .contract import Tx

PRUNED = "pruned"
HOUR = 3_600_000_000  # microseconds

# A place in a list that is ordered by ends and ids.
Place = tuple[int, bytes]
FIRST: Place = (-(2**62), b"")

# Of something of the run {run}: whether that is pinned, or one above it is, or it has not ended.
_SPARED = """EXISTS (SELECT 1 FROM flow_run AS own LEFT JOIN flow_run AS root ON root.id = own.root_flow_run_id
    WHERE own.id = {run} AND (own.keep <> 0 OR own.ended IS NULL OR root.keep <> 0 OR
        (root.id IS NOT NULL AND root.ended IS NULL)))"""
_KEPT = {
    "event": ("received", _SPARED.format(run="event.flow_run_id")),
    "artifact": ("updated", _SPARED.format(run="artifact.flow_run_id")),
}


def mark(tx: Tx, name: str) -> int | None:
    """How far something came."""
    row = tx.row("SELECT at FROM retention_mark WHERE name = ?", (name,))
    return None if row is None else int(row[0])


def set_mark(tx: Tx, name: str, at: int) -> None:
    tx.run(
        "INSERT INTO retention_mark (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
        (name, at),
    )


def is_due(tx: Tx, now: datetime) -> bool:
    """Whether no program has deleted what is old for an hour."""
    last, at = mark(tx, PRUNED), codec.exact_micros(now)
    return last is None or not at - HOUR < last <= at


# --- flow runs -------------------------------------------------------------------------------------------------------


def old_roots(tx: Tx, before: int, after: Place, limit: int) -> list[tuple[Place, UUID]]:
    """Flow runs that nobody called (or nobody who is still there), which ended before a moment: those that ended first,
    behind a place."""
    rows = tx.rows(
        f"""SELECT ended, id FROM flow_run WHERE ended IS NOT NULL AND ended < ? AND (ended, id) > (?, ?)
        AND keep = 0 AND state_type IN {FINAL_TYPES} AND (flow_run_id IS NULL OR NOT EXISTS
            (SELECT 1 FROM flow_run AS above WHERE above.id = flow_run.flow_run_id))
        ORDER BY ended, id LIMIT ?""",
        (before, *after, limit),
    )
    return [((int(ended), bytes(id)), UUID(bytes=bytes(id))) for ended, id in rows]


def may_go(tx: Tx, id: UUID, before: int) -> bool:
    """Whether a flow run ended before a moment and is not pinned; so is one that is gone."""
    row = tx.row(f"SELECT keep, ended, state_type IN {FINAL_TYPES} FROM flow_run WHERE id = ?", (id.bytes,))
    return row is None or (not row[0] and row[1] is not None and row[1] < before and bool(row[2]))


def old_flow_runs(tx: Tx, before: int, after: Place, limit: int) -> list[tuple[Place, bool]]:
    """Flow runs that ended before a moment, in that order, behind a place: (place, whether it or the one above it all
    is pinned)."""
    rows = tx.rows(
        """SELECT ended, id, keep <> 0 OR EXISTS (SELECT 1 FROM flow_run AS root
            WHERE root.id = flow_run.root_flow_run_id AND root.keep <> 0)
        FROM flow_run WHERE ended IS NOT NULL AND ended < ? AND (ended, id) > (?, ?) ORDER BY ended, id LIMIT ?""",
        (before, *after, limit),
    )
    return [((int(ended), bytes(id)), bool(kept)) for ended, id, kept in rows]


def delete_flow_run(tx: Tx, id: UUID) -> bool:
    """A run whose task runs and lines are gone."""
    return flow_runs.delete(tx, [id]) > 0


# --- task runs outside flows -----------------------------------------------------------------------------------------


def old_task_runs(tx: Tx, before: int, start: int, after: bytes, limit: int) -> list[tuple[bytes, bool]]:
    """Task runs outside flows created from `start` on and before a moment, in that order, behind an id: (id, whether it
    ended before that moment)."""
    rows = tx.rows(
        """SELECT id, ended IS NOT NULL AND ended < ? FROM task_run
        WHERE flow_run_id IS NULL AND id >= ? AND id < ? AND id > ? ORDER BY id LIMIT ?""",
        (before, _id_at(start), _id_at(before), after, limit),
    )
    return [(bytes(id), bool(ended)) for id, ended in rows]


def created_at(id: bytes) -> int:
    """When a uuid7 was made, in microseconds."""
    return int.from_bytes(id[:6], "big") * 1000


def _id_at(micros: int) -> bytes:
    return uuid7(max(micros, 0) * 1000, 0).bytes


def delete_task_run(tx: Tx, id: bytes, at: int) -> int:
    """One whose lines are gone."""
    tx.run("DELETE FROM unconfirmed WHERE run_id = ?", (id,))
    gone = tx.run("DELETE FROM task_run WHERE id = ?", (id,))
    if gone:
        changes.note(tx, None, [(id, changes.DELETED)], at)
    return gone


# --- the rest --------------------------------------------------------------------------------------------------------


def delete_old(tx: Tx, table: str, before: int, limit: int) -> int:
    """Deletes at most `limit` artifacts or events that are older, but for those of runs that are pinned or have not
    ended. How many."""
    column, spared = _KEPT[table]
    return tx.run(
        f"""DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {column} < ?
        AND (flow_run_id IS NULL OR NOT {spared}) ORDER BY {column} LIMIT ?)""",
        (before, limit),
    )


def delete_expired_results(tx: Tx, now: int, limit: int) -> int:
    """Deletes at most `limit` cached results that have expired; how many."""
    return tx.run(
        """DELETE FROM cache WHERE key IN (SELECT key FROM cache WHERE expires IS NOT NULL AND expires < ?
        ORDER BY expires LIMIT ?)""",
        (now, limit),
    )


# --- counting --------------------------------------------------------------------------------------------------------


def count_old(tx: Tx, table: str, before: int) -> int:
    """How many `delete_old` would delete in the end."""
    column, spared = _KEPT[table]
    return _count(
        tx, f"SELECT count(*) FROM {table} WHERE {column} < ? AND (flow_run_id IS NULL OR NOT {spared})", before
    )


def count_expired_results(tx: Tx, now: int) -> int:
    return _count(tx, "SELECT count(*) FROM cache WHERE expires IS NOT NULL AND expires < ?", now)


def count_of_run(tx: Tx, id: UUID) -> tuple[int, int]:
    """(task runs, log lines) of a flow run."""
    return (
        _count(tx, "SELECT count(*) FROM task_run WHERE flow_run_id = ?", id.bytes),
        count_lines(tx, id.bytes),
    )


def count_lines(tx: Tx, run_id: bytes) -> int:
    return _count(tx, "SELECT count(*) FROM log WHERE run_id = ?", run_id)


def has_lines(tx: Tx, run_id: bytes) -> bool:
    return tx.row("SELECT 1 FROM log WHERE run_id = ? LIMIT 1", (run_id,)) is not None


def _count(tx: Tx, sql: str, *params: int | bytes) -> int:
    row = tx.row(sql, params)
    return 0 if row is None else int(row[0])


def family(tx: Tx, root: UUID) -> list[UUID]:
    """A flow run and all that it called, below it too: parents before children."""
    found, waiting = [root], [root]
    while waiting:
        children: Iterable[UUID] = flow_runs.children(tx, waiting.pop())
        found.extend(children)
        waiting.extend(children)
    return found
