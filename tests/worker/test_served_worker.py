"""Workers of a server: what runs goes on while the server is away, and a request to cancel outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import connect
from penstock.domain.runs import FlowRun
from penstock.flow_runs import cancel_flow_run
from penstock.settings import temporary_settings

from ..flows.kit import taking_less_than, until
from ..served.kit import ServerProcess
from .kit import Workshop, is_there

MANY = int(os.environ.get("PENSTOCK_TEST_CANCELLED", "24"))

SLEEPS = """
import time
from penstock import flow

@flow
def sleeps(folder: str):
    time.sleep(600)
"""


@pytest.fixture
def workshop(server: ServerProcess, tmp_path: Path, penstock_home: Path) -> Iterator[Workshop]:
    with temporary_settings({"PENSTOCK_API_URL": server.url}):
        made = Workshop(tmp_path, {"PENSTOCK_API_URL": server.url})
        yield made
        made.close()
        connect.disconnect()


def test_a_run_is_pushed_to_a_worker_that_waits(workshop: Workshop) -> None:
    workshop.start()
    workshop.until_state(workshop.run("quick"), "Completed")
    run = workshop.run("quick")
    found = workshop.until_state(run, "Completed")
    assert found.states[1].name == "Pending"
    assert (found.states[1].timestamp - found.states[0].timestamp).total_seconds() < 2  # and not a poll of ten seconds


def test_a_run_goes_on_while_the_server_is_away_and_is_cancelled_afterwards(
    workshop: Workshop, server: ServerProcess
) -> None:
    workshop.start()
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    server.kill()
    assert is_there(pid)
    server.start()
    cancel_flow_run(run.id)
    workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: not is_there(pid))


def test_a_cancel_that_is_under_way_is_carried_out_when_the_server_comes_back(
    workshop: Workshop, server: ServerProcess
) -> None:
    workshop.start()
    run = workshop.run("stubborn")
    pid = workshop.until_begun()
    cancel_flow_run(run.id, grace=2)
    server.kill()
    until(lambda: not is_there(pid), 30)
    server.start()
    found = workshop.until_state(run, "Cancelled", seconds=60)
    until(lambda: (workshop.read(run).state.details or {}).get("confirmed") is True)
    assert (found.state.details or {})["reason"] == "cancel"


def test_a_worker_that_dies_with_its_server_leaves_nothing_behind(workshop: Workshop, server: ServerProcess) -> None:
    worker = workshop.start()
    run = workshop.run("waiting")
    pid = workshop.until_begun()
    worker.kill()
    worker.communicate()
    server.kill()
    server.start()
    workshop.start()
    until(lambda: workshop.launch(run).ended is None and is_there(pid))
    workshop.mark("open")
    workshop.until_state(run, "Completed", seconds=60)
    until(lambda: workshop.launch(run).ended, 30)


def test_a_worker_that_waits_for_work_ends_when_it_is_told_to(workshop: Workshop) -> None:
    worker = workshop.start()
    run = workshop.run("quick")
    workshop.until_state(run, "Completed")
    until(lambda: workshop.is_over(run))
    with taking_less_than(6):  # and not when its question for work would have been answered, after 10 s
        workshop.end(worker)
    assert worker.returncode == 0


@pytest.mark.timeout(400)
def test_many_are_cancelled_at_once(workshop: Workshop) -> None:
    """PENSTOCK_TEST_CANCELLED=100 is how many (24 by itself)."""
    (workshop.folder / "code" / "sleeps.py").write_text(SLEEPS)
    workshop.start()
    runs: list[FlowRun] = []
    while len(runs) < MANY:  # a few at a time: others use this machine, too
        few = [workshop.run("sleeps", entrypoint="sleeps.py:sleeps") for _ in range(4)]
        for run in few:
            workshop.until_state(run, "Running", seconds=60)
        runs += few
    for run in runs:
        cancel_flow_run(run.id, grace=20)
    for run in runs:
        found = workshop.until_state(run, "Cancelled", seconds=60)
        assert (found.state.details or {})["confirmed"] is True
    until(lambda: all(workshop.launch(run).ended for run in runs), 60)
