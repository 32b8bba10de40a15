"""SQL of lanes: whose turn it is among the runs that wait.

Law: a lane is there while something waits in it, and says when the first in it is due (`follow`, in the transaction
that changes a launch). It comes behind the lanes that are there, and goes behind them again when it had its turn: so
nobody waits for more than one turn of each of the others. A closed gate is only a note that its key may not run more:
it is opened whenever that may have changed, and whoever looks again finds out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from ..domain.launches import EVERYBODYS_BELL, Launch
from . import changes, codec
from .contract import Tx, Value

# A gate that is opened by somebody, and not by time; and when nothing in a lane is due.
SHUT = NEVER = 1 << 62
_LANE = "line = ? AND priority = ? AND key = ?"
_WAITS = "claimed IS NULL AND ended IS NULL"
_FIRST = f"""coalesce((SELECT min(scheduled) FROM launch WHERE launch.line = lane.line
AND launch.priority = lane.priority AND launch.key = lane.key AND {_WAITS}), {NEVER})"""
_COME = """INSERT INTO lane (line, priority, key, turn, due, gate)
SELECT ?, ?, ?, (SELECT coalesce(max(turn), 0) + 1 FROM lane), ?, 0 {where}
ON CONFLICT (line, priority, key) DO UPDATE SET due = excluded.due WHERE excluded.due < lane.due"""
_decode = msgspec.json.Decoder(Launch).decode


def follow(tx: Tx, launch: Launch) -> None:
    """Called when a launch was written."""
    if launch.claimed is None and launch.ended is None:
        # (SQLite needs a WHERE between a SELECT and ON CONFLICT.)
        lane = (launch.line, launch.priority, launch.lane, codec.exact_micros(launch.scheduled))
        tx.run(_COME.format(where="WHERE 1 = 1"), lane)
    elif launch.claimed is None or launch.launched is None:  # it may have waited until now
        leave(tx, launch.line, launch.priority, launch.lane)
    if launch.lane and (launch.claimed is None or launch.ended is not None):
        open_gates(tx, launch.lane)


def leave(tx: Tx, line: str, priority: int, key: str) -> None:
    """Something waits in a lane no more, and perhaps nothing does."""
    tx.run(f"UPDATE lane SET due = {_FIRST} WHERE {_LANE}", (line, priority, key))
    tx.run(f"DELETE FROM lane WHERE {_LANE} AND due = {NEVER}", (line, priority, key))


def had_turn(tx: Tx, launch: Launch) -> None:
    """One was taken from its lane, which goes behind the others. (What is empty now is seen to by `clear`.)"""
    sql = f"UPDATE lane SET turn = (SELECT max(turn) + 1 FROM lane), due = {_FIRST} WHERE {_LANE}"
    tx.run(sql, (launch.line, launch.priority, launch.lane))


def clear(tx: Tx) -> None:
    """Lanes in which nothing waits go."""
    tx.run(f"DELETE FROM lane WHERE due = {NEVER}")


def shut(tx: Tx, launch: Launch, until: datetime | None) -> None:
    """Nobody looks at what waits with this key, until a moment, or until somebody opens its gate."""
    gate = SHUT if until is None else codec.exact_micros(until)
    tx.run(f"UPDATE lane SET gate = ? WHERE {_LANE}", (gate, launch.line, launch.priority, launch.lane))


def open_gates(tx: Tx, key: str) -> None:
    """Something has ended that had this key."""
    if tx.run("UPDATE lane SET gate = 0 WHERE key = ? AND key <> '' AND gate > 0", (key,)):
        changes.ring(tx, [EVERYBODYS_BELL])  # what waits with it may be another pool's


def open_all(tx: Tx) -> None:
    """Somebody has changed what keys, or deployments, may."""
    tx.run("UPDATE lane SET gate = 0 WHERE gate > 0")
    changes.ring(tx, [EVERYBODYS_BELL])


def next_open(tx: Tx, lines: Sequence[str], after: datetime) -> datetime | None:
    """When the next gate opens by time."""
    if not lines:
        return None
    sql = f"SELECT min(gate) FROM lane WHERE gate > 0 AND gate > ? AND gate < ? AND line IN ({_marks(lines)})"
    row = tx.row(sql, (codec.micros(after), SHUT, *lines))
    return None if row is None else codec.moment(row[0])


def heads(
    tx: Tx,
    lines: Sequence[str],
    now: datetime,
    limit: int,
    *,
    full: Collection[bytes] = (),
    busy: Collection[bytes] = (),
) -> list[Launch]:
    """Whose turn is next: the first of each lane, in the order of their turns; those of the lowest priority that there
    is first. Without runs of deployments that are `full`, and of schedules that are `busy`."""
    if not lines:
        return []
    at = codec.exact_micros(now)
    where, params = (
        [f"lane.line IN ({_marks(lines)})", "lane.due <= ?", "lane.gate <= ?"],
        list[Value]([*lines, at, at]),
    )
    without, left_out = "", list[Value]()
    if full:
        without += f" AND (n.deployment_id IS NULL OR n.deployment_id NOT IN ({_marks(full)}))"
        left_out += full
        # (Lanes that are theirs alone need not be looked into.)
        where.append(f"substr(lane.key, 1, 33) NOT IN ({_marks(full)})")
        params += [f"{each.hex()}:" for each in full]
    if busy:
        without += f" AND (n.schedule_id IS NULL OR n.schedule_id NOT IN ({_marks(busy)}))"
        left_out += busy
    sql = f"""SELECT l.data FROM lane JOIN launch l ON l.flow_run_id = (
        SELECT n.flow_run_id FROM launch n WHERE n.line = lane.line AND n.priority = lane.priority AND n.key = lane.key
        AND n.scheduled <= ? AND n.claimed IS NULL AND n.ended IS NULL{without}
        ORDER BY n.scheduled, n.flow_run_id LIMIT 1)
    WHERE {" AND ".join(where)} ORDER BY lane.priority, lane.turn LIMIT ?"""
    found = [_decode(row[0]) for row in tx.rows(sql, (at, *left_out, *params, limit))]
    return [each for each in found if each.priority == found[0].priority]


def ahead(tx: Tx, launch: Launch, now: datetime) -> int:
    """How many of its line go before one that waits, if nothing comes and nothing ends: all of a lower priority; of its
    own lane, those before it; and of each other lane as many turns as it waits for, or what is in it. Lanes that are
    shut are not counted."""
    at, due = codec.exact_micros(now), codec.exact_micros(launch.scheduled)
    before = """SELECT count(*) FROM launch n JOIN lane ON lane.line = n.line AND lane.priority = n.priority
    AND lane.key = n.key WHERE n.line = ? AND n.priority < ? AND n.scheduled <= ? AND n.claimed IS NULL
    AND n.ended IS NULL AND lane.gate <= ?"""
    count = _number(tx, before, (launch.line, launch.priority, at, at))
    own = f"""SELECT count(*) FROM launch WHERE {_LANE} AND {_WAITS}
    AND (scheduled < ? OR (scheduled = ? AND flow_run_id < ?))"""
    lane = (launch.line, launch.priority, launch.lane)
    rank = _number(tx, own, (*lane, due, due, launch.flow_run_id.bytes))
    turn = _number(tx, f"SELECT turn FROM lane WHERE {_LANE}", lane)
    others = """SELECT lane.turn, (SELECT count(*) FROM (SELECT 1 FROM launch n WHERE n.line = lane.line
        AND n.priority = lane.priority AND n.key = lane.key AND n.scheduled <= ? AND n.claimed IS NULL
        AND n.ended IS NULL LIMIT ?) AS first)
    FROM lane WHERE lane.line = ? AND lane.priority = ? AND lane.key <> ? AND lane.due <= ? AND lane.gate <= ?"""
    for other, waiting in tx.rows(others, (at, rank + 1, *lane, at, at)):
        count += min(waiting, rank + (other < turn))
    return count + rank


def due_in(tx: Tx, lines: Sequence[str], now: datetime) -> int:
    """How many are due in some lines, in lanes that are open."""
    if not lines:
        return 0
    sql = f"""SELECT count(*) FROM launch n JOIN lane ON lane.line = n.line AND lane.priority = n.priority
    AND lane.key = n.key WHERE n.line IN ({_marks(lines)}) AND n.scheduled <= ? AND n.claimed IS NULL
    AND n.ended IS NULL AND lane.gate <= ?"""
    at = codec.exact_micros(now)
    return _number(tx, sql, (*lines, at, at))


def _number(tx: Tx, sql: str, params: Sequence[Value]) -> int:
    row = tx.row(sql, params)
    return 0 if row is None or row[0] is None else int(row[0])


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))
