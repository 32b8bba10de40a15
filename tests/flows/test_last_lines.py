"""What a run wrote last is in its log, however its process ended; lines that could not be stored are counted."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock import connect, flow
from penstock.domain.errors import StoreUnavailableError
from penstock.domain.logs import LogLine
from penstock.domain.runs import Holder
from penstock.engine import identity
from penstock.engine.clock import SYSTEM
from penstock.services.rescue import rescue
from penstock.settings import current
from penstock.store.spool import Spool, left
from penstock.store.sqlite import SqliteStore

from .kit import Programs, Record, until

PROGRAM = """
import ctypes, os, signal, sys, time
from penstock import flow, task

ENDS = {
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segmentation fault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "sys.exit": lambda: sys.exit(2),
    "terminated": lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(30)),
}

@task
def work():
    for number in range(500):
        print("line", number)
    print("open end", end="")
    ENDS[sys.argv[1]]()

@flow(log_prints=True)
def main():
    print("before")
    work()

main()
"""


def rescued(record: Record) -> None:
    """What every command does first."""
    store = SqliteStore(current().database_path)
    rescue(store, identity.lives, SYSTEM.now)
    store.close()


@pytest.mark.parametrize("watchdog", ["true", "false"])
@pytest.mark.parametrize("end", ["exit", "kill", "segmentation fault", "abort", "sys.exit", "terminated"])
def test_lines_printed_just_before_the_end_of_the_process_are_in_the_log(
    end: str, watchdog: str, programs: Programs, record: Record, penstock_home: Path
) -> None:
    done = programs.run(PROGRAM, end, PENSTOCK_STOP_WATCHDOG=watchdog)
    assert done.code != 0
    rescued(record)
    run = record.flow_run()
    assert run.state.name == "Crashed"
    own = ("line ", "before", "open end")
    lines = [line for line in record.lines() if line.message.startswith(own)]
    names = {each.id: each.name for each in record.task_runs()}
    assert [line.message for line in lines[:501]] == ["before", *(f"line {number}" for number in range(500))]
    assert {names.get(line.task_run_id) for line in lines[1:501]} == {"work-0"}  # type: ignore[arg-type]
    orderly = end in ("sys.exit", "terminated")
    assert [line.message for line in lines[501:]] == (["open end"] if orderly else [])
    assert record.messages()[-1].startswith("Finished in state Crashed")
    assert run.lines_lost == 0
    assert not list(penstock_home.rglob("*-spool/*")), "what was taken is gone"


def test_lines_of_a_program_that_the_watchdog_ended_are_in_the_log(programs: Programs, record: Record) -> None:
    done = programs.run(
        """
        import ctypes
        from penstock import flow

        @flow(log_prints=True, timeout_seconds=0.3)
        def main():
            for number in range(200):
                print("line", number)
            ctypes.PyDLL(None).sleep(60)  # keeps the interpreter's lock

        main()
        """,
        PENSTOCK_STOP_GRACE_SECONDS="0.2",
    )
    assert done.code != 0
    messages = until(lambda: (found := record.messages()) and found[-1].startswith("Finished") and found)
    assert [message for message in messages if message.startswith("line ")] == [
        f"line {number}" for number in range(200)
    ]


def test_lines_of_an_isolated_task_whose_worker_died_are_in_the_log(programs: Programs, record: Record) -> None:
    done = programs.run("""
        import os, signal
        from penstock import flow, task

        @task(isolation="process")
        def work():
            for number in range(200):
                print("line", number)
            os.kill(os.getpid(), signal.SIGKILL)

        @flow(log_prints=True)
        def main():
            work(return_state=True)

        main()
    """)
    assert done.code == 0, done.stderr
    printed = [line.message for line in record.lines() if line.message.startswith("line ")]
    assert printed == [f"line {number}" for number in range(200)]


def test_task_runs_are_recorded_as_they_ended_however_the_process_did(programs: Programs, record: Record) -> None:
    programs.run("""
        import os
        from penstock import flow, task

        @task
        def work(number):
            print("work", number)
            return number

        @flow(log_prints=True)
        def main():
            for number in range(200):
                work(number)
            os._exit(1)

        main()
    """)
    rescued(record)
    assert [run.state.name for run in record.task_runs()] == ["Completed"] * 200
    assert record.flow_run().state.name == "Crashed"


def test_a_killed_run_that_is_entered_again_has_the_lines_of_both_attempts(programs: Programs, record: Record) -> None:
    program = programs.write("""
        import os
        from penstock import flow

        @flow(log_prints=True)
        def main():
            print("attempt")
            if not os.path.exists("again"):
                open("again", "w").close()
                print("last words")
                os._exit(1)
            print("done")

        if __name__ == "__main__":
            main()
    """)
    subprocess.run([sys.executable, program], cwd=program.parent, check=False, capture_output=True)
    rescued(record)
    run = record.flow_run()
    retried = subprocess.run(
        [sys.executable, "-m", "penstock", "flow-run", "retry", str(run.id)],
        cwd=program.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert retried.returncode == 0, retried.stderr
    printed = [line.message for line in record.lines() if line.function is not None]
    assert printed == ["attempt", "last words", "attempt", "done"]


def test_a_living_process_keeps_its_spool(programs: Programs, record: Record, penstock_home: Path) -> None:
    process = programs.start("""
        import time
        from penstock import flow

        @flow(log_prints=True)
        def main():
            print("here")
            time.sleep(60)

        main()
    """)
    files = until(lambda: list(penstock_home.rglob("*-spool/*")))
    rescued(record)
    assert list(penstock_home.rglob("*-spool/*")) == files
    process.kill()
    process.wait()
    rescued(record)
    assert not list(penstock_home.rglob("*-spool/*"))
    assert "here" in record.messages()


def test_what_cannot_be_recorded_stands_in_nobodys_way(record: Record) -> None:
    @flow
    def main() -> None: ...

    main()
    run = record.flow_run()
    assert run.holder is not None
    gone = Holder("here", run.holder.boot, 4711, "1", run.holder.namespace)
    store = SqliteStore(current().database_path)
    its_spool = Spool(store.spool_folder, lambda: gone)
    for seq in (1000, 2**63, 1001):
        its_spool.add(LogLine(run.id, None, seq, SYSTEM.now(), 20, f"line {seq}", "logger"))
    rescue(store, lambda holder: holder != gone, SYSTEM.now)
    assert gone not in [each.holder for each in left(store.spool_folder)]
    store.close()
    assert record.messages()[-2:] == ["line 1000", "line 1001"]


# --- a record that cannot be written ---------------------------------------------------------------------------------


class Disk:
    """The record of this process, which cannot be written while it is `full`; few facts may wait for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PENSTOCK_JOURNAL_LIMIT", "50")
        self.full = False
        self.ledger = connect.local_ledger(current())
        self._write = self.ledger.store.write
        monkeypatch.setattr(self.ledger.store, "write", self.write)

    def write(self) -> Any:
        if self.full:
            raise StoreUnavailableError("the disk is full")
        return self._write()


def test_prints_go_on_while_the_record_cannot_be_written_and_none_is_lost(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)

    @flow(log_prints=True)
    def main() -> None:
        disk.full = True
        for number in range(500):
            print("line", number)
            if number == 100:
                until(lambda: disk.ledger.trouble)
        disk.full = False

    main()
    connect.disconnect()
    # What the journal had no room for was kept beside, until the process ends.
    store = SqliteStore(disk.ledger.store.path)
    rescue(store, lambda holder: False, lambda: SYSTEM.now() + timedelta(days=1))
    store.close()
    printed = [line.message for line in record.lines() if line.message.startswith("line ")]
    assert printed == [f"line {number}" for number in range(500)]


def test_lines_that_have_no_room_anywhere_are_counted_and_the_run_says_so(
    record: Record, monkeypatch: pytest.MonkeyPatch, penstock_home: Path
) -> None:
    penstock_home.mkdir(parents=True)
    disk = Disk(monkeypatch)
    disk.ledger.store.spool_folder.write_text("in the way")

    @flow(log_prints=True)
    def main() -> None:
        disk.full = True
        print("first")
        until(lambda: disk.ledger.trouble)
        for number in range(500):
            print("line", number)
        disk.full = False

    main()
    run = record.flow_run()
    stored = sum(line.message.startswith("line ") for line in record.lines())
    assert 0 < stored < 500
    assert run.lines_lost == 500 - stored
    command = [sys.executable, "-m", "penstock", "flow-run", "inspect", str(run.id)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{run.lines_lost:,} log lines could not be recorded" in shown
