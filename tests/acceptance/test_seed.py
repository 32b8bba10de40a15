"""The seed's examples, with `prefect` written `penstock` in their imports and nothing else changed.

What a user sees on the terminal, and what is in the record afterwards. The exact lines are asserted, but for the time
at their beginning and the run's name, which is two random words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ended, Record

SEED = Path(__file__).parent / "seed"
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} \| (INFO   |WARNING|ERROR  ) \| \S.* - .*")

Run = Callable[..., Ended]


def lines(ended: Ended, name: str) -> list[str]:
    """The terminal's log lines without times, the run's random name replaced by RUN, and what a stop took by N."""
    return [re.sub(r"after \d\.\d+ s ", "after N s ", line.replace(f"'{name}'", "'RUN'")) for line in ended.lines()]


def run_name(record: Record) -> str:
    ((name,),) = record.rows("SELECT name FROM flow_run")
    assert re.fullmatch(r"[a-z]+-[a-z]+(-[a-z]+)*", name)
    return str(name)


# --- timeout ---------------------------------------------------------------------------------------------------------


def test_timeout_on_the_terminal(run: Run, record: Record) -> None:
    ended = run(SEED / "timeout.py")

    assert ended.code == 1  # the task's failure was not caught, so Python ends as it does for any exception
    assert 1.0 <= ended.seconds < 3.0  # one second of timeout and a little to start; not the five of the sleep
    assert ended.out == ""  # what is captured is shown as log lines, which go to stderr
    assert "I will not run" not in ended.err
    limit = "Task run exceeded timeout of 1.0 second(s)"
    where = f"{SEED}/timeout.py:8 in show_timeouts"
    assert lines(ended, run_name(record)) == [
        "INFO    | penstock.engine - Created flow run 'RUN' for flow 'main'",
        "INFO    | Flow run 'RUN' - Created task run 'show_timeouts-0' for task 'show_timeouts'",
        "INFO    | Task run 'show_timeouts-0' - I will run",
        f"INFO    | Task run 'show_timeouts-0' - Stopped after N s (raised), was at {where}",
        f"ERROR   | Task run 'show_timeouts-0' - {limit}",
        f"ERROR   | Task run 'show_timeouts-0' - Finished in state TimedOut('{limit}')",
        f"ERROR   | Flow run 'RUN' - Flow run failed with exception: TaskRunTimeoutError('{limit}')",
        "ERROR   | Flow run 'RUN' - Finished in state Failed('Flow run encountered an exception: "
        f"TaskRunTimeoutError: {limit}')",
    ]
    assert ended.err.splitlines()[-1].endswith(f"TaskRunTimeoutError: {limit}")


def test_timeout_in_the_record(run: Run, record: Record) -> None:
    run(SEED / "timeout.py")

    # To the flow a timed-out task is like any other failed task: it is Failed, not TimedOut.
    assert record.flow_runs() == [("main", "FAILED", "Failed")]
    assert record.task_runs() == [("show_timeouts-0", "FAILED", "TimedOut")]
    ((states, started, ended),) = record.rows("SELECT states, started, ended FROM task_run")
    assert [name for _, name, *_ in json.loads(states)] == ["Pending", "Running", "TimedOut"]
    assert 1.0 <= (ended - started) / 1e6 < 1.5
    details = json.loads(states)[-1][4]
    assert details["reason"] == "timeout"
    assert details["where"].endswith("timeout.py:8 in show_timeouts")  # at `time.sleep(5)`
    assert "I will run" in record.log()
    assert "I will not run" not in "\n".join(record.log())


# --- log_prints ------------------------------------------------------------------------------------------------------


def test_hi(run: Run, record: Record) -> None:
    ended = run(SEED / "hi.py")

    assert (ended.code, ended.out) == (0, "")
    assert lines(ended, run_name(record)) == [
        "INFO    | penstock.engine - Created flow run 'RUN' for flow 'hi'",
        "INFO    | Flow run 'RUN' - Hi from Prefect! 🤗",
        "INFO    | Flow run 'RUN' - Finished in state Completed('All states completed.')",
    ]
    assert all(LINE.fullmatch(line) for line in ended.err.splitlines())
    assert record.flow_runs() == [("hi", "COMPLETED", "Completed")]
    assert record.rows("SELECT level, file, line, function FROM log WHERE message LIKE 'Hi from%'") == [
        (20, str(SEED / "hi.py"), 5, "hi")  # the line of the print, not one of ours
    ]


def test_prints_of_custom_functions(run: Run, record: Record) -> None:
    ended = run(SEED / "custom_functions.py")

    assert (ended.code, ended.out) == (0, "")
    assert lines(ended, run_name(record)) == [
        "INFO    | penstock.engine - Created flow run 'RUN' for flow 'my-flow'",
        "INFO    | Flow run 'RUN' - hello 👋",
        "INFO    | Flow run 'RUN' - Created task run 'my_task-0' for task 'my_task'",
        "INFO    | Task run 'my_task-0' - world 🌍",
        "INFO    | Task run 'my_task-0' - custom non-Prefect code",
        "INFO    | Task run 'my_task-0' - Finished in state Completed()",
        "INFO    | Flow run 'RUN' - Finished in state Completed('All states completed.')",
    ]
    assert [line for line in record.log() if "run" not in line] == [
        "hello 👋",
        "world 🌍",
        "custom non-Prefect code",
        "Finished in state Completed()",
        "Finished in state Completed('All states completed.')",
    ]
    owners = dict(record.rows("SELECT message, task_run_id IS NOT NULL FROM log"))
    assert (owners["hello 👋"], owners["world 🌍"], owners["custom non-Prefect code"]) == (0, 1, 1)


def test_what_opted_out_is_on_the_terminal_only(run: Run, record: Record) -> None:
    ended = run(SEED / "opt_out.py")

    assert ended.code == 0
    assert ended.out == "print this only locally to the terminal\ncustom sensitive data\n"
    assert lines(ended, run_name(record)) == [
        "INFO    | penstock.engine - Created flow run 'RUN' for flow 'my-flow'",
        "INFO    | Flow run 'RUN' - hello 👋",
        "INFO    | Flow run 'RUN' - Created task run 'my_task-0' for task 'my_task'",
        "INFO    | Task run 'my_task-0' - Finished in state Completed()",
        "INFO    | Flow run 'RUN' - Finished in state Completed('All states completed.')",
    ]
    stored = record.everything()
    assert "hello 👋".encode() in stored  # so the search would have found them
    for secret in ("print this only locally", "custom sensitive data"):
        assert secret.encode() not in stored
        assert secret.encode("utf-16-le") not in stored


def test_what_opted_out_is_in_no_file_even_after_a_kill(run: Run, record: Record, tmp_path: Path) -> None:
    """The same, with the database's journal not folded in: the process is killed while it still runs."""
    killed = tmp_path / "killed.py"
    body = (SEED / "opt_out.py").read_text(encoding="utf-8")
    kill = "    import os, time; time.sleep(0.2); os.kill(os.getpid(), 9)\n"
    killed.write_text(body.replace("    my_task()\n", f"    my_task()\n{kill}"), encoding="utf-8")

    ended = run(killed, PYTHONUNBUFFERED="1")

    assert ended.code == -9
    assert "custom sensitive data" in ended.out
    wal = record.home / "penstock.db-wal"
    assert "hello 👋".encode() in wal.read_bytes()  # it is in the journal file at this moment
    assert b"custom sensitive data" not in wal.read_bytes()
    assert b"custom sensitive data" not in record.everything()


# --- reading it back -------------------------------------------------------------------------------------------------


@pytest.fixture
def penstock(run: Run) -> Callable[..., str]:
    """A command of the CLI that must succeed: its output."""

    def command(*arguments: str) -> str:
        ended = run("-m", "penstock", *arguments)
        assert (ended.code, ended.err) == (0, ""), ended
        return ended.out

    return command


def test_the_run_is_read_back(run: Run, record: Record, penstock: Callable[..., str]) -> None:
    shown = run(SEED / "timeout.py")
    name = run_name(record)

    (listed,) = json.loads(penstock("flow-run", "ls", "--output", "json"))
    assert (listed["name"], listed["flow_name"], listed["state_name"]) == (name, "main", "Failed")
    table = penstock("flow-run", "ls")
    assert listed["id"] in table
    assert "✗ Failed" in table

    for reference in (listed["id"], listed["id"][-8:], name):
        inspected = penstock("flow-run", "inspect", reference)
        assert f"Flow run:    {name}" in inspected
        assert "TaskRunTimeoutError: Task run exceeded timeout of 1.0 second(s)" in inspected

    logged = [line[15:] for line in penstock("flow-run", "logs", name).splitlines() if line[12:15] == " | "]
    assert logged == shown.lines()

    graph = penstock("flow-run", "graph", name).splitlines()
    assert graph[0].startswith(f"✗ {name}  (main)  Failed  1")
    assert graph[1].startswith("└── ✗ show_timeouts-0  TimedOut  1")


def test_the_opted_out_lines_cannot_be_read_back(run: Run, record: Record, penstock: Callable[..., str]) -> None:
    run(SEED / "opt_out.py")

    logs = penstock("flow-run", "logs", run_name(record))

    assert "hello 👋" in logs
    assert "sensitive data" not in logs
