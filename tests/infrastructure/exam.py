"""The exam that every driver of infrastructure passes. A driver's tests inherit it, and say how its jobs are made."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import uuid4

import pytest

from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureRefused
from penstock.infrastructure.contract import Driver, Ended, Job, Stopped

ENDS = "import sys; print('one'); print('two', flush=True); sys.exit(3)"
SLEEPS = "import time; print('begun', flush=True); time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('begun', flush=True)
while True: time.sleep(600)
"""


class Exam:
    """`driver` is one, `fresh()` another on the same infrastructure, as another worker has it; `python(code)` the
    command that runs a program there."""

    @pytest.fixture
    def driver(self) -> Driver:
        raise NotImplementedError

    @pytest.fixture
    def fresh(self) -> Any:
        raise NotImplementedError

    def python(self, code: str) -> tuple[str, ...]:
        raise NotImplementedError

    def job(self, code: str, key: str | None = None, **configuration: Any) -> Job:
        return Job(
            name="exam", key=key or uuid4().hex, command=self.python(code), env={"EXAM": "1"}, labels={"a": "b"},
            configuration={"env": {}, **configuration},
        )  # fmt: skip

    def until_begun(self, driver: Driver, place: Place) -> None:
        lines: list[str] = []
        deadline = time.monotonic() + 30
        while "begun" not in lines:
            assert driver.wait(place, 0.1, lines.append) is None, lines
            assert time.monotonic() < deadline

    def ended(self, driver: Driver, place: Place, **more: Any) -> Ended:
        ended = driver.wait(place, 30, **more)
        assert ended is not None
        return ended

    def test_its_end_and_its_lines_are_seen(self, driver: Driver) -> None:
        lines: list[str] = []
        place = driver.launch(self.job(ENDS))
        assert (place.type, place.scope) == (driver.type, driver.scope())
        ended = self.ended(driver, place, line=lines.append)
        assert (ended.code, lines, ended.lines) == (3, ["one", "two"], ("one", "two"))

    def test_waiting_ends_when_patience_does(self, driver: Driver) -> None:
        place = driver.launch(self.job(SLEEPS))
        assert driver.wait(place, 0.05) is None
        driver.stop(place, 0)

    def test_a_polite_program_ends_in_its_grace(self, driver: Driver) -> None:
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        stopped = driver.stop(place, 20)
        assert (stopped.how, stopped.seconds < 15) == ("returned", True)

    def test_a_stubborn_program_is_killed_when_it_is_over(self, driver: Driver) -> None:
        place = driver.launch(self.job(STUBBORN))
        self.until_begun(driver, place)
        stopped = driver.stop(place, 0.5)
        assert (stopped.how, stopped.seconds >= 0.5) == ("killed", True)
        assert self.ended(driver, place) is not None

    def test_what_has_ended_is_gone_when_it_is_to_be_stopped(self, driver: Driver) -> None:
        place = driver.launch(self.job(ENDS))
        self.ended(driver, place)
        assert driver.stop(place, 5).how == "gone"

    def test_another_worker_finds_watches_and_stops_it(self, driver: Driver, fresh: Any) -> None:
        job = self.job(SLEEPS)
        place = driver.launch(job)
        self.until_begun(driver, place)
        other: Driver = fresh()
        assert other.launch(job) == place
        assert other.wait(place, 0.05) is None
        assert other.stop(place, 20).how == "returned"
        assert self.ended(driver, place) is not None

    def test_the_same_job_is_launched_once(self, driver: Driver) -> None:
        job = self.job(SLEEPS)
        assert driver.launch(job) == driver.launch(job)
        driver.stop(driver.launch(job), 0)

    def test_a_command_that_is_not_there_is_refused_or_ends_with_the_reason(self, driver: Driver) -> None:
        job = self.job(ENDS)
        bad = Job(
            name=job.name, key=job.key, command=("no-such-command",), env={}, labels={},
            configuration=job.configuration,
        )  # fmt: skip
        try:
            place = driver.launch(bad)
        except InfrastructureRefused as error:
            said = str(error)
        else:
            ended = self.ended(driver, place)
            assert ended.code in (126, 127, 128)
            said = " ".join([ended.why or "", *ended.lines])
        assert "no-such-command" in said

    def test_several_are_stopped_at_once(self, driver: Driver) -> None:
        places = [driver.launch(self.job(STUBBORN)) for _ in range(4)]
        for place in places:
            self.until_begun(driver, place)
        found: list[Stopped] = []
        threads = [threading.Thread(target=lambda each=place: found.append(driver.stop(each, 0.5))) for place in places]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [each.how for each in found] == ["killed"] * 4
        assert time.monotonic() - began < 10

    def test_a_person_is_told_how_to_end_it(self, driver: Driver) -> None:
        place = driver.launch(self.job(SLEEPS))
        assert driver.by_hand(place)
        driver.stop(place, 0)

    def test_nothing_is_left_to_be_forgotten_twice(self, driver: Driver) -> None:
        place = driver.launch(self.job(ENDS))
        self.ended(driver, place)
        driver.forget(place)
        driver.forget(place)
