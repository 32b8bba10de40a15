"""Pauses outlive their processes: the program that waits, the server, and both; and go on by every way there is."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import connect, resume_flow_run
from penstock.client.opening import get_client
from penstock.domain.runs import FlowRun
from penstock.exceptions import NotPausedError
from penstock.settings import temporary_settings

from ..flows.kit import SOURCE, Programs, names, until
from .kit import ServerProcess, runs_of

WAITS = """
    import sys
    from pathlib import Path
    from penstock import flow, task, pause_flow_run, suspend_flow_run

    @task
    def before(folder):
        with open(Path(folder, "before"), "a") as file:
            file.write("x")
        return 40

    @flow(log_prints=True)
    def waits(folder: str, how: str, timeout: float = 600):
        value = before(folder)
        if how == "pause":
            more = pause_flow_run(wait_for_input=int, timeout=timeout)
        else:
            more = suspend_flow_run(wait_for_input=int, timeout=timeout)
        print("it is", value + more)
        Path(folder, "after").write_text(str(value + more))

    if __name__ == "__main__":
        waits(*sys.argv[1:3], *map(float, sys.argv[3:]))
"""


class Waiting:
    """A program that waits, reporting to a server, or (without one) into the home of this test."""

    def __init__(self, programs: Programs, folder: Path, url: str | None) -> None:
        self._programs = programs
        self._url = url
        self.folder = folder
        self.environment = {} if url is None else {"PENSTOCK_API_URL": url}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return self._programs.start(WAITS, self.folder, *arguments, **self.environment)

    def run(self) -> FlowRun | None:
        with temporary_settings({"PENSTOCK_API_URL": self._url}), get_client(sync_client=True) as client:
            return next(iter(client.read_flow_runs(limit=1)), None)

    def runs(self, state: str) -> list[FlowRun]:
        with temporary_settings({"PENSTOCK_API_URL": self._url}), get_client(sync_client=True) as client:
            return [run for run in client.read_flow_runs(limit=10) if run.state_name == state]

    def until_state(self, *wanted: str) -> FlowRun:
        def look() -> FlowRun | None:
            run = self.run()
            return run if run is not None and run.state_name in wanted else None

        found = until(look, 30)
        assert found is not None
        return found

    def command(self, *arguments: object, of: str = "flow-run") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), **self.environment}
        return subprocess.run(
            [sys.executable, "-m", "penstock", of, *map(str, arguments)],
            capture_output=True, text=True, env=environment, timeout=60, check=False,
        )  # fmt: skip

    def text(self, name: str) -> str | None:
        path = self.folder / name
        return path.read_text() if path.exists() else None


@pytest.fixture(params=["embedded", "served"])
def waiting(
    request: pytest.FixtureRequest, programs: Programs, tmp_path: Path, penstock_home: Path
) -> Iterator[Waiting]:
    url = request.getfixturevalue("server").url if request.param == "served" else None
    folder = tmp_path / "waiting"
    folder.mkdir()
    yield Waiting(programs, folder, url)
    connect.disconnect()


def by_command(waiting: Waiting, server: ServerProcess, run: FlowRun) -> None:
    done = waiting.command("resume", run.id, "--input", "2", "--comment", "fine")
    assert done.returncode == 0, done.stderr
    assert "goes on" in done.stdout


def by_rest(waiting: Waiting, server: ServerProcess, run: FlowRun) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = json.dumps({"run_input": {"value": 2}})
    connection.request("POST", f"/api/flow_runs/{run.id}/resume", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    assert (answer.status, said["state"]["name"]) == (200, "Resuming"), said
    connection.request("POST", f"/api/flow_runs/{run.id}/resume", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    assert (answer.status, said["error"]["code"]) == (409, "not-paused"), said
    connection.close()


def by_python(waiting: Waiting, server: ServerProcess, run: FlowRun) -> None:
    with temporary_settings({"PENSTOCK_API_URL": server.url}):
        resume_flow_run(run.id, 2)
        with pytest.raises(NotPausedError):
            resume_flow_run(run.id, 2)


def by_client(waiting: Waiting, server: ServerProcess, run: FlowRun) -> None:
    with temporary_settings({"PENSTOCK_API_URL": server.url}), get_client(sync_client=True) as client:
        (listed,) = client.read_pauses()
        assert (listed.run.id, listed.pause.key) == (run.id, "1")
        client.resume_flow_run(run.id, {"value": 2})
        assert client.read_pauses() == []


@pytest.mark.parametrize("way", [by_command, by_rest, by_python, by_client])
def test_a_program_that_waits_goes_on_by_every_way(
    programs: Programs, server: ServerProcess, tmp_path: Path, way: Callable[..., None]
) -> None:
    waiting = Waiting(programs, tmp_path, server.url)
    program = waiting.start("pause")
    run = waiting.until_state("Paused")
    way(waiting, server, run)
    finished = programs.finish(program)
    assert finished.code == 0, finished.stderr
    assert waiting.text("after") == "42"
    assert names(runs_of(server.url)[0])[2:] == ["Paused", "Resuming", "Running", "Completed"]
    connect.disconnect()


def test_a_suspended_program_is_gone_and_is_entered_again_by_a_command(waiting: Waiting, programs: Programs) -> None:
    program = waiting.start("suspend")
    finished = programs.finish(program)
    assert "penstock.exceptions.RunSuspended: Flow run" in finished.stderr
    run = waiting.until_state("Suspended")
    assert run.holder is None
    refused = waiting.command("resume", run.id, "--input", '"x"')
    assert (refused.returncode, "is not of type 'integer'" in refused.stderr) == (1, True), refused.stderr
    done = waiting.command("resume", run.id, "--input", "2")
    assert done.returncode == 0, done.stderr
    assert "it is 42" in done.stderr
    assert (waiting.text("before"), waiting.text("after")) == ("x", "42")  # the task was not run again
    assert names(waiting.until_state("Completed")) == [
        "Pending", "Running", "Suspended", "Resuming", "Running", "Completed",
    ]  # fmt: skip


def test_a_run_whose_program_was_killed_while_it_waited_is_resumed_by_entering_it(waiting: Waiting) -> None:
    program = waiting.start("pause")
    run = waiting.until_state("Paused")
    program.kill()
    program.wait()
    run = waiting.until_state("Suspended")
    done = waiting.command("resume", run.id, "--input", "2")
    assert done.returncode == 0, done.stderr
    assert (waiting.text("before"), waiting.text("after")) == ("x", "42")


def test_a_pause_outlives_its_server(programs: Programs, server: ServerProcess, tmp_path: Path) -> None:
    waiting = Waiting(programs, tmp_path, server.url)
    program = waiting.start("pause")
    run = waiting.until_state("Paused")
    server.kill()
    assert program.poll() is None
    server.start()
    assert waiting.until_state("Paused").id == run.id
    by_rest(waiting, server, run)
    finished = programs.finish(program)
    assert finished.code == 0, finished.stderr
    assert waiting.text("after") == "42"
    connect.disconnect()


def test_a_pause_outlives_everything_and_its_deadline_holds(
    programs: Programs, server: ServerProcess, tmp_path: Path
) -> None:
    waiting = Waiting(programs, tmp_path, server.url)
    program = waiting.start("pause", 6)
    waiting.until_state("Paused")
    program.kill()
    program.wait()
    server.kill()
    server.start()
    run = waiting.until_state("Failed")
    assert str(run.state) == "Failed('The flow was paused and never resumed.')"
    deadline = run.states[2].details["deadline"]  # type: ignore[index]
    assert run.state.timestamp.isoformat() >= deadline
    assert names(run) == ["Pending", "Running", "Paused", "Suspended", "Failed"]
    connect.disconnect()


def test_a_run_is_suspended_from_outside_where_it_calls_its_next_task(waiting: Waiting, programs: Programs) -> None:
    program = programs.start(CALLS, waiting.folder, **waiting.environment)
    until(lambda: waiting.text("calls"))
    run = waiting.until_state("Running")
    done = waiting.command("suspend", run.id)
    assert done.returncode == 0, done.stderr
    programs.finish(program)
    run = waiting.until_state("Suspended")
    before = waiting.text("calls") or ""
    (waiting.folder / "enough").touch()
    done = waiting.command("resume", run.id)
    assert done.returncode == 0, done.stderr
    assert waiting.text("calls") == before + "x"  # those that had completed were not called again
    waiting.until_state("Completed")


CALLS = """
    import sys, time
    from pathlib import Path
    from penstock import flow, task

    @task
    def call(folder, number):
        with open(Path(folder, "calls"), "a") as file:
            file.write("x")
        time.sleep(0.05)
        return Path(folder, "enough").exists()

    @flow
    def calls(folder: str):
        for number in range(1000):
            if call(folder, number):
                break

    if __name__ == "__main__":
        calls(sys.argv[1])
"""


def test_bad_input_of_commands_is_one_sentence(waiting: Waiting, programs: Programs) -> None:
    finished = programs.finish(waiting.start("suspend"))
    assert finished.code != 0
    run: Any = waiting.until_state("Suspended")
    for arguments, code, said in (
        (["resume", run.id, "--input", "{"], 2, "--input is JSON"),
        (["pause", run.id], 1, "only a run that is Running can be paused"),
        (["pause", run.id, "--timeout", "soon"], 2, "--timeout"),
        (["resume", "no-such-run"], 1, "not found"),
    ):
        done = waiting.command(*arguments)
        assert (done.returncode, said in done.stderr) == (code, True), (arguments, done.stderr)
        assert "Traceback" not in done.stderr


APPROVES = """
    from penstock import flow
    from penstock.approvals import require_approval

    @flow(log_prints=True)
    def asks():
        print("first:", require_approval("Delete it?", timeout=600).comment)
        print("second:", require_approval("And this?", timeout=600, suspend=True, raise_on_rejection=False).approved)

    if __name__ == "__main__":
        asks()
"""


def test_approvals_are_listed_approved_and_rejected_by_commands(waiting: Waiting, programs: Programs) -> None:
    program = programs.start(APPROVES, **waiting.environment)
    run = waiting.until_state("Paused")
    listed = waiting.command("ls", of="approval")
    assert all(text in listed.stdout for text in ("asks", "anybody", "0/1", "Delete it?")), listed.stdout
    done = waiting.command("approve", run.id, "--comment", "go", of="approval")
    assert (done.returncode, "goes on" in done.stdout) == (0, True), done.stderr
    finished = programs.finish(program)
    assert "first: go" in finished.stderr
    run = waiting.until_state("Suspended")
    done = waiting.command("reject", run.id, of="approval")
    assert done.returncode == 0, done.stderr
    assert "second: False" in done.stderr
    waiting.until_state("Completed")
    assert "Nothing waits for anybody." in waiting.command("ls", of="approval").stderr
    refused = waiting.command("reject", run.id, of="approval")
    assert (refused.returncode, "isn't paused" in refused.stderr) == (1, True)


SLEEPS = """
    import sys
    from pathlib import Path
    from penstock import flow, task
    from penstock.flow_runs import sleep_until

    @task
    def before(folder):
        with open(Path(folder, "before"), "a") as file:
            file.write("x")

    @flow
    def sleeps(folder: str):
        before(folder)
        sleep_until(1.5, suspend=True)
        Path(folder, "after").touch()

    if __name__ == "__main__":
        sleeps(sys.argv[1])
"""


def test_a_sleep_without_a_process_is_over_at_its_moment(waiting: Waiting, programs: Programs) -> None:
    programs.finish(programs.start(SLEEPS, waiting.folder, **waiting.environment))
    run = waiting.until_state("Suspended")
    waiting.until_state("Resuming")
    done = waiting.command("resume", run.id)
    assert done.returncode == 0, done.stderr
    waiting.until_state("Completed")
    assert (waiting.text("before"), waiting.text("after")) == ("x", "")


BELOW = """
    import sys
    from pathlib import Path
    from penstock import flow, pause_flow_run, task

    @task
    def before(folder):
        with open(Path(folder, "before"), "a") as file:
            file.write("x")

    @flow
    def inner(folder: str):
        before(folder)
        return pause_flow_run(wait_for_input=int, timeout=600)

    @flow
    def outer(folder: str):
        before(folder)
        Path(folder, "after").write_text(str(40 + inner(folder)))

    if __name__ == "__main__":
        outer(sys.argv[1])
"""


@pytest.mark.parametrize("resumed", ["outer", "inner"])
def test_who_called_a_flow_that_waits_when_the_program_is_killed_waits_with_it(
    waiting: Waiting, programs: Programs, resumed: str
) -> None:
    program = programs.start(BELOW, waiting.folder, **waiting.environment)
    waiting.until_state("Paused")
    program.kill()
    program.wait()
    waiting.until_state("Suspended")
    until(lambda: len(waiting.runs("Suspended")) == 2)
    runs = {run.flow_name: run for run in waiting.runs("Suspended")}
    done = waiting.command("resume", runs[resumed].id, "--input", "2")
    assert done.returncode == 0, done.stderr
    assert (waiting.text("before"), waiting.text("after")) == ("xx", "42")
    assert len(waiting.runs("Completed")) == 2
