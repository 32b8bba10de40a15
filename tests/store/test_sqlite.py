"""The file, its transactions, and who may look at it."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from penstock.exceptions import StoreUnavailableError
from penstock.store import task_runs
from penstock.store.sqlite import SqliteStore, SqliteTx

from .kit import task_run


@pytest.fixture
def store(sqlite_store: SqliteStore) -> SqliteStore:
    return sqlite_store


def count(store: SqliteStore) -> int:
    with store.read() as tx:
        return tx.row("SELECT count(*) FROM task_run")[0]  # type: ignore[index]


def test_only_its_owner_may_look_into_a_record(store: SqliteStore) -> None:
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("round", range(25))
def test_a_record_may_be_opened_and_closed_by_several_at_once(round: int, tmp_path: Path) -> None:
    problems: list[BaseException] = []

    def open_and_close() -> None:
        try:
            for _ in range(6):
                store = SqliteStore(tmp_path / "home" / "penstock.db")
                count(store)
                store.close()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=open_and_close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_what_a_transaction_wrote_is_there_when_it_ends_and_not_before(store: SqliteStore) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run()])
        assert count(store) == 0, "readers see a moment of the record"
    assert count(store) == 1


def test_a_transaction_that_raises_leaves_nothing(store: SqliteStore) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as tx:  # noqa: PT012
        task_runs.report(tx, [task_run()])
        raise ZeroDivisionError
    assert count(store) == 0
    with store.write() as tx:
        task_runs.report(tx, [task_run()])
    assert count(store) == 1


def test_a_reader_does_not_wait_for_a_writer(store: SqliteStore) -> None:
    other = SqliteStore(store.path, patience=0.05)
    try:
        with store.write() as tx:
            task_runs.report(tx, [task_run()])
            assert count(other) == 0
    finally:
        other.close()


def test_a_writer_waits_for_another_process_and_gives_up_with_a_sentence(store: SqliteStore) -> None:
    other = SqliteStore(store.path, patience=0.1)
    try:
        with store.write(), pytest.raises(StoreUnavailableError, match="locked for too long"), other.write():
            pass
        with other.write() as tx:
            task_runs.report(tx, [task_run()])
        assert count(store) == 1
    finally:
        other.close()


def test_a_writer_has_its_turn_when_the_other_is_done(store: SqliteStore) -> None:
    other = SqliteStore(store.path, patience=30)
    began, done = threading.Event(), threading.Event()

    def write() -> None:
        began.set()
        with other.write() as tx:
            task_runs.report(tx, [task_run()])
        done.set()

    thread = threading.Thread(target=write)
    with store.write():
        thread.start()
        began.wait()
        assert not done.wait(0.05)
    assert done.wait(10)
    thread.join()
    other.close()


def test_a_change_by_anybody_is_noticed(store: SqliteStore) -> None:
    other = SqliteStore(store.path)
    try:
        before = store.changes()
        assert store.changes() == before
        with other.write() as tx:
            task_runs.report(tx, [task_run()])
        assert store.changes() != before
    finally:
        other.close()


def test_a_change_by_this_process_is_noticed(store: SqliteStore) -> None:
    before = store.changes()
    with store.write() as tx:
        task_runs.report(tx, [task_run()])
    assert store.changes() != before


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 63, 64, 255, 256, 1001])
def test_any_number_of_rows_is_written_by_one_call(store: SqliteStore, rows: int) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run() for _ in range(rows)])
    assert count(store) == rows


def test_a_closed_record_says_so(store: SqliteStore) -> None:
    store.close()
    store.close()
    for use in (store.read, store.write):
        with pytest.raises(StoreUnavailableError, match="closed"), use():
            pass
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.changes()


def test_a_record_is_there_when_it_is_opened_again(store: SqliteStore) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run()])
    store.close()
    again = SqliteStore(store.path)
    assert count(again) == 1
    again.close()


def test_two_processes_that_make_the_record_at_the_same_moment_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes between the questions whose file it is and whether it is empty."""
    path = tmp_path / "penstock.db"
    row, others = SqliteTx.row, []

    def slowly(self: SqliteTx, sql: str, params: tuple[()] = ()) -> object:
        answer = row(self, sql, params)
        if "application_id" in sql and not others:
            monkeypatch.setattr(SqliteTx, "row", row)
            others.append(SqliteStore(path))
        return answer

    monkeypatch.setattr(SqliteTx, "row", slowly)
    store = SqliteStore(path)
    assert count(store) == 0
    for each in (store, *others):
        each.close()
