"""Batches: recorded whole, once, and with what they ask answered once; and a process that is heard again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from penstock.domain.limits import LEASE
from penstock.domain.logs import LogLine
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder, TaskRun
from penstock.domain.states import make
from penstock.domain.transition import Entered
from penstock.exceptions import BadRequest, TransitionRefused
from penstock.protocol.deeds import CloseGone
from penstock.protocol.journal import Asked, Batch, Begin, Enter, Fact, Reopen, answers_in, batch_in, batch_of, encoded
from penstock.services import journal
from penstock.services.log_reading import LogCursor
from penstock.services.rescue import rescue
from penstock.store import changes, flow_runs, holders, logs, task_runs
from penstock.store.contract import Store, Tx

from ..store.kit import at, flow_run, line, task_run

FAR = Holder("far-away", "boot", 7, "1")


def sent(
    store: Store, *facts: Fact, asked: tuple[Asked, ...] = (), second: float = 1, attending: bool = True
) -> list[Any]:
    """As it comes over the wire, and the answers as they go back."""
    batch = batch_in(encoded(batch_of(FAR, facts, asked, attending=True)))
    (answers,) = journal.take(store, [batch], lambda: at(second))
    if isinstance(answers, BaseException):
        raise answers
    return answers_in(msgspec.msgpack.encode(answers), list(asked))


def begun(store: Store, **fields: Any) -> FlowRun:
    run = flow_run(holder=FAR, **fields)
    (entered,) = sent(store, asked=(Asked(f"begin-{run.id.hex}", Begin(run, make("Running", at(1)))),))
    assert entered.status == "accepted"
    return run


def read(store: Store, run: FlowRun) -> FlowRun:
    with store.read() as tx:
        found = flow_runs.get(tx, run.id)
    assert found is not None
    return found


def end(run: FlowRun, second: float, name: str = "Completed") -> Enter:
    return Enter(run.id, make(name, at(second)), Facts(epoch_of_writer=run.epoch, retry_wanted=False))


def test_a_question_that_is_sent_again_is_answered_as_it_was(store: Store) -> None:
    run = flow_run(holder=FAR)
    asked = Asked("key-of-begin", Begin(run, make("Running", at(1))))
    first, second = sent(store, asked=(asked,)), sent(store, asked=(asked,))
    assert first == second
    assert isinstance(first[0], Entered)
    assert first[0].status == "accepted"
    assert [state.name for state in read(store, run).states] == ["Pending", "Running"]


def test_an_error_is_answered_again_as_well(store: Store) -> None:
    run = begun(store)
    asked = Asked("another-key-1", Begin(run, make("Running", at(1))))
    for _ in range(2):
        (answer,) = sent(store, asked=(asked,))
        assert isinstance(answer, TransitionRefused)
        assert str(run.id) in str(answer)


def test_a_key_is_for_one_question(store: Store) -> None:
    run = begun(store)
    sent(store, asked=(Asked("one-key-only", end(run, 2)),))
    (answer,) = sent(store, asked=(Asked("one-key-only", end(run, 3, "Failed")),))
    assert isinstance(answer, BadRequest)


def test_a_batch_that_cannot_be_recorded_stands_in_no_others_way(store: Store) -> None:
    run = begun(store)
    bad = batch_of(FAR, [LogLine(None, None, 0, at(1), 20, "of no run")])
    good = batch_of(FAR, [line(run.id, 1)])
    first, second = journal.take(store, [bad, good], lambda: at(2))
    assert isinstance(first, Exception)
    assert not isinstance(second, Exception)
    with store.read() as tx:
        assert len(logs.read(tx, run.id)) == 1


def test_a_state_decided_without_the_record_is_entered_once(store: Store) -> None:
    run = begun(store)
    for _ in range(2):
        sent(store, end(run, 5))
    assert [state.name for state in read(store, run).states] == ["Pending", "Running", "Completed"]


def test_a_decision_of_the_meantime_stands(store: Store) -> None:
    run = begun(store)
    sent(store, asked=(Asked("cancelled-first", end(run, 3, "Cancelled")),))
    sent(store, end(run, 5))
    assert read(store, run).state_name == "Cancelled"


def test_a_process_that_is_heard_again_has_its_runs_back(store: Store) -> None:
    run = begun(store)
    task = task_run(flow_run_id=run.id, states=(make("Running", at(1)),), version=1)
    sent(store, task)
    late = at(1) + LEASE + timedelta(seconds=1)
    rescue(store, lambda holder: None, lambda: late)
    assert (read(store, run).state_name, read(store, run).epoch) == ("Crashed", run.epoch + 1)
    task.enter(make("Completed", at(70)))
    sent(store, task, second=71)
    again = read(store, run)
    assert [state.name for state in again.states] == ["Pending", "Running", "Crashed", "Running"]
    assert again.epoch == run.epoch
    with store.read() as tx:
        ended = task_runs.get(tx, task.id)
        assert holders.lease_of(tx, FAR) == at(71) + LEASE
    assert ended is not None
    assert [state.name for state in ended.states] == ["Running", "Completed"]
    sent(store, asked=(Asked("the-very-end", end(run, 72)),), second=72)
    assert read(store, run).state_name == "Completed"


def test_a_process_that_is_heard_again_has_its_task_runs_outside_of_flows_back(store: Store) -> None:
    task = task_run(flow_run_id=None, holder=FAR, states=(make("Running", at(1)),), version=1)
    sent(store, task)
    rescue(store, lambda holder: None, lambda: at(1) + LEASE + timedelta(seconds=1))
    with store.read() as tx:
        closed = task_runs.get(tx, task.id)
    assert closed is not None
    assert closed.state_name == "Crashed"
    task.enter(make("Completed", at(70)))
    sent(store, task, second=71)
    with store.read() as tx:
        ended = task_runs.get(tx, task.id)
    assert ended is not None
    assert [state.name for state in ended.states] == ["Running", "Completed"]


def test_what_a_dead_process_had_reported_counts_when_it_is_shipped(store: Store) -> None:
    run = begun(store)
    rescue(store, lambda holder: False, lambda: at(3))
    assert read(store, run).state_name == "Crashed"
    sent(store, end(run, 2), second=6)
    assert [state.name for state in read(store, run).states][1:] == ["Running", "Crashed", "Running", "Completed"]


def test_a_run_that_somebody_entered_again_is_not_taken_back(store: Store) -> None:
    run = begun(store)
    rescue(store, lambda holder: False, lambda: at(3))
    again = Holder("here", "boot", 8, "2")
    sent(store, asked=(Asked("retry-it-now", Reopen(run.id, "ann", at(4), again)),), second=4)
    sent(store, end(run, 2), second=6)
    assert read(store, run).state_name == "AwaitingRetry"


def test_who_follows_a_log_is_told_of_the_end_of_each_attempt(store: Store) -> None:
    run = begun(store)
    follower = LogCursor(store, run.id)
    rescue(store, lambda holder: False, lambda: at(3))
    assert "Crashed" in follower.fresh(at(10))[-1].message
    again = Holder("here", "boot", 8, "2")
    sent(store, asked=(Asked("retry-it-now", Reopen(run.id, "ann", at(11), again)),), second=11)
    while follower.fresh(at(12)):
        pass
    rescue(store, lambda holder: False, lambda: at(20))
    assert ["here:8" in each.message for each in follower.fresh(at(30))] == [True]


def test_every_change_is_noted_in_order(store: Store) -> None:
    run = begun(store)
    tasks = [task_run(flow_run_id=run.id, states=(make("Running", at(1)),), version=3) for _ in range(3)]
    with store.read() as tx:
        before = changes.last(tx)
    sent(store, *tasks)
    sent(store, end(run, 2))
    with store.read() as tx:
        found = list(changes.since(tx, before, 10))
    assert [change.flow_run_id for change in found] == [run.id, run.id]
    assert found[0].runs == tuple((task.id, 3) for task in tasks)
    assert found[1].runs == ((run.id, read(store, run).version),)
    assert [change.n for change in found] == [before + 1, before + 2]


def test_batches_that_are_recorded_together_are_each_recorded_and_noted(store: Store) -> None:
    """More flow runs than are noted by one statement; and a question in the midst is asked of what came before it."""
    runs = [begun(store) for _ in range(100)]
    with store.read() as tx:
        before = changes.last(tx)
    batches = []
    for number, run in enumerate(runs):
        facts = [task_run(flow_run_id=run.id), line(run.id, 0, message=str(number))]
        asked = [Asked(f"end-{run.id.hex}", end(run, 2))] if number == 50 else []
        batches.append(batch_in(encoded(batch_of(FAR, facts, asked, attending=True))))
    journal.take(store, batches, lambda: at(3))
    with store.read() as tx:
        noted = list(changes.since(tx, before, 1_000))
        assert [each.message for run in runs for each in logs.read(tx, run.id)] == [str(n) for n in range(100)]
        assert all(task_runs.counts(tx, run.id) == {"Pending": 1} for run in runs)
    of_tasks = [change.flow_run_id for change in noted if change.runs and change.runs[0][0] != change.flow_run_id]
    assert sorted(filter(None, of_tasks)) == sorted(run.id for run in runs)
    assert {change.flow_run_id for change in noted if not change.runs} == {run.id for run in runs}
    (ending,) = [change for change in noted if change.runs and change.runs[0][0] == runs[50].id]
    assert ending.n > max(change.n for change in noted if change.flow_run_id == runs[50].id and change is not ending)
    assert read(store, runs[50]).state_name == "Completed"


def test_facts_of_all_that_wait_are_recorded_at_once_and_of_each_process_in_their_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [flow_run(holder=Holder("far-away", "boot", number, "1")) for number in range(3)]
    for run in runs:
        begin = Asked(f"begin-{run.id.hex}", Begin(run, make("Running", at(1))))
        journal.take(store, [batch_of(run.holder, [], [begin])], lambda: at(1))  # type: ignore[arg-type]
    recorded = []

    def apply(tx: Tx, facts: list[Fact]) -> None:
        recorded.append(len(facts))
        real(tx, facts)

    real = journal.ingest.apply
    monkeypatch.setattr(journal.ingest, "apply", apply)
    tasks = [task_run(flow_run_id=run.id) for run in runs]
    ended = [
        msgspec.structs.replace(each, states=(*each.states, make("Completed", at(9))), version=9) for each in tasks
    ]
    batches = [
        batch_of(run.holder, [task], [Asked(f"{number}", end(run, 5))])  # type: ignore[arg-type]
        for number, (run, task) in enumerate(zip(runs, tasks, strict=True))
    ]
    later = [batch_of(run.holder, [task], []) for run, task in zip(runs, ended, strict=True)]  # type: ignore[arg-type]
    answers = journal.take(store, [*batches, *later], lambda: at(6))
    assert not any(isinstance(each, Exception) for each in answers)
    assert recorded == [3, 3]
    with store.read() as tx:
        found = [task_runs.get(tx, each.id) for each in tasks]
    assert [each.state.name for each in found if each] == ["Completed"] * 3
    assert [read(store, run).state.name for run in runs] == ["Completed"] * 3


def test_leases_of_processes_that_are_recorded_together_are_each_renewed(store: Store) -> None:
    """More than are read or written by one statement. One that does not say that it lives has none for it."""
    far = [Holder("far-away", "boot", number, "1") for number in range(301)]
    batches = [
        Batch(holder=each, attending=number > 0, may_be_killed=number % 2 == 0) for number, each in enumerate(far)
    ]
    for second in (1, 21):
        journal.take(store, batches, lambda second=second: at(second))  # type: ignore[misc]
        with store.read() as tx:
            leases = holders.leases_of(tx, far)
            assert leases == dict.fromkeys(far[1:], at(second) + LEASE)
            assert leases == {each: holders.lease_of(tx, each) for each in far[1:]}
            assert [holders.may_be_killed(tx, each) for each in far[1:]] == [
                number % 2 == 0 for number in range(1, len(far))
            ]


def test_a_process_that_was_called_gone_in_between_is_heard_again_in_the_same_transaction(store: Store) -> None:
    """Its watchdog's word and its own are recorded together: the later one counts: it has its lease and run back."""
    run = begun(store)
    task = task_run(flow_run_id=run.id, states=(make("Running", at(1)),), version=1)
    dog = Holder("far-away", "boot", 8, "1")
    gone = batch_of(dog, [], [Asked("it-is-gone-1", CloseGone(FAR, at(2)))], attending=True)
    before, heard = batch_of(FAR, [line(run.id, 1)], attending=True), batch_of(FAR, [task], attending=True)
    answers = journal.take(store, [before, gone, heard], lambda: at(3))
    assert not any(isinstance(each, Exception) for each in answers)
    assert [state.name for state in read(store, run).states][1:] == ["Running", "Crashed", "Running"]
    with store.read() as tx:
        assert holders.lease_of(tx, FAR) == at(3) + LEASE
        assert task_runs.counts(tx, run.id) == {"Running": 1}


def test_a_process_that_was_called_gone_last_has_no_lease(store: Store) -> None:
    run = begun(store)
    dog = Holder("far-away", "boot", 8, "1")
    gone = batch_of(dog, [], [Asked("it-is-gone-2", CloseGone(FAR, at(2)))], attending=True)
    journal.take(store, [batch_of(FAR, [line(run.id, 1)], attending=True), gone], lambda: at(30))
    assert read(store, run).state_name == "Crashed"
    with store.read() as tx:
        assert holders.lease_of(tx, FAR) is None


def test_of_processes_that_are_all_heard_no_run_is_read_to_find_the_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked every two seconds, and there may be ten thousand runs."""
    run = begun(store)
    alone = task_run(flow_run_id=None, holder=FAR, states=(make("Running", at(1)),), version=1)
    sent(store, alone)
    read_too = {"flow runs": 0}
    unfinished = flow_runs.unfinished_held

    def counted(tx: Tx) -> list[FlowRun]:
        read_too["flow runs"] += 1
        return unfinished(tx)

    monkeypatch.setattr(flow_runs, "unfinished_held", counted)
    assert rescue(store, lambda holder: None, lambda: at(1) + LEASE) == []
    assert rescue(store, lambda holder: True, lambda: at(1000)) == []
    assert read_too == {"flow runs": 0}
    closed = rescue(store, lambda holder: None, lambda: at(2) + LEASE)
    assert {each.id for each in closed} == {run.id, alone.id}


def test_values_never_travel(store: Store) -> None:
    run = flow_run(holder=FAR)
    value = make("Completed", at(2), data={"a": object()})
    batch: Batch = batch_of(FAR, [Enter(run.id, value, Facts())], [Asked("some-key-x", Enter(run.id, value, Facts()))])
    assert b"object" not in encoded(batch)
    assert isinstance(task_run(), TaskRun)
