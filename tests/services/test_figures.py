"""What an operator watches is what is in the record, at every moment of a run's life, in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.domain.errors import TransitionRefused
from penstock.domain.ids import flow_id, uuid7
from penstock.domain.launches import Launch
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import COMPLETED, FINAL, RUNNING, StateType, make
from penstock.services import figures, ingest, orchestrate
from penstock.services.tallies import CountedStore, Entry
from penstock.store import codec, flow_runs, launches, task_runs
from penstock.store.contract import Store

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def flow_run(number: int, *names: str) -> FlowRun:
    states = tuple(make(name, NOW) for name in names or ("Pending",))
    return FlowRun(
        id=uuid7(round(NOW.timestamp() * 1e9), number), name=f"run-{number}", created=NOW, states=states,
        flow_id=flow_id("f"), flow_name="f",
    )  # fmt: skip


def task_run(number: int, name: str, *, version: int = 1) -> TaskRun:
    return TaskRun(
        id=uuid7(round(NOW.timestamp() * 1e9), 1000 + number), name=f"t-{number}", created=NOW, version=version,
        states=(make(name, NOW),), task_name="t", task_key="t",
    )  # fmt: skip


class Counted:
    """Who counts, for a test."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.kinds: list[str] = []

    def transaction(self, kind: str, waited: float, seconds: float) -> None:
        assert 0 <= waited <= seconds
        self.kinds.append(kind)

    def entered(self, entries: list[Entry]) -> None:
        self.entries += entries


def test_what_has_not_ended_is_counted_by_its_state(store: Store) -> None:
    with store.write() as tx:
        flow_runs.put_flow(tx, flow_id("f"), "f", NOW)
        for number, name in enumerate(("Running", "Running", "Late", "Paused", "Completed", "Failed")):
            flow_runs.put(tx, flow_run(number, name))
        ingest.apply(tx, [task_run(1, "Running"), task_run(2, "Completed"), task_run(3, "AwaitingRetry")])
    found = figures.gather(store, NOW)
    assert found.flow_runs == {("RUNNING", "Running"): 2, ("SCHEDULED", "Late"): 1, ("PAUSED", "Paused"): 1}
    assert found.task_runs == {"RUNNING": 1, "SCHEDULED": 1}


def test_counting_what_has_not_ended_reads_no_run_that_has(sqlite_store: Store) -> None:
    assert f"({', '.join(repr(str(type_)) for type_ in StateType if type_ not in FINAL)})" == codec.UNFINISHED_TYPES
    asked: list[str] = []
    with sqlite_store.read() as tx:
        watched = Watched(tx, asked)
        flow_runs.count_unfinished(watched)
        task_runs.count_unfinished(watched)
        for sql in asked:
            plan = [str(row[-1]) for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}")]
            assert not [step for step in plan if step.startswith("SCAN") and "INDEX" not in step], plan
    assert len(asked) == 2


class Watched:
    """A transaction that notes what it is asked."""

    def __init__(self, tx: Any, asked: list[str]) -> None:
        self._tx, self._asked = tx, asked

    def rows(self, sql: str) -> Any:
        self._asked.append(sql)
        return self._tx.rows(sql)


def test_a_queue_says_how_many_are_due_since_when_and_how_many_are_at_work(store: Store) -> None:
    due, early, later = NOW - timedelta(seconds=90), NOW - timedelta(seconds=30), NOW + timedelta(hours=1)
    with store.write() as tx:
        for number, (scheduled, claimed, ended) in enumerate(
            [(due, None, None), (early, None, None), (later, None, None), (due, NOW, None), (due, NOW, NOW)]
        ):
            launches.put(
                tx,
                Launch(
                    flow_run_id=flow_run(number).id, scheduled=scheduled, work_pool="pool", work_queue="default",
                    claimed=claimed, ended=ended,
                ),
            )  # fmt: skip
    [depth] = figures.gather(store, NOW).queues
    assert (depth.work_pool, depth.queue, depth.due, depth.at_work) == ("pool", "default", 2, 1)
    assert depth.oldest == due


def test_states_that_are_entered_are_counted_when_they_are_committed_and_only_then(store: Store) -> None:
    counted = Counted()
    here = CountedStore(store, counted)
    run = flow_run(1)
    with here.write() as tx:
        orchestrate.begin(tx, run, make("Running", NOW))
        assert counted.entries == []
    assert counted.entries == [("flow", RUNNING)]
    with pytest.raises(TransitionRefused):
        end_and_begin_again(here, run)
    assert counted.entries == [("flow", RUNNING)]
    with here.write() as tx:
        ingest.apply(tx, [task_run(1, "Running"), task_run(2, "Completed")])
    assert counted.entries[1:] == [("task", COMPLETED)]
    with here.read() as tx:
        assert flow_runs.get(tx, run.id) is not None
    assert counted.kinds == ["write", "write", "write", "read"]


def end_and_begin_again(store: Store, run: FlowRun) -> None:
    """Which is refused, so that nothing of it is recorded."""
    with store.write() as tx:
        orchestrate.enter(tx, run.id, make("Completed", NOW), Facts(epoch_of_writer=run.epoch))
        orchestrate.begin(tx, run, make("Running", NOW))


def test_where_nobody_counts_nothing_is_kept(store: Store) -> None:
    counted = Counted()
    with store.write() as tx:
        orchestrate.begin(tx, flow_run(1), make("Running", NOW))
    with CountedStore(store, counted).write():
        pass
    assert counted.entries == []
