"""Taking in what engines report: task runs, log lines, cached results. Said twice, it changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ..domain.caching import CacheEntry
from ..domain.logs import LogLine
from ..domain.runs import TaskRun
from ..store import caches, logs, task_runs
from ..store.contract import Tx

Fact = TaskRun | LogLine | CacheEntry


def apply(tx: Tx, facts: Iterable[Fact]) -> None:
    """Records a batch. Of several reports of one task run only the highest is written: it holds all before it."""
    runs: dict[UUID, TaskRun] = {}
    lines: list[LogLine] = []
    for fact in facts:
        if isinstance(fact, LogLine):
            lines.append(fact)
        elif isinstance(fact, TaskRun):
            known = runs.get(fact.id)
            if known is None or known.version <= fact.version:
                runs[fact.id] = fact
        else:
            caches.put(tx, fact.key, fact.task_run_id, fact.result, fact.created, fact.expires)
    if runs:
        task_runs.report(tx, runs.values())
    if lines:
        logs.append(tx, lines)
