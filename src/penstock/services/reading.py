"""Looking runs up, listing them, and deleting them.

Law: nothing here reads a whole table: lists have a limit, ids are found by the index, and what is deleted goes in
pieces that keep nobody waiting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar
from uuid import UUID

from ..domain.errors import AmbiguousId, ObjectNotFound, UnfinishedRun
from ..domain.filters import RunFilter
from ..domain.ids import InvalidId
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import FINAL, StateType
from ..protocol.flow_runs import Deleted, StateCount, TaskCount
from ..store import filters, flow_runs, logs, task_runs
from ..store.contract import Store, Tx

Run = TypeVar("Run", FlowRun, TaskRun)

SHORTEST_PART = 4
CANDIDATES_SHOWN = 5
DELETED_AT_ONCE = 5_000
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


# --- lists -----------------------------------------------------------------------------------------------------------


def list_flow_runs(
    store: Store, filter: RunFilter, limit: int, *, after: UUID | None = None, oldest_first: bool = False
) -> list[FlowRun]:
    """The newest flow runs that fit, or the oldest; with `after`, those that come after that one in the list."""
    order = filters.OLDEST_FIRST if oldest_first else filters.NEWEST_FIRST
    where, params = filters.runs(filter, filters.FLOW_RUN, limit, after, order)
    with store.read() as tx:
        return list(flow_runs.select(tx, where, params, order, limit))


def count_flow_runs(store: Store, filter: RunFilter) -> int:
    """How many flow runs fit."""
    with store.read() as tx:
        return filters.count(tx, filter, filters.FLOW_RUN)


def count_all_task_runs(store: Store, filter: RunFilter) -> int:
    """How many task runs fit."""
    with store.read() as tx:
        return filters.count(tx, filter, filters.TASK_RUN)


def list_task_runs(
    store: Store, filter: RunFilter, limit: int, *, after: UUID | None = None, oldest_first: bool = False
) -> list[TaskRun]:
    """The newest task runs that fit, or the oldest; with `after`, those that come after that one in the list."""
    order = filters.OLDEST_FIRST if oldest_first else filters.NEWEST_FIRST
    where, params = filters.runs(filter, filters.TASK_RUN, limit, after, order)
    with store.read() as tx:
        return list(task_runs.select(tx, where, params, order, limit))


def count_task_runs(store: Store, flow_run_id: UUID) -> dict[str, int]:
    """How many task runs of a flow run are in each state, by the state's name."""
    with store.read() as tx:
        return task_runs.counts(tx, flow_run_id)


def count_task_runs_by_task(store: Store, flow_run_id: UUID) -> list[TaskCount]:
    """How many runs of each task a flow run has, and in which states they are."""
    found: dict[str, TaskCount] = {}
    with store.read() as tx:
        for task_name, type_, name, count in task_runs.counts_by_task(tx, flow_run_id):
            states = found.setdefault(task_name, TaskCount(task_name, [])).states
            states.append(StateCount(StateType(type_), name, count))
    return list(found.values())


# --- one run ---------------------------------------------------------------------------------------------------------


def get_flow_run(store: Store, id: UUID) -> FlowRun:
    """The run of this id. Raises `ObjectNotFound`."""
    with store.read() as tx:
        run = flow_runs.get(tx, id)
    if run is None:
        raise ObjectNotFound(f"Flow run '{id}' not found!")
    return run


def get_task_run(store: Store, id: UUID) -> TaskRun:
    """The run of this id. Raises `ObjectNotFound`."""
    with store.read() as tx:
        run = task_runs.get(tx, id)
    if run is None:
        raise ObjectNotFound(f"Task run '{id}' not found!")
    return run


def find_flow_run(store: Store, text: str) -> FlowRun:
    """The run whose id this is, or begins or ends with it (4 characters at least), or whose name it is.

    Raises `ObjectNotFound`, `AmbiguousId` with some of those it could be, or `InvalidId` when it is no text at all.
    """
    if not text.strip():
        raise InvalidId("A flow run is named by its id, by the beginning or end of it, or by its name.")
    return _find(store, text, "Flow run", _flow_runs_called, flow_runs.get)


def find_task_run(store: Store, text: str) -> TaskRun:
    """The run whose id this is, or begins or ends with it (4 characters at least).

    Raises `ObjectNotFound`, `AmbiguousId`, or `InvalidId` for text that is not a part of any id.
    """
    digits = _digits(text)
    if digits is None or not SHORTEST_PART <= len(digits) <= 32:
        raise InvalidId(
            f"{text!r} is not the id of a task run, nor the beginning or end of one ({SHORTEST_PART} characters or "
            "more of 0-9 and a-f)."
        )
    return _find(store, text, "Task run", _task_runs_called, task_runs.get)


def _find(
    store: Store,
    text: str,
    kind: str,
    called: Callable[[Tx, str, str | None], list[Run]],
    get: Callable[[Tx, UUID], Run | None],
) -> Run:
    if not _is_text(text):
        raise ObjectNotFound(f"{kind} {_quoted(text)} not found!")
    digits = _digits(text)
    with store.read() as tx:
        if digits is not None and len(digits) == 32:
            run = get(tx, UUID(digits))
            if run is not None:
                return run
        part = digits if digits is not None and SHORTEST_PART <= len(digits) < 32 else None
        found = called(tx, text, part)
    if not found:
        raise ObjectNotFound(f"{kind} {_quoted(text)} not found!")
    if len(found) > 1:
        raise AmbiguousId(_ambiguous(text, kind, found))
    return found[0]


def _flow_runs_called(tx: Tx, text: str, part: str | None) -> list[FlowRun]:
    """One more than are shown is enough; a run that fits in two ways is one run."""
    by_name: filters.Condition = ("name = ?", [text])
    conditions = [by_name, *_parts(part, filters.FLOW_RUN)]
    found = [
        run
        for where, params in conditions
        for run in flow_runs.select(tx, where, params, filters.NEWEST_FIRST, CANDIDATES_SHOWN + 1)
    ]
    return list({run.id: run for run in found}.values())


def _task_runs_called(tx: Tx, text: str, part: str | None) -> list[TaskRun]:
    found = [
        run
        for where, params in _parts(part, filters.TASK_RUN)
        for run in task_runs.select(tx, where, params, filters.NEWEST_FIRST, CANDIDATES_SHOWN + 1)
    ]
    return list({run.id: run for run in found}.values())


def _parts(part: str | None, table: str) -> list[filters.Condition]:
    return [] if part is None else [filters.prefixed(part), filters.suffixed(part, table)]


def _digits(text: str) -> str | None:
    """The hexadecimal digits of what may be an id or a part of one; None when it can be neither."""
    digits = text.strip().lower().replace("-", "")
    return digits if _HEXADECIMAL.fullmatch(digits) else None


def _is_text(text: str) -> bool:
    """Whether the record can have it: half a surrogate pair (a byte that is not UTF-8) is in no name."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(text: str) -> str:
    """In quotes as the field writes it; escaped where a character could drive the terminal that shows the error."""
    return f"'{text}'" if text.isprintable() else repr(text)


def _ambiguous(text: str, kind: str, found: Sequence[FlowRun | TaskRun]) -> str:
    newest = sorted(found, key=lambda run: run.created, reverse=True)
    lines = [
        f"\n  {run.id}  {run.created.astimezone():%Y-%m-%d %H:%M:%S}  {run.state_name:<10}  {run.name!r}"
        for run in islice(newest, CANDIDATES_SHOWN)
    ]
    more = "\n  and more" if len(found) > CANDIDATES_SHOWN else ""
    return f"{kind} {_quoted(text)} could be any of several; use more of the id:{''.join(lines)}{more}"


# --- deleting --------------------------------------------------------------------------------------------------------


def delete_flow_runs(store: Store, ids: Iterable[UUID], *, force: bool = False, dry_run: bool = False) -> Deleted:
    """Deletes runs, the subflow runs below them, and the task runs and logs of all; with `dry_run` it only counts.

    Raises `UnfinishedRun` when one of them has not ended and `force` is not given: then nothing is deleted. A run goes
    last, after all that belongs to it: deleting that was interrupted can be asked for again.
    """
    wanted = list(dict.fromkeys(ids))
    with store.read() as tx:
        family = _family(tx, wanted)
        if not force:
            _check_ended(tx, family)
        if dry_run:
            states = flow_runs.states_of(tx, family)
            return _deleted(wanted, states)
    for id in family:
        _empty(store, id)
    with store.write() as tx:
        family = _family(tx, wanted)  # looked at again: nobody else writes now
        if not force:
            _check_ended(tx, family)
        states = flow_runs.states_of(tx, family)
        flow_runs.delete(tx, family)
    return _deleted(wanted, states)


def _deleted(wanted: list[UUID], states: dict[UUID, str]) -> Deleted:
    asked = sum(id in states for id in wanted)
    return Deleted(asked, len(states) - asked)


def _family(tx: Tx, ids: list[UUID]) -> list[UUID]:
    """These runs and all subflow runs below them, each once, in the order of reading: parents before children."""
    found = dict.fromkeys(ids)
    waiting = list(ids)
    while waiting:
        new = [child for child in flow_runs.children(tx, waiting.pop()) if child not in found]
        found.update(dict.fromkeys(new))
        waiting.extend(new)
    return list(found)


def _check_ended(tx: Tx, ids: list[UUID]) -> None:
    for id, type_ in flow_runs.states_of(tx, ids).items():
        if StateType(type_) not in FINAL:
            run = flow_runs.get(tx, id)
            name = f"Flow run {run.name!r} ({id}) is {run.state_name}" if run is not None else f"Flow run {id} changes"
            raise UnfinishedRun(f"{name}: only runs that have ended are deleted. Wait for it, or use --force.")


def _empty(store: Store, id: UUID) -> None:
    """All but a last piece goes in transactions of its own, so that running flows get their turns."""
    for some in (task_runs.delete_some, logs.delete_some):
        more = True
        while more:
            with store.write() as tx:
                more = some(tx, id, DELETED_AT_ONCE) == DELETED_AT_ONCE
