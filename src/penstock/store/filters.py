"""What a filter is in SQL: conditions with bound parameters, shaped so that an index answers them.

Law: values are only ever bound. A list is asked for newest first, that is by falling id (ids are uuid7), a few rows at
a time. Of the indexes that could serve, one *drives*: its column stands alone in the condition, every other column is
written so that no index is considered for it, because without statistics a database guesses, and guesses badly for
"the failed ones among a million". A driving column with several values becomes one small query a value, each of which
an index answers in order; one query with IN would sort everything that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.filters import RunFilter, ascii_lower
from ..domain.states import CANCELLED, COMPLETED, CRASHED, FAILED, StateType
from . import codec
from .contract import Row, Tx, Value

FLOW_RUN, TASK_RUN = "flow_run", "task_run"
NEWEST_FIRST, OLDEST_FIRST = "id DESC", "id"

Condition = tuple[str, list[Value]]

# A partial index is used only where its own condition is said, word for word.
_UNFINISHED = "state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')"
_FAILURES = "state_type IN ('FAILED', 'CANCELLED', 'CRASHED')"
_NOTHING: Condition = ("1 = 0", [])
_to_json = msgspec.json.Encoder().encode


def runs(filter: RunFilter, table: str, limit: int, after: UUID | None = None, order: str = NEWEST_FIRST) -> Condition:
    """The condition for the first `limit` runs of `table` in this order, behind the run `after`."""
    types = filter.types()
    if types is not None and not types:
        return _NOTHING
    behind: list[Condition] = []
    if after is not None:
        behind.append(("id < ?" if order == NEWEST_FIRST else "id > ?", [after.bytes]))
    arms = [_joined([*arm, *behind]) for arm in _arms(filter, table, types)]
    if len(arms) == 1:
        return arms[0]
    arm = f"SELECT id FROM (SELECT id FROM {table} WHERE {{}} ORDER BY {order} LIMIT ?) AS arm"
    sql = " UNION ALL ".join(arm.format(where) for where, _ in arms)
    return f"id IN ({sql})", [value for _, params in arms for value in (*params, limit)]


def count(tx: Tx, filter: RunFilter, table: str) -> int:
    """How many runs fit."""
    types = filter.types()
    if types is not None and not types:
        return 0
    if types is not None and COMPLETED in types and _is_of_types_only(filter):
        # Nearly all are: all but the others are quicker counted, in small indexes.
        others = RunFilter(state_types=tuple(type_ for type_ in StateType if type_ not in types))
        return count(tx, RunFilter(), table) - (count(tx, others, table) if others.state_types else 0)
    total = 0
    for where, params in map(_joined, _arms(filter, table, types)):
        row = tx.row(f"SELECT count(*) FROM {table} WHERE {where}", params)
        total += 0 if row is None else int(row[0])
    return total


def _is_of_types_only(filter: RunFilter) -> bool:
    return filter == RunFilter(state_types=filter.state_types)


def history(tx: Tx, filter: RunFilter, table: str, start: datetime, step: int) -> Iterator[Row]:
    """How many runs that fit were created in each interval of `step` microseconds from `start` on, by state:
    (interval, state_type, state_name, count). Runs before `start` must not fit."""
    types = filter.types()
    if types is not None and not types:
        return
    totals: dict[tuple[int, str, str], int] = {}
    for where, params in map(_joined, _arms(filter, table, types)):
        sql = f"""SELECT place, state_type, state_name, count(*) FROM (SELECT (created - ?) / ? AS place, state_type,
            state_name FROM {table} WHERE {where}) AS placed GROUP BY place, state_type, state_name"""
        for place, type_, name, runs in tx.rows(sql, (codec.exact_micros(start), step, *params)):
            key = (int(place), str(type_), str(name))
            totals[key] = totals.get(key, 0) + int(runs)
    yield from ((*key, runs) for key, runs in totals.items())


def _arms(filter: RunFilter, table: str, types: frozenset[StateType] | None) -> list[list[Condition]]:
    """The conditions of small queries, each answered by an index in order; no run fits two of them."""
    driver = _driver(filter, table, types)
    rest = _rest(filter, table, types, driver)
    by_time = not filter.ids and (filter.after is not None or filter.before is not None)
    if by_time:
        rest = [*_created(filter), ("odd IS NULL", []), *rest]
    arms = [rest] if driver is None else [[_driving(filter, table, driver[0], value), *rest] for value in driver[1]]
    if by_time:
        arms.append([("odd IS NOT NULL", []), *_rest(filter, table, types, None)])
    return arms


# The first 48 bits of an id are milliseconds; those of a run's agree with when it was created to a minute.
_MILLISECONDS = 80
_AGREES = 60_000


def tells_time(id: UUID, created: int) -> bool:
    """Whether an id tells when its run was created (in microseconds); if not, `odd` is to be 1."""
    return -_AGREES <= (id.int >> _MILLISECONDS) - created // 1000 <= _AGREES


def _created(filter: RunFilter) -> Iterator[Condition]:
    """The stretch of ids in which runs of this time are, if their ids tell it. What drives is in their order."""
    if filter.after is not None:
        yield "id >= ?", [_id_at(codec.exact_micros(filter.after) // 1000 - _AGREES)]
    if filter.before is not None:
        yield "id < ?", [_id_at(codec.exact_micros(filter.before) // 1000 + _AGREES + 1)]


def _id_at(milliseconds: int) -> bytes:
    """The first id of a moment."""
    return (min(max(milliseconds, 0), (1 << 48) - 1) << _MILLISECONDS).to_bytes(16)


def _driver(filter: RunFilter, table: str, types: frozenset[StateType] | None) -> tuple[str, list[Value]] | None:
    """The column whose index answers, and its values; None for the primary key.

    Runs that completed are most of all: any other state is the narrower choice.
    """
    states: tuple[str, list[Value]] | None = None if types is None else ("state_type", [*sorted(types)])
    if filter.ids:
        return None
    if table == FLOW_RUN:
        if filter.flow_run_id is not None:
            return "flow_run_id", [filter.flow_run_id.bytes]
        if filter.names:
            return "name", [*dict.fromkeys(filter.names)]
        if types is not None and COMPLETED not in types:
            return states
        if filter.deployment_id is not None:
            return "deployment_id", [filter.deployment_id.bytes]
        return ("flow_name", [*dict.fromkeys(filter.flow_names)]) if filter.flow_names else states
    if types is not None and COMPLETED not in types:
        return states
    return None if filter.flow_run_id is None else ("flow_run_id", [filter.flow_run_id.bytes])


def _driving(filter: RunFilter, table: str, column: str, value: Value) -> Condition:
    sql = f"{column} = ?"
    if table == TASK_RUN and column == "state_type":
        is_failure = value in (FAILED, CANCELLED, CRASHED)
        sql += f" AND {_FAILURES if is_failure else _UNFINISHED}"
        if is_failure and filter.flow_run_id is not None:  # those of a flow run have an index of their own
            return f"flow_run_id = ? AND {sql}", [filter.flow_run_id.bytes, value]
    return sql, [value]


def _rest(
    filter: RunFilter, table: str, types: frozenset[StateType] | None, driver: tuple[str, list[Value]] | None
) -> list[Condition]:
    """What every row is looked at for; `|| ''` and `+ 0` keep the database from choosing an index of the column."""
    driving = None if driver is None else driver[0]
    found: list[Condition] = []
    if filter.ids:
        found.append(_any("id", [id.bytes for id in dict.fromkeys(filter.ids)]))
    if types is not None and driving != "state_type":
        found.append(_any("state_type || ''", sorted(types)))
    if filter.state_names:
        found.append(_any("state_name", filter.state_names))
    if filter.flow_names and driving != "flow_name":
        found.append(_any("flow_name || ''", filter.flow_names) if table == FLOW_RUN else _of_flows(filter.flow_names))
    if filter.task_names and table == TASK_RUN:
        found.append(_any("task_name", filter.task_names))
    if filter.flow_run_id is not None and driving != "flow_run_id":
        found.append(("coalesce(flow_run_id, NULL) = ?", [filter.flow_run_id.bytes]))
    if filter.deployment_id is not None and driving != "deployment_id":
        found.append(_of_deployment(filter.deployment_id, table))
    if filter.roots:
        found.append(("coalesce(flow_run_id, NULL) IS NULL", []))
    if filter.names and driving != "name":
        found.append(_any("name || ''", filter.names))
    if filter.name_contains:
        found.append(("lower(name) LIKE ? ESCAPE '!'", [contains(ascii_lower(filter.name_contains))]))
    # A tag as it stands in the JSON list, quotes and all. (The tag "," could be mistaken for what is between two.)
    found.extend(("replace(tags, ?, '') <> tags", [_to_json(tag).decode()]) for tag in filter.tags)
    if filter.after is not None:
        found.append(("created + 0 >= ?", [codec.micros(filter.after)]))
    if filter.before is not None:
        found.append(("created + 0 < ?", [codec.micros(filter.before)]))
    return found


def _of_flows(names: tuple[str, ...]) -> Condition:
    marks = ", ".join("?" * len(names))
    sql = f"EXISTS (SELECT 1 FROM flow_run f WHERE f.id = task_run.flow_run_id AND f.flow_name IN ({marks}))"
    return sql, [*names]


def _of_deployment(id: UUID, table: str) -> Condition:
    if table == FLOW_RUN:
        return "coalesce(deployment_id, NULL) = ?", [id.bytes]
    return "EXISTS (SELECT 1 FROM flow_run f WHERE f.id = task_run.flow_run_id AND f.deployment_id = ?)", [id.bytes]


def _any(column: str, values: Iterable[Value]) -> Condition:
    params = [*values]
    return f"{column} IN ({', '.join('?' * len(params))})", params


def _joined(conditions: list[Condition]) -> Condition:
    if not conditions:
        return "1 = 1", []
    return " AND ".join(sql for sql, _ in conditions), [value for _, params in conditions for value in params]


def contains(text: str) -> str:
    """The LIKE pattern (ESCAPE '!') for text that holds this text."""
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


def prefixed(digits: str) -> Condition:
    """Ids that begin with these hexadecimal digits: a range of the primary key."""
    return "id BETWEEN ? AND ?", [UUID(digits.ljust(32, "0")).bytes, UUID(digits.ljust(32, "f")).bytes]


def suffixed(digits: str, table: str) -> Condition:
    """Ids that end with these hexadecimal digits. All ids are looked at, and nothing else of the rows is."""
    whole = [digits] if len(digits) % 2 == 0 else [f"{first:x}{digits}" for first in range(16)]
    marks = ", ".join("?" * len(whole))
    start = 17 - len(whole[0]) // 2
    sql = f"id IN (SELECT id FROM {table} WHERE substr(id, {start}) IN ({marks}))"
    return sql, [bytes.fromhex(each) for each in whole]
