"""`python -m penstock.flows.launched RUN_ID`: whatever becomes of a launched program, its run says it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock import connect
from penstock.domain.deployments import Deployment
from penstock.domain.ids import flow_id
from penstock.domain.runs import FlowRun
from penstock.engine.clock import SYSTEM
from penstock.exceptions import TransitionRefused
from penstock.services import cancelling, reopening, running
from penstock.store import deployments, flow_runs

from .kit import SOURCE, WATCHED, Record, names, until

PROGRAM = """
import os, time
from penstock import flow, task

@task
def double(x):
    print("double", x)
    return 2 * x

@flow(log_prints=True, flow_run_name="doubling-{x}")
def doubling(x: int, y: int = 1):
    return double(x) + y

@flow
def sleeping(path: str):
    open(path, "w").close()
    time.sleep(60)

@task
def once(path):
    with open(path, "a") as file:
        file.write("x")

@flow
def halting(folder: str):
    once(folder + "/done")
    if not os.path.exists(folder + "/repaired"):
        raise ValueError("not yet")

@flow
def broken():
    raise ValueError("as it happens")

doubling(5)  # without a guard: it is left out

if __name__ == "__main__":
    doubling(7)
"""


class Launching:
    """Runs of a deployment of a program, each executed as a worker has it executed."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder = folder
        self._record = record
        (folder / "code").mkdir()
        (folder / "code" / "flows.py").write_text(PROGRAM)

    def run(self, function: str, _entrypoint: str | None = None, _more: Any = None, **parameters: Any) -> FlowRun:
        now = datetime.now(UTC)
        deployment = Deployment(
            id=SYSTEM.new_id(), name=SYSTEM.new_id().hex, flow_id=flow_id(function), flow_name=function,
            created=now, updated=now, path=str(self.folder / "code"), entrypoint=_entrypoint or f"flows.py:{function}",
            **(_more or {}),
        )  # fmt: skip
        with connect.open_store().write() as tx:
            deployments.put(tx, deployment)
            return running.create_run(tx, deployment, now=now, scheduled=now, parameters=parameters)

    def start(self, run: FlowRun) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "penstock.flows.launched", str(run.id)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **WATCHED},
        )

    def execute(self, run: FlowRun) -> tuple[int, str]:
        process = self.start(run)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def read(self, id: UUID) -> FlowRun:
        found = self._record.read(lambda tx: flow_runs.get(tx, id))
        assert found is not None
        return found


@pytest.fixture
def launching(tmp_path: Path, record: Record) -> Launching:
    return Launching(tmp_path, record)


def test_it_runs_by_the_one_engine_with_its_parameters_in_its_folder(launching: Launching, record: Record) -> None:
    run = launching.run("doubling", x="20")
    code, said = launching.execute(run)
    found = launching.read(run.id)
    assert (code, names(found)) == (0, ["Scheduled", "Pending", "Running", "Completed"]), said
    assert (found.name, found.parameters, found.epoch) == ("doubling-20", {"x": "20", "y": "1"}, 2)
    assert "double 20" in record.messages(found)
    (task_run,) = record.task_runs()
    assert task_run.flow_run_id == run.id


def test_it_ends_with_1_when_its_flow_fails(launching: Launching) -> None:
    run = launching.run("broken")
    assert launching.execute(run)[0] == 1
    assert "as it happens" in (launching.read(run.id).state.message or "")


@pytest.mark.parametrize(
    ("function", "entrypoint", "parameters", "message"),
    [
        ("doubling", "gone.py:doubling", {"x": 1}, "The file .*gone.py of entrypoint 'gone.py:doubling' is not there"),
        ("doubling", "flows.py:tripling", {"x": 1}, "There is no flow 'tripling' in"),
        ("doubling", "no.such.module.tripling", {"x": 1}, "ModuleNotFoundError: No module named 'no'"),
        ("doubling", "flows.py:doubling", {"z": 1}, "Flow 'doubling' has no parameter 'z'; it has: x, y"),
        ("doubling", "flows.py:doubling", {}, "Flow 'doubling' needs a parameter 'x', which was not given"),
        ("doubling", "nonsense", {"x": 1}, "'nonsense' does not say where a flow is"),
    ],
)
def test_a_flow_that_cannot_be_loaded_fails_its_run_and_says_why(
    launching: Launching, record: Record, function: str, entrypoint: str, parameters: Any, message: str
) -> None:
    import re

    run = launching.run(function, entrypoint, **parameters)
    code, _ = launching.execute(run)
    found = launching.read(run.id)
    assert (code, found.state_name) == (1, "Failed")
    assert re.search(message, found.state.message or ""), found.state.message
    assert any(re.search(message, line) for line in record.messages(found))


def test_an_error_in_the_user_s_module_is_shown_with_its_place(launching: Launching, record: Record) -> None:
    (launching.folder / "code" / "bad.py").write_text("import os\n1 / 0\n")
    run = launching.run("doubling", "bad.py:doubling", x=1)
    launching.execute(run)
    assert 'bad.py", line 2' in "\n".join(record.messages(launching.read(run.id)))


def test_parameters_that_do_not_fit_fail_it_before_its_code_begins(launching: Launching) -> None:
    run = launching.run("doubling", x="many")
    launching.execute(run)
    found = launching.read(run.id)
    assert names(found) == ["Scheduled", "Pending", "Failed"]
    assert "x: Input should be a valid integer" in (found.state.message or "")


def test_steps_bring_the_code_and_the_user_s_own_are_taken(launching: Launching) -> None:
    repository = launching.folder / "repository"
    repository.mkdir()
    (repository / "flows.py").write_text(PROGRAM)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    steps = (
        {"penstock.deployments.steps.set_working_directory": {"directory": str(launching.folder)}},
        {"prefect.deployments.steps.git_clone": {"repository": f"file://{repository}", "branch": "main"}},
        {"penstock.deployments.steps.run_shell_script": {"script": "touch was-here"}},
    )
    run = launching.run("doubling", _more={"pull_steps": steps}, x=1)
    code, said = launching.execute(run)
    assert code == 0, said
    assert (launching.folder / "repository-main" / "was-here").exists()
    again = launching.run("doubling", _more={"pull_steps": steps}, x=1)
    assert launching.execute(again)[0] == 0


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"git_clone": {"repository": "file:///nowhere"}}, "git_clone: git clone: .*nowhere"),
        ({"git_clone": {"repository": "--upload-pack=x"}}, "does not begin with '-'"),
        ({"git_clone": {"repository": "file:///x", "clone_directory_name": "../y"}}, "is no name of a folder"),
        ({"run_shell_script": {"script": "no-such-command"}}, "'no-such-command' cannot be run"),
        ({"run_shell_script": {"script": "false"}}, "'false' ended with exit code 1"),
        ({"run_shell_script": {"scrip": "false"}}, "cannot be taken with these arguments"),
        ({"penstock.deployments.steps.fly": {}}, "There is no step 'penstock.deployments.steps.fly'; there are"),
        ({"no.such.step": {}}, "Step 'no.such.step' cannot be found"),
    ],
)
def test_a_step_that_fails_fails_the_run_and_is_named(launching: Launching, step: Any, message: str) -> None:
    import re

    run = launching.run("doubling", _more={"pull_steps": (step,)}, x=1)
    assert launching.execute(run)[0] == 1
    assert re.search(message, launching.read(run.id).state.message or "", re.S), launching.read(run.id).state.message


def test_a_run_is_executed_once(launching: Launching) -> None:
    run = launching.run("doubling", x=1)
    assert launching.execute(run)[0] == 0
    before = launching.read(run.id)
    code, said = launching.execute(run)
    assert code == 1
    assert "is Completed: it cannot be started." in said
    assert launching.read(run.id) == before


def test_a_run_that_was_cancelled_before_it_began_does_not_begin(launching: Launching, tmp_path: Path) -> None:
    run = launching.run("sleeping", path=str(tmp_path / "begun"))
    cancelling.cancel_flow_run(
        connect.open_store(), run.id, who="ann", grace=None, now=datetime.now(UTC), lives=lambda holder: None
    )
    assert launching.execute(run)[0] == 1
    assert not (tmp_path / "begun").exists()
    assert launching.read(run.id).state_name == "Cancelled"


def test_it_hears_that_it_is_cancelled_also_without_a_worker(launching: Launching, tmp_path: Path) -> None:
    run = launching.run("sleeping", path=str(tmp_path / "begun"))
    process = launching.start(run)
    until((tmp_path / "begun").exists)
    cancelling.cancel_flow_run(
        connect.open_store(), run.id, who="ann", grace=5, now=datetime.now(UTC), lives=lambda holder: None
    )
    said, _ = process.communicate(timeout=20)
    found = launching.read(run.id)
    assert (process.returncode, found.state_name) == (1, "Cancelled"), said
    assert (found.state.details or {})["who"] == "ann"


def test_it_crashes_when_its_process_is_killed(launching: Launching, tmp_path: Path) -> None:
    run = launching.run("sleeping", path=str(tmp_path / "begun"))
    process = launching.start(run)
    until((tmp_path / "begun").exists)
    process.kill()
    process.communicate()
    until(lambda: connect.close_dead(connect.open_store()) or launching.read(run.id).state.is_final())
    assert launching.read(run.id).state_name == "Crashed"


def test_it_is_launched_once_more_and_what_it_completed_is_not_run_again(
    launching: Launching, record: Record, tmp_path: Path
) -> None:
    run = launching.run("halting", folder=str(tmp_path))
    launching.execute(run)
    assert launching.read(run.id).state_name == "Failed"
    (tmp_path / "repaired").touch()
    again = reopening.relaunch(connect.open_store(), run.id, who="ann", now=datetime.now(UTC))
    assert again.state_name == "AwaitingRetry"
    code, said = launching.execute(run)
    found = launching.read(run.id)
    assert (code, found.state_name, found.run_count) == (0, "Completed", 2), said
    assert (tmp_path / "done").read_text() == "x"
    assert any("attempt 2: asked for by ann" in message for message in record.messages(found))
    with pytest.raises(TransitionRefused, match="is Completed: there is nothing to retry"):
        reopening.relaunch(connect.open_store(), run.id, who="ann", now=datetime.now(UTC))
