"""Automations where a server runs: what happens to the runs of any process has something done, which is recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from penstock import connect, flow
from penstock.automations import Automation, EventMatch, Happened, Notify, RunState, read_automations, save_automation
from penstock.blocks.notifications import SlackWebhook
from penstock.events import emit_event
from penstock.exceptions import AutomationError, BadRequest
from penstock.settings import temporary_settings

from ..blocks.services import WebService, web_service
from ..flows.fixtures import threads_allowed
from ..flows.kit import SOURCE, until
from .kit import ServerProcess

__all__ = ["threads_allowed"]
TOLD = """
automations:
  - name: tell ops
    trigger: {type: run-state, states: [Failed]}
    actions:
      - {type: notify, block: slack-webhook/ops, subject: Look, body: "Oh: {{ flow_run.state_message }}"}
      - {type: notify, block: slack-webhook/gone}
"""


@pytest.fixture
def slack() -> Iterator[WebService]:
    with web_service() as made:
        yield made


@pytest.fixture
def served(penstock_home: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(penstock_home).start()
    try:
        with temporary_settings({"PENSTOCK_API_URL": server.url}):
            yield server
    finally:
        connect.disconnect()
        server.close()


def penstock(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "PENSTOCK_API_URL": server.url},
    )  # fmt: skip


def firings(server: ServerProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(penstock(server, "automation", "firings", "--output", "json").stdout)
    return found


@flow(name="fails")
def fails(why: str) -> None:
    raise ValueError(why)


def test_somebody_is_told_of_a_run_that_failed_and_what_could_not_be_done_is_recorded(
    served: ServerProcess, slack: WebService, tmp_path: Path
) -> None:
    SlackWebhook(url=SecretStr(f"{slack.url}/hook")).save("ops")
    file = tmp_path / "automations.yaml"
    file.write_text(TOLD)
    made = penstock(served, "automation", "create", "--from-file", str(file))
    assert made.stdout == "Automation 'tell ops' is enabled.\n", made.stderr
    assert "run-state: states Failed" in penstock(served, "automation", "ls").stdout
    with pytest.raises(ValueError, match="no water"):
        fails("no water {{ flow_run.id }}")
    until(lambda: slack.came)
    said = slack.came[0].json["text"]
    assert "no water {{ flow_run.id }}" in said
    until(lambda: all(each.get("done") for each in firings(served)))
    outcomes = {each["place"]: (each["failed"], each["outcome"]) for each in firings(served)}
    assert outcomes[0] == (False, "slack-webhook/ops was told.")
    assert outcomes[1][0]
    assert "gone" in outcomes[1][1]
    assert slack.url not in json.dumps(firings(served))  # the hook's address is a secret
    assert len(slack.came) == 1


def test_a_service_that_does_not_answer_keeps_nothing_else_waiting(served: ServerProcess, slack: WebService) -> None:
    slack.silent = threading.Event()
    SlackWebhook(url=SecretStr(f"{slack.url}/hook")).save("ops")
    save_automation(
        Automation(name="slow", trigger=RunState(states=("Failed",)), actions=(Notify(block="slack-webhook/ops"),))
    )
    save_automation(
        Automation(
            name="again", trigger=Happened(match=EventMatch(event="tick")),
            actions=(Notify(block="slack-webhook/ops"),),
        )
    )  # fmt: skip
    with pytest.raises(ValueError, match="x"):
        fails("x")
    until(lambda: slack.came)
    emit_event("tick", {"penstock.resource.id": "clock"})
    until(lambda: {each["automation"] for each in firings(served)} == {"slow", "again"})
    slack.silent.set()
    until(lambda: all(each.get("done") for each in firings(served)))


def test_one_can_be_paused_resumed_and_deleted(served: ServerProcess) -> None:
    save_automation(
        Automation(name="a", trigger=RunState(states=("Failed",)), actions=(Notify(block="slack-webhook/ops"),))
    )
    assert "is disabled" in penstock(served, "automation", "pause", "a").stdout
    assert not read_automations()[0].enabled
    assert "is enabled" in penstock(served, "automation", "resume", "a").stdout
    assert '"run-state"' in penstock(served, "automation", "inspect", "a").stdout
    assert "is deleted" in penstock(served, "automation", "delete", "a").stdout
    missing = penstock(served, "automation", "inspect", "a")
    assert (missing.returncode, "not found" in missing.stderr) == (1, True)


@pytest.mark.parametrize(
    "text",
    ["[", "- 7", "name: a", "{name: a, trigger: {type: never}, actions: [{type: notify, block: a/b}]}",
     "{name: a, trigger: {type: run-state, states: []}, actions: [{type: notify, block: a/b}]}",
     "{name: a, trigger: {type: worker-gone}, actions: []}",
     "{name: a, trigger: {type: worker-gone}, actions: [{type: notify, block: a/b, body: '{{ x }}'}]}",
     "&a [*a, *a]", "!!python/object/apply:os.system ['true']"],
)  # fmt: skip
def test_a_file_that_holds_none_is_said(text: str, tmp_path: Path, penstock_home: Path) -> None:
    from click.testing import CliRunner

    from penstock.cli.automation import automation

    file = tmp_path / "a.yaml"
    file.write_text(text)
    result = CliRunner().invoke(automation, ["create", "-f", str(file)])
    assert isinstance(result.exception, AutomationError)
    assert read_automations() == []


def test_wrong_types_from_python_are_refused(penstock_home: Path) -> None:
    for trigger in (RunState(states="Failed"), RunState(states=()), 7):  # type: ignore[arg-type]
        with pytest.raises(BadRequest):
            save_automation(Automation(name="a", trigger=trigger, actions=(Notify(block="a/b"),)))  # type: ignore[arg-type]
