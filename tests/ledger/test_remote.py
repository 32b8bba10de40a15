"""What a process reports to a server that is sometimes away: nothing is lost, nothing comes twice, nobody waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.states import make
from penstock.engine import identity
from penstock.engine.clock import SYSTEM
from penstock.exceptions import BadRequest, NotSignedIn, ServerRefusedError, ServerUnavailableError, TooLarge, TooMuch
from penstock.ledger import remote
from penstock.ledger.contract import Begin, Enter, FindCached, Flush
from penstock.ledger.heartbeat import Heartbeat
from penstock.ledger.remote import RemoteLedger, ship_left
from penstock.protocol.journal import batch_in
from penstock.services import journal
from penstock.store import flow_runs, logs, task_runs
from penstock.store.sqlite import SqliteStore

from ..store.kit import at, flow_run, line, task_run


class Server:
    """A record behind a network whose state the test decides."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.fault: Callable[[bytes], Exception | None] = lambda body: None
        self.loses_answers = 0
        self.sizes: list[int] = []
        self.asked = threading.Semaphore(0)

    def go_away(self) -> None:
        self.fault = lambda body: ServerUnavailableError("The server does not answer.")

    def come_back(self) -> None:
        self.fault = lambda body: None

    def post(self, body: bytes) -> bytes:
        self.asked.release()
        error = self.fault(body)
        if error is not None:
            raise error
        batch = batch_in(body)
        self.sizes.append(len(batch.facts()))
        (answers,) = journal.take(self.store, [batch], SYSTEM.now)
        if isinstance(answers, Exception):
            raise answers
        if self.loses_answers:
            self.loses_answers -= 1
            raise ServerUnavailableError("The connection broke before the answer came.")
        return msgspec.msgpack.encode(answers)


class Nothing:
    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def stop(self) -> None: ...


@contextlib.contextmanager
def silence() -> Iterator[Nothing]:
    yield Nothing()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(SqliteStore(tmp_path / "server.db"))


Open = Callable[..., RemoteLedger]


@pytest.fixture
def opened(server: Server, tmp_path: Path) -> Iterator[Open]:
    made: list[RemoteLedger] = []

    def make_one(**options: Any) -> RemoteLedger:
        options = {"patience": 30.0, "holder": identity.me} | options
        ledger = RemoteLedger(
            server.post, url="http://server/api", folder=tmp_path / "spool",
            heartbeat=lambda renew: Heartbeat(renew, silence, lambda signal: None), **options,
        )  # fmt: skip
        made.append(ledger)
        return ledger

    yield make_one
    server.come_back()
    for ledger in made:
        ledger.close()


def begun(ledger: RemoteLedger) -> FlowRun:
    run = flow_run(holder=identity.me())
    assert ledger.ask(Begin(run, make("Running", at(1)))).status == "accepted"
    return run


def messages(server: Server, run: FlowRun) -> list[str]:
    with server.store.read() as tx:
        return [each.message for each in logs.read(tx, run.id, limit=1_000_000)]


def found(server: Server, run: FlowRun) -> FlowRun:
    with server.store.read() as tx:
        there = flow_runs.get(tx, run.id)
    assert there is not None
    return there


def end(run: FlowRun, second: float = 5, **facts: Any) -> Enter:
    return Enter(run.id, make("Completed", at(second)), Facts(epoch_of_writer=run.epoch, **facts))


def test_facts_and_questions_reach_the_server_in_their_order(server: Server, opened: Open) -> None:
    ledger = opened()
    run = begun(ledger)
    for number in range(100):
        ledger.write(line(run.id, number, message=str(number)))
    ledger.ask(Flush())
    assert messages(server, run) == [str(number) for number in range(100)]


def test_a_question_whose_answer_was_lost_on_the_way_is_answered_the_same(server: Server, opened: Open) -> None:
    ledger = opened()
    server.loses_answers = 1
    run = begun(ledger)
    server.loses_answers = 1
    assert ledger.ask(end(run)).status == "accepted"
    assert [state.name for state in found(server, run).states] == ["Pending", "Running", "Completed"]


def test_what_memory_cannot_hold_is_kept_on_disk_and_shipped_in_order(server: Server, opened: Open) -> None:
    ledger = opened(limit=50)
    run = begun(ledger)
    server.go_away()
    for number in range(5_000):
        ledger.write(line(run.id, number, message=str(number)))
    task = task_run(flow_run_id=run.id, states=(make("Running", at(2)),), version=1)
    ledger.write(task)
    assert messages(server, run) == []
    server.come_back()
    ledger.ask(Flush())
    assert messages(server, run) == [str(number) for number in range(5_000)]
    with server.store.read() as tx:
        assert task_runs.get(tx, task.id) is not None
    ledger.write(line(run.id, 5_000, message="after"))
    ledger.ask(Flush())
    assert messages(server, run)[-1] == "after"


def test_more_than_a_batch_in_memory_is_shipped_before_what_is_on_disk(server: Server, opened: Open) -> None:
    ledger = opened(limit=5_000)
    run = begun(ledger)
    server.go_away()
    for number in range(9_000):
        ledger.write(line(run.id, number))
    shipped: list[int] = []
    server.fault = lambda body: shipped.extend(each.seq for each in batch_in(body).lines)  # type: ignore[func-returns-value]
    ledger.ask(Flush())
    assert shipped == list(range(9_000))


def test_what_was_recorded_twice_does_not_count_twice_for_what_is_kept(
    server: Server, opened: Open, tmp_path: Path
) -> None:
    ledger = opened(limit=50)
    run = begun(ledger)
    server.go_away()
    for number in range(500):
        ledger.write(line(run.id, number, message=str(number)))
    failing = [True, True, True]
    # What was in memory arrives; what is on disk does not, three times.
    server.fault = lambda body: (
        ServerUnavailableError("away")
        if any(each.seq == 499 for each in batch_in(body).lines) and failing and failing.pop()
        else None
    )
    ledger.ask(Flush())
    server.go_away()
    for number in range(500, 510):
        ledger.write(line(run.id, number, message=str(number)))
    ledger.close(patience=0.3)
    server.come_back()
    ship_left(server.post, tmp_path / "spool", lambda holder: False, SYSTEM.now)
    assert messages(server, run)[:510] == [str(number) for number in range(510)]


def test_user_code_does_not_wait_for_a_server_that_is_there_and_does_not_answer(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "IMPATIENCE", 0.1)
    ledger = opened(limit=1_000)
    run = begun(ledger)
    frozen = threading.Event()
    server.fault = lambda body: None if frozen.wait(30) else ServerUnavailableError("Nobody let it go on.")

    def write() -> None:
        for number in range(5_000):
            ledger.write(line(run.id, number, message=str(number)))

    writing = threading.Thread(target=write)
    writing.start()
    writing.join(10)
    waits = writing.is_alive()
    frozen.set()
    assert not waits
    ledger.ask(Flush())
    assert messages(server, run) == [str(number) for number in range(5_000)]


def test_a_question_is_answered_though_others_go_on_reporting_while_what_is_on_disk_is_shipped(
    server: Server, opened: Open
) -> None:
    ledger = opened(limit=50)
    run = begun(ledger)
    server.go_away()
    for number in range(5_000):
        ledger.write(line(run.id, number))
    enough, answered = threading.Event(), threading.Event()

    def write() -> None:
        for number in count(5_000):
            if enough.wait(0.0002):  # (one that never lets go of the interpreter would starve whoever ships)
                break
            ledger.write(line(run.id, number))

    writing = threading.Thread(target=write)
    writing.start()
    server.come_back()
    ledger.ask_then(Flush(), lambda value, error: answered.set())
    in_time = answered.wait(90)
    enough.set()
    writing.join()
    assert in_time


def test_a_question_waits_for_the_server_and_is_answered_after_what_was_reported(server: Server, opened: Open) -> None:
    ledger = opened(limit=50)
    run = begun(ledger)
    server.go_away()
    for number in range(500):
        ledger.write(line(run.id, number))
    answers: list[Any] = []
    answered = threading.Event()

    def reply(value: Any, error: BaseException | None) -> None:
        answers.append((value, error, len(messages(server, run))))
        answered.set()

    ledger.ask_then(end(run), reply)
    assert not answered.wait(0.6)
    server.come_back()
    assert answered.wait(20)
    value, error, count = answers[0]
    assert (value.status, error, count) == ("accepted", None, 500)


def test_an_end_that_cannot_be_asked_for_is_decided_by_the_same_rules_and_reported(
    server: Server, opened: Open
) -> None:
    ledger = opened(patience=0.3)
    run = begun(ledger)
    server.go_away()
    failed = Enter(run.id, make("Failed", at(5)), Facts(attempts=1, retries=1, retry_delay=2.0, epoch_of_writer=1))
    answer = ledger.ask(failed)
    assert (answer.status, answer.state.name) == ("replaced", "AwaitingRetry")
    answer = ledger.ask(end(run, 6))
    assert (answer.status, answer.state.name) == ("accepted", "Completed")
    server.come_back()
    ledger.ask(Flush())
    assert [state.name for state in found(server, run).states] == [
        "Pending", "Running", "AwaitingRetry", "Completed",
    ]  # fmt: skip


def test_a_run_does_not_begin_without_the_server(server: Server, opened: Open) -> None:
    ledger = opened(patience=0.3)
    server.go_away()
    with pytest.raises(ServerUnavailableError):
        ledger.ask(Begin(flow_run(), make("Running", at(1))))
    assert ledger.ask(FindCached("key", at(1))) is None


def test_a_run_that_began_without_its_programs_knowledge_is_not_called_running(server: Server, opened: Open) -> None:
    ledger = opened(patience=0.3)
    run = flow_run(holder=identity.me())
    server.loses_answers = 1 << 30
    with pytest.raises(ServerUnavailableError):
        ledger.ask(Begin(run, make("Running", at(1))))
    server.loses_answers = 0
    ledger.ask(Flush())
    assert found(server, run).state_name == "Crashed"
    assert "none of its code has run" in (found(server, run).state.message or "")


def test_a_server_that_refuses_says_so_at_once(server: Server, opened: Open) -> None:
    ledger = opened()
    server.fault = lambda body: NotSignedIn("This server wants to know who asks.")
    with pytest.raises(ServerRefusedError, match="wants to know who asks"):
        ledger.ask(Begin(flow_run(), make("Running", at(1))))


def test_a_batch_that_is_too_large_is_sent_in_pieces(server: Server, opened: Open) -> None:
    ledger = opened()
    run = begun(ledger)
    server.fault = lambda body: TooLarge("too large") if len(batch_in(body).facts()) > 7 else None
    for number in range(100):
        ledger.write(line(run.id, number, message=str(number)))
    ledger.ask(Flush())
    assert messages(server, run) == [str(number) for number in range(100)]
    assert max(server.sizes) <= 7


def test_a_busy_server_is_given_time(server: Server, opened: Open) -> None:
    ledger = opened()
    run = begun(ledger)
    busy = [TooMuch("busy"), TooMuch("busy")]
    for error in busy:
        error.retry_after = 0.01
    server.fault = lambda body: busy.pop() if busy else None
    assert ledger.ask(end(run)).status == "accepted"


def test_what_a_process_could_not_report_a_later_one_ships(
    server: Server, opened: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = Holder("here", "boot", 7, "1")
    ledger = opened(limit=50, patience=0.2, holder=lambda: gone)
    run = flow_run(holder=gone)
    ledger.ask(Begin(run, make("Running", at(1))))
    server.go_away()
    for number in range(200):
        ledger.write(line(run.id, number, message=str(number)))
    assert ledger.ask(end(run)).state.name == "Completed"
    assert ledger.close(patience=0.5) == 0
    assert "the next program that reports to it ships it" in capfd.readouterr().err
    with pytest.raises(ServerUnavailableError):
        ship_left(server.post, tmp_path / "spool", lambda holder: False, SYSTEM.now)
    server.come_back()
    assert ship_left(server.post, tmp_path / "spool", lambda holder: True, SYSTEM.now) == 0, (
        "the living ship for themselves"
    )
    assert ship_left(server.post, tmp_path / "spool", lambda holder: False, SYSTEM.now) > 200
    assert ship_left(server.post, tmp_path / "spool", lambda holder: False, SYSTEM.now) == 0
    assert messages(server, run) == [str(number) for number in range(200)]
    assert found(server, run).state_name == "Completed"


def test_what_cannot_be_recorded_as_it_is_stands_in_the_way_of_nothing_else_that_was_left(
    server: Server, opened: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = Holder("here", "boot", 7, "1")
    ledger = opened(holder=lambda: gone)
    run = flow_run(holder=gone)
    ledger.ask(Begin(run, make("Running", at(1))))
    server.go_away()
    for number in range(20):
        ledger.write(line(run.id, number, message=str(number)))
    ledger.close(patience=0.1)
    server.fault = lambda body: (
        BadRequest("it does not fit") if any(each.message == "7" for each in batch_in(body).lines) else None
    )
    ship_left(server.post, tmp_path / "spool", lambda holder: False, SYSTEM.now)
    assert messages(server, run)[:19] == [str(number) for number in range(20) if number != 7]
    assert "could not be recorded: it does not fit" in capfd.readouterr().err
    assert ship_left(server.post, tmp_path / "spool", lambda holder: False, SYSTEM.now) == 0
