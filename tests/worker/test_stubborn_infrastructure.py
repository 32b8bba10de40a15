"""Infrastructure that cannot be ended, at first or at all: nothing pretends that it was. A worker in this process, with
runs that are processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock import connect
from penstock.domain.launches import Place
from penstock.engine import identity
from penstock.exceptions import InfrastructureError
from penstock.infrastructure.contract import Stopped
from penstock.infrastructure.subprocesses import ProcessDriver
from penstock.protocol.flow_runs import CANCEL_FLOW_RUN, CancelRun
from penstock.worker.worker import Worker

from ..flows.kit import SOURCE, until
from .kit import Workshop, is_there


class Unwilling(ProcessDriver):
    """Ends nothing before it has been asked so often."""

    def __init__(self, folder: Path, times: float) -> None:
        super().__init__(folder)
        self.times = times
        self.asked = 0

    def stop(self, place: Place, grace: float) -> Stopped:
        self.asked += 1
        if self.asked <= self.times:
            raise InfrastructureError("the engine is broken")
        return super().stop(place, grace)


Start = Callable[[float], Unwilling]


@pytest.fixture
def start(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A worker whose driver does so."""
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    running: list[tuple[Worker, threading.Thread]] = []

    def begin(times: float) -> Unwilling:
        driver = Unwilling(tmp_path / "launches", times)
        worker = Worker(
            driver, partial(connect.call, way="worker"), name="w", holder=identity.me(), version="0",
            work_pool="local", env={"PENSTOCK_HOME": os.environ["PENSTOCK_HOME"]},
        )  # fmt: skip
        thread = threading.Thread(target=worker.run, name="worker")
        thread.start()
        running.append((worker, thread))
        return driver

    yield begin
    for worker, thread in running:
        worker.close()
        thread.join(30)


def frozen(workshop: Workshop) -> tuple[Any, int]:
    """A run that hears nothing any more."""
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    os.kill(pid, signal.SIGSTOP)
    return run, pid


@pytest.mark.skipif(sys.platform != "linux", reason="processes are stopped and looked at as Linux does it")
def test_what_cannot_be_ended_at_first_is_tried_again_and_says_what_went_wrong(
    workshop: Workshop, start: Start
) -> None:
    driver = start(2)
    run, pid = frozen(workshop)
    # (As a server is asked: `cancel_flow_run` would itself see to it that a process of this machine ends.)
    connect.call(CANCEL_FLOW_RUN, CancelRun(id=run.id, grace=0))
    launch = until(lambda: found if (found := workshop.launch(run)).problem else None, 30)
    assert "the engine is broken" in (launch.problem or "")
    assert workshop.read(run).state_name == "Cancelling"
    assert is_there(pid)
    found = workshop.until_state(run, "Cancelled", seconds=60)
    assert (found.state.details or {})["confirmed"] is True
    assert (driver.asked, is_there(pid)) == (3, False)


def test_what_cannot_be_ended_at_all_stays_cancelling_until_another_worker_can(
    workshop: Workshop, start: Start
) -> None:
    start(float("inf"))
    run, pid = frozen(workshop)
    connect.call(CANCEL_FLOW_RUN, CancelRun(id=run.id, grace=0))
    until(lambda: workshop.launch(run).tries >= 2, 30)
    found = workshop.read(run)
    assert found.state_name == "Cancelling"
    assert "the engine is broken" in (found.state.message or "")
    assert is_there(pid)
