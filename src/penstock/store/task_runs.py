"""SQL of task runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from sys import intern
from typing import Any
from uuid import UUID

import msgspec

from ..domain.runs import Holder, TaskRun
from ..domain.states import FINAL, State, StateType
from . import changes, codec, filters
from .contract import Row, Tx, Value

COLUMNS = (
    "id", "name", "task_name", "task_key", "task_version", "dynamic_key", "flow_run_id", "parent_task_run_id",
    "state_type", "state_name", "state_message", "state_at", "states", "version", "run_count", "created", "started",
    "ended", "deadline", "holder", "tags", "parameters", "upstream", "labels", "cache_key", "odd",
    *codec.RESULT_COLUMNS,
)  # fmt: skip
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM task_run"
# Reports may come twice, late, or out of order: the highest version is right, and a run that ended has ended.
_UPDATES = ", ".join(f"{c} = excluded.{c}" for c in COLUMNS if c != "id")
_UPSERT = (
    "ON CONFLICT (id) DO UPDATE SET "
    + _UPDATES
    + " WHERE excluded.version > task_run.version"
    + f" AND task_run.state_type NOT IN {codec.FINAL_TYPES}"
)
_FLOW_RUN_ID, _VERSION, _STATE_AT = (COLUMNS.index(name) for name in ("flow_run_id", "version", "state_at"))
_decode_holder = msgspec.json.Decoder(Holder).decode


def _row(run: TaskRun) -> tuple[Value, ...]:
    # The engine may add a state while this runs in the writer's thread: everything that changes is read from one
    # look at `states`, so the row is of one moment. The version is read first: should a state come in between, the
    # row is numbered too low, and the report that follows replaces it; numbered too high, it would be refused.
    version, states = run.version, run.states
    path = codec.path_of(states)
    type_, name, at, message, _ = path[-1]
    started = next((entry[2] for entry in path if entry[0] == "RUNNING"), None)
    flow, parent = run.flow_run_id, run.parent_task_run_id
    created = codec.exact_micros(run.created)
    return (
        run.id.bytes, run.name, run.task_name, run.task_key, run.task_version, run.dynamic_key,
        None if flow is None else flow.bytes, None if parent is None else parent.bytes, type_, name, message, at,
        codec.path_text(path), version, run.run_count, created, started,
        at if type_ in FINAL else None, codec.micros(run.deadline), codec.text(run.holder), codec.text(run.tags),
        codec.text(run.parameters), codec.upstream_text(run.upstream), codec.text(run.labels), run.cache_key,
        None if filters.tells_time(run.id, created) else 1,
        *codec.result_row(run.result),
    )  # fmt: skip


def _from(row: Row) -> TaskRun:
    r: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    return TaskRun(
        id=UUID(bytes=bytes(r["id"])),
        name=r["name"],
        task_name=r["task_name"],
        task_key=r["task_key"],
        task_version=r["task_version"],
        dynamic_key=r["dynamic_key"],
        flow_run_id=codec.unblob(r["flow_run_id"]),
        parent_task_run_id=codec.unblob(r["parent_task_run_id"]),
        states=codec.states_from(r["states"]),
        version=r["version"],
        run_count=r["run_count"],
        created=codec.moment(r["created"]),  # type: ignore[arg-type]
        deadline=codec.moment(r["deadline"]),
        holder=_decode_holder(r["holder"]) if r["holder"] else None,
        tags=tuple(codec.untext(r["tags"], ())),
        parameters=codec.untext(r["parameters"], {}),
        upstream=codec.upstream_from(r["upstream"]),
        labels=codec.untext(r["labels"], {}),
        cache_key=r["cache_key"],
        result=codec.result_from(row[-len(codec.RESULT_COLUMNS) :]),
    )


def report(tx: Tx, runs: Iterable[TaskRun]) -> None:
    """Records what an engine says of its task runs."""
    rows = list(map(_row, runs))
    if rows:
        tx.insert("task_run", COLUMNS, rows, _UPSERT)
        _note(tx, rows)


def _note(tx: Tx, rows: list[tuple[Value, ...]]) -> None:
    """From the rows, not from the runs: those may have changed since they were written."""
    changed: dict[Any, list[tuple[bytes, int]]] = {}
    for row in rows:
        changed.setdefault(row[_FLOW_RUN_ID], []).append((row[0], row[_VERSION]))  # type: ignore[arg-type]
    changes.note_all(tx, changed, rows[-1][_STATE_AT])  # type: ignore[arg-type]


def put_states(tx: Tx, run: TaskRun) -> None:
    """Writes the path of states of a run that has ended; the caller holds the transaction in which it was read."""
    tx.run(
        "UPDATE task_run SET states = ?, version = ? WHERE id = ?",
        (codec.states_text(run.states), run.version, run.id.bytes),
    )
    flow = None if run.flow_run_id is None else run.flow_run_id.bytes
    changes.note(tx, flow, [(run.id.bytes, run.version)], codec.exact_micros(run.state.timestamp))


def reopen(tx: Tx, run: TaskRun) -> None:
    """Writes a run as it is, also where it has ended by the record."""
    row = _row(run)
    tx.insert("task_run", COLUMNS, [row], "ON CONFLICT (id) DO UPDATE SET " + _UPDATES)
    _note(tx, [row])


def closed_at(tx: Tx, flow_run_id: UUID, moment: datetime) -> list[TaskRun]:
    """The task runs of a flow run that crashed at this very moment."""
    rows = tx.rows(
        f"{_SELECT} WHERE flow_run_id = ? AND state_type = 'CRASHED' AND state_at = ?",
        (flow_run_id.bytes, codec.exact_micros(moment)),
    )
    return [_from(row) for row in rows]


def get(tx: Tx, id: UUID) -> TaskRun | None:
    row = tx.row(f"{_SELECT} WHERE id = ?", (id.bytes,))
    return _from(row) if row else None


def select(tx: Tx, where: str, params: Iterable[Value], order: str, limit: int, offset: int = 0) -> Iterator[TaskRun]:
    """Runs by a condition made by `filters.py`."""
    rows = tx.rows(f"{_SELECT} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?", (*params, limit, offset))
    return (_from(row) for row in rows)


def unfinished_of(tx: Tx, flow_run_id: UUID) -> list[TaskRun]:
    """Task runs of a flow run that have not ended, by the record."""
    rows = tx.rows(
        f"{_SELECT} WHERE flow_run_id = ? AND state_type IN ('SCHEDULED','PENDING','RUNNING','PAUSED','CANCELLING')",
        (flow_run_id.bytes,),
    )
    return [_from(row) for row in rows]


def unfinished_alone(tx: Tx) -> list[TaskRun]:
    """Task runs that some process is executing by themselves, by the record: outside flows, or detached."""
    rows = tx.rows(
        f"""{_SELECT} WHERE state_type IN ('SCHEDULED','PENDING','RUNNING','PAUSED','CANCELLING')
        AND holder IS NOT NULL"""
    )
    return [_from(row) for row in rows]


def counts(tx: Tx, flow_run_id: UUID) -> dict[str, int]:
    """How many task runs of a flow run are in each state, by the state's name."""
    rows = tx.rows(
        "SELECT state_name, count(*) FROM task_run WHERE flow_run_id = ? GROUP BY state_name", (flow_run_id.bytes,)
    )
    return dict(rows)


def counts_by_task(tx: Tx, flow_run_id: UUID) -> Iterator[Row]:
    """(task's name, state's type, state's name, how many) of the task runs of a flow run, tasks by their names."""
    return tx.rows(
        "SELECT task_name, state_type, state_name, count(*) FROM task_run WHERE flow_run_id = ?"
        " GROUP BY task_name, state_type, state_name ORDER BY task_name, state_name",
        (flow_run_id.bytes,),
    )


def outline(tx: Tx, flow_run_id: UUID) -> Iterator[Row]:
    """Task runs of a flow run in the order they were created, one at a time and with little of each:
    (id, task's name, parent_task_run_id, state_type), as they are stored."""
    return tx.rows(
        "SELECT id, task_name, parent_task_run_id, state_type FROM task_run WHERE flow_run_id = ? ORDER BY id",
        (flow_run_id.bytes,),
    )


_LEFT = (
    "id", "name", "task_name", "task_key", "task_version", "dynamic_key", "parent_task_run_id", "state_type",
    "state_name", "state_message", "state_at", "created", "parameters", "upstream", *codec.RESULT_COLUMNS,
)  # fmt: skip


def left_by(tx: Tx, flow_run_id: UUID) -> list[TaskRun]:
    """All task runs of a flow run, in the order they were created, each with its last state only, and no more than it
    takes to know what became of it: there may be very many."""
    found = []
    rows = tx.rows(f"SELECT {', '.join(_LEFT)} FROM task_run WHERE flow_run_id = ? ORDER BY id", (flow_run_id.bytes,))
    for row in rows:
        id, name, task, key, version, number, parent, type_, state, message, at, created, parameters, upstream = row[
            :14
        ]
        moment: Any = codec.moment(at)
        found.append(
            TaskRun(
                id=UUID(bytes=bytes(id)),
                name=name,
                task_name=intern(task),
                task_key=intern(key),
                task_version=version,
                dynamic_key=number,
                flow_run_id=flow_run_id,
                parent_task_run_id=codec.unblob(parent),
                states=(State(StateType(type_), intern(state), moment, message),),
                created=codec.moment(created),  # type: ignore[arg-type]
                parameters=codec.untext(parameters, {}),
                upstream=codec.upstream_from(upstream) if upstream else {},
                result=codec.result_from(tuple(row[14:])),
            )
        )
    return found


def names(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, tuple[str, str]]:
    """The names of runs and of their tasks; a run that is not recorded is left out."""
    wanted = [id.bytes for id in ids]
    found: dict[UUID, tuple[str, str]] = {}
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        marks = ", ".join("?" * len(some))
        for id, name, task_name in tx.rows(f"SELECT id, name, task_name FROM task_run WHERE id IN ({marks})", some):
            found[UUID(bytes=bytes(id))] = (name, task_name)
    return found


def delete_some(tx: Tx, flow_run_id: UUID, limit: int) -> int:
    """Deletes at most `limit` task runs of a flow run; how many there were."""
    return tx.run(
        "DELETE FROM task_run WHERE id IN (SELECT id FROM task_run WHERE flow_run_id = ? ORDER BY id LIMIT ?)",
        (flow_run_id.bytes, limit),
    )


def delete(tx: Tx, ids: list[UUID]) -> int:
    """Deletes task runs; lines they wrote stay in their flow run's log. How many there were."""
    count = 0
    for id in ids:
        tx.run("DELETE FROM log WHERE run_id = ?", (id.bytes,))
        count += tx.run("DELETE FROM task_run WHERE id = ?", (id.bytes,))
    return count


def count_unfinished(tx: Tx) -> dict[str, int]:
    """How many runs that have not ended are in each type of state."""
    rows = tx.rows(
        f"""SELECT state_type, count(*) FROM task_run
        WHERE state_type IN {codec.UNFINISHED_TYPES} GROUP BY state_type"""
    )
    return {str(type_): int(number) for type_, number in rows}
