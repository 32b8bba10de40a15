"""Many scheduled runs, while workers, the server and the runs' own processes are killed at random: nothing is left
over, and the record is true.

PENSTOCK_TEST_SOAK=500 is how many runs there are (25 by itself), PENSTOCK_TEST_SOAK_SEED=7 the same kills again, as far
as the machine's own moments allow.
"""

from __future__ import annotations

import contextvars
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock import connect
from penstock.domain.errors import PenstockError
from penstock.domain.runs import FlowRun
from penstock.domain.states import FINAL
from penstock.flow_runs import cancel_flow_run
from penstock.protocol.deployments import APPLY_DEPLOYMENT, CREATE_RUN, ApplyDeployment, CreateRun
from penstock.settings import temporary_settings

from ..served.kit import ServerProcess
from .kit import Workshop

RUNS = int(os.environ.get("PENSTOCK_TEST_SOAK", "25"))
SEED = int(os.environ.get("PENSTOCK_TEST_SOAK_SEED") or random.randrange(1_000_000))
MARK = "PENSTOCK_TEST_SOAK_MARK"
# How long all runs may take to be over when no more is killed.
PATIENCE = 120.0 + RUNS

PROGRAM = """
import os, random, subprocess, sys, time
from pathlib import Path
from penstock import flow, runtime, task

@task
def step(seconds):
    time.sleep(seconds)

@flow
def soaked(folder: str, seconds: float, forks: bool):
    id = runtime.flow_run.id
    if forks:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    Path(folder, f"begun-{id}").write_text(str(os.getpid()))
    step(seconds)
    Path(folder, f"done-{id}").touch()
"""


@pytest.fixture
def workshop(server: ServerProcess, tmp_path: Path, penstock_home: Path) -> Iterator[Workshop]:
    environment = {"PENSTOCK_API_URL": server.url, MARK: str(tmp_path)}
    with temporary_settings({"PENSTOCK_API_URL": server.url}):
        made = Workshop(tmp_path, environment)
        (tmp_path / "code" / "soak.py").write_text(PROGRAM)
        yield made
        made.close()
        for pid in marked(tmp_path):
            os.kill(pid, signal.SIGKILL)
        connect.disconnect()


def marked(folder: Path) -> list[int]:
    """Processes of this test that live: all that a worker of it has started, and the workers themselves."""
    mark, found = f"{MARK}={folder}".encode(), []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
        except OSError:
            continue
    return found


class Soak:
    def __init__(self, workshop: Workshop, server: ServerProcess) -> None:
        self.workshop = workshop
        self.server = server
        self.chance = random.Random(SEED)
        self.over = threading.Event()
        self.ended_by_us: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.worker: subprocess.Popen[str] = workshop.start("--limit", "8")

    def plan(self) -> list[FlowRun]:
        made = connect.call(
            APPLY_DEPLOYMENT,
            ApplyDeployment(
                flow_name="soaked", name="soak", entrypoint="soak.py:soaked", work_pool="local",
                path=str(self.workshop.folder / "code"),
            ),
        ).deployment  # fmt: skip
        now = datetime.now(UTC)
        return [
            connect.call(
                CREATE_RUN,
                CreateRun(
                    id=made.id, scheduled_time=now + timedelta(seconds=number * 0.3),
                    parameters={
                        "folder": str(self.workshop.folder), "seconds": round(self.chance.uniform(0, 1.5), 2),
                        "forks": self.chance.random() < 0.2,
                    },
                ),
            )
            for number in range(RUNS)
        ]  # fmt: skip

    def kill(self) -> None:
        """Something every now and then, until it is enough."""
        while not self.over.wait(self.chance.uniform(0.2, 1.5)):
            what = self.chance.choices(("run", "worker", "server", "cancel"), (5, 2, 1, 3))[0]
            if what == "worker":
                self.kills[what] += 1
                self.worker.kill()
                self.worker.communicate()
                self.worker = self.workshop.start("--limit", "8")
            elif what == "server":
                self.kills[what] += 1
                self.server.kill()
                self.server.start()
            else:
                self._end_one(what)

    def _end_one(self, what: str) -> None:
        at_work = [
            path
            for path in self.workshop.folder.glob("begun-*")
            if not (self.workshop.folder / path.name.replace("begun", "done")).exists()
        ]
        if not at_work:
            return
        path = self.chance.choice(at_work)
        id = path.name.removeprefix("begun-")
        self.ended_by_us.add(id)
        self.kills[what] += 1
        if what == "cancel":
            try:
                cancel_flow_run(id, grace=2)
            except PenstockError:  # it has ended in this moment, or the server is away
                pass
            return
        try:
            os.kill(int(path.read_text()), signal.SIGKILL)
        except (ProcessLookupError, ValueError):
            pass


@pytest.mark.timeout(1200 + 3 * RUNS)
def test_after_all_kills_no_process_and_no_run_is_left_over_and_the_record_is_true(
    workshop: Workshop, server: ServerProcess
) -> None:
    soak = Soak(workshop, server)
    runs = soak.plan()
    killing = threading.Thread(target=contextvars.copy_context().run, args=(soak.kill,))  # with this test's settings
    killing.start()
    time.sleep(RUNS * 0.3 + 2.0)  # while they are due
    soak.over.set()
    killing.join()
    problems = _settled(soak, runs)
    said = soak.workshop.end(soak.worker)
    left = marked(workshop.folder)
    if left:
        problems.append(f"processes are left: {[Path(f'/proc/{pid}/cmdline').read_bytes() for pid in left]}")
    print(f"PENSTOCK_TEST_SOAK={RUNS} PENSTOCK_TEST_SOAK_SEED={SEED}: {dict(soak.kills)}")
    assert not problems, "\n".join([*problems[:20], said[-3000:]])


def _settled(soak: Soak, runs: list[FlowRun]) -> list[str]:
    """Waits until all is over, and says what is not as it should be."""
    deadline = time.monotonic() + PATIENCE
    open_ones: list[Any] = runs
    while open_ones and time.monotonic() < deadline:
        time.sleep(0.5)
        open_ones = [
            run
            for run in open_ones
            if soak.workshop.read(run).state.type not in FINAL or soak.workshop.launch(run).ended is None
        ]
    problems = [
        f"run {run.id} is not over: {soak.workshop.read(run).state}, {soak.workshop.launch(run)}" for run in open_ones
    ]
    ends: Counter[str] = Counter()
    for run in runs:
        state = soak.workshop.read(run).state
        ends[state.name] += 1
        done = (soak.workshop.folder / f"done-{run.id}").exists()
        if state.is_completed() != done and str(run.id) not in soak.ended_by_us:
            problems.append(f"run {run.id} is {state}, and its code has {'' if done else 'not '}come to its end")
        if not state.is_completed() and str(run.id) not in soak.ended_by_us:
            problems.append(f"run {run.id} is {state}, and nobody ended it")
    print(dict(ends))
    return problems
