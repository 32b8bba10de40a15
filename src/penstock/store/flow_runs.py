"""SQL of flows and flow runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from ..domain.flows import FlowSummary
from ..domain.runs import Entrypoint, FlowRun, Holder
from ..domain.states import StateType
from . import changes, codec, filters, launches
from .contract import Row, Tx, Value

COLUMNS = (
    "id", "name", "flow_id", "flow_name", "flow_version", "flow_run_id", "parent_task_run_id", "root_flow_run_id",
    "deployment_id", "state_type", "state_name", "state_message", "state_at", "states", "version", "run_count",
    "created", "expected_start", "started", "ended", "deadline", "epoch", "holder", "entrypoint",
    "infrastructure_pid", "tags", "parameters", "upstream", "labels", "lines_lost", "keep", "odd",
    *codec.RESULT_COLUMNS,
)  # fmt: skip
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM flow_run"
_UPSERT = "ON CONFLICT (id) DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in COLUMNS if c != "id")
_decode_holder = msgspec.json.Decoder(Holder).decode
_decode_entrypoint = msgspec.json.Decoder(Entrypoint).decode
_encode = msgspec.json.Encoder().encode


def _row(run: FlowRun) -> tuple[Value, ...]:
    state = run.state
    created = codec.exact_micros(run.created)
    return (
        run.id.bytes, run.name, run.flow_id.bytes, run.flow_name, run.flow_version, codec.blob(run.flow_run_id),
        codec.blob(run.parent_task_run_id), codec.blob(run.root_flow_run_id), codec.blob(run.deployment_id),
        state.type, state.name, state.message, codec.micros(state.timestamp), codec.states_text(run.states),
        run.version, run.run_count, created, codec.micros(run.expected_start_time),
        codec.micros(run.start_time), codec.micros(run.end_time), codec.micros(run.deadline), run.epoch,
        codec.text(run.holder), codec.text(run.entrypoint), run.infrastructure_pid,
        codec.text(run.tags), codec.text(run.parameters), codec.upstream_text(run.upstream), codec.text(run.labels),
        run.lines_lost, int(run.keep), None if filters.tells_time(run.id, created) else 1,
        *codec.result_row(run.result),
    )  # fmt: skip


def _from(row: Row) -> FlowRun:
    r: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    return FlowRun(
        id=UUID(bytes=bytes(r["id"])),
        name=r["name"],
        flow_id=UUID(bytes=bytes(r["flow_id"])),
        flow_name=r["flow_name"],
        flow_version=r["flow_version"],
        flow_run_id=codec.unblob(r["flow_run_id"]),
        parent_task_run_id=codec.unblob(r["parent_task_run_id"]),
        root_flow_run_id=codec.unblob(r["root_flow_run_id"]),
        deployment_id=codec.unblob(r["deployment_id"]),
        states=codec.states_from(r["states"]),
        version=r["version"],
        run_count=r["run_count"],
        created=codec.moment(r["created"]),  # type: ignore[arg-type]
        expected_start_time=codec.moment(r["expected_start"]),
        deadline=codec.moment(r["deadline"]),
        epoch=r["epoch"],
        holder=_decode_holder(r["holder"]) if r["holder"] else None,
        entrypoint=_decode_entrypoint(r["entrypoint"]) if r["entrypoint"] else None,
        infrastructure_pid=r["infrastructure_pid"],
        tags=tuple(codec.untext(r["tags"], ())),
        parameters=codec.untext(r["parameters"], {}),
        upstream=codec.upstream_from(r["upstream"]),
        labels=codec.untext(r["labels"], {}),
        lines_lost=r["lines_lost"],
        keep=bool(r["keep"]),
        result=codec.result_from(row[-len(codec.RESULT_COLUMNS) :]),
    )


def get(tx: Tx, id: UUID) -> FlowRun | None:
    row = tx.row(f"{_SELECT} WHERE id = ?", (id.bytes,))
    return _from(row) if row else None


def put(tx: Tx, run: FlowRun) -> None:
    """Writes the record as it is; the caller holds the transaction in which it was read and decided."""
    tx.insert("flow_run", COLUMNS, [_row(run)], _UPSERT)
    changes.note(tx, run.id.bytes, [(run.id.bytes, run.version)], codec.exact_micros(run.state.timestamp))


def put_all(tx: Tx, runs: Sequence[FlowRun], at: datetime) -> None:
    """`put` of many, which costs few statements."""
    tx.insert("flow_run", COLUMNS, [_row(run) for run in runs], _UPSERT)
    changes.note_all(tx, {run.id.bytes: [(run.id.bytes, run.version)] for run in runs}, codec.exact_micros(at))


def last_states(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, tuple[StateType, datetime]]:
    """Type and moment of the last state of each run; those that are not recorded are left out."""
    found = {}
    for some in _some(ids):
        sql = f"SELECT id, state_type, state_at FROM flow_run WHERE id IN ({', '.join('?' * len(some))})"
        for id, type_, at in tx.rows(sql, some):
            moment = codec.moment(at)
            assert moment is not None
            found[UUID(bytes=bytes(id))] = StateType(type_), moment
    return found


def get_all(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, FlowRun]:
    """Runs by id; those that are not recorded are left out."""
    found = {}
    for some in _some(ids):
        for row in tx.rows(f"{_SELECT} WHERE id IN ({', '.join('?' * len(some))})", some):
            run = _from(row)
            found[run.id] = run
    return found


def with_work(tx: Tx, ids: Iterable[UUID]) -> set[UUID]:
    """Those of these runs of which a task run or a subflow run has not ended, by the record."""
    found: set[UUID] = set()
    for some in _some(ids):
        for table in ("task_run", "flow_run"):
            sql = f"""SELECT DISTINCT flow_run_id FROM {table} WHERE flow_run_id IN ({", ".join("?" * len(some))})
            AND state_type NOT IN {codec.FINAL_TYPES}"""
            found.update(UUID(bytes=bytes(row[0])) for row in tx.rows(sql, some))
    return found


# A limit that is none, in both databases.
ALL = 2**62


def put_flow(tx: Tx, id: UUID, name: str, now: datetime) -> None:
    tx.run(
        "INSERT INTO flow (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (id.bytes, name, codec.micros(now)),
    )


def select(tx: Tx, where: str, params: Iterable[Value], order: str, limit: int, offset: int = 0) -> Iterator[FlowRun]:
    """Runs by a condition made by `filters.py`, at most `limit` (`ALL`: every one)."""
    rows = tx.rows(f"{_SELECT} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?", (*params, limit, offset))
    return (_from(row) for row in rows)


def unfinished_held(tx: Tx) -> list[FlowRun]:
    """Runs that some process is executing, by the record."""
    states = ", ".join(f"'{type_}'" for type_ in ("PENDING", "RUNNING", "CANCELLING", "PAUSED", "SCHEDULED"))
    rows = tx.rows(f"{_SELECT} WHERE state_type IN ({states}) AND holder IS NOT NULL ORDER BY id")
    return [_from(row) for row in rows]


def flows(
    tx: Tx, limit: int, name: str | None = None, *, after: tuple[datetime | None, str] | None = None
) -> list[FlowSummary]:
    """Flows with how many runs each has, most recently used first; those behind the one whose latest run was created at
    a moment, and its name."""
    # Counted in the indexes, flow by flow; joined and grouped, every row of every run would be read.
    where, params = ("WHERE f.name = ?", [name]) if name is not None else ("", [])
    last = 0 if after is None else codec.micros(after[0]) or 0
    behind: tuple[Value, ...] = () if after is None else (last, last, after[1])
    rows = tx.rows(
        f"""SELECT id, name, created, runs, last, failed FROM (SELECT f.id AS id, f.name AS name, f.created AS created,
            (SELECT count(*) FROM flow_run r WHERE r.flow_name = f.name) AS runs,
            coalesce((SELECT r.created FROM flow_run r WHERE r.flow_name = f.name ORDER BY r.id DESC LIMIT 1), 0)
            AS last, coalesce(b.failed, 0) AS failed
            FROM flow f LEFT JOIN (SELECT name, count(*) AS failed FROM
                (SELECT flow_name || '' AS name FROM flow_run WHERE state_type IN ('FAILED', 'CRASHED')) AS bad
                GROUP BY name) AS b ON b.name = f.name {where}) AS known
            {"" if after is None else "WHERE last < ? OR (last = ? AND name > ?)"}
            ORDER BY last DESC, name LIMIT ?""",
        (*params, *behind, limit),
    )
    return [
        FlowSummary(
            id=UUID(bytes=bytes(id)),
            name=name,
            created=codec.exact_moment(created),
            runs=runs,
            last_run=codec.moment(last or None),
            failed=failed,
        )
        for id, name, created, runs, last, failed in rows
    ]


def count_flows(tx: Tx) -> int:
    row = tx.row("SELECT count(*) FROM flow")
    return 0 if row is None else int(row[0])


def flow_name(tx: Tx, id: UUID) -> str | None:
    row = tx.row("SELECT name FROM flow WHERE id = ?", (id.bytes,))
    return None if row is None else str(row[0])


def states_of(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, str]:
    """The types of state that runs are in; a run that is not recorded is left out."""
    return {id: str(type_) for id, type_ in _of(tx, "state_type", ids)}


# Runs that are asked for in one statement: each is a trip to the database.
AT_ONCE = 100


def _some(ids: Iterable[UUID]) -> Iterator[list[bytes]]:
    """Ids as they are stored, each once, as many as one statement asks for."""
    wanted = [id.bytes for id in dict.fromkeys(ids)]
    for start in range(0, len(wanted), AT_ONCE):
        yield wanted[start : start + AT_ONCE]


def _of(tx: Tx, column: str, ids: Iterable[UUID]) -> Iterator[tuple[UUID, Any]]:
    """One column of flow runs, for those that are recorded."""
    for some in _some(ids):
        marks = ", ".join("?" * len(some))
        for id, value in tx.rows(f"SELECT id, {column} FROM flow_run WHERE id IN ({marks})", some):
            yield UUID(bytes=bytes(id)), value


def children(tx: Tx, id: UUID) -> list[UUID]:
    """The subflow runs of a flow run, not those below them."""
    return [UUID(bytes=bytes(row[0])) for row in tx.rows("SELECT id FROM flow_run WHERE flow_run_id = ?", (id.bytes,))]


def outline(tx: Tx, parent_id: UUID) -> Iterator[Row]:
    """Subflow runs in the order they were created, one at a time: (id, flow's name, parent_task_run_id, state_type)."""
    return tx.rows(
        "SELECT id, flow_name, parent_task_run_id, state_type FROM flow_run WHERE flow_run_id = ? ORDER BY id",
        (parent_id.bytes,),
    )


def epochs(tx: Tx, flow_run_ids: Iterable[UUID]) -> dict[UUID, int]:
    """The epochs of flow runs; of one that is not recorded, none."""
    return {id: int(epoch) for id, epoch in _of(tx, "epoch", flow_run_ids)}


def delete(tx: Tx, ids: list[UUID]) -> int:
    """Deletes runs with their task runs and logs; subflow runs are runs of their own. How many there were."""
    count = 0
    for id in ids:
        tx.run("DELETE FROM log WHERE run_id = ?", (id.bytes,))
        tx.run("DELETE FROM task_run WHERE flow_run_id = ?", (id.bytes,))
        tx.run("DELETE FROM arguments WHERE run_id = ?", (id.bytes,))
        tx.run("DELETE FROM unconfirmed WHERE run_id = ?", (id.bytes,))
        launches.delete(tx, id)
        tx.run("DELETE FROM pause WHERE flow_run_id = ?", (id.bytes,))
        tx.run("DELETE FROM pause_link WHERE flow_run_id = ?", (id.bytes,))
        tx.run("DELETE FROM run_input WHERE flow_run_id = ?", (id.bytes,))
        gone = tx.run("DELETE FROM flow_run WHERE id = ?", (id.bytes,))
        if gone:
            changes.note_deleted(tx, id.bytes)
        count += gone
    return count


def count_unfinished(tx: Tx) -> dict[tuple[str, str], int]:
    """How many runs that have not ended are in each state, by (type, name)."""
    rows = tx.rows(
        f"""SELECT state_type, state_name, count(*) FROM flow_run
        WHERE state_type IN {codec.UNFINISHED_TYPES} GROUP BY state_type, state_name"""
    )
    return {(str(type_), str(name)): int(number) for type_, name, number in rows}
