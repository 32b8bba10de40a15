"""The seed's `semi_manual_process`, with only the package's name changed: a model is trained, somebody is told by
Slack, approves, and the rest is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from penstock import connect, get_client, resume_flow_run
from penstock.approvals import create_link
from penstock.domain.runs import FlowRun
from penstock.settings import temporary_settings

from ..blocks.services import WebService, web_service
from ..flows.kit import SOURCE, Programs, names, until
from .kit import ServerProcess

SEED = Path(__file__).parents[1] / "acceptance" / "seed" / "semi_manual_process.py"


@pytest.fixture
def slack() -> Iterator[WebService]:
    with web_service() as made:
        yield made


def penstock(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], input=given, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def by_command(run: FlowRun, server: ServerProcess) -> None:
    penstock("flow-run", "resume", str(run.id), PENSTOCK_API_URL=server.url)


def by_python(run: FlowRun, server: ServerProcess) -> None:
    resume_flow_run(str(run.id))


def by_client(run: FlowRun, server: ServerProcess) -> None:
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run.id)


def by_link(run: FlowRun, server: ServerProcess) -> None:
    with urlopen(create_link(run.id, to="ann"), data=urlencode({"verdict": "approve"}).encode()) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("approve", [by_command, by_python, by_client, by_link])
def test_somebody_is_told_approves_and_the_rest_is_run(
    slack: WebService, server: ServerProcess, programs: Programs, penstock_home: Path,
    approve: Callable[[FlowRun, ServerProcess], None],
) -> None:  # fmt: skip
    ui = f"http://127.0.0.1:{server.port}"
    served = {"PENSTOCK_API_URL": server.url, "PENSTOCK_UI_URL": ui}
    hook = f"{slack.url}/services/T0/B0/token"
    penstock("block", "create", "slack-webhook", "default", given=hook, **served)
    process = programs.start(SEED, **served)
    with temporary_settings(served), get_client(sync_client=True) as client:

        def waits() -> FlowRun | None:
            return next((run for run in client.read_flow_runs(limit=1) if run.state.is_paused()), None)

        run = until(waits)
        assert run is not None
        (came,) = slack.came
        assert came.path == "/services/T0/B0/token"
        assert came.json == {
            "text": "ChatGPT training finished. Please approve to continue processing: "
            f"{ui}/flow-runs/flow-run/{run.id}"
        }
        pausing = "Pausing flow, execution will continue when this flow run is resumed."
        until(lambda: pausing in [line.message for line in client.read_logs(run.id)])
        before = [line.message for line in client.read_logs(run.id)]
        assert "Waiting for approval..." in before
        assert not any("revealed" in line or "42" in line for line in before)
        approve(run, server)
        finished = programs.finish(process)
        assert finished.code == 0, finished.stderr
        ended = client.read_flow_run(run.id)
        assert names(ended)[2:] == ["Paused", "Resuming", "Running", "Completed"]
        after = [line.message for line in client.read_logs(run.id)]
        assert "Process got approved! 🎉 Moving on to the next task" in after
        assert "The answer is... 42!" in after
        who = "ann at 127.0.0.1 via link (made by anonymous)" if approve is by_link else "anonymous"
        assert ended.states[3].message == f"Resumed by {who}."  # nobody has to sign in at this server


def test_without_a_server_it_waits_and_goes_on_as_well(
    slack: WebService, programs: Programs, penstock_home: Path
) -> None:
    penstock("block", "create", "slack-webhook", "default", given=f"{slack.url}/services/T0/B0/token")
    process = programs.start(SEED)
    with get_client(sync_client=True) as client:
        run = until(lambda: next((run for run in client.read_flow_runs(limit=1) if run.state.is_paused()), None))
        assert run is not None
        assert f"http://ephemeral-orion/api/flow-runs/flow-run/{run.id}" in slack.came[0].json["text"]
        penstock("flow-run", "resume", str(run.id))
        finished = programs.finish(process)
        assert finished.code == 0, finished.stderr
        assert "The answer is... 42!" in finished.stderr
    connect.disconnect()


def test_a_slack_that_is_down_does_not_keep_the_run_from_waiting(
    slack: WebService, programs: Programs, penstock_home: Path
) -> None:
    slack.status = 500
    penstock("block", "create", "slack-webhook", "default", given=f"{slack.url}/services/T0/B0/token")
    process = programs.start(SEED)
    with get_client(sync_client=True) as client:
        run = until(lambda: next((run for run in client.read_flow_runs(limit=1) if run.state.is_paused()), None))
        assert run is not None
        warned = [line.message for line in client.read_logs(run.id) if line.level == 30]
        assert warned == [
            "Slack Webhook 'default' could not deliver a notification: 127.0.0.1 answered with status 500: ok."
        ]
        penstock("flow-run", "resume", str(run.id))
        assert programs.finish(process).code == 0
    connect.disconnect()
