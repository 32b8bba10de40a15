"""`flow-run logs`: the lines as the run showed them, chosen, in pages, followed until the run's end."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.cli.shown import harmless
from penstock.domain.runs import FlowRun
from penstock.services import log_reading
from penstock.store import logs

from .conftest import Run
from .records import Records, line, penstock, program, wait_for


def messages(run: Run, *options: str) -> list[str]:
    result = run("flow-run", "logs", *options)
    assert result.exit_code == 0, result.output
    return [line.split(" - ", 1)[1] for line in result.stdout.splitlines()]


@pytest.fixture
def made(records: Records) -> FlowRun:
    """A run that wrote m0 … m9, and two tasks that wrote a line each."""
    made = records.flow_run(name="wise-owl")
    records.lines(made, *(f"m{number}" for number in range(10)))
    for number, level in enumerate((30, 40)):
        of = records.task_run(made, task="load", number=number)
        records.lines(of, f"Task {number} 100% done", start=10 + number, level=level)
    return made


def test_the_lines_look_as_they_did_when_the_run_wrote_them(run: Run, folder: Path) -> None:
    text = (
        "from penstock import flow, task\n"
        "@task\ndef hello(x): print('in a task'); print('two\\nlines')\n"
        "@flow(log_prints=True)\ndef greet(): hello(1); print('in the flow')\n"
        "greet()\n"
    )
    with program(folder / "greet.py", text) as process:
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 0, shown
    assert run("flow-run", "logs", shown.split("'")[1]).stdout == shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--head", "2"], ["m0", "m1"]),
        (["-h", "2"], ["m0", "m1"]),
        (["--head", "-n", "3"], ["m0", "m1", "m2"]),
        (["-n", "2"], ["Task 0 100% done", "Task 1 100% done"]),
        (["--tail", "3"], ["m9", "Task 0 100% done", "Task 1 100% done"]),
        (["--tail", "2", "--reverse"], ["Task 1 100% done", "Task 0 100% done"]),
        (["--head", "2", "--reverse"], ["Task 1 100% done", "Task 0 100% done"]),
        (["--level", "warning"], ["Task 0 100% done", "Task 1 100% done"]),
        (["--level", "31"], ["Task 1 100% done"]),
        (["--grep", "M1"], ["m1"]),
        (["--grep", "0%"], ["Task 0 100% done", "Task 1 100% done"]),
        (["--grep", "_"], []),
        (["--task", "load"], ["Task 0 100% done", "Task 1 100% done"]),
        (["--task", "load-1"], ["Task 1 100% done"]),
        (["--task", "nothing"], []),
        (["--level", "9" * 30], []),
        (["--task", "load", "--tail", "1"], ["Task 1 100% done"]),
        (["--tail", "400", "--grep", "m"], [f"m{number}" for number in range(10)]),
    ],
)
def test_lines_are_chosen(run: Run, made: FlowRun, options: list[str], expected: list[str]) -> None:
    assert messages(run, "wise-owl", *options) == expected


def test_pages_change_nothing(run: Run, made: FlowRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = messages(run, "wise-owl")
    assert len(whole) == 12
    for size in (1, 5, 12):
        monkeypatch.setattr(log_reading, "PAGE", size)
        assert messages(run, "wise-owl") == whole
        assert messages(run, "wise-owl", "--reverse") == whole[::-1]
        assert messages(run, "wise-owl", "--tail", "7") == whole[-7:]
        assert messages(run, "wise-owl", "--head", "7") == whole[:7]
        assert messages(run, "wise-owl", "--follow") == whole
        assert messages(run, "wise-owl", "--follow", "--tail", "3") == whole[-3:]
        assert messages(run, "wise-owl", "--follow", "--level", "WARNING", "--task", "load") == whole[-2:]
        assert messages(run, "wise-owl", "--follow", "--grep", "m3") == ["m3"]
        assert messages(run, "wise-owl", "--follow", "--grep", "m", "--tail", "2") == ["m8", "m9"]


def test_lines_of_another_day_have_their_date(run: Run, records: Records) -> None:
    made = records.flow_run(name="wise-owl")
    now = datetime.now().astimezone()
    with records.store.write() as tx:
        logs.append(tx, [line(made.id, 0, now - timedelta(days=3), "old"), line(made.id, 1, now, "new")])
    old, new = run("flow-run", "logs", "wise-owl").stdout.splitlines()
    assert old == f"{now - timedelta(days=3):%Y-%m-%d} {new.replace('new', 'old')}"


def test_lines_are_chosen_by_their_time(run: Run, made: FlowRun) -> None:
    """The first was written a minute ago, each of the others a second after the one before."""
    moment = json.loads(run("flow-run", "logs", "wise-owl", "-o", "json", "--head", "1").stdout)["timestamp"]
    after = (datetime.fromisoformat(moment) + timedelta(seconds=1)).isoformat()
    before = (datetime.fromisoformat(moment) + timedelta(seconds=3)).isoformat()
    assert messages(run, "wise-owl", "--since", after, "--until", before) == ["m1", "m2"]
    assert messages(run, "wise-owl", "--until", "1h") == []
    assert len(messages(run, "wise-owl", "--since", "1h", "--follow")) == 12
    result = run("flow-run", "logs", "wise-owl", "--since", "yesterday")
    assert (result.exit_code, "30m" in result.stderr) == (1, True)


def test_a_choice_that_leaves_nothing_says_so(run: Run, made: FlowRun) -> None:
    result = run("flow-run", "logs", "wise-owl", "--task", "laod")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No task run of 'wise-owl' is named 'laod', and no task.\n"
    for choice in (["--grep", "nothing"], ["--task", "load", "--level", "CRITICAL"]):
        result = run("flow-run", "logs", "wise-owl", *choice)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No lines fit.\n")


def test_a_task_is_also_named_by_its_run_id(run: Run, records: Records, made: FlowRun) -> None:
    task_run = json.loads(run("task-run", "ls", "-o", "json").stdout)[0]
    assert messages(run, "wise-owl", "--task", task_run["id"]) == ["Task 1 100% done"]
    assert messages(run, "wise-owl", "--task", task_run["id"][-10:]) == ["Task 1 100% done"]


def test_json_is_one_object_a_line_with_everything(run: Run, made: FlowRun) -> None:
    lines = run("flow-run", "logs", "wise-owl", "-o", "json").stdout.splitlines()
    first, *_, last = map(json.loads, lines)
    assert len(lines) == 12
    assert (first["seq"], first["message"], first["level_name"]) == (0, "m0", "INFO")
    assert first["source"] == "Flow run 'wise-owl'"
    assert first["flow_run_id"] == str(made.id)
    assert datetime.fromisoformat(first["timestamp"]).tzinfo is not None
    assert (last["level"], last["source"]) == (40, "Task run 'load-1'")
    assert set(first) == {
        "timestamp", "level", "level_name", "logger", "source", "message", "flow_run_id", "task_run_id", "seq", "file",
        "line", "function",
    }  # fmt: skip


def test_a_line_of_another_logger_says_whose_it_is(run: Run, records: Records) -> None:
    made = records.flow_run(name="sly-fox")
    records.lines(made, "rows", logger="lib.db")
    assert run("flow-run", "logs", "sly-fox").stdout.endswith(" | INFO    | Flow run 'sly-fox' (lib.db) - rows\n")
    document = json.loads(run("flow-run", "logs", "sly-fox", "-o", "json").stdout)
    assert (document["logger"], document["source"]) == ("lib.db", "Flow run 'sly-fox' (lib.db)")


def test_wrong_choices_are_errors(run: Run, made: FlowRun) -> None:
    assert run("flow-run", "logs", "wise-owl", "--head", "1", "--tail", "1").exit_code == 2
    for option in (["--reverse"], ["--head", "1"], ["--until", "1h"]):
        assert run("flow-run", "logs", "wise-owl", "--follow", *option).exit_code == 2
    result = run("flow-run", "logs", "wise-owl", "--level", "LOUD")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "WARNING" in result.stderr


# --- what lines must not do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m and \x1b[1;38;2;1;2;3mpink\x1b[m", "red and pink"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b\x1b[0m[2J", "\\x1b[2J"),
        ("\x9b2J \x85 \x7f \0", "\\x9b2J \\x85 \\x7f \\x00"),
        ("dos\r\nlines, \rreturn, \bback", "dos\nlines, \\x0dreturn, \\x08back"),
        ("\u202egnitirw\u202c \u2028", "\\u202egnitirw\\u202c \\u2028"),
        ("żółć 👋🏽 👨\u200d👩\u200d👧", "żółć 👋🏽 👨\u200d👩\u200d👧"),
    ],
)
def test_a_line_cannot_drive_the_terminal(message: str, shown: str) -> None:
    assert harmless(message) == shown


def test_escapes_are_shown_in_text_and_kept_in_json(run: Run, records: Records) -> None:
    made = records.flow_run(name="sly-fox")
    message = "\x1b]0;owned\x07\x9b2J\x7f"
    records.lines(made, message)
    assert messages(run, "sly-fox") == ["\\x1b]0;owned\\x07\\x9b2J\\x7f"]
    text = run("flow-run", "logs", "sly-fox", "-o", "json").stdout
    assert text.isascii()
    assert text.strip().isprintable()
    assert json.loads(text)["message"] == message


# --- following -------------------------------------------------------------------------------------------------------

WAITING = """
import sys
from penstock import flow
@flow(log_prints=True, flow_run_name="slow-goose")
def wait():
    for line in sys.stdin:
        print("heard", line.strip())
wait()
"""


def test_follow_shows_lines_as_they_come_and_ends_with_the_run(run: Run, folder: Path) -> None:
    with program(folder / "wait.py", WAITING) as flow:
        wait_for(lambda: run("flow-run", "logs", "slow-goose").exit_code == 0)
        with penstock("flow-run", "logs", "slow-goose", "--follow") as reader:
            assert flow.stdin is not None
            assert reader.stdout is not None
            assert "Created flow run 'slow-goose'" in reader.stdout.readline()
            for word in ("one", "two"):
                flow.stdin.write(f"{word}\n")
                flow.stdin.flush()
                assert reader.stdout.readline().endswith(f" | INFO    | Flow run 'slow-goose' - heard {word}\n")
            flow.stdin.close()
            flow.stdin = None
            assert "Flow run 'slow-goose' - Finished in state Completed(" in reader.stdout.read()
            assert reader.wait(20) == 0


def test_follow_does_not_wait_for_the_dead(run: Run, folder: Path) -> None:
    with program(folder / "wait.py", WAITING) as flow:
        wait_for(lambda: run("flow-run", "logs", "slow-goose").exit_code == 0)
        with penstock("flow-run", "logs", "slow-goose", "--follow") as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            os.kill(flow.pid, signal.SIGKILL)
            flow.wait(20)
            assert "Crashed" in reader.stdout.read()
            assert reader.wait(20) == 0


def test_follow_ends_with_every_line_though_one_before_them_was_lost(run: Run, records: Records) -> None:
    made = records.flow_run("Pending", "Running", "Failed", name="gappy")
    now = datetime.now(UTC)
    with records.store.write() as tx:
        logs.append(tx, [line(made.id, seq, now, f"m{seq}") for seq in (0, 1, 5, 6)])
    assert messages(run, "gappy", "--follow") == ["m0", "m1", "m5", "m6"]


FORKS = """
import os, sys
from penstock import flow
@flow(log_prints=True, flow_run_name="slow-goose")
def wait():
    for line in sys.stdin:
        if "fork" in line and not (child := os.fork()):
            print("child of", line.strip())
            sys.stdout.flush()
            from penstock import connect
            connect.disconnect()
            os._exit(0)
        print("parent of", line.strip())
wait()
"""


def test_follow_shows_the_lines_of_several_processes(run: Run, folder: Path) -> None:
    with program(folder / "forks.py", FORKS) as flow:
        wait_for(lambda: run("flow-run", "logs", "slow-goose").exit_code == 0)
        with penstock("flow-run", "logs", "slow-goose", "--follow") as reader:
            assert flow.stdin is not None
            assert reader.stdout is not None
            reader.stdout.readline()
            for word in ("fork-1", "alone", "fork-2", "last"):
                flow.stdin.write(f"{word}\n")
                flow.stdin.flush()
                said = {reader.stdout.readline().rstrip().rpartition(" - ")[2] for _ in range(1 + ("fork" in word))}
                assert said == {f"parent of {word}"} | ({f"child of {word}"} if "fork" in word else set())
            flow.stdin.close()
            flow.stdin = None
            assert "Finished in state Completed(" in reader.stdout.read()


def test_follow_ends_when_the_run_is_deleted(run: Run, folder: Path) -> None:
    with program(folder / "wait.py", WAITING):
        wait_for(lambda: run("flow-run", "logs", "slow-goose").exit_code == 0)
        with penstock("flow-run", "logs", "slow-goose", "--follow") as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            assert run("flow-run", "delete", "slow-goose", "--force").exit_code == 0
            _, error = reader.communicate(timeout=20)
            assert reader.returncode == 1
            assert error.startswith("Error: Flow run 'slow-goose' (")
            assert error.endswith(") was deleted, and its log with it.\n")


def test_the_reader_of_a_pipe_may_leave_while_nothing_is_said(run: Run, folder: Path) -> None:
    with program(folder / "wait.py", WAITING):
        wait_for(lambda: run("flow-run", "logs", "slow-goose").exit_code == 0)
        with penstock("flow-run", "logs", "slow-goose", "--follow") as reader:
            assert reader.stdout is not None
            assert reader.stderr is not None
            reader.stdout.readline()
            reader.stdout.close()
            assert reader.wait(20) == 1
            assert reader.stderr.read() == ""


def test_the_reader_of_a_pipe_may_leave(run: Run, made: FlowRun) -> None:
    receiving, sending = os.pipe()
    os.close(receiving)
    with penstock("flow-run", "logs", "wise-owl", stdout=sending) as reader:
        os.close(sending)
        assert reader.communicate(timeout=20)[1] == ""
    assert reader.returncode == 1
