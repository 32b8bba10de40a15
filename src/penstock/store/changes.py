"""SQL of changes: which runs each transaction changed, in the order in which the transactions were made.

Law: whatever changes a run notes it here, in the same transaction; that is done where runs are written
(`flow_runs.put`, `task_runs.report`) and, without runs, where lines are added to a log, and nowhere else. A run that
changes again is noted again: what is noted of a version that is not the run's any more says nothing, for a later note
does.

Bells are rung here as well (`ring`): whoever waits for work looks when one of his is, and not at every change.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import msgspec

from .contract import Tx, Value

# The version that says that the run was deleted.
DELETED = 0xFFFFFFFF
# The version of what is no run, but a bell.
_BELL = 0xFFFFFFFE
# Flow runs that are noted by one statement.
AT_ONCE = 64
_ENTRY = struct.Struct(">16sI")
_pack = _ENTRY.pack


class Change(msgspec.Struct, frozen=True):
    """What one transaction changed of one flow run (None: of task runs outside flows): runs by id, with the version
    that each had then."""

    n: int
    flow_run_id: UUID | None
    runs: tuple[tuple[UUID, int], ...]
    bells: tuple[UUID, ...] = ()


def note(tx: Tx, flow_run_id: bytes | None, runs: Iterable[tuple[bytes, int]], at: int) -> None:
    """Ids as they are stored; `at` in microseconds since 1970: about when."""
    note_all(tx, {flow_run_id: runs}, at)


def note_all(tx: Tx, changed: Mapping[bytes | None, Iterable[tuple[bytes, int]]], at: int) -> None:
    """Of several flow runs at once, which costs few statements."""
    rows = [(at, flow, b"".join([_pack(id, version) for id, version in runs])) for flow, runs in changed.items()]
    while rows:
        size = min(1 << (len(rows).bit_length() - 1), AT_ONCE)  # few texts, each of which stays prepared
        some, rows = rows[:size], rows[size:]
        marks = ", ".join(["(?, ?, ?)"] * size)
        values = [value for row in some for value in row]
        tx.run(f"INSERT INTO change (at, flow_run_id, what) VALUES {marks}", values)


def ring(tx: Tx, bells: Iterable[UUID], *, waiting: str = "") -> None:
    """Wakes those who wait for work and hear one of these; with `waiting`, only when something waits in a line that
    begins so. When, is told well enough by the change before."""
    sql = """INSERT INTO change (at, flow_run_id, what)
    SELECT coalesce((SELECT at FROM change ORDER BY n DESC LIMIT 1), 0), NULL, ?"""
    values: list[Value] = [b"".join([_pack(bell.bytes, _BELL) for bell in bells])]
    if waiting:
        sql += " WHERE EXISTS (SELECT 1 FROM lane WHERE substr(line, 1, length(?)) = ?)"
        values += [waiting, waiting]
    tx.run(sql, values)


def note_deleted(tx: Tx, id: bytes) -> None:
    """A flow run was deleted; when, is told well enough by the change before."""
    row = tx.row("SELECT at FROM change ORDER BY n DESC LIMIT 1")
    note(tx, id, [(id, DELETED)], 0 if row is None else int(row[0]))


def since(tx: Tx, n: int, limit: int) -> Iterator[Change]:
    """What came after the change `n`, oldest first."""
    rows = tx.rows("SELECT n, flow_run_id, what FROM change WHERE n > ? ORDER BY n LIMIT ?", (n, limit))
    for number, flow, what in rows:
        noted = [(UUID(bytes=id), version) for id, version in _ENTRY.iter_unpack(bytes(what))]
        runs = tuple(each for each in noted if each[1] != _BELL)
        bells = tuple(id for id, version in noted if version == _BELL)
        yield Change(int(number), None if flow is None else UUID(bytes=bytes(flow)), runs, bells)


def last(tx: Tx) -> int:
    """The number of the last change; 0 when there was none."""
    row = tx.row("SELECT max(n) FROM change")
    return 0 if row is None or row[0] is None else int(row[0])


def first(tx: Tx) -> int:
    """The number of the oldest change that is still kept; 0 when there is none."""
    row = tx.row("SELECT min(n) FROM change")
    return 0 if row is None or row[0] is None else int(row[0])


def prune(tx: Tx, before: int, keep: int, limit: int) -> int:
    """Forgets at most `limit` changes older than `before` (microseconds), but never the last `keep`. How many."""
    return tx.run(
        """DELETE FROM change WHERE n IN (SELECT n FROM change WHERE at < ? AND n <= ? ORDER BY n LIMIT ?)""",
        (before, last(tx) - keep, limit),
    )
