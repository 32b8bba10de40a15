"""SQL of log lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from uuid import UUID

from ..domain.filters import LogFilter, ascii_lower
from ..domain.logs import LogLine
from . import changes, codec, filters
from .contract import Tx, Value

COLUMNS = ("run_id", "seq", "task_run_id", "at", "level", "message", "logger", "file", "line", "function")
# before every sequence number
FIRST = -1
# from here on: lines added by other processes
LATE = 1 << 60
# the lines of a run that was entered again begin at a multiple of this
ATTEMPT = 1 << 20
# from here on: lines of processes that were forked from the run's
FORKED = 1 << 32
# a page ends before it has all its lines when these have so many characters
LONGEST_PAGE = 4_000_000
# runs that are asked for in one statement
AT_ONCE = 100


def _row(line: LogLine) -> tuple[Value, ...]:
    flow, task = line.flow_run_id, line.task_run_id
    run = flow if flow is not None else task
    assert run is not None, "a line belongs to a run"
    return (
        run.bytes, line.seq, None if task is None else task.bytes, codec.exact_micros(line.timestamp),
        line.level, line.message, line.logger, line.file, line.line, line.function,
    )  # fmt: skip


def append(tx: Tx, lines: Iterable[LogLine]) -> None:
    """Records lines; one that is there already (by run and sequence) is left as it is.

    Of a flow run it is noted that something came: who follows its log looks when it did.
    """
    all_lines = list(lines)
    tx.insert("log", COLUMNS, map(_row, all_lines), "ON CONFLICT DO NOTHING")
    grown: dict[bytes | None, tuple[()]] = {
        line.flow_run_id.bytes: () for line in all_lines if line.flow_run_id is not None
    }
    if grown:
        changes.note_all(tx, grown, codec.exact_micros(all_lines[-1].timestamp))


def next_late_seq(tx: Tx, run_id: UUID, epoch: int = 0) -> int:
    """A number for a line that another process than the run's own adds: behind all that the run will ever write.

    One that was given is not given again when the run has been entered anew (`epoch`): who follows the log would take
    the line for one that it has had.
    """
    row = tx.row("SELECT max(seq) FROM log WHERE run_id = ? AND seq >= ?", (run_id.bytes, LATE))
    first = LATE + min(epoch, ATTEMPT) * ATTEMPT
    return first if row is None or row[0] is None else max(first, int(row[0]) + 1)


def next_late_seqs(tx: Tx, epochs: Mapping[UUID, int]) -> dict[UUID, int]:
    """`next_late_seq` of many runs, by their epochs."""
    found = {id: LATE + min(epoch, ATTEMPT) * ATTEMPT for id, epoch in epochs.items()}
    ids = list(found)
    for start in range(0, len(ids), AT_ONCE):
        some = [id.bytes for id in ids[start : start + AT_ONCE]]
        sql = f"""SELECT run_id, max(seq) FROM log WHERE run_id IN ({", ".join("?" * len(some))}) AND seq >= ?
        GROUP BY run_id"""
        for id, seq in tx.rows(sql, (*some, LATE)):
            run_id = UUID(bytes=bytes(id))
            found[run_id] = max(found[run_id], int(seq) + 1)
    return found


def begin_attempt(tx: Tx, run_id: UUID) -> int:
    """The number of a run's next line when the run is entered again.

    Lines that others added at the end of what was, come before it; and there is room for what its former process may
    still have to say.
    """
    row = tx.row("SELECT max(seq) FROM log WHERE run_id = ? AND seq < ?", (run_id.bytes, LATE))
    last = FIRST if row is None or row[0] is None else int(row[0])
    late = [
        int(seq)
        for (seq,) in tx.rows("SELECT seq FROM log WHERE run_id = ? AND seq >= ? ORDER BY seq", (run_id.bytes, LATE))
    ]
    for place, seq in enumerate(late, last + 1):
        tx.run("UPDATE log SET seq = ? WHERE run_id = ? AND seq = ?", (place, run_id.bytes, seq))
    last += len(late)
    return (last // ATTEMPT + 1) * ATTEMPT if last > FIRST else 0


def read(
    tx: Tx,
    run_id: UUID,
    *,
    after: int = -1,
    limit: int = 1000,
    level: int = 0,
    task_run_id: UUID | None = None,
    containing: str | None = None,
    last: bool = False,
) -> list[LogLine]:
    """Lines of a run in their order, `after` a sequence number; with `last`, the latest `limit` of them."""
    where = ["run_id = ?", "seq > ?"]
    params: list[Value] = [run_id.bytes, after]
    if level:
        where.append("level >= ?")
        params.append(level)
    if task_run_id is not None:
        where.append("task_run_id = ?")
        params.append(task_run_id.bytes)
    if containing is not None:
        where.append("message LIKE ? ESCAPE '!'")
        params.append("%" + containing.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%")
    order = "DESC" if last else "ASC"
    sql = f"SELECT {', '.join(COLUMNS)} FROM log WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"
    found = list(_lines(tx.rows(sql, (*params, limit))))
    return found[::-1] if last else found


def page(
    tx: Tx,
    run_id: UUID,
    filter: LogFilter,
    limit: int,
    *,
    after: int = FIRST,
    before: int | None = None,
    backwards: bool = False,
) -> list[LogLine]:
    """At most `limit` lines of a run between two sequence numbers, both excluded: the first of them, or with
    `backwards` the last, last first. Fewer, where they are long."""
    where, params = _where(run_id, filter, after, before)
    order = "DESC" if backwards else "ASC"
    sql = f"SELECT {', '.join(COLUMNS)} FROM log WHERE {where} ORDER BY seq {order} LIMIT ?"
    found, size = [], 0
    for line in _lines(tx.rows(sql, (*params, limit))):
        found.append(line)
        size += len(line.message)
        if size > LONGEST_PAGE:
            break
    return found


def is_last(page: list[LogLine], limit: int) -> bool:
    """Whether nothing follows a page of at most `limit` lines."""
    return len(page) < limit and sum(len(line.message) for line in page) <= LONGEST_PAGE


def lanes(tx: Tx, run_id: UUID) -> Iterator[int]:
    """The stretches of `ATTEMPT` sequence numbers that a run has lines in: lane 0 is from 0 on.

    Every process that writes to a run's log counts in lanes of its own. What a process writes is in the order of its
    numbers; between processes they say nothing of time.
    """
    after = FIRST
    while (row := tx.row("SELECT min(seq) FROM log WHERE run_id = ? AND seq > ?", (run_id.bytes, after))) is not None:
        if row[0] is None:
            return
        lane = int(row[0]) // ATTEMPT
        yield lane
        after = (lane + 1) * ATTEMPT - 1


def last_seqs(tx: Tx, run_id: UUID, lane: int, limit: int) -> list[int]:
    """The last sequence numbers in a lane, last first."""
    sql = "SELECT seq FROM log WHERE run_id = ? AND seq >= ? AND seq < ? ORDER BY seq DESC LIMIT ?"
    return [int(seq) for (seq,) in tx.rows(sql, (run_id.bytes, lane * ATTEMPT, (lane + 1) * ATTEMPT, limit))]


def start_of_last(tx: Tx, run_id: UUID, filter: LogFilter, count: int) -> int:
    """The sequence number at which the last `count` lines begin; `FIRST` when there are no more than that."""
    where, params = _where(run_id, filter, FIRST, None)
    row = tx.row(f"SELECT seq FROM log WHERE {where} ORDER BY seq DESC LIMIT 1 OFFSET ?", (*params, count - 1))
    return FIRST if row is None else int(row[0])


def numbered(tx: Tx, run_id: UUID, seqs: Collection[int]) -> list[LogLine]:
    """The lines of these sequence numbers that are there."""
    marks = ", ".join("?" * len(seqs))
    sql = f"SELECT {', '.join(COLUMNS)} FROM log WHERE run_id = ? AND seq IN ({marks}) ORDER BY seq"
    return list(_lines(tx.rows(sql, (run_id.bytes, *seqs))))


def delete_some(tx: Tx, run_id: UUID, limit: int) -> int:
    """Deletes at most `limit` lines of a run; how many there were."""
    return tx.run(
        "DELETE FROM log WHERE run_id = ? AND seq IN (SELECT seq FROM log WHERE run_id = ? ORDER BY seq LIMIT ?)",
        (run_id.bytes, run_id.bytes, limit),
    )


def _where(run_id: UUID, filter: LogFilter, after: int, before: int | None) -> tuple[str, list[Value]]:
    where = ["run_id = ?", "seq > ?"]
    params: list[Value] = [run_id.bytes, after]
    if before is not None:
        where.append("seq < ?")
        params.append(before)
    if filter.level:
        where.append("level >= ?")
        params.append(filter.level)
    if filter.task_run_id is not None:
        where.append("task_run_id = ?")
        params.append(filter.task_run_id.bytes)
    if filter.task is not None:
        where.append(
            "EXISTS (SELECT 1 FROM task_run t WHERE t.id = log.task_run_id AND (t.name = ? OR t.task_name = ?))"
        )
        params.extend((filter.task, filter.task))
    if filter.containing is not None:
        where.append("lower(message) LIKE ? ESCAPE '!'")
        params.append(filters.contains(ascii_lower(filter.containing)))
    if filter.after is not None:
        where.append("at >= ?")
        params.append(codec.exact_micros(filter.after))
    if filter.before is not None:
        where.append("at < ?")
        params.append(codec.exact_micros(filter.before))
    return " AND ".join(where), params


def _lines(rows: Iterator[tuple[Value, ...]]) -> Iterator[LogLine]:
    for run, seq, task, at, level, message, logger, file, line, function in rows:
        task_id, run_id = codec.unblob(task), codec.unblob(run)  # type: ignore[arg-type]
        yield LogLine(
            flow_run_id=None if run_id == task_id else run_id,
            task_run_id=task_id,
            seq=seq,  # type: ignore[arg-type]
            timestamp=codec.moment(at),  # type: ignore[arg-type]
            level=level,  # type: ignore[arg-type]
            message=message,  # type: ignore[arg-type]
            logger=logger,  # type: ignore[arg-type]
            file=file,  # type: ignore[arg-type]
            line=line,  # type: ignore[arg-type]
            function=function,  # type: ignore[arg-type]
        )
