"""Two servers on one PostgreSQL, behind a balancer: whichever is asked, the record is one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.domain.runs import FlowRun

from ..flows.kit import SOURCE, Programs, names, until
from .kit import RoundRobin, ServerProcess, runs_of

pytestmark = pytest.mark.postgres


@pytest.fixture(params=["direct", "pooled"])
def servers(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[list[ServerProcess]]:
    """Two, by connections of their own, or through PgBouncer."""
    url, options = postgres_url, {}
    if request.param == "pooled":
        url, options = request.getfixturevalue("pooled_url"), {"PENSTOCK_DATABASE_DIRECT_URL": postgres_url}
    made = [ServerProcess(tmp_path / f"server-{number}", database=url, **options) for number in range(2)]
    try:
        for server in made:
            server.start()
        yield made
    finally:
        for server in made:
            server.close()


@pytest.fixture
def balanced(servers: list[ServerProcess]) -> Iterator[RoundRobin]:
    balancer = RoundRobin([server.port for server in servers])
    yield balancer
    balancer.close()


def command(url: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], text=True, capture_output=True, timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PENSTOCK_API_URL": url}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


SLEEPS = """
    import time
    from penstock import flow, task

    @task
    def sleeps():
        time.sleep(60)

    @flow(log_prints=True)
    def long():
        print("begun")
        sleeps()

    long()
"""


def running(url: str) -> FlowRun:
    return until(lambda: next((run for run in runs_of(url) if run.state.is_running()), None), 30)


def test_a_run_that_reports_to_one_is_cancelled_through_the_other(
    servers: list[ServerProcess], programs: Programs
) -> None:
    first, second = servers
    process = programs.start(SLEEPS, PENSTOCK_API_URL=first.url)
    run = running(second.url)
    began = time.monotonic()
    done = command(second.url, "flow-run", "cancel", str(run.id), "--wait")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 10
    programs.finish(process)
    (ended,) = runs_of(first.url)
    assert names(ended)[-2:] == ["Cancelling", "Cancelled"]
    assert (ended.state.details or {})["stopped"] == "raised"


PRINTS = """
    import time
    from penstock import flow

    @flow(log_prints=True)
    def prints():
        for number in range(40):
            print("line", number)
            time.sleep(0.05)

    prints()
"""


def test_a_log_is_followed_through_either_while_it_is_written_through_both(
    balanced: RoundRobin, servers: list[ServerProcess], programs: Programs
) -> None:
    process = programs.start(PRINTS, PENSTOCK_API_URL=balanced.url)
    run = running(balanced.url)
    for server in servers:
        followed = command(server.url, "flow-run", "logs", str(run.id), "--follow")
        assert followed.returncode == 0, followed.stderr
        lines = [line for line in followed.stdout.splitlines() if "line " in line]
        assert [line.split(" - ")[-1] for line in lines] == [f"line {number}" for number in range(40)]
    assert programs.finish(process).code == 0
    assert all(balanced.served.values()), "both were asked"


def test_many_programs_behind_the_balancer_lose_nothing_when_one_server_dies(
    balanced: RoundRobin, servers: list[ServerProcess], programs: Programs
) -> None:
    path = programs.write(PRINTS)
    started = [programs.start(path, PENSTOCK_API_URL=balanced.url) for _ in range(6)]
    until(lambda: len(runs_of(servers[1].url)) == 6, 30)
    servers[0].kill()
    for process in started:
        finished = programs.finish(process, 90)
        assert finished.code == 0, finished.stderr[-2000:]
    found = runs_of(servers[1].url)
    assert [run.state_name for run in found] == ["Completed"] * 6
    for run in found:
        shown = command(servers[1].url, "flow-run", "logs", str(run.id))
        assert sum("line " in line for line in shown.stdout.splitlines()) == 40


def test_one_of_them_closes_the_runs_of_the_dead(servers: list[ServerProcess], programs: Programs) -> None:
    process = programs.start(SLEEPS, PENSTOCK_API_URL=servers[0].url, PENSTOCK_STOP_WATCHDOG="false")
    run = running(servers[1].url)
    process.kill()
    ended = until(lambda: next((each for each in runs_of(servers[1].url) if each.state.is_final()), None), 30)
    assert (ended.id, names(ended).count("Crashed")) == (run.id, 1)
    for server in servers:
        assert server.stop() == 0
