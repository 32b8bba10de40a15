"""Watching a run that others execute: by the record's own sign of change, without asking it in vain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar
from uuid import UUID

from penstock.cli import shown
from penstock.domain.runs import FlowRun, TaskRun
from penstock.engine import identity
from penstock.services import reading
from penstock.services.rescue import rescue
from penstock.store.contract import Store

Run = TypeVar("Run", FlowRun, TaskRun)

LOOK_EVERY = 0.05
RESCUE_EVERY = 1.0


def watch(store: Store, run_id: UUID, *, after_end: bool = False) -> Iterator[FlowRun]:
    """The flow run as it is: at once, then every `LOOK_EVERY` seconds, read anew only when the record has changed.

    Ends with the run's final state; with `after_end` it goes on until the reader has enough. A run whose process dies
    is closed on the way, so that nobody waits for the dead. Raises `ObjectNotFound` when the run is deleted meanwhile.
    """
    return _watch(store, run_id, reading.get_flow_run, after_end)


def watch_task_run(store: Store, run_id: UUID, *, after_end: bool = False) -> Iterator[TaskRun]:
    """As `watch`, a task run."""
    return _watch(store, run_id, reading.get_task_run, after_end)


def _watch(store: Store, run_id: UUID, get: Callable[[Store, UUID], Run], after_end: bool) -> Iterator[Run]:
    changes = store.changes()
    run = get(store, run_id)
    rescued = time.monotonic()
    while True:
        yield run
        if run.state.is_final() and not after_end:
            return
        time.sleep(LOOK_EVERY)
        if time.monotonic() - rescued > RESCUE_EVERY and not run.state.is_final():
            rescue(store, identity.lives, shown.now)
            rescued = time.monotonic()
        seen = store.changes()
        if seen != changes:
            changes = seen  # noted before it is read: what changes in between is read twice, not missed
            run = get(store, run_id)
