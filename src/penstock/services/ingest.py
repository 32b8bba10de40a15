"""Taking in what engines report: task runs, log lines, cached results. Said twice, it changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ..domain.caching import CacheEntry
from ..domain.logs import LogLine
from ..domain.runs import TaskRun
from ..domain.stops import Stilled
from ..store import caches, flow_runs, logs, signals, task_runs
from ..store.contract import Tx
from . import proof

Fact = TaskRun | LogLine | CacheEntry | Stilled


def apply(tx: Tx, facts: Iterable[Fact]) -> None:
    """Records a batch. Of several reports of one task run only the highest is written: it holds all before it."""
    runs: dict[UUID, TaskRun] = {}
    lines: list[LogLine] = []
    stilled: list[Stilled] = []
    for fact in facts:
        if isinstance(fact, LogLine):
            lines.append(fact)
        elif isinstance(fact, TaskRun):
            known = runs.get(fact.id)
            if known is None or known.version <= fact.version:
                runs[fact.id] = fact
        elif isinstance(fact, Stilled):
            stilled.append(fact)
        else:
            caches.put(tx, fact.key, fact.task_run_id, fact.result, fact.created, fact.expires)
    if runs:
        _report(tx, runs)
    if lines:
        logs.append(tx, lines)
    for each in stilled:
        proof.confirm(tx, each)


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
    for run in ours:
        proof.note(tx, run)
