"""A file that cannot be the record is named, with what to do; nothing in it is changed, nothing recorded is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.exceptions import CorruptStoreError, RecordError, StoreUnavailableError
from penstock.store import task_runs
from penstock.store.sqlite import SqliteStore

from .kit import as_somebody, task_run

OPEN = """
import sys
from pathlib import Path
from penstock.exceptions import RecordError
from penstock.store.sqlite import SqliteStore
try:
    SqliteStore(Path(sys.argv[1]))
except RecordError as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""
FLOW = """
from penstock import flow
@flow
def hello():
    print("ran")
hello()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder whose permissions the test takes away; pytest has them back to clean up."""
    folder = tmp_path / "closed"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)


@pytest.fixture
def store(sqlite_store: SqliteStore) -> SqliteStore:
    return sqlite_store


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CorruptStoreError, match="not a Penstock record") as raised:
        SqliteStore(path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == before


def test_a_database_with_another_programs_mark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 77")
    connection.execute("CREATE TABLE penstock_schema (version INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(CorruptStoreError, match="another program"):
        SqliteStore(path)


@pytest.mark.parametrize("content", [b"not a database at all, but text. " * 200, b"\0" * 4096 + b"x" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "penstock.db"
    path.write_bytes(content)
    with pytest.raises(CorruptStoreError, match="damaged or not a database") as raised:
        SqliteStore(path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == content


def test_a_damaged_record_says_how_to_save_what_it_holds(store: SqliteStore) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run() for _ in range(2000)])
    store.close()
    with store.path.open("r+b") as file:
        for page in range(1, store.path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))

    def use() -> None:
        damaged = SqliteStore(store.path)
        try:
            with damaged.read() as tx:
                list(tx.rows("SELECT * FROM task_run"))
        finally:
            damaged.close()

    with pytest.raises(CorruptStoreError, match="recover"):
        use()


def test_a_cut_off_record_is_called_damaged(store: SqliteStore) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run() for _ in range(2000)])
    store.close()
    with store.path.open("r+b") as file:
        file.truncate(store.path.stat().st_size // 2)

    def use() -> None:
        damaged = SqliteStore(store.path)
        try:
            with damaged.read() as tx:
                list(tx.rows("SELECT * FROM task_run"))
        finally:
            damaged.close()

    with pytest.raises(CorruptStoreError):
        use()


def test_an_empty_file_becomes_a_record(tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    path.touch()
    store = SqliteStore(path)
    with store.read() as tx:
        assert tx.row("SELECT count(*) FROM flow_run") == (0,)
    store.close()


def test_a_folder_in_the_place_of_the_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").mkdir()
    with pytest.raises(StoreUnavailableError, match=r"penstock\.db"):
        SqliteStore(tmp_path / "penstock.db")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(RecordError, match="home"):
        SqliteStore(tmp_path / "home" / "penstock.db")


# --- read-only -------------------------------------------------------------------------------------------------------


def test_a_home_that_may_not_be_written_is_named(home: Path) -> None:
    home.chmod(0o555)
    done = as_somebody(home, "-c", OPEN, home / "penstock.db")
    assert done.stdout.startswith("StoreUnavailableError"), done
    assert str(home) in done.stdout
    assert "read-only" in done.stdout
    assert "PENSTOCK_HOME" in done.stdout


def test_a_record_that_may_only_be_read_is_named(home: Path) -> None:
    path = home / "penstock.db"
    SqliteStore(path).close()
    path.chmod(0o444)
    home.chmod(0o555)
    done = as_somebody(home, "-c", OPEN, path)
    assert done.stdout.startswith("StoreUnavailableError"), done
    assert "read-only" in done.stdout


def test_a_record_that_may_not_even_be_read_is_named(home: Path) -> None:
    path = home / "penstock.db"
    SqliteStore(path).close()
    path.chmod(0o000)
    home.chmod(0o555)
    done = as_somebody(home, "-c", OPEN, path)
    assert done.stdout.startswith("StoreUnavailableError"), done
    assert str(path) in done.stdout


def test_a_flow_without_a_record_to_write_does_not_run(home: Path, tmp_path: Path) -> None:
    home.chmod(0o555)
    script = tmp_path / "hello.py"
    script.write_text(FLOW)
    done = as_somebody(home, script)
    assert done.returncode == 1
    assert "ran" not in done.stdout
    assert "StoreUnavailableError" in done.stderr.splitlines()[-1], done
    assert "read-only" in done.stderr.splitlines()[-1]


# --- full ------------------------------------------------------------------------------------------------------------


def fill(store: SqliteStore) -> int:
    """Batches until there is no room; how many were recorded."""
    recorded = 0
    while recorded < 1000:
        with store.write() as tx:
            task_runs.report(tx, [task_run(labels={"fill": "x" * 4000}) for _ in range(10)])
        recorded += 1
    raise AssertionError("the disk did not become full")


def count(store: SqliteStore) -> int:
    with store.read() as tx:
        return tx.row("SELECT count(*) FROM task_run")[0]  # type: ignore[index]


def test_a_full_disk_is_said_and_what_was_recorded_stays(store: SqliteStore) -> None:
    with store.write() as tx:
        task_runs.report(tx, [task_run()])
    assert store._writer is not None
    store._writer.execute("PRAGMA max_page_count = 60")
    with pytest.raises(StoreUnavailableError, match="full"):
        fill(store)
    full = count(store)
    assert full % 10 == 1, "a batch is recorded wholly or not at all"
    store._writer.execute("PRAGMA max_page_count = 1000000")
    with store.write() as tx:
        task_runs.report(tx, [task_run()])
    assert count(store) == full + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full_is_said_and_the_record_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr}")
    try:
        store = SqliteStore(disk / "penstock.db")
        with store.write() as tx:
            task_runs.report(tx, [task_run()])
        with pytest.raises(StoreUnavailableError, match="full"):
            fill(store)
        full = count(store)
        assert full > 1
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        with store.write() as tx:
            task_runs.report(tx, [task_run()])
        store.close()
        again = SqliteStore(disk / "penstock.db")
        assert count(again) == full + 1
        again.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
