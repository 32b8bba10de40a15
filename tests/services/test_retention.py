"""Retention: what is old goes, whole families at a time; what is pinned, open or young stays. On each database."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from penstock.domain.artifacts import Artifact
from penstock.domain.events import RESOURCE_ID, Event
from penstock.domain.ids import uuid7
from penstock.domain.retention import Ages, Pruned
from penstock.domain.runs import Arguments, FlowRun, ResultRef, TaskRun
from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.services import retention
from penstock.services.desk import Desk
from penstock.services.loops import Loop, retaining
from penstock.services.loops.supervisor import NoMeters, Supervisor
from penstock.store import arguments, artifacts, caches, events, flow_runs, logs, task_runs
from penstock.store import retention as marks
from penstock.store.contract import Store
from penstock.store.sqlite import SqliteStore

from ..store.kit import flow_run, line, task_run

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AGES = Ages.of_days(runs=90, logs=30, events=30, artifacts=60, audit=365)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def run_of(days: float, *, open: bool = False, **fields: Any) -> FlowRun:
    """One that ended (or was last heard of) so long ago."""
    names = ("Pending", "Running") if open else ("Pending", "Running", "Completed")
    states = tuple(make(name, days_ago(days)) for name in names)
    return flow_run(*names, **{"created": days_ago(days), **fields, "states": states})


def task_of(days: float, *, open: bool = False, **fields: Any) -> TaskRun:
    names = ("Running",) if open else ("Running", "Completed")
    states = tuple(make(name, days_ago(days)) for name in names)
    id = uuid7(round(days_ago(days).timestamp() * 1e9), SYSTEM.new_id().int)
    return task_run(*names, **{"id": id, "created": days_ago(days), **fields, "states": states})


def keep(store: Store, *runs: FlowRun | TaskRun, lines: int = 2) -> None:
    with store.write() as tx:
        for run in runs:
            if isinstance(run, FlowRun):
                flow_runs.put(tx, run)
                arguments.put(tx, run.id, Arguments(b"x"))
                tasks = [task_of(1, flow_run_id=run.id) for _ in range(2)]
                task_runs.report(tx, tasks)
                logs.append(tx, [line(run.id, seq) for seq in range(lines)])
            else:
                task_runs.report(tx, [run])
                said = [line(run.id, seq, task_run_id=run.id) for seq in range(lines)]
                logs.append(tx, [_alone(each) for each in said])


def _alone(said: Any) -> Any:
    return msgspec.structs.replace(said, flow_run_id=None)


def prune(store: Store, ages: Ages = AGES, now: datetime = NOW) -> Pruned:
    """What was said before that it would delete is what it deletes."""
    counted = retention.count(store, now, ages)
    pruned = retention.prune(store, now, ages, rest=lambda seconds: None)
    pages, pruned.pages = pruned.pages, 0
    assert pruned == counted
    pruned.pages = pages
    return pruned


def total(pruned: Pruned) -> int:
    """All rows."""
    return sum(msgspec.to_builtins(pruned).values()) - pruned.pages - pruned.finished


def left(store: Store) -> set[UUID]:
    with store.read() as tx:
        return {UUID(bytes=bytes(id)) for (id,) in tx.rows("SELECT id FROM flow_run")}


def count(store: Store, table: str) -> int:
    with store.read() as tx:
        row = tx.row(f"SELECT count(*) FROM {table}")
    assert row is not None
    return int(row[0])


def lines_of(store: Store, run: FlowRun | TaskRun) -> int:
    with store.read() as tx:
        return len(logs.read(tx, run.id, limit=1000))


def test_old_runs_go_with_all_that_is_theirs(store: Store) -> None:
    old, young = run_of(91), run_of(20)
    keep(store, old, young)
    pruned = prune(store)
    assert (pruned.flow_runs, pruned.task_runs, pruned.log_lines) == (1, 2, 2)
    assert left(store) == {young.id}
    assert (count(store, "task_run"), count(store, "log"), count(store, "arguments")) == (2, 2, 1)


def test_what_has_not_ended_stays_however_old_it_is(store: Store) -> None:
    keep(store, run_of(400, open=True))
    assert total(prune(store)) == 0


def test_what_is_pinned_stays_with_all_that_is_theirs(store: Store) -> None:
    pinned = run_of(400, keep=True)
    child = run_of(400, flow_run_id=pinned.id, root_flow_run_id=pinned.id)
    keep(store, pinned, child)
    with store.write() as tx:
        for run in (pinned, child):
            events.add(tx, [event_of(400, run.id)], days_ago(400))
            artifacts.put(tx, artifact_of(400, run.id))
    assert total(prune(store)) == 0


def test_a_family_goes_together_or_not_at_all(store: Store) -> None:
    whole, with_young, with_pinned = run_of(100), run_of(100), run_of(100)
    below = [run_of(100, flow_run_id=whole.id, root_flow_run_id=whole.id)]
    below.append(run_of(100, flow_run_id=below[0].id, root_flow_run_id=whole.id))
    young = run_of(5, flow_run_id=with_young.id, root_flow_run_id=with_young.id)
    pinned = run_of(100, flow_run_id=with_pinned.id, root_flow_run_id=with_pinned.id, keep=True)
    keep(store, whole, *below, with_young, young, with_pinned, pinned, lines=0)
    assert prune(store).flow_runs == 3
    assert left(store) == {with_young.id, young.id, with_pinned.id, pinned.id}


def test_a_subflow_whose_parent_is_gone_goes_by_its_own_age(store: Store) -> None:
    keep(store, run_of(100, flow_run_id=SYSTEM.new_id()))
    assert prune(store).flow_runs == 1


def test_logs_go_before_their_runs(store: Store) -> None:
    old, young, pinned, open_ = run_of(40), run_of(20), run_of(40, keep=True), run_of(40, open=True)
    keep(store, old, young, pinned, open_)
    assert prune(store).log_lines == 2
    assert [lines_of(store, each) for each in (old, young, pinned, open_)] == [0, 2, 2, 2]
    assert left(store) == {old.id, young.id, pinned.id, open_.id}


def test_logs_of_runs_that_end_in_one_moment_all_go(store: Store) -> None:
    keep(store, *(run_of(40) for _ in range(250)))
    assert prune(store).log_lines == 500
    # and a pass does not look at them again
    with store.read() as tx:
        assert marks.mark(tx, "logs") == round(days_ago(40).timestamp() * 1e6)


def test_a_run_that_was_tried_again_loses_its_new_lines_later(store: Store) -> None:
    run = run_of(40)
    keep(store, run)
    assert prune(store).log_lines == 2
    run.enter(make("Running", days_ago(39)))
    run.enter(make("Completed", days_ago(2)))
    with store.write() as tx:
        flow_runs.put(tx, run)
        logs.append(tx, [line(run.id, 50)])
    assert prune(store).log_lines == 0
    assert prune(store, now=NOW + timedelta(days=29)).log_lines == 1


def test_task_runs_outside_flows_go_by_their_own_age(store: Store) -> None:
    old, aging, young, open_ = task_of(100), task_of(40), task_of(1), task_of(100, open=True)
    keep(store, old, aging, young, open_)
    pruned = prune(store)
    assert (pruned.task_runs, pruned.log_lines) == (1, 4)
    assert [lines_of(store, each) for each in (aging, young, open_)] == [0, 2, 2]


def event_of(days: float, flow_run_id: UUID | None = None) -> Event:
    return Event(
        id=SYSTEM.new_id(), event="e", occurred=days_ago(days), resource={RESOURCE_ID: "r"}, flow_run_id=flow_run_id
    )


def artifact_of(days: float, flow_run_id: UUID | None = None) -> Artifact:
    at = days_ago(days)
    return Artifact(id=SYSTEM.new_id(), type="markdown", data="x", flow_run_id=flow_run_id, created=at, updated=at)


def test_events_artifacts_and_expired_results_each_have_their_own_age(store: Store) -> None:
    running = run_of(70, open=True)
    keep(store, running)
    with store.write() as tx:
        for days in (10, 40, 70):
            events.add(tx, [event_of(days)], days_ago(days))
            artifacts.put(tx, artifact_of(days))
        artifacts.put(tx, artifact_of(70, running.id))
        ref = ResultRef("json", inline=b"1")
        caches.put(tx, "old", SYSTEM.new_id(), ref, days_ago(9), days_ago(8))
        caches.put(tx, "for ever", SYSTEM.new_id(), ref, days_ago(900), None)
    pruned = prune(store)
    assert (pruned.events, pruned.artifacts, pruned.cached) == (2, 1, 1)
    assert (count(store, "event"), count(store, "artifact"), count(store, "cache")) == (1, 3, 1)


def test_without_an_age_everything_stays(store: Store) -> None:
    keep(store, run_of(4000), task_of(4000))
    assert total(prune(store, Ages())) == 0


def test_it_stops_between_two_transactions_and_goes_on_the_next_time(store: Store) -> None:
    keep(store, *(run_of(100) for _ in range(300)), lines=20)
    looks = iter([False, False, True])
    first = retention.prune(store, NOW, AGES, is_over=lambda: next(looks, True), rest=lambda seconds: None)
    assert not first.finished
    assert 0 < total(first) < 300 * 23
    second = prune(store)
    assert second.finished
    assert first.flow_runs + second.flow_runs == 300
    assert first.log_lines + second.log_lines == 6000
    assert (count(store, "flow_run"), count(store, "task_run"), count(store, "log")) == (0, 0, 0)


def test_a_run_that_is_pinned_while_it_is_pruned_stays(store: Store) -> None:
    runs = [run_of(100) for _ in range(80)]  # few enough to be looked up together, too many to go at once
    keep(store, *runs, lines=100)
    rests = 0

    def pin(seconds: float) -> None:
        nonlocal rests
        rests += 1
        if rests == 1:
            runs[-1].keep = True
            with store.write() as tx:
                flow_runs.put(tx, runs[-1])

    retention.prune(store, NOW, AGES, rest=pin)
    assert left(store) == {runs[-1].id}


@pytest.mark.slow
def test_others_write_while_a_hundred_thousand_rows_go(sqlite_store: SqliteStore) -> None:
    with sqlite_store.write() as tx:
        for _ in range(1000):
            run = run_of(100)
            flow_runs.put(tx, run)
            task_runs.report(tx, [task_of(100, flow_run_id=run.id) for _ in range(50)])
            logs.append(tx, [line(run.id, seq) for seq in range(50)])
    size = sqlite_store.path.stat().st_size
    other = SqliteStore(sqlite_store.path)
    done, waits = threading.Event(), []

    def write() -> None:
        while not done.is_set():
            began = SYSTEM.monotonic()
            with other.write() as tx:
                logs.append(tx, [line(SYSTEM.new_id(), 0)])
            waits.append(SYSTEM.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        pruned = retention.prune(sqlite_store, NOW, AGES)
    finally:
        done.set()
        writer.join()
        other.close()
    assert (pruned.flow_runs, pruned.task_runs, pruned.log_lines) == (1000, 50_000, 50_000)
    assert len(waits) > 20
    assert max(waits) < 2.0  # nobody waited for all of it
    assert pruned.pages > 0
    with contextlib.closing(SqliteStore(sqlite_store.path)), sqlite_store.read() as tx:
        assert tx.row("PRAGMA freelist_count") == (0,)
    sqlite_store.close()
    assert sqlite_store.path.stat().st_size < size / 3


def test_room_in_the_file_that_there_was_no_time_to_give_back_is_given_back_the_next_time(
    sqlite_store: SqliteStore,
) -> None:
    with sqlite_store.write() as tx:
        run = run_of(100)
        flow_runs.put(tx, run)
        logs.append(tx, [line(run.id, seq) for seq in range(5_000)])

    def is_over() -> bool:
        with sqlite_store.read() as tx:
            return tx.row("SELECT count(*) FROM flow_run") == (0,)

    def free() -> object:
        with sqlite_store.read() as tx:
            return tx.row("PRAGMA freelist_count")

    assert not retention.prune(sqlite_store, NOW, AGES, is_over=is_over).finished
    assert free() != (0,)
    assert retention.prune(sqlite_store, NOW, AGES).finished
    assert free() == (0,)


def test_a_server_goes_on_soon_while_there_is_more_to_delete(
    sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        keep(sqlite_store, run_of(100), lines=5_000)
    desk = Desk(sqlite_store, None, lambda: NOW, lambda holder: None, "", ages=AGES)  # type: ignore[arg-type]
    monkeypatch.setattr(retaining, "LONGEST_SECONDS", 0.0)
    assert retaining.once(desk) == retaining.PAUSE_SECONDS
    assert len(left(sqlite_store)) == 3
    monkeypatch.undo()
    rounds, finished = [], threading.Event()

    def once(desk: Desk) -> float | None:
        rounds.append(retaining.once(desk))
        if rounds[-1] is None:
            finished.set()
            return None
        return 0.0

    monkeypatch.setattr(retaining, "LONGEST_SECONDS", 0.01)
    supervisor = Supervisor(desk, [Loop("retention", once, 3600.0)], NoMeters())
    supervisor.start()
    try:
        assert finished.wait(30)
    finally:
        supervisor.stop(10)
    assert len(rounds) > 1
    assert not left(sqlite_store)


def test_programs_delete_what_is_old_once_an_hour(store: Store) -> None:
    keep(store, run_of(100))
    with store.write() as tx:
        marks.set_mark(tx, marks.PRUNED, round(NOW.timestamp() * 1e6))

    def at_end(minutes: float) -> Pruned | None:
        return retention.prune_if_due(store, NOW + timedelta(minutes=minutes), AGES, is_over=lambda: False)

    assert at_end(59) is None
    first = at_end(61)
    assert first is not None
    assert first.flow_runs == 1
    assert at_end(62) is None
    assert at_end(-61) is not None  # the clock was set back


def test_what_a_program_had_no_time_for_the_next_one_does(store: Store) -> None:
    keep(store, run_of(100))
    later = NOW + timedelta(hours=2)
    interrupted = retention.prune_if_due(store, later, AGES, is_over=lambda: True)
    assert interrupted == Pruned(finished=False)
    finished = retention.prune_if_due(store, later, AGES, is_over=lambda: False)
    assert finished is not None
    assert finished.flow_runs == 1
