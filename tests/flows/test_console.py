"""What the terminal shows: at which level, in which form, in which colours."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import flow, get_run_logger, task
from penstock.domain.log_forms import json_line, source_of
from penstock.domain.logs import LogLine
from penstock.engine import console

from .kit import SOURCE, Programs, Record

NAMES = {
    "timestamp", "level", "level_name", "logger", "source", "message", "flow_run_id", "task_run_id", "seq", "file",
    "line", "function",
}  # fmt: skip


@task
def speak() -> None:
    logger = get_run_logger()
    for level in (10, 20, 30, 40):
        logger.log(level, "at %d", level)


@flow
def main() -> None:
    speak()


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The messages of the task that were shown."""
    return [line.rpartition(" - ")[2] for line in capsys.readouterr().err.splitlines() if " - at " in line]


def said(record: Record) -> list[str]:
    return [message for message in record.messages() if message.startswith("at ")]


# --- levels ----------------------------------------------------------------------------------------------------------


def test_the_terminal_may_have_a_level_of_its_own(
    record: Record, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("PENSTOCK_LOGGING_CONSOLE_LEVEL", "WARNING")
    main()
    assert said(record) == ["at 10", "at 20", "at 30", "at 40"]
    assert shown(capsys) == ["at 30", "at 40"]


def test_what_is_not_kept_is_not_shown_either(
    record: Record, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "WARNING")
    monkeypatch.setenv("PENSTOCK_LOGGING_CONSOLE_LEVEL", "DEBUG")
    main()
    assert said(record) == shown(capsys) == ["at 30", "at 40"]


@pytest.mark.parametrize(("level", "expected"), [("", ["at 30", "at 40"]), ("ERROR", ["at 40"])])
def test_quiet_shows_only_what_is_wrong(
    level: str,
    expected: list[str],
    record: Record,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_QUIET", "true")
    monkeypatch.setenv("PENSTOCK_LOGGING_CONSOLE_LEVEL", level)
    main()
    text = capsys.readouterr().err
    assert [line.rpartition(" - ")[2] for line in text.splitlines()] == expected
    assert said(record) == ["at 20", "at 30", "at 40"]


def test_quiet_shows_prints_as_they_were_printed(record: Record, programs: Programs) -> None:
    done = programs.run(
        """
        import sys
        from penstock import flow
        @flow(log_prints=True)
        def main():
            print("to stdout")
            print("to stderr", file=sys.stderr)
        main()
        """,
        PENSTOCK_LOGGING_QUIET="true",
    )
    assert (done.code, done.stdout, done.stderr) == (0, "to stdout\n", "to stderr\n")
    assert {"to stdout", "to stderr"} <= set(record.messages())


def test_nothing_is_shown_where_nothing_is_wanted(
    record: Record, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_TO_CONSOLE", "false")
    main()
    assert capsys.readouterr() == ("", "")
    assert said(record) == ["at 20", "at 30", "at 40"]


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logger", "source"),
    [
        ("penstock.engine", "penstock.engine"),
        ("penstock.task_runs", "Task run 'a-0'"),
        ("penstock.mine", "Task run 'a-0' (penstock.mine)"),
        ("lib.db", "Task run 'a-0' (lib.db)"),
    ],
)
def test_the_source_names_a_logger_that_is_not_ours(logger: str, source: str) -> None:
    assert source_of(logger, "Task run 'a-0'") == source


PROGRAM = """
from penstock import flow, get_run_logger
@flow(flow_run_name="wise-owl")
def main():
    get_run_logger().warning("careful")
main()
"""


def on_terminal(programs: Programs, **environment: str) -> str:
    """What a program shows on a terminal."""
    receiver, terminal = pty.openpty()
    with os.fdopen(receiver, "rb", buffering=0) as reader:
        try:
            process = subprocess.Popen(
                [sys.executable, str(programs.write(PROGRAM))],
                stderr=terminal,
                env={**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm", **environment},
            )
        finally:
            os.close(terminal)
        text = b""
        with contextlib.suppress(OSError):  # how a terminal ends
            while chunk := reader.read(65536):
                text += chunk
        assert process.wait(20) == 0, text
    return text.decode()


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "0"}, False),
        ({"TERM": "dumb"}, False),
        ({"PENSTOCK_LOGGING_COLORS": "false"}, False),
        ({"PENSTOCK_LOGGING_CONSOLE_FORMAT": "json"}, False),
    ],
)
def test_colours_are_shown_where_nobody_forbids_them(
    environment: dict[str, str], coloured: bool, programs: Programs
) -> None:
    text = on_terminal(programs, **environment)
    assert "careful" in text
    assert ("\033[33m" in text) is coloured
    assert ("\033" in text) is coloured


def test_away_from_a_terminal_there_are_no_colours(programs: Programs) -> None:
    assert "\033" not in programs.run(PROGRAM, TERM="xterm").stderr


def test_in_a_process_without_a_run_a_logger_that_was_sent_there_writes_to_the_terminal(
    record: Record, programs: Programs
) -> None:
    program = """
import multiprocessing
from penstock import flow, get_run_logger

def work(logger):
    logger.info("in a pool")

@flow(flow_run_name="wise-owl")
def main():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(work, [get_run_logger()])

if __name__ == "__main__":
    main()
"""
    done = programs.run(program)
    assert done.code == 0, done.stderr
    assert done.stderr.count("| INFO    | Flow run 'wise-owl' - in a pool") == 1


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_json_is_one_object_a_line_with_documented_names(
    record: Record, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_CONSOLE_FORMAT", "json")
    monkeypatch.setenv("PENSTOCK_LOGGING_EXTRA_LOGGERS", "lib")

    @flow
    def talks() -> None:
        get_run_logger().warning("two\nlines 👋")
        speak()
        logging.getLogger("lib").log(35, "other")

    talks()
    objects = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    run, task_run = record.flow_run(), record.task_run()
    assert all(set(each) == NAMES for each in objects)
    assert [each["seq"] for each in objects if each["logger"] != "lib"] == [
        line.seq for line in record.lines() if line.logger != "lib"
    ]
    (line,) = [each for each in objects if each["message"] == "two\nlines 👋"]
    assert (line["level"], line["level_name"], line["logger"]) == (30, "WARNING", "penstock.flow_runs")
    assert line["source"] == f"Flow run {run.name!r}"
    assert (line["flow_run_id"], line["task_run_id"]) == (str(run.id), None)
    assert (line["file"], line["function"]) == (__file__, "talks")
    moment = datetime.fromisoformat(line["timestamp"])
    assert moment.utcoffset() is not None
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    (error,) = [each for each in objects if each["message"] == "at 40"]
    assert (error["source"], error["task_run_id"]) == ("Task run 'speak-0'", str(task_run.id))
    assert objects[0]["source"] == "penstock.engine"


def test_json_has_no_number_where_a_line_has_none_yet(record: Record, programs: Programs) -> None:
    program = """
from penstock import flow, get_run_logger, task
from penstock.logging import get_logger

@task(isolation="process")
def work():
    get_run_logger().info("in a worker")

@flow
def main():
    work()
    get_run_logger().info("here")

if __name__ == "__main__":
    get_logger("program").info("outside of runs")
    main()
"""
    done = programs.run(program, PENSTOCK_LOGGING_CONSOLE_FORMAT="json")
    numbers = {each["message"]: each["seq"] for each in map(json.loads, done.stderr.splitlines())}
    recorded = {line.message: line.seq for line in record.lines()}
    assert (numbers["in a worker"], numbers["outside of runs"]) == (None, None)
    assert numbers["here"] == recorded["here"] > recorded["in a worker"] > 0


anything = st.text(st.characters(exclude_categories=()), max_size=30)


@given(message=anything, source=anything, file=anything, ascii_only=st.booleans())
def test_a_line_of_json_is_one_line_whatever_it_holds(message: str, source: str, file: str, ascii_only: bool) -> None:
    line = LogLine(uuid4(), None, 1, datetime.now(UTC), 25, message, "lib", file, 1, "f")
    text = json_line(line, source, ascii_only=ascii_only)
    assert len(text.splitlines()) == 1
    assert text.isascii() or not ascii_only
    assert not any(mark in text for mark in "\x7f\x85\x9b\u2028\u202e")
    assert json.loads(text)["message"] == message.encode("utf-8", "replace").decode()
    assert json.loads(text)["level_name"] == "Level 25"


def test_json_is_valid_whatever_the_terminals_encoding_is(
    record: Record, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_CONSOLE_FORMAT", "json")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stderr", stream)

    @flow
    def talks() -> None:
        get_run_logger().info("żółć 👋")

    talks()
    stream.seek(0)
    assert "żółć 👋" in [json.loads(line)["message"] for line in stream.read().splitlines()]


def test_json_keeps_letters_readable_where_it_can() -> None:
    line = LogLine(uuid4(), None, 1, datetime.now(UTC), 20, "żółć 👋")
    assert '"message":"żółć 👋"' in json_line(line, "me")


def test_each_line_has_its_own_local_time_also_when_clocks_go_back() -> None:
    """The part that changes once a second is kept for the next line: only where it is the same second."""
    autumn = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    near = [autumn + timedelta(milliseconds=ms) for ms in (0, 999, 1000, 1500, 0)]
    moments = [moment.replace(fold=fold) for moment in near for fold in (0, 1)]
    moments += [moment.astimezone(UTC) - timedelta(microseconds=1) for moment in moments]
    for moment in moments:
        expected = time.strftime("%H:%M:%S", time.localtime(moment.timestamp())) + f".{moment.microsecond // 1000:03d}"
        assert console.clock(moment) == expected
