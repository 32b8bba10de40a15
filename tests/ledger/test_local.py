"""Facts and questions of an engine, on a real record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from penstock.domain.caching import CacheEntry
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, ResultRef
from penstock.domain.states import make
from penstock.engine import identity
from penstock.engine.clock import SYSTEM
from penstock.exceptions import ObjectNotFound, TransitionRefused
from penstock.ledger.contract import Begin, Cached, Enter, FindCached, Flush
from penstock.ledger.local import LocalLedger
from penstock.store import flow_runs, logs, task_runs
from penstock.store.sqlite import SqliteStore

from ..store.kit import at, flow_run, line, task_run


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LocalLedger]:
    made = LocalLedger(
        SqliteStore(tmp_path / "penstock.db"), holder=identity.me, now=SYSTEM.now, hear=lambda signal: None
    )
    yield made
    made.close()


def recorded(ledger: LocalLedger, run: FlowRun) -> FlowRun:
    with ledger.store.read() as tx:
        found = flow_runs.get(tx, run.id)
    assert found is not None
    return found


def begin(ledger: LocalLedger) -> FlowRun:
    run = flow_run()
    ledger.ask(Begin(run, make("Running", at(1))))
    return run


def test_a_run_that_may_begin_is_recorded_as_running(ledger: LocalLedger) -> None:
    run = flow_run()
    answer = ledger.ask(Begin(run, make("Running", at(1))))
    assert (answer.status, answer.state.name) == ("accepted", "Running")
    assert [state.name for state in recorded(ledger, run).states] == ["Pending", "Running"]


def test_a_run_begins_once(ledger: LocalLedger) -> None:
    run = begin(ledger)
    with pytest.raises(TransitionRefused, match=str(run.id)):
        ledger.ask(Begin(run, make("Running", at(1))))


def test_a_run_that_ended_refuses_every_state(ledger: LocalLedger) -> None:
    run = begin(ledger)
    ledger.ask(Enter(run.id, make("Completed", at(2)), Facts()))
    for name in ("Running", "Failed", "Cancelling", "Completed"):
        answer = ledger.ask(Enter(run.id, make(name, at(3)), Facts()))
        assert (answer.status, answer.state.name) == ("refused", "Completed")
        assert "Completed" in answer.why
    assert recorded(ledger, run).state.timestamp == at(2)


def test_a_writer_that_was_taken_over_is_refused(ledger: LocalLedger) -> None:
    run = begin(ledger)
    with ledger.store.write() as tx:
        flow_runs.put(tx, msgspec.structs.replace(recorded(ledger, run), epoch=2))
    answer = ledger.ask(Enter(run.id, make("Completed", at(2)), Facts(epoch_of_writer=1)))
    assert answer.status == "refused"
    assert recorded(ledger, run).state_name == "Running"
    assert ledger.ask(Enter(run.id, make("Completed", at(2)), Facts(epoch_of_writer=2))).status == "accepted"


def test_a_failure_with_tries_left_is_replaced_in_the_record(ledger: LocalLedger) -> None:
    run = begin(ledger)
    answer = ledger.ask(Enter(run.id, make("Failed", at(2), message="no"), Facts(attempts=1, retries=1)))
    assert (answer.status, answer.state.name) == ("replaced", "AwaitingRetry")
    assert recorded(ledger, run).state_name == "AwaitingRetry"


def test_what_is_being_cancelled_ends_cancelled(ledger: LocalLedger) -> None:
    run = begin(ledger)
    ledger.ask(Enter(run.id, make("Cancelling", at(2)), Facts()))
    assert ledger.ask(Enter(run.id, make("Completed", at(3)), Facts())).state.name == "Cancelled"
    assert recorded(ledger, run).state_name == "Cancelled"


def test_result_count_and_deadline_come_with_the_state(ledger: LocalLedger) -> None:
    run = begin(ledger)
    result = ResultRef("json", b"1", size=1)
    ledger.ask(Enter(run.id, make("Completed", at(2)), Facts(), 3, result, at(9), 2))
    found = recorded(ledger, run)
    assert (found.run_count, found.result, found.deadline, found.lines_lost) == (3, result, at(9), 2)


def test_a_run_that_is_not_there_is_named(ledger: LocalLedger) -> None:
    id = uuid4()
    with pytest.raises(ObjectNotFound, match=str(id)):
        ledger.ask(Enter(id, make("Completed", at(2)), Facts()))


def test_a_question_that_fails_leaves_the_facts_beside_it(ledger: LocalLedger) -> None:
    run = task_run("Completed")
    ledger.write(run)
    with pytest.raises(ObjectNotFound):
        ledger.ask(Enter(uuid4(), make("Completed", at(2)), Facts()))
    with ledger.store.read() as tx:
        assert task_runs.get(tx, run.id) == run


def test_a_cached_value_is_found_as_soon_as_it_was_reported(ledger: LocalLedger) -> None:
    made_by, result = uuid4(), ResultRef("json", b"1", size=1)
    assert ledger.ask(FindCached("key", at(0))) is None
    ledger.write(CacheEntry("key", made_by, result, at(0), at(5)))
    assert ledger.ask(FindCached("key", at(4))) == Cached(made_by, result)
    assert ledger.ask(FindCached("key", at(5))) is None


def test_of_the_reports_in_one_batch_the_latest_state_stands_whatever_their_order(ledger: LocalLedger) -> None:
    late = task_run("Pending", "Running")
    ledger.write(task_run("Pending", "Running", "Completed", id=late.id))
    ledger.write(late)
    ledger.ask(Flush())
    with ledger.store.read() as tx:
        found = task_runs.get(tx, late.id)
    assert found is not None
    assert found.state_name == "Completed"


def test_a_fact_that_the_record_cannot_take_is_the_only_one_lost(
    ledger: LocalLedger, capfd: pytest.CaptureFixture[str]
) -> None:
    good, run = task_run("Completed"), uuid4()
    ledger.write(task_run("Completed", name=object()))
    ledger.write(good)
    ledger.write(line(run, 0))
    ledger.ask(Flush())
    with ledger.store.read() as tx:
        assert task_runs.get(tx, good.id) == good
        assert len(logs.read(tx, run)) == 1
    assert "could not be recorded" in capfd.readouterr().err


def test_closing_records_what_is_left_and_gives_the_file_back(ledger: LocalLedger) -> None:
    ledger.write(task_run("Completed"))
    assert ledger.close() == 0
    again = SqliteStore(ledger.store.path)
    with again.read() as tx:
        assert tx.row("SELECT count(*) FROM task_run") == (1,)
    again.close()
