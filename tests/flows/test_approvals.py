"""Approvals: who may decide, how many have to, and what a run does with what they decided."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from penstock import connect, flow, task
from penstock.approvals import Approval, require_approval
from penstock.blocks.notifications import SlackWebhook
from penstock.domain.pauses import Verdict
from penstock.domain.runs import FlowRun
from penstock.engine import identity
from penstock.exceptions import (
    ApprovalRejected,
    FlowPauseTimeout,
    InputRefused,
    NotAllowed,
    NotPausedError,
    TransitionRefused,
)
from penstock.services import pause_links, pausing
from penstock.services.pausing import Person

from ..blocks.services import WebService, web_service
from .kit import Record, names, until
from .test_pauses import Flows, flows, pause_of, paused

__all__ = ["flows"]


@pytest.fixture
def slack() -> Iterator[WebService]:
    with web_service() as made:
        yield made


def decide(run: FlowRun, verdict: Verdict, name: str, role: str = "operator", **more: Any) -> FlowRun:
    """As somebody of this name and role does at a server."""
    store = connect.open_store()
    by = Person(name, f"user {name}", role)
    return pausing.decide(store, run.id, verdict, by, now=connect._clock.now(), lives=identity.lives, **more)


def asks(**options: Any) -> Callable[[], Any]:
    @flow
    def asks() -> Approval:
        approval: Approval = require_approval("Delete it?", timeout=60, **options)
        return approval

    return asks


def test_an_approval_says_who_decided_and_what_was_asked(record: Record, flows: Flows) -> None:
    outcome = flows.start(asks())
    run = paused(record)
    assert "Waits to be approved" in (run.state.message or "")
    decide(run, Verdict.APPROVE, "ann", comment="go")
    until(lambda: outcome)
    approval: Approval = outcome[0]
    assert (approval.approved, approval.who, approval.comment) == (True, "user ann", "go")
    pause = pause_of(record, run)
    assert (pause.text, [each.name for each in pause.decisions]) == ("Delete it?", ["ann"])
    assert record.flow_run().states[4].message == "Approved by user ann."


def test_one_who_rejects_is_enough(record: Record, flows: Flows) -> None:
    outcome = flows.start(asks(quorum=2))
    run = paused(record)
    decide(run, Verdict.APPROVE, "ann")
    decide(run, Verdict.REJECT, "bob", comment="not today")
    until(lambda: outcome)
    assert isinstance(outcome[0], ApprovalRejected)
    assert str(outcome[0]) == "Rejected by user bob. not today"
    assert names(record.flow_run()) == [
        "Pending", "Running", "Paused", "Paused", "Resuming", "Running", "Failed",
    ]  # fmt: skip


def test_a_flow_may_go_on_after_a_rejection(record: Record, flows: Flows) -> None:
    outcome = flows.start(asks(raise_on_rejection=False))
    decide(paused(record), Verdict.REJECT, "bob")
    until(lambda: outcome)
    assert outcome[0].approved is False
    assert record.flow_run().state.is_completed()


def test_so_many_have_to_approve_and_each_decides_once(record: Record, flows: Flows) -> None:
    outcome = flows.start(asks(quorum=2))
    run = paused(record)
    assert "Approved by 1 of 2" in (decide(run, Verdict.APPROVE, "ann").state.message or "")
    with pytest.raises(TransitionRefused, match=r"ann has approved .* already"):
        decide(run, Verdict.APPROVE, "ann")
    assert outcome == []
    decide(run, Verdict.APPROVE, "bob")
    until(lambda: outcome)
    assert (outcome[0].who, len(outcome[0].decisions)) == ("user ann, user bob", 2)


def test_only_those_who_are_asked_decide(record: Record, flows: Flows) -> None:
    outcome = flows.start(asks(approvers=["ann", "role:admin"]))
    run = paused(record)
    for verdict in Verdict:
        with pytest.raises(NotAllowed, match="is approved by ann, role:admin, and not by bob"):
            decide(run, verdict, "bob")
    assert record.flow_run().state.is_paused()
    decide(run, Verdict.APPROVE, "carl", role="admin")
    until(lambda: outcome)
    assert outcome[0].who == "user carl"
    with pytest.raises(NotPausedError):
        decide(run, Verdict.APPROVE, "ann")


def test_an_approval_may_ask_for_an_input(record: Record, flows: Flows) -> None:
    outcome = flows.start(asks(wait_for_input=int))
    run = paused(record)
    with pytest.raises(InputRefused):
        decide(run, Verdict.APPROVE, "ann", input="many")
    decide(run, Verdict.APPROVE, "ann", input=3)
    until(lambda: outcome)
    assert outcome[0].input == 3


def test_a_plain_pause_cannot_be_rejected(record: Record, flows: Flows) -> None:
    from penstock import pause_flow_run

    @flow
    def waits() -> None:
        pause_flow_run(timeout=60)

    outcome = flows.start(waits)
    run = paused(record)
    with pytest.raises(TransitionRefused, match="not for an approval"):
        decide(run, Verdict.REJECT, "ann")
    decide(run, Verdict.APPROVE, "ann")
    until(lambda: outcome)


@pytest.mark.parametrize(
    ("on_timeout", "expected"), [("fail", FlowPauseTimeout), ("approve", True), ("reject", ApprovalRejected)]
)
def test_when_the_time_is_over_what_was_wanted_happens(record: Record, on_timeout: str, expected: Any) -> None:
    @flow
    def asks() -> Approval:
        approval: Approval = require_approval("Delete it?", timeout=0.05, on_timeout=on_timeout)
        return approval

    if expected is True:
        assert asks().approved
        return
    with pytest.raises(expected):
        asks()


def test_those_who_are_asked_are_told_and_reminded(record: Record, flows: Flows, slack: WebService) -> None:
    block = SlackWebhook(url=SecretStr(f"{slack.url}/hook"))
    outcome = flows.start(asks(notify=block, remind_every=1))
    run = paused(record)
    until(lambda: len(slack.came) >= 2)
    said = slack.came[0].json["text"]
    assert "Delete it?" in said
    assert f"penstock approval approve {run.id}" in said
    decide(run, Verdict.APPROVE, "ann")
    until(lambda: outcome)
    assert outcome[0].approved


def test_who_is_asked_gets_a_link_that_decides_and_the_same_again(
    record: Record, flows: Flows, slack: WebService, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = SlackWebhook(url=SecretStr(f"{slack.url}/hook"))
    monkeypatch.setenv("PENSTOCK_UI_URL", "https://flows.example")
    outcome = flows.start(asks(notify=block, remind_every=1, links=True, approvers=["ann", "role:admin"]))
    until(lambda: len(slack.came) >= 2)
    first, again = (
        set(re.findall(r"(\S+): https://flows.example/decide/(\S+)", each.json["text"])) for each in slack.came[:2]
    )
    assert first == again
    assert {to for to, _ in first} == {"ann", "role:admin"}
    with pytest.raises(NotAllowed):
        decide(paused(record), Verdict.APPROVE, "link")
    store, token = connect.open_store(), dict(first)["ann"]
    pause_links.use(store, token, Verdict.APPROVE, now=connect._clock.now(), lives=identity.lives)
    until(lambda: outcome)
    assert outcome[0].decisions[0].name == "ann"


def test_a_link_that_cannot_be_made_is_no_reason_not_to_wait(record: Record, flows: Flows, slack: WebService) -> None:
    outcome = flows.start(asks(notify=SlackWebhook(url=SecretStr(f"{slack.url}/hook")), links=True))
    run = paused(record)
    until(lambda: any("set PENSTOCK_UI_URL" in line for line in record.messages(run)))
    decide(run, Verdict.APPROVE, "ann")
    until(lambda: outcome)


def test_nobody_who_can_be_told_is_no_reason_not_to_wait(record: Record, flows: Flows, slack: WebService) -> None:
    slack.status = 500
    outcome = flows.start(asks(notify=[SlackWebhook(url=SecretStr(f"{slack.url}/hook"))]))
    run = paused(record)
    until(lambda: any("could not deliver" in line for line in record.messages(run)))
    decide(run, Verdict.APPROVE, "ann")
    until(lambda: outcome)
    assert outcome[0].approved


def test_in_an_asynchronous_flow_it_is_awaited(record: Record, flows: Flows) -> None:
    @flow
    async def asks() -> bool:
        approval: Approval = await require_approval("Delete it?", timeout=60)
        return approval.approved

    outcome = flows.start(lambda: asyncio.run(asks()))
    decide(paused(record), Verdict.APPROVE, "ann")
    until(lambda: outcome)
    assert outcome == [True]


def test_a_task_asks_for_its_flow(record: Record, flows: Flows) -> None:
    @task
    def ask() -> bool:
        approval: Approval = require_approval("Delete it?", timeout=60)
        return approval.approved

    @flow
    def waits() -> bool:
        return ask()

    outcome = flows.start(waits)
    decide(paused(record), Verdict.APPROVE, "ann")
    until(lambda: outcome)
    assert outcome == [True]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": " "}, "text is what people"), ({"quorum": 0}, "quorum"), ({"quorum": True}, "quorum"),
        ({"approvers": ["ann"], "quorum": 2}, "never be reached"), ({"approvers": [7]}, "approvers"),
        ({"remind_every": 0.1}, "remind_every"), ({"on_timeout": "shrug"}, "on_timeout"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_where_it_is_written(record: Record, options: Any, said: str) -> None:
    @flow
    def asks() -> None:
        require_approval(**{"text": "Delete it?", "timeout": 60, **options})

    with pytest.raises(ValueError, match=said):
        asks()
