"""Users' own tests: what pytest captures and what a flow's log has do not get in each other's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .kit import SOURCE, Finished, Record

TESTS = """
import logging, os, subprocess, sys
import pytest
from penstock import flow, get_run_logger, task


@task
def work():
    get_run_logger().info("by the logger")
    print("from the task")
    subprocess.run(["echo", "from a program"], check=True)


@flow(log_prints=True)
def prints():
    print("from the flow")
    work()
    print("to stderr", file=sys.stderr)
    logging.getLogger("library").warning("from a library")


@flow(capture="all")
def everything():
    print("from the flow")
    work()
    os.write(2, b"to stderr\\n")
    logging.getLogger("library").warning("from a library")


@pytest.fixture(params=[prints, everything], ids=["prints", "everything"])
def run(request):
    return request.param


@pytest.fixture(autouse=True)
def undone():
    def found():
        return sys.stdout, sys.stderr, os.fstat(1).st_ino, os.fstat(2).st_ino
    before = found()
    yield
    assert found() == before


def test_caplog_from_the_first_test_on(run, caplog):
    run()
    assert "from a library" in caplog.messages
    assert caplog.messages.count("by the logger") == 1


def test_capsys(run, capsys):
    print("before")
    run()
    print("after")
    assert capsys.readouterr().out == "before\\nafter\\n"


def test_capsys_has_the_lines_of_runs(run, capsys):
    run()
    err = capsys.readouterr().err
    assert err.count("from the flow") == err.count("from the task") == 1
    assert "Finished in state Completed" in err


def test_capsys_while_it_is_disabled(capsys):
    @flow(log_prints=True)
    def main():
        print("captured")
        with capsys.disabled():
            print("seen")
        print("captured again")
    main()
    out, err = capsys.readouterr()
    assert "captured again" in out + err


def test_capsysbinary(run, capsysbinary):
    run()
    sys.stdout.buffer.write(b"\\xff\\n")
    assert capsysbinary.readouterr().out == b"\\xff\\n"


def test_capfd(run, capfd):
    print("before")
    run()
    os.write(1, b"after\\n")
    out, err = capfd.readouterr()
    assert out == "before\\nfrom a program\\nafter\\n"
    assert err.count("from the flow") == err.count("from the task") == err.count("to stderr") == 1


def test_neither(run):
    run()


def test_error(run, capsys):
    @flow(log_prints=True)
    def fails():
        print("before the error")
        raise ValueError("expected")
    with pytest.raises(ValueError, match="expected"):
        fails()
    assert "before the error" in capsys.readouterr().err
"""
FAILING = """

def test_what_fails_shows_what_was_written(run):
    run()
    assert 0
"""
DOCTESTS = '''
from penstock import flow


@flow(log_prints=True)
def double(number):
    """
    >>> double(3)
    6
    >>> print("plain")
    plain
    """
    print("doubling", number)
    return 2 * number


@flow(capture="all")
def triple(number):
    """
    >>> triple(3)
    9
    """
    print("tripling", number)
    return 3 * number
'''


def run_pytest(folder: Path, *arguments: str) -> Finished:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--rootdir={folder}",
            *arguments,
            str(folder),
        ],
        env={**environment, "PYTHONPATH": str(SOURCE)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "users"
    made.mkdir()
    return made


@pytest.mark.parametrize("option", ["--capture=fd", "--capture=sys", "-s", "-n2"])
def test_fixtures_that_capture_see_what_they_should(option: str, folder: Path, record: Record) -> None:
    (folder / "test_users.py").write_text(TESTS)
    done = run_pytest(folder, option)
    assert done.code == 0, done.stdout
    assert "15 passed" in done.stdout
    runs = record.flow_runs("everything")
    assert len(runs) == 6
    for run in runs:
        assert {"from the flow", "from the task", "from a program", "to stderr"} <= set(record.messages(run))


def test_a_test_that_fails_shows_what_its_flow_wrote(folder: Path) -> None:
    (folder / "test_users.py").write_text(TESTS + FAILING)
    done = run_pytest(folder, "-k", "fails")
    assert done.code == 1
    assert "2 failed" in done.stdout
    assert done.stdout.count("Captured stderr call") == done.stdout.count("Captured stdout call") == 2
    for line in ("- from the flow", "- from the task", "from a program"):
        assert done.stdout.count(f"{line}\n") == 2


def test_doctests_see_results_and_prints_of_their_own(folder: Path) -> None:
    (folder / "numbers_of_users.py").write_text(DOCTESTS)
    done = run_pytest(folder, "--doctest-modules")
    assert done.code == 0, done.stdout
    assert "2 passed" in done.stdout
