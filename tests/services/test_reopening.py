"""Reopening: the one way out of an end, for one asker, and what the former process still says does not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from penstock.domain import reopening as domain
from penstock.domain.errors import ObjectNotFound, TransitionRefused
from penstock.domain.ids import flow_id
from penstock.domain.logs import LogLine
from penstock.domain.reopening import REOPENED
from penstock.domain.rules import Accept, Facts, Refuse, Transition
from penstock.domain.runs import Arguments, Entrypoint, FlowRun, Holder, TaskRun
from penstock.domain.states import FINAL, NAMES, StateType, make
from penstock.domain.stops import Signal
from penstock.engine.clock import SYSTEM
from penstock.services import ingest, orchestrate, reading, reopening
from penstock.store import arguments, flow_runs, logs, signals, task_runs
from penstock.store.contract import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OLD, NEW = Holder("here", "b", 1, "1"), Holder("here", "b", 2, "2")
ENTRY = Entrypoint("/a/etl.py", "etl", ("etl.py",), "/a", "/usr/bin/python", "__main__", "/a/etl.py")


def begun(store: Store, end: str | None = "Failed", called_with: Arguments | None = None, **fields: Any) -> FlowRun:
    """A run that began and, with `end`, ended."""
    run = FlowRun(
        **{
            "id": SYSTEM.new_id(),
            "name": "shy-owl",
            "created": NOW,
            "states": (make("Pending", NOW),),
            "flow_id": flow_id("etl"),
            "flow_name": "etl",
            "holder": OLD,
            "entrypoint": ENTRY,
            "run_count": 1,
            **fields,
        }
    )
    with store.write() as tx:
        orchestrate.begin(tx, run, make("Running", NOW), called_with)
        if end is not None:
            orchestrate.enter(tx, run.id, make(end, NOW), Facts(retry_wanted=False))
    return run


def got(store: Store, id: UUID) -> FlowRun:
    with store.read() as tx:
        run = flow_runs.get(tx, id)
    assert run is not None
    return run


def reopen(store: Store, id: UUID, holder: Holder = NEW) -> Any:
    with store.write() as tx:
        return reopening.reopen(tx, id, who="ann", now=NOW + timedelta(hours=1), holder=holder)


def task_run(of: FlowRun, epoch: int, name: str = "Completed") -> TaskRun:
    return TaskRun(
        id=SYSTEM.new_id(),
        name="load-0",
        created=NOW,
        states=(make(name, NOW),),
        version=1,
        flow_run_id=of.id,
        task_name="load",
        task_key="etl.load",
        epoch=epoch,
    )


# --- the transition --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_end_but_completed_can_be_reopened_and_nothing_else(name: str) -> None:
    transition = Transition(make(name, NOW), domain.awaiting_retry("ann", NOW))
    allowed = NAMES[name] in FINAL and NAMES[name] is not StateType.COMPLETED
    assert isinstance(domain.decide(transition), Accept if allowed else Refuse)
    assert (NAMES[name] in REOPENED) is allowed


@pytest.mark.parametrize("end", ["Failed", "TimedOut", "Crashed", "Cancelled"])
def test_a_reopened_run_awaits_its_retry_under_a_new_epoch_and_holder(store: Store, end: str) -> None:
    run = begun(store, end)
    before = got(store, run.id)

    reopened = reopen(store, run.id).run

    after = got(store, run.id)
    assert msgspec.to_builtins(after) == msgspec.to_builtins(reopened)
    assert (after.epoch, after.holder, after.state_name) == (before.epoch + 1, NEW, "AwaitingRetry")
    assert after.states[:-1] == before.states
    assert after.state.message == "Retry asked for by ann."
    assert after.deadline is None
    assert after.end_time is None


@pytest.mark.parametrize(("end", "words"), [("Completed", "nothing to retry"), (None, "is Running: only a run that")])
def test_what_completed_or_goes_on_is_refused(store: Store, end: str | None, words: str) -> None:
    run = begun(store, end)
    before = got(store, run.id)
    with pytest.raises(TransitionRefused, match=words):
        reopen(store, run.id)
    assert got(store, run.id).version == before.version


def test_an_unknown_run_is_not_found(store: Store) -> None:
    with pytest.raises(ObjectNotFound):
        reopen(store, SYSTEM.new_id())


def test_of_two_askers_one_is_refused(store: Store) -> None:
    run = begun(store)
    reopen(store, run.id)
    with pytest.raises(TransitionRefused, match="is AwaitingRetry"):
        reopen(store, run.id, Holder("here", "b", 3, "3"))
    assert got(store, run.id).holder == NEW


def test_no_process_can_leave_an_end_by_itself(store: Store) -> None:
    run = begun(store)
    with store.write() as tx:
        answer = orchestrate.enter(tx, run.id, make("AwaitingRetry", NOW), Facts(epoch_of_writer=1))
    assert answer.status == "refused"


# --- what the former process says ------------------------------------------------------------------------------------


def test_the_former_process_can_write_nothing_any_more(store: Store) -> None:
    run = begun(store)
    old = task_run(run, epoch=1, name="Running")
    with store.write() as tx:
        ingest.apply(tx, [old])
    reopen(store, run.id)

    old.enter(make("Completed", NOW))
    stranger, ours = task_run(run, epoch=1), task_run(run, epoch=2)
    with store.write() as tx:
        ingest.apply(tx, [old, stranger, ours])
        answer = orchestrate.enter(tx, run.id, make("Completed", NOW), Facts(epoch_of_writer=1))

    assert answer.status == "refused"
    with store.read() as tx:
        found = {each.id: each.state_name for each in task_runs.select(tx, "1 = 1", [], "id", 10)}
    assert found == {old.id: "Running", ours.id: "Completed"}


def test_requests_to_stop_the_former_attempt_do_not_stop_the_next(store: Store) -> None:
    run = begun(store)
    with store.write() as tx:
        signals.put(tx, Signal(run.id, NOW, "bob"))
    reopen(store, run.id)
    with store.read() as tx:
        assert signals.all(tx) == []


# --- lines -----------------------------------------------------------------------------------------------------------


def test_the_next_attempt_writes_behind_all_that_was_written(store: Store) -> None:
    run = begun(store)
    numbers = (0, 1, logs.LATE)
    with store.write() as tx:
        logs.append(tx, [LogLine(run.id, None, seq, NOW, 20, f"line {seq}") for seq in numbers])

    first = reopen(store, run.id).first_seq

    with store.write() as tx:
        logs.append(tx, [LogLine(run.id, None, first, NOW, 20, "again")])
        messages = [line.message for line in logs.read(tx, run.id)]
        assert logs.next_late_seq(tx, run.id) == logs.LATE
    assert messages == ["line 0", "line 1", f"line {logs.LATE}", "again"]
    assert first > 1000, "the former process may still say something"


# --- arguments -------------------------------------------------------------------------------------------------------


def test_arguments_are_recalled_and_go_with_the_run(store: Store) -> None:
    kept = Arguments(b"pickle")
    run, bare = begun(store, called_with=kept), begun(store)
    with store.read() as tx:
        assert reopening.recall(tx, run.id).arguments == kept
        assert reopening.recall(tx, bare.id).arguments is None

    reading.delete_flow_runs(store, [run.id])

    with store.read() as tx:
        assert arguments.get(tx, run.id) is None


def test_arguments_that_were_not_kept_are_named(store: Store) -> None:
    run = begun(store, called_with=Arguments(None, "rows", "a list of more than 16,384 bytes"))
    with pytest.raises(TransitionRefused, match="its argument 'rows' was not kept") as raised:
        reopening.check(store, run.id, "ann", NOW)
    assert str(run.id) in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"entrypoint": None}, "does not say where its flow is"),
        ({"entrypoint": msgspec.structs.replace(ENTRY, function=None)}, "does not say where its flow is"),
        ({"entrypoint": msgspec.structs.replace(ENTRY, function="f.<locals>.g")}, "a function inside another"),
        ({"entrypoint": msgspec.structs.replace(ENTRY, function="<lambda>")}, "is of a lambda"),
        ({"entrypoint": msgspec.structs.replace(ENTRY, program=None)}, "in a notebook or typed in"),
        ({"flow_run_id": UUID(int=5)}, f"is a subflow run of {UUID(int=5)}"),
    ],
)
def test_what_cannot_be_called_again_is_refused_with_a_sentence(
    store: Store, fields: dict[str, Any], words: str
) -> None:
    run = begun(store, **fields)
    with pytest.raises(TransitionRefused) as raised:
        reopening.check(store, run.id, "ann", NOW)
    assert words in str(raised.value)
    assert str(raised.value).startswith("Flow run 'shy-owl' (")


def test_an_entrypoint_given_by_hand_makes_up_for_one_that_cannot_be_used(store: Store) -> None:
    run = begun(store, entrypoint=msgspec.structs.replace(ENTRY, program=None))
    assert reopening.check(store, run.id, "ann", NOW, elsewhere=True).run.id == run.id
