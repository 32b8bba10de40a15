"""The fixtures are there by themselves, and safe under pytest-xdist and asyncio."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import asyncio
import threading
import time

import pytest

from penstock import flow, get_client, task
from penstock.testing import FakeClock, test_harness

@task(retries=1, retry_delay_seconds=3600)
def flaky(calls=[]):
    calls.append(1)
    if len(calls) % 2:
        raise ConnectionError
    return 42

@flow
def etl():
    return flaky()

@pytest.mark.parametrize("number", range(20))
def test_each_has_its_own(penstock_harness, fake_clock, number):
    assert etl() == 42
    assert fake_clock.elapsed == 3600
    assert len(penstock_harness.flow_runs()) == 1
    assert penstock_harness.clock is fake_clock

def test_without_a_fake_clock(penstock_harness):
    assert not isinstance(penstock_harness.clock, FakeClock)

def test_coroutines(penstock_harness, fake_clock):
    @flow
    async def sleeps():
        await asyncio.sleep(3600)

    asyncio.run(sleeps())
    assert fake_clock.elapsed == 3600

def test_one_for_the_session(penstock_session_harness):
    @flow
    def plain():
        return 1

    plain()
    assert penstock_session_harness.flow_runs()

def test_a_harness_inside_that_of_the_session(penstock_session_harness, penstock_harness):
    assert penstock_harness.flow_runs() == []

def test_no_thread_is_left():
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("penstock")]
    assert set(left) <= {"penstock-attendance", "penstock-journal", "penstock-timers"}  # of the session's
"""


def pytest(folder: Path, *arguments: str) -> str:
    (folder / "test_flows.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *arguments, "test_flows.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_they_work_in_one_process(tmp_path: Path) -> None:
    assert "25 passed" in pytest(tmp_path, "-p", "no:xdist")


def test_they_work_in_several(tmp_path: Path) -> None:
    assert "25 passed" in pytest(tmp_path, "-n", "3")


def test_a_test_suite_that_does_not_use_them_does_not_pay_for_them(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_it():\n    assert 'penstock.testing.harness' not in sys.modules\n"
        "    assert 'penstock.engine' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "test_other.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
