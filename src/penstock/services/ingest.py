"""Taking in what engines report: task runs, log lines, cached results. Said twice, it changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.errors import ObjectNotFound
from ..domain.events import Event
from ..domain.logs import LogLine
from ..domain.runs import TaskRun
from ..domain.states import State
from ..domain.stops import Stilled
from ..protocol.journal import Enter, Fact
from ..store import caches, flow_runs, logs, signals, task_runs
from ..store.contract import Tx
from . import artifacts, concurrency, events, orchestrate, proof, tallies


def apply(tx: Tx, facts: Iterable[Fact]) -> None:
    """Records a batch. Of several reports of one task run only the highest is written: it holds all before it."""
    runs: dict[UUID, TaskRun] = {}
    lines: list[LogLine] = []
    stilled: list[Stilled] = []
    entered: list[Enter] = []
    shown: list[Artifact | ArtifactChange] = []
    happened: list[Event] = []
    for fact in facts:
        if isinstance(fact, LogLine):
            lines.append(fact)
        elif isinstance(fact, TaskRun):
            known = runs.get(fact.id)
            if known is None or known.version <= fact.version:
                runs[fact.id] = fact
        elif isinstance(fact, Stilled):
            stilled.append(fact)
        elif isinstance(fact, Enter):
            entered.append(fact)
        elif isinstance(fact, Artifact | ArtifactChange):
            shown.append(fact)
        elif isinstance(fact, Event):
            happened.append(fact)
        else:
            caches.put(tx, fact.key, fact.task_run_id, fact.result, fact.created, fact.expires)
    if runs:
        _report(tx, runs)
    if lines:
        logs.append(tx, lines)
    for each in stilled:
        proof.confirm(tx, each)
    for proposed in entered:
        _enter(tx, proposed)
    artifacts.report(tx, shown)
    events.report(tx, happened)


def _enter(tx: Tx, proposed: Enter) -> None:
    """What a flow run's process decided when it could not ask. Somebody else's decision of the meantime stands."""
    run = flow_runs.get(tx, proposed.run_id)
    if run is None or any(_is_same(state, proposed.state) for state in run.states):
        return
    with contextlib.suppress(ObjectNotFound):
        orchestrate.propose(tx, proposed)


def _is_same(state: State[Any], other: State[Any]) -> bool:
    # (Moments are stored in whole microseconds.)
    return state.name == other.name and abs(state.timestamp - other.timestamp) < timedelta(microseconds=2)


def _report(tx: Tx, runs: dict[UUID, TaskRun]) -> None:
    """Task runs of a flow run that another process has taken over, or closed, are not this reporter's any more."""
    epochs = flow_runs.epochs(tx, {run.flow_run_id for run in runs.values() if run.flow_run_id is not None})
    ours = []
    for run in runs.values():
        if run.flow_run_id is None or epochs.get(run.flow_run_id, run.epoch) == run.epoch:
            ours.append(run)
        if run.flow_run_id is None and run.state.is_final():
            signals.delete(tx, run.id)
    task_runs.report(tx, ours)
    if ours:
        concurrency.end_with_runs(tx, (run.id for run in ours if run.state.is_final()), ours[-1].state.timestamp)
    for run in ours:
        proof.note(tx, run)
    tallies.reported(ours)
