"""A server that is away, restarted or killed: user code goes on, nothing is lost, nothing comes twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ..flows.kit import Programs, until
from .kit import ServerProcess, runs_of

FLOWS = 50
# each: 12 tasks called, 12 submitted, one that fails once; a line of each, and one of the flow
TASKS, LINES = 25, 26

WORKS = """
    import sys, threading, time
    from pathlib import Path
    from penstock import flow, task

    @task(log_prints=True)
    def work(number):
        print("worked", number)
        time.sleep(0.15)
        return number

    @task(retries=1)
    def fails_once(path):
        print("worked once more")
        if not path.exists():
            path.touch()
            raise ValueError("the first time")
        return 0

    @flow(log_prints=True)
    def works(name):
        print("begun", name)
        futures = [work.submit(number) for number in range(12)]
        called = [work(number) for number in range(12)]
        fails_once(Path(sys.argv[1]) / name)
        return sum(called) + sum(future.result() for future in futures)

    def run(name):
        assert works.with_options(name=name)(name) == 132

    threads = [threading.Thread(target=run, args=(f"flow-{sys.argv[2]}-{number}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def rows(server: ServerProcess, sql: str) -> list[Any]:
    connection = sqlite3.connect(server.home / "penstock.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.mark.timeout(180)
def test_fifty_flows_complete_when_their_server_is_killed_and_is_away_for_ten_seconds(
    server: ServerProcess, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "marks").mkdir()
    path = programs.write(WORKS)
    started = [
        programs.start(path, tmp_path / "marks", number, PENSTOCK_API_URL=server.url, PENSTOCK_LOGGING_LEVEL="INFO")
        for number in range(FLOWS // 10)
    ]
    until(lambda: rows(server, "SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'")[0][0] > 100, 60)
    server.kill()
    with pytest.raises(subprocess.TimeoutExpired):  # they are in the midst of it, and go on
        started[0].wait(10)
    server.start()
    for process in started:
        finished = programs.finish(process, 90)
        assert finished.code == 0, finished.stderr[-3000:]
    assert Counter(run.state_name for run in runs_of(server.url)) == {"Completed": FLOWS}
    assert rows(server, "SELECT count(*), count(DISTINCT flow_run_id) FROM task_run") == [(FLOWS * TASKS, FLOWS)]
    assert rows(server, "SELECT DISTINCT state_type FROM task_run") == [("COMPLETED",)]
    assert rows(server, "SELECT count(*) FROM log WHERE message LIKE 'worked %' OR message LIKE 'begun %'") == [
        (FLOWS * (LINES + 1),)  # the task that failed once has worked twice
    ]
    retried = rows(server, "SELECT run_count, states FROM task_run WHERE task_name = 'fails_once'")
    assert len(retried) == FLOWS
    assert {count for count, _ in retried} == {2}


ENDS_ALONE = """
    import sys
    from penstock import flow, task

    @task
    def step(number):
        return number

    @flow(log_prints=True)
    def alone():
        step(1)
        print("ready", flush=True)
        print("told:", sys.stdin.readline())
        for number in range(200):
            step(number)
        print("the last line")
        return 7

    assert alone() == 7
"""


def test_what_a_program_did_while_the_server_was_away_is_shipped_by_the_next_one(
    server: ServerProcess, programs: Programs, tmp_path: Path
) -> None:
    home = str(tmp_path / "client")
    served = {"PENSTOCK_API_URL": server.url, "PENSTOCK_HOME": home, "PENSTOCK_API_PATIENCE_SECONDS": "0.5"}
    path = programs.write(ENDS_ALONE.replace("sys.stdin.readline()", "open(sys.argv[1]).readline()"))
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    process = programs.start(path, fifo, **served)
    run = until(lambda: next(iter(runs_of(server.url)), None), 30)
    server.kill()
    fifo.write_text("go on\n")
    finished = programs.finish(process, 60)
    assert finished.code == 0, finished.stderr
    assert "the next program that reports to it ships it" in finished.stderr
    server.start()
    (left,) = runs_of(server.url)
    assert not left.state.is_completed()
    after = programs.run("from penstock import flow\n@flow\ndef later(): pass\nlater()", **served)
    assert after.code == 0, after.stderr
    done = until(
        lambda: next((each for each in runs_of(server.url) if each.id == run.id and each.state.is_completed()), None)
    )
    assert [state.name for state in done.states][-1] == "Completed"
    assert rows(server, f"SELECT count(*) FROM task_run WHERE flow_run_id = x'{run.id.hex}'") == [(201,)]
    assert rows(server, "SELECT count(*) FROM log WHERE message = 'the last line'") == [(1,)]


def test_a_run_that_cannot_ask_says_how_long_it_waited(programs: Programs, tmp_path: Path) -> None:
    nobody = ServerProcess(tmp_path / "nobody")
    finished = programs.run(
        "from penstock import flow\n@flow\ndef f(): print('code ran')\nf()",
        PENSTOCK_API_URL=nobody.url, PENSTOCK_API_PATIENCE_SECONDS="0.5",
    )  # fmt: skip
    assert finished.code == 1
    assert "code ran" not in finished.stdout
    assert f"The server at {nobody.url} does not answer" in finished.stderr


def test_nothing_of_a_served_run_is_in_the_local_record(
    server: ServerProcess, programs: Programs, tmp_path: Path
) -> None:
    home = tmp_path / "client"
    finished = programs.run(
        "from penstock import flow\n@flow\ndef f(): pass\nf()", PENSTOCK_API_URL=server.url, PENSTOCK_HOME=str(home)
    )
    assert finished.code == 0, finished.stderr
    assert not (home / "penstock.db").exists()
    assert [run.state_name for run in runs_of(server.url)] == ["Completed"]


def test_a_record_in_postgresql_is_reached_through_a_server_and_nothing_else_is_written(
    programs: Programs, tmp_path: Path
) -> None:
    home = tmp_path / "client"
    finished = programs.run(
        "from penstock import flow\n@flow\ndef f(): print('code ran')\nf()",
        PENSTOCK_HOME=str(home), PENSTOCK_DATABASE_URL="postgresql://somebody:secret@nowhere/penstock",
    )  # fmt: skip
    assert finished.code == 1
    assert "set PENSTOCK_API_URL" in finished.stderr
    assert "secret" not in finished.stderr
    assert "code ran" not in finished.stdout
    assert not home.exists()


def test_an_sqlite_address_is_where_embedded_runs_are_recorded(programs: Programs, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.db"
    finished = programs.run(
        "from penstock import flow\n@flow\ndef f(): pass\nf()", PENSTOCK_DATABASE_URL=f"sqlite:///{path}"
    )
    assert finished.code == 0, finished.stderr
    assert path.exists()
