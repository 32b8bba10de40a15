"""`flow-run logs`: the lines as the run showed them, chosen, in pages, followed until the run's end."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
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


def test_wrong_choices_are_errors(run: Run, made: FlowRun) -> None:
    assert run("flow-run", "logs", "wise-owl", "--head", "1", "--tail", "1").exit_code == 2
    assert run("flow-run", "logs", "wise-owl", "--follow", "--reverse").exit_code == 2
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


def test_the_reader_of_a_pipe_may_leave(run: Run, made: FlowRun) -> None:
    receiving, sending = os.pipe()
    os.close(receiving)
    with penstock("flow-run", "logs", "wise-owl", stdout=sending) as reader:
        os.close(sending)
        assert reader.communicate(timeout=20)[1] == ""
    assert reader.returncode == 1
