"""Automations in the record: each fires once for what happened since it was made, and never for a run that has gone on.
On each database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from penstock.domain.automations import (
    Action,
    Automation,
    CancelRun,
    Firing,
    Happened,
    Notify,
    PauseDeployment,
    ResumeDeployment,
    RunDeployment,
    RunLasts,
    RunState,
    Trigger,
    WorkerGone,
    message,
)
from penstock.domain.events import Event, EventMatch
from penstock.domain.pools import WorkerRecord
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun
from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.exceptions import AutomationError, InvalidName, ObjectNotFound
from penstock.protocol.deployments import ApplyDeployment
from penstock.services import automations, deployments, events, orchestrate
from penstock.store import flow_runs, workers
from penstock.store.contract import Store

from .test_pausing import Office

TELL = Notify(block="slack-webhook/ops")


class Watched(Office):
    def automate(self, trigger: Trigger, *actions: Action, name: str = "a", **fields: Any) -> Automation:
        made = Automation(name=name, trigger=trigger, actions=actions or (TELL,), **fields)
        return automations.save(self.store, made, self.now())

    def enter(self, run: FlowRun, name: str, **fields: Any) -> None:
        self.second += 1
        with self.store.write() as tx:
            orchestrate.enter(tx, run.id, make(name, self.now(), **fields), Facts(retry_wanted=False))

    def watch(self) -> None:
        while automations.watch(self.store, self.now(), self.lives, "http://ui"):
            pass

    def fired(self, name: str | None = None) -> list[Firing]:
        self.watch()
        return automations.fired(self.store, name, 100, None)

    def act(self) -> list[tuple[str | None, bool | None]]:
        self.watch()
        for each in automations.to_do(self.store, notifications=False):
            automations.act(self.store, each, self.now(), self.lives)
        return [(each.outcome, each.failed) for each in automations.fired(self.store, None, 100, None)]


@pytest.fixture
def office(store: Store) -> Watched:
    return Watched(store)


def test_a_state_fires_once_for_the_runs_that_are_meant_and_says_which(office: Watched) -> None:
    flow = office.run().flow_name
    office.automate(RunState(states=("failed",), flows=("other", flow), tags=("prod",)))
    meant, other = office.run(tags=("prod", "x")), office.run()
    for run in (meant, other):
        office.enter(run, "Failed", message="{{ flow_run.id }}")
    for _ in range(3):
        (firing,) = office.fired()
    assert firing.flow_run_id == meant.id
    url = f"http://ui/flow-runs/flow-run/{meant.id}"
    assert message(TELL, firing.about) == f"{flow}/{meant.name} is Failed: {{{{ flow_run.id }}}}\n{url}"


def test_what_happened_before_it_was_made_or_enabled_does_not_count(office: Watched) -> None:
    office.enter(office.run(), "Failed")
    office.second += 1
    office.automate(RunState(states=("Failed",)))
    assert office.fired() == []
    automations.enable(office.store, "a", False, office.now())
    office.enter(office.run(), "Failed")
    assert office.fired() == []
    office.second += 1
    automations.enable(office.store, "a", True, office.now())
    assert office.fired() == []
    office.enter(office.run(), "Failed")
    assert len(office.fired()) == 1


def test_a_run_that_has_ended_since_does_not_fire_for_what_it_was(office: Watched) -> None:
    office.automate(RunState(states=("Running",)))
    run = office.run()
    office.enter(run, "Completed")
    assert office.fired() == []
    still = office.run()
    assert [each.flow_run_id for each in office.fired()] == [still.id]


def test_a_run_that_takes_long_fires_once_and_one_that_ended_in_time_never(office: Watched) -> None:
    office.automate(RunLasts(seconds=60), CancelRun())
    slow, quick = office.run(), office.run()
    office.second = 59
    office.enter(quick, "Completed")
    assert office.fired() == []
    office.second = 61
    assert [each.flow_run_id for each in office.fired()] == [slow.id]
    office.second = 70
    assert len(office.fired()) == 1
    assert office.act()[0] == (f"Flow run {slow.name!r} is Cancelling.", False)
    assert (office.read(slow).state.details or {})["who"] == "automation a"
    assert office.act()[0][1] is False  # and is not done again


def test_a_cancellation_that_comes_too_late_is_said_and_changes_nothing(office: Watched) -> None:
    office.automate(RunLasts(seconds=60), CancelRun())
    run = office.run()
    office.second = 61
    assert len(office.fired()) == 1
    office.enter(run, "Completed")
    ((outcome, failed),) = office.act()
    assert failed
    assert outcome is not None
    assert "Completed" in outcome
    assert office.read(run).state.name == "Completed"


def test_an_event_fires_once_however_often_it_is_sent(office: Watched) -> None:
    office.automate(Happened(match=EventMatch(event="disk.*", payload={"full": True})))
    for full in (True, False):
        event = Event(
            id=SYSTEM.new_id(), event="disk.checked", occurred=office.now(),
            resource={"penstock.resource.id": "disk.7"}, payload={"full": full},
        )  # fmt: skip
        for _ in range(2):
            events.add(office.store, [event], office.now())
    (firing,) = office.fired()
    assert (firing.about["event.resource_id"], firing.about["event.payload"]) == ("disk.7", '{"full":true}')


def test_a_worker_that_is_not_heard_of_any_more_fires_and_one_that_left_does_not(office: Watched) -> None:
    office.automate(WorkerGone(work_pools=("p",)))

    def worker(name: str, pool: str = "p", **fields: Any) -> WorkerRecord:
        return WorkerRecord(
            id=SYSTEM.new_id(), name=name, work_pool=pool, type="process", host="h", scope="s", version="1",
            started=office.now(), heard=office.now(), **fields,
        )  # fmt: skip

    with office.store.write() as tx:
        for each in (worker("lost"), worker("left", left=office.now()), worker("other", "q")):
            workers.put(tx, each)
    assert office.fired() == []
    office.second = 3600
    assert [each.about["worker.name"] for each in office.fired()] == ["lost"]
    assert len(office.fired()) == 1


def deployed(office: Watched) -> Any:
    wanted = ApplyDeployment(name="d", flow_name="f", entrypoint="f.py:f")  # type: ignore[call-arg]
    return deployments.apply(office.store, wanted, office.now()).deployment


def test_deployments_are_run_once_paused_and_resumed(office: Watched) -> None:
    found = deployed(office)
    text = {"of": "{{ flow_run.name }}"}
    office.automate(RunState(states=("Failed",)), RunDeployment(deployment="f/d", parameters=text), name="run")
    office.automate(RunState(states=("Failed",)), PauseDeployment(deployment="f/d"), name="pause")
    office.automate(RunState(states=("Crashed",)), ResumeDeployment(deployment="f/d"), name="resume")
    failed = office.run()
    office.enter(failed, "Failed")
    assert all(outcome[1] is False for outcome in office.act())
    assert deployments.get(office.store, found.id).paused
    office.act()
    with office.store.read() as tx:
        rows = list(tx.rows("SELECT id FROM flow_run WHERE deployment_id = ?", (found.id.bytes,)))
    assert len(rows) == 1
    office.enter(office.run(), "Crashed")
    office.act()
    assert not deployments.get(office.store, found.id).paused


def test_a_run_that_it_made_does_not_fire_it_again(office: Watched) -> None:
    deployed(office)
    office.automate(RunState(states=("Completed",)), RunDeployment(deployment="f/d"))
    office.enter(office.run(tags=("automation:a",)), "Completed")
    assert office.fired() == []
    office.enter(office.run(tags=("automation:b",)), "Completed")
    office.act()
    with office.store.read() as tx:
        made = [run for (id,) in tx.rows("SELECT id FROM flow_run WHERE deployment_id IS NOT NULL")
                if (run := flow_runs.get(tx, UUID(bytes=bytes(id)))) is not None]  # fmt: skip
    assert [run.tags for run in made] == [("automation:a",)]


def test_many_that_wait_to_be_told_keep_nothing_from_being_done(office: Watched) -> None:
    office.automate(RunState(states=("Failed",)), *[TELL] * 20, name="tell")
    office.automate(RunState(states=("Crashed",)), CancelRun(), name="do")
    for _ in range(30):
        office.enter(office.run(), "Failed")
    office.enter(office.run(), "Crashed")
    office.watch()
    assert len(automations.to_do(office.store, notifications=True)) == automations.AT_ONCE
    assert [each.automation for each in automations.to_do(office.store, notifications=False)] == ["do"]


def test_what_cannot_be_done_is_recorded_and_the_rest_is_done(office: Watched) -> None:
    office.automate(RunState(states=("Failed",)), RunDeployment(deployment="f/gone"), PauseDeployment(deployment="x/y"))
    office.enter(office.run(), "Failed")
    outcomes = office.act()
    assert [failed for _, failed in outcomes] == [True, True]
    assert all("not found" in (outcome or "") for outcome, _ in outcomes)


@pytest.mark.parametrize(
    "make_it",
    [
        lambda: Automation(name="a", trigger=WorkerGone(), actions=(CancelRun(),)),
        lambda: Automation(name="a", trigger=WorkerGone(), actions=(Notify(block="slack", body="x"),)),
        lambda: Automation(name="a", trigger=WorkerGone(), actions=(Notify(block="a/b", body="{{ flow_run.id }}"),)),
        lambda: Automation(
            name="a", trigger=RunState(states=("Failed",)),
            actions=(Notify(block="a/b", body="{{ flow_run.__class__ }}"),),
        ),
        lambda: Automation(
            name="a", trigger=RunState(states=("Failed",)),
            actions=(RunDeployment(deployment="f/d", parameters={"x": [{"y": "{{ secret }}"}]}),),
        ),
    ],
)  # fmt: skip
def test_what_could_never_be_done_is_refused(office: Watched, make_it: Callable[[], Automation]) -> None:
    with pytest.raises(AutomationError):
        automations.save(office.store, make_it(), office.now())
    with pytest.raises(ObjectNotFound):
        automations.get(office.store, "a")


def test_a_name_is_a_name(office: Watched) -> None:
    for name in ("", " ", "a/b", "a\nb", "\0"):
        with pytest.raises(InvalidName):
            office.automate(WorkerGone(), TELL.__class__(block="a/b", body="gone"), name=name)


def test_one_that_is_deleted_does_nothing_more_and_what_it_did_stays(office: Watched) -> None:
    office.automate(RunState(states=("Failed",)), CancelRun())
    office.enter(office.run(), "Failed")
    office.act()
    office.enter(office.run(), "Failed")
    office.watch()
    automations.delete(office.store, "a")
    assert automations.to_do(office.store, notifications=False) == []
    assert len(office.fired()) == 1
    with pytest.raises(ObjectNotFound):
        automations.delete(office.store, "a")
    office.second += timedelta(days=40).total_seconds()
    office.enter(office.run(), "Completed")
    assert office.fired() == []  # what is older than a month is forgotten
