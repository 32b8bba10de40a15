"""Facts wait for company, are recorded in their order, and none is dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from penstock.exceptions import ObjectNotFound, StoreUnavailableError
from penstock.ledger import journal as journal_module
from penstock.ledger.contract import Flush
from penstock.ledger.journal import LARGEST_BATCH, LATE_SECONDS, MANY, Journal

from ..flows.kit import PATIENCE, until


class Recorder:
    """A record that remembers its transactions, and can be slow, away, or picky."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.trouble: Exception | None = None
        self.poison: Any = object()

    @property
    def facts(self) -> list[Any]:
        return [fact for batch in self.batches for fact in batch]

    def __call__(self, facts: Sequence[Any], questions: Sequence[Any]) -> list[Any]:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(PATIENCE)
        if self.trouble is not None:
            raise self.trouble
        if self.poison in facts or self.poison in questions:
            raise ValueError("this one cannot be written")
        if facts:
            self.batches.append(list(facts))
        return [question() if callable(question) else len(self.facts) for question in questions]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


Make = Callable[..., Journal]


@pytest.fixture
def make(recorder: Recorder) -> Iterator[Make]:
    made: list[Journal] = []

    def make(**options: Any) -> Journal:
        made.append(Journal(recorder, **options))
        return made[-1]

    yield make
    recorder.trouble = None
    recorder.gate.set()
    for journal in made:
        journal.close()


def test_facts_are_recorded_soon_though_nobody_asks(make: Make, recorder: Recorder) -> None:
    make(interval=0.01).write("fact")
    until(lambda: recorder.facts == ["fact"], 2)


def test_facts_of_a_moment_are_recorded_together_and_in_their_order(make: Make, recorder: Recorder) -> None:
    journal = make(interval=0.2)
    for number in range(500):
        journal.write(number)
    journal.ask(Flush())
    assert recorder.facts == list(range(500))
    assert len(recorder.batches) <= 3


def test_a_question_is_answered_when_all_facts_before_it_are_recorded(make: Make, recorder: Recorder) -> None:
    journal = make(interval=10)
    for number in range(LARGEST_BATCH * 2 + 5):
        journal.write(number)
        if number % 1000 == 0:
            assert journal.ask("how many are recorded?") == number + 1
    assert journal.ask("how many are recorded?") == LARGEST_BATCH * 2 + 5


def test_a_question_does_not_wait_for_the_interval(make: Make) -> None:
    journal = make(interval=30)
    began = time.monotonic()
    for _ in range(5):
        journal.write("fact")
        journal.ask(Flush())
    assert time.monotonic() - began < 5


def test_each_thread_has_its_own_answer(make: Make) -> None:
    journal = make()
    wrong = []

    def ask(mine: int) -> None:
        wrong.extend(each for each in range(100) if journal.ask(lambda each=each: (mine, each)) != (mine, each))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not wrong


def test_facts_of_one_thread_keep_their_order_among_those_of_others(make: Make, recorder: Recorder) -> None:
    journal = make(interval=0.001)

    def write(mine: int) -> None:
        for number in range(2000):
            journal.write((mine, number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.ask(Flush())
    for mine in range(4):
        assert [number for who, number in recorder.facts if who == mine] == list(range(2000))


def test_only_the_journals_own_thread_records(make: Make, recorder: Recorder) -> None:
    journal = make()
    journal.write("fact")
    journal.ask(Flush())
    assert recorder.threads == {"penstock-journal"}


# --- back-pressure ---------------------------------------------------------------------------------------------------


def test_who_reports_faster_than_can_be_recorded_waits_and_loses_nothing(make: Make, recorder: Recorder) -> None:
    journal = make(interval=0.001, limit=50)
    recorder.gate.clear()
    reached: list[int] = []

    def write() -> None:
        for number in range(1000):
            journal.write(number)
            reached.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    until(lambda: len(reached) >= 50)
    stood = len(reached)
    assert not until_changes(lambda: len(reached), stood, 0.2), "a writer went on without room"
    assert stood <= 51
    recorder.gate.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    journal.ask(Flush())
    assert recorder.facts == list(range(1000))


def until_changes(value: Callable[[], int], known: int, seconds: float) -> bool:
    """Whether a value changes within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value() != known:
            return True
        time.sleep(0.005)
    return False


def test_who_waits_for_room_is_told_why_there_will_be_none(make: Make, recorder: Recorder) -> None:
    journal = make(interval=0.001, limit=10)
    recorder.trouble = StoreUnavailableError("the disk is full")
    with pytest.raises(StoreUnavailableError, match="the disk is full"):  # noqa: PT012
        for number in range(1000):
            journal.write(number)


def test_who_writes_waits_when_what_is_there_is_late(make: Make, recorder: Recorder) -> None:
    journal = make(interval=0.001)
    recorder.gate.clear()
    for number in range(MANY):
        journal.write(number)
    time.sleep(LATE_SECONDS * 1.5)
    written = threading.Event()
    thread = threading.Thread(target=lambda: (journal.write(MANY), written.set()))
    thread.start()
    assert not written.wait(0.1), "the writer went on though facts are late"
    recorder.gate.set()
    assert written.wait(PATIENCE)
    thread.join()
    journal.ask(Flush())
    assert recorder.facts == list(range(MANY + 1))


def test_who_writes_does_not_wait_while_what_is_there_is_young(
    make: Make, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LATE_SECONDS", 60.0)
    journal = make(interval=0.001)
    recorder.gate.clear()
    began = time.monotonic()
    for number in range(MANY * 4):
        journal.write(number)
    assert time.monotonic() - began < 2
    recorder.gate.set()
    journal.ask(Flush())
    assert recorder.facts == list(range(MANY * 4))


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_while_the_record_is_away_facts_stay_and_are_recorded_once_when_it_is_back(
    make: Make, recorder: Recorder
) -> None:
    journal = make(interval=0.001)
    recorder.trouble = StoreUnavailableError("away")
    for number in range(10):
        journal.write(number)
    assert until(lambda: journal.trouble) is recorder.trouble
    journal.write(10)
    recorder.trouble = None
    until(lambda: len(recorder.facts) >= 11)
    assert recorder.facts == list(range(11))
    until(lambda: journal.trouble is None)


def test_who_asks_while_the_record_is_away_is_told(make: Make, recorder: Recorder) -> None:
    journal = make()
    recorder.trouble = StoreUnavailableError("away")
    journal.write("fact")
    with pytest.raises(StoreUnavailableError, match="away"):
        journal.ask(Flush())
    recorder.trouble = None
    journal.ask(Flush())
    assert recorder.facts == ["fact"]


def test_all_who_ask_are_told_when_the_record_is_away_however_far_behind_they_are(
    make: Make, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LATE_SECONDS", 60.0)
    journal = make(interval=0.001)
    recorder.gate.clear()
    told: dict[int, BaseException | None] = {}
    facts = LARGEST_BATCH * 2 + 10
    asked = range(0, facts, LARGEST_BATCH // 2)
    for number in range(facts):
        journal.write(number)
        if number in asked:
            journal.ask_then(Flush(), lambda _, error, number=number: told.update({number: error}))
    journal.ask_then(Flush(), lambda _, error: told.update({facts: error}))
    recorder.trouble = StoreUnavailableError("away")
    recorder.gate.set()
    until(lambda: len(told) == len(asked) + 1, 2)
    assert set(told.values()) == {recorder.trouble}
    recorder.trouble = None
    until(lambda: len(recorder.facts) >= facts)
    assert recorder.facts == list(range(facts))


def test_a_fact_that_cannot_be_written_takes_no_other_with_it(
    make: Make, recorder: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = make(interval=0.1)
    recorder.poison = "poison"
    for fact in ("first", "poison", "second"):
        journal.write(fact)
    assert journal.ask("how many are recorded?") == 2
    assert recorder.facts == ["first", "second"]
    journal.write("third")
    assert journal.ask("how many are recorded?") == 3
    assert journal.close() == 1, "what was lost is counted"
    assert "could not be recorded" in capfd.readouterr().err


def test_a_record_that_goes_away_while_a_bad_fact_is_looked_for_costs_none_of_the_others(
    make: Make, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 0.01)
    recorder.gate.clear()
    recorder.poison = 3
    looked: list[int] = []

    def record(facts: Sequence[Any], questions: Sequence[Any]) -> list[Any]:
        looked.append(len(facts))
        if len(looked) in (4, 5, 8):
            raise StoreUnavailableError("The record is away.")
        return recorder(facts, questions)

    journal = Journal(record, patience=PATIENCE)
    for fact in range(20):
        journal.write(fact)
    answers: list[Any] = []
    answered = threading.Event()
    journal.ask_then("how many?", lambda value, error: (answers.append((value, error)), answered.set()))  # type: ignore[func-returns-value]
    recorder.gate.set()
    assert answered.wait(PATIENCE)
    assert sorted(recorder.facts) == [fact for fact in range(20) if fact != 3]
    assert answers == [(19, None)]
    assert journal.close() == 1


def test_a_question_that_fails_by_itself_fails_for_the_one_who_asked(make: Make, recorder: Recorder) -> None:
    journal = make(interval=0.1)
    journal.write("fact")
    with pytest.raises(ObjectNotFound, match="no such run"):
        journal.ask(lambda: ObjectNotFound("no such run"))
    recorder.poison = "poison"
    with pytest.raises(ValueError, match="cannot be written"):
        journal.ask("poison")
    journal.ask(Flush())
    assert recorder.facts == ["fact"]


def test_a_listener_that_raises_does_not_end_the_journal(make: Make, recorder: Recorder) -> None:
    """An event loop that was closed before its answer came refuses to be called."""

    def refuses(answer: Any, error: BaseException | None) -> None:
        raise RuntimeError("Event loop is closed")

    journal = make(interval=0.001)
    journal.ask_then(Flush(), refuses)
    answered = threading.Event()
    journal.ask_then(Flush(), lambda answer, error: answered.set())
    assert answered.wait(2)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_closing_records_what_is_left(make: Make, recorder: Recorder) -> None:
    journal = make(interval=30)
    for number in range(LARGEST_BATCH + 10):
        journal.write(number)
    assert journal.close() == 0
    assert recorder.facts == list(range(LARGEST_BATCH + 10))
    assert journal.close() == 0


def test_closing_right_after_a_fact_was_reported_loses_nothing(make: Make, recorder: Recorder) -> None:
    for number in range(200):
        journal = make(interval=(0.0, 0.0001, 30.0)[number % 3])
        journal.write(("first", number))
        if number % 2:
            journal.ask(Flush())
            journal.write(("second", number))
        assert journal.close() == 0
    expected = [(which, n) for n in range(200) for which in ("first", "second")[: n % 2 + 1]]
    assert recorder.facts == expected


def test_a_connection_that_breaks_at_the_very_end_loses_nothing(
    make: Make, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 0.01)
    broken = [True, True]

    def record(facts: Sequence[Any], questions: Sequence[Any]) -> list[Any]:
        if broken:
            broken.pop()
            raise StoreUnavailableError("The connection broke.")
        return recorder(facts, questions)

    journal = Journal(record, interval=PATIENCE)
    journal.write("the last word")
    assert journal.close() == 0
    assert recorder.facts == ["the last word"]


def test_closing_without_a_record_counts_what_is_lost(make: Make, recorder: Recorder) -> None:
    journal = make(interval=30)
    recorder.trouble = StoreUnavailableError("away")
    for number in range(3):
        journal.write(number)
    assert journal.close() == 3


def test_a_closed_journal_answers_no_questions(make: Make) -> None:
    journal = make()
    journal.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        journal.ask(Flush())
