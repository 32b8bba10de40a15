"""The driver of processes: the exam, and what only processes do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureError, InfrastructureRefused
from penstock.infrastructure.contract import Job
from penstock.infrastructure.subprocesses import ProcessDriver, explained

from .exam import ENDS, SLEEPS, Exam

FORKS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
open(os.environ['OUT'], 'w').write(str(child.pid))
print('begun', flush=True)
"""


class TestProcessDriver(Exam):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> ProcessDriver:
        return ProcessDriver(tmp_path / "launches")

    @pytest.fixture
    def fresh(self, tmp_path: Path) -> Callable[[], ProcessDriver]:
        return lambda: ProcessDriver(tmp_path / "launches")

    def python(self, code: str) -> tuple[str, ...]:
        return (sys.executable, "-c", code)

    def test_it_has_its_folder_and_its_environment(self, driver: ProcessDriver, tmp_path: Path) -> None:
        lines: list[str] = []
        code = (
            "import os; print(os.getcwd()); print(os.environ['EXAM'], os.environ['MORE'], os.getsid(0) == os.getpid())"
        )
        place = driver.launch(self.job(code, working_dir=str(tmp_path), env={"MORE": "2"}))
        self.ended(driver, place, line=lines.append)
        assert lines == [str(tmp_path), "1 2 True"]

    def test_what_it_started_is_gone_with_it_also_when_it_ended_by_itself(
        self, driver: ProcessDriver, tmp_path: Path
    ) -> None:
        job = self.job(FORKS, env={"OUT": str(tmp_path / "child")})
        place = driver.launch(job)
        self.ended(driver, place)
        pid = int((tmp_path / "child").read_text())
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    def test_a_launch_whose_pid_was_not_noted_is_found_by_its_mark(
        self, driver: ProcessDriver, fresh: Callable[[], ProcessDriver], tmp_path: Path
    ) -> None:
        job = self.job(SLEEPS)
        place = driver.launch(job)
        self.until_begun(driver, place)
        note = tmp_path / "launches" / f"{job.key}.json"
        note.write_text(f'{{"key":"{job.key}"}}')  # as a worker leaves it that dies in between
        other = fresh()
        assert other.launch(job) == place
        assert other.stop(place, 20).how == "returned"

    def test_a_pid_that_was_given_to_another_process_is_left_alone(self, driver: ProcessDriver) -> None:
        place = Place("process", driver.scope(), f"{os.getpid()}:1")
        assert driver.stop(place, 0).how == "gone"
        ended = driver.wait(place, 1)
        assert ended is not None
        assert ended.code is None

    def test_a_signal_is_explained(self, driver: ProcessDriver) -> None:
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        os.kill(int(place.id.partition(":")[0]), signal.SIGKILL)
        ended = self.ended(driver, place)
        assert (ended.code, ended.why) == (-9, explained(-9))
        assert "SIGKILL" in (ended.why or "")

    @pytest.mark.parametrize(
        ("code", "why"), [(137, "SIGKILL"), (127, "not found"), (126, "cannot be executed"), (-11, "SEGV")]
    )
    def test_codes_are_explained(self, code: int, why: str) -> None:
        assert why in (explained(code) or "")

    def test_a_folder_that_is_not_there_is_refused(self, driver: ProcessDriver) -> None:
        with pytest.raises(InfrastructureRefused, match="'/no/such' is no folder"):
            driver.launch(self.job(ENDS, working_dir="/no/such"))

    def test_a_key_is_no_path_and_an_id_no_text(self, driver: ProcessDriver) -> None:
        with pytest.raises(InfrastructureRefused, match="is no key"):
            driver.launch(Job(name="x", key="../x", command=("true",), env={}, labels={}, configuration={}))
        with pytest.raises(InfrastructureError, match="names no process"):
            driver.stop(Place("process", driver.scope(), "x"), 0)
