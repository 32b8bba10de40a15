"""A work pool, workers as processes of their own, and runs of a program through them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from penstock import connect
from penstock.domain.launches import Launch
from penstock.domain.runs import FlowRun
from penstock.protocol.deployments import APPLY_DEPLOYMENT, CREATE_RUN, ApplyDeployment, CreateRun
from penstock.protocol.flow_runs import READ_FLOW_RUN, ById
from penstock.protocol.launches import READ_LAUNCH, LaunchOf
from penstock.protocol.work_pools import CREATE_POOL, CreatePool

from ..flows.kit import SOURCE, WATCHED, until

PROGRAM = """
import os, signal, subprocess, sys, time
from pathlib import Path
from penstock import flow, pause_flow_run, suspend_flow_run, task

@flow(log_prints=True)
def quick(folder: str):
    print("quick")
    Path(folder, f"ran-{os.getpid()}").touch()

@flow
def waiting(folder: str):
    try:
        Path(folder, "begun").write_text(str(os.getpid()))
        while not Path(folder, "open").exists():
            time.sleep(0.01)
    finally:
        Path(folder, "cleaned").touch()

@flow
def stubborn(folder: str):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(folder, "begun").write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

@flow
def forking(folder: str):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    Path(folder, "child").write_text(str(child.pid))
    Path(folder, "begun").write_text(str(os.getpid()))
    time.sleep(600)

@task
def once(folder: str):
    with open(Path(folder, "once"), "a") as file:
        file.write("x")

@flow(log_prints=True)
def asking(folder: str, suspends: bool = True):
    once(folder)
    Path(folder, f"pid-{os.getpid()}").touch()
    ask = suspend_flow_run if suspends else pause_flow_run
    print("given", ask(wait_for_input=str, timeout=600))

@flow
def dying(folder: str):
    print("last words", flush=True)
    os._exit(7)
"""


class Workshop:
    """A record (a server's, with `url`) with a work pool, and the workers of a test."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str] | None = None,
        type: str = "process",
        job_variables: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self._environment = environment or {}
        self._job_variables = job_variables or {}
        self._workers: list[subprocess.Popen[str]] = []
        (folder / "code").mkdir()
        (folder / "code" / "flows.py").write_text(PROGRAM)
        connect.call(CREATE_POOL, CreatePool(name="local", type=type))

    def start(self, *options: str) -> subprocess.Popen[str]:
        """A worker, that was heard of."""
        worker = subprocess.Popen(
            [sys.executable, "-m", "penstock", "worker", "start", "--pool", "local", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **WATCHED, **self._environment},
        )
        self._workers.append(worker)
        return worker

    def run(self, function: str, **fields: Any) -> FlowRun:
        entrypoint = fields.pop("entrypoint", f"flows.py:{function}")
        options = {
            key: fields.pop(key) for key in ("grace", "start_timeout", "concurrency_limit_per_key") if key in fields
        }
        applied = connect.call(
            APPLY_DEPLOYMENT,
            ApplyDeployment(
                flow_name=function, name="test", entrypoint=entrypoint, path=str(self.folder / "code"),
                work_pool="local", job_variables=self._job_variables, **options,
            ),
        )  # fmt: skip
        parameters = {"folder": str(self.folder), **fields.pop("parameters", {})}
        return connect.call(CREATE_RUN, CreateRun(id=applied.deployment.id, parameters=parameters, **fields))

    def read(self, run: FlowRun) -> FlowRun:
        return connect.call(READ_FLOW_RUN, ById(run.id))

    def launch(self, run: FlowRun) -> Launch:
        return connect.call(READ_LAUNCH, LaunchOf(run.id))

    def is_over(self, run: FlowRun) -> bool:
        """Whether nothing of it is left."""
        return self.launch(run).ended is not None

    def until_state(self, run: FlowRun, *names: str, seconds: float = 30.0) -> FlowRun:
        return until(lambda: found if (found := self.read(run)).state_name in names else None, seconds)

    def until_begun(self) -> int:
        """The pid of the run's process, when its code is at work."""
        return int(until(lambda: self.text("begun"), 30.0))

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def mark(self, name: str) -> None:
        (self.folder / name).touch()

    def end(self, worker: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
        """What it said, when it has ended."""
        worker.send_signal(number)
        return worker.communicate(timeout=30)[0]

    def close(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
                worker.communicate()
        for name in ("begun", "child"):
            pid = self.text(name)
            if pid:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
