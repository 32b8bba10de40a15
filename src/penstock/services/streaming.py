"""What live streams are made of: the runs that changed, in the order of their changes, and open requests to stop.

Law: a run is given for the change that made it what it is now, and for no earlier one: whoever reads all changes after
a number misses nothing, and sees nothing twice. Whether a change is still there to be read is said, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec

from ..domain.errors import ObjectNotFound
from ..domain.filters import RunFilter, ascii_lower
from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.stops import Signal
from ..store import changes, flow_runs, task_runs
from ..store import signals as store_signals
from ..store.changes import Change
from ..store.contract import Store, Tx

# Changes that are read at once.
BATCH = 500


class News(msgspec.Struct, frozen=True):
    """One run that changed: the `place`-th of the runs of change `n`, of which it is the `last` or not.

    `run` is None for a run that was deleted.
    """

    n: int
    place: int
    last: bool
    flow_run_id: UUID | None
    run_id: UUID
    run: FlowRun | TaskRun | None

    @property
    def is_flow_run(self) -> bool:
        return self.run_id == self.flow_run_id


class Read(msgspec.Struct, frozen=True):
    """What was read of the changes: `to` is the number of the last one that was looked at, `touched` the flow runs that
    anything was noted of, `bells` those that were rung for who waits for work; `more` follows. `signals` are the open
    requests to stop a run, each with the process that executes it, where they were asked for and nothing follows."""

    news: list[News]
    to: int
    touched: set[UUID]
    more: bool
    bells: set[UUID] = set()
    signals: list[tuple[Signal, Holder | None]] | None = None


class Kept(msgspec.Struct, frozen=True):
    """The changes that can be read: from the number `first` on, up to `last`; both 0 when there are none."""

    first: int
    last: int

    def reaches(self, n: int) -> bool:
        """Whether everything after the change `n` is there to be read."""
        return n <= self.last and (n >= self.first - 1 or self.first == 0)


def kept(store: Store) -> Kept:
    with store.read() as tx:
        return Kept(changes.first(tx), changes.last(tx))


def last_change(tx: Tx) -> int:
    """The number of the last change; 0 when there was none."""
    return changes.last(tx)


def start(store: Store, run_id: UUID | None) -> tuple[Kept, FlowRun | None]:
    """The changes that can be read, and a flow run as the last of them left it. Raises `ObjectNotFound`."""
    with store.read() as tx:
        run = None if run_id is None else flow_runs.get(tx, run_id)
        if run_id is not None and run is None:
            raise ObjectNotFound(f"Flow run '{run_id}' not found!")
        return Kept(changes.first(tx), changes.last(tx)), run


def news_since(
    store: Store, n: int, wanted: Callable[[UUID | None], bool], *, every_flow_run: Callable[[], bool],
    place: int = 0, limit: int = BATCH, signals: bool = False,
) -> Read:  # fmt: skip
    """What came after the change `n`, and of the one after it from its `place`-th run on; with open `signals`.

    Of flow runs that are `wanted` with their task runs; with `every_flow_run`, of all the others without. Both are
    asked only when the changes have been read: who comes to listen later reads the record later, too.
    """
    with store.read() as tx:
        found = list(changes.since(tx, n, limit))
        every = every_flow_run()
        known: dict[UUID, FlowRun | TaskRun | None] = {}
        news: list[News] = []
        for change in found:
            skipped, place = place, 0
            whole = wanted(change.flow_run_id)
            if whole or every:
                news.extend(_news_of(tx, change, known, skipped, whole))
        more = len(found) == limit
        asked = _open_signals(tx) if signals and not more else None
    touched = {change.flow_run_id for change in found if change.flow_run_id is not None}
    bells = {bell for change in found for bell in change.bells}
    return Read(news, found[-1].n if found else n, touched, more, bells, asked)


def _news_of(
    tx: Tx, change: Change, known: dict[UUID, FlowRun | TaskRun | None], skipped: int, whole: bool
) -> list[News]:
    found = []
    end = len(change.runs) - 1
    for place, (id, version) in enumerate(change.runs):
        is_flow_run = id == change.flow_run_id
        if place < skipped or not (whole or is_flow_run):
            continue
        if id not in known:
            known[id] = flow_runs.get(tx, id) if is_flow_run else task_runs.get(tx, id)
        run = known[id]
        # Another version is a later change's; a run that is not there any more was deleted by a later one.
        if (version == changes.DELETED) if run is None else run.version == version:
            found.append(News(change.n, place, place == end, change.flow_run_id, id, run))
    return found


def fits(filter: RunFilter, run: FlowRun) -> bool:
    """Whether a flow run is meant, as `store.filters` has it."""
    types = filter.types()
    return (
        (not filter.flow_names or run.flow_name in filter.flow_names)
        and (filter.flow_run_id is None or run.flow_run_id == filter.flow_run_id)
        and (filter.deployment_id is None or run.deployment_id == filter.deployment_id)
        and (not filter.roots or run.flow_run_id is None)
        and (not filter.ids or run.id in filter.ids)
        and (not filter.names or run.name in filter.names)
        and (filter.name_contains is None or ascii_lower(filter.name_contains) in ascii_lower(run.name))
        and (types is None or run.state.type in types)
        and (not filter.state_names or run.state.name in filter.state_names)
        and set(filter.tags) <= set(run.tags)
        and (filter.after is None or run.created >= filter.after)
        and (filter.before is None or run.created < filter.before)
    )


def open_signals(store: Store) -> list[tuple[Signal, Holder | None]]:
    """All open requests to stop a run, each with the process that executes the run."""
    with store.read() as tx:
        return _open_signals(tx)


def _open_signals(tx: Tx) -> list[tuple[Signal, Holder | None]]:
    return [(signal, _holder_of(tx, signal)) for signal in store_signals.all(tx)]


def _holder_of(tx: Tx, signal: Signal) -> Holder | None:
    flow_run = flow_runs.get(tx, signal.flow_run_id or signal.run_id)
    if flow_run is not None:
        return flow_run.holder
    task_run = task_runs.get(tx, signal.run_id)
    return None if task_run is None else task_run.holder
