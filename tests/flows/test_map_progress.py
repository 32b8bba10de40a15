"""On a terminal a large map is one line that says how far it is; nothing is missing in the record, nor in a file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from .kit import SOURCE, Programs
from .terminals import on_terminal

PROGRAM = """
import time
from penstock import flow, task

@task
def few(number):
    return number

@task
def parse(number):
    if number == 150:
        raise ValueError("a bad row")
    if number == 160:
        print("hello from an item")
    time.sleep(0.001)
    return number

@task
def unknown(number):
    return number

@flow
def main():
    few.map(range(2)).wait()
    parse.map(range(400)).wait()
    print("between")
    unknown.stream(iter(range(150))).wait()

main()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def messages(home: Path) -> list[str]:
    with sqlite3.connect(home / "penstock.db") as connection:
        return [message for (message,) in connection.execute("SELECT message FROM log ORDER BY seq")]


def test_a_terminal_shows_how_far_a_large_map_is_and_the_record_has_each_item(
    program: Path, programs: Programs, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    drawn = on_terminal(program, PENSTOCK_HOME=str(home))
    assert drawn.code == 0, drawn.text
    text = drawn.text
    assert "Created task run 'few-1'" in text
    assert "Created task run 'parse-" not in text
    assert "\r\x1b[Kparse:" in text or "parse: 1 of 400" in text  # drawn, and drawn over
    assert "Task run 'parse-150' - Finished in state Failed" in text
    # What stands there in the end, with all that scrolled away.
    screen = [line.rpartition("\r\x1b[K")[2] for line in text.replace("\r\n", "\n").split("\n")]
    assert any(line.startswith("parse: 400 of 400 done, 1 Failed, ") and line.endswith("/s") for line in screen)
    assert "hello from an item" in screen  # on a line of its own
    assert "between" in screen
    # Where it is not known how many there are, the first are shown.
    assert "Created task run 'unknown-99'" in text
    assert "Created task run 'unknown-100'" not in text
    assert any(line.startswith("unknown: 150 of 150 done, ") for line in screen)
    said = messages(home)
    for task, count in (("few", 2), ("parse", 400), ("unknown", 150)):
        assert sum(message.startswith(f"Created task run '{task}-") for message in said) == count
    assert sum(message.startswith("Finished in state Completed") for message in said) == 552


def test_the_setting_says_from_how_many_items_on(program: Path, programs: Programs, tmp_path: Path) -> None:
    drawn = on_terminal(program, PENSTOCK_HOME=str(tmp_path / "home"), PENSTOCK_LOGGING_COLLAPSE_ABOVE="1000")
    assert "Created task run 'parse-399'" in drawn.text
    assert "of 400 done" not in drawn.text


def test_quiet_shows_no_progress(program: Path, programs: Programs, tmp_path: Path) -> None:
    drawn = on_terminal(program, PENSTOCK_HOME=str(tmp_path / "home"), PENSTOCK_LOGGING_QUIET="true")
    assert "done" not in drawn.text


def test_a_file_has_all_lines_and_no_progress(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(program)],
        env={"PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(tmp_path / "home"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.count("Created task run 'parse-") == 400
    assert "of 400 done" not in done.stderr
    assert "\x1b[K" not in done.stderr
