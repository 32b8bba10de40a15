"""`penstock artifact` and `penstock event`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import connect
from penstock.artifacts import create_link_artifact, create_markdown_artifact, create_progress_artifact

from .conftest import Run


@pytest.fixture(autouse=True)
def disconnected(folder: Path) -> Iterator[None]:
    yield
    connect.disconnect()


def test_artifacts_are_listed_shown_and_deleted(run: Run) -> None:
    for text in ("# one", "# two"):
        create_markdown_artifact(text, key="report", description="of the day")
    create_link_artifact("http://x", "The link")
    id = create_progress_artifact(12.5)
    connect.settle()
    listed = json.loads(run("artifact", "ls", "-o", "json").stdout)
    assert [each["type"] for each in listed] == ["progress", "link", "markdown"]
    assert len(json.loads(run("artifact", "ls", "--all", "-o", "json").stdout)) == 4
    assert len(json.loads(run("artifact", "ls", "--key", "report", "-o", "json").stdout)) == 2
    assert "12.5 %" in run("artifact", "ls").stdout
    assert run("artifact", "inspect", "report").stdout.endswith("\n\n# two\n")
    assert run("artifact", "inspect", str(id)).stdout.endswith("12.5 %\n")
    assert run("artifact", "delete", "report", str(id), "--yes").stdout == "Deleted 3 artifacts.\n"
    missing = run("artifact", "inspect", "report")
    assert missing.exit_code != 0
    assert "Artifact 'report' not found!" in missing.output


def test_events_are_emitted_and_listed(run: Run) -> None:
    emitted = run("event", "emit", "order.shipped", "--resource-id", "shop.1", "--payload", '{"n": 2}', "-o", "json")
    assert json.loads(emitted.stdout)["payload"] == {"n": 2}
    run("event", "emit", "order.paid", "--resource-id", "shop.2", "--resource", "kind=order", "--related", "x")
    listed = json.loads(run("event", "ls", "-o", "json").stdout)
    assert [each["event"] for each in listed] == ["order.paid", "order.shipped"]
    assert listed[0]["resource"] == {"penstock.resource.id": "shop.2", "kind": "order"}
    assert "order.shipped" in run("event", "ls", "--event", "order.s*").stdout
    assert "order.paid" not in run("event", "ls", "--event", "order.s*").stdout
    assert "No events fit." in run("event", "ls", "--after", "2099-01-01").output


def test_a_payload_is_a_json_object(run: Run) -> None:
    for payload in ("[]", "x", "NaN"):
        ended = run("event", "emit", "e", "--resource-id", "r", "--payload", payload)
        assert ended.exit_code == 2
        assert "--payload is a JSON object" in ended.output
