"""Automations: keeping them, seeing what they fire for, and doing what needs the record only.

Law: what is seen, and how far was looked, is written in one transaction, so nothing fires twice, and nothing is left
out. What is done is tried when the firing is recorded, and again after a crash: each action is one that may be done
twice, or knows that it was done. (A notification may be sent again.)
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ..domain import names
from ..domain.automations import (
    Automation,
    CancelRun,
    Firing,
    PauseDeployment,
    ResumeDeployment,
    RunDeployment,
    RunLasts,
    RunState,
    WorkerGone,
    checked,
    filled_all,
    tag_of,
)
from ..domain.errors import ObjectNotFound, PenstockError
from ..domain.pools import WorkerRecord
from ..domain.runs import FlowRun
from ..protocol.deployments import CreateRun, UpdateDeployment
from ..store import automations, flow_runs, workers
from ..store.contract import Store, Tx
from . import cancelling, deployments, streaming
from .firing import firings_of
from .rescue import Lives

_log = logging.getLogger("penstock.server")

KEPT = timedelta(days=30)
AT_ONCE = 500
WORKERS_SEEN = timedelta(days=1)

# --- keeping them ----------------------------------------------------------------------------------------------------


def save(store: Store, automation: Automation, now: datetime) -> Automation:
    """Makes it, or puts it in the place of the one of its name; it counts from now on. Raises `InvalidName`, and
    `AutomationError`."""
    made = msgspec.structs.replace(checked(automation), since=now)
    with store.write() as tx:
        automations.put(tx, made)
        if automations.cursor(tx) is None:
            automations.set_cursor(tx, streaming.last_change(tx))
    return made


def enable(store: Store, name: str, enabled: bool, now: datetime) -> Automation:
    """Raises `ObjectNotFound`."""
    with store.write() as tx:
        there = _need(tx, name)
        if there.enabled == enabled:
            return there
        made = msgspec.structs.replace(there, enabled=enabled, since=now)
        automations.put(tx, made)
        return made


def get(store: Store, name: str) -> Automation:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        return _need(tx, name)


def list_all(store: Store) -> list[Automation]:
    with store.read() as tx:
        return automations.all_of(tx)


def delete(store: Store, name: str) -> None:
    """What it did stays recorded. Raises `ObjectNotFound`."""
    with store.write() as tx:
        _need(tx, name)
        automations.delete(tx, name)


def fired(store: Store, name: str | None, limit: int, behind: UUID | None) -> list[Firing]:
    """What was fired, the latest first."""
    with store.read() as tx:
        return automations.fired(tx, name, limit, behind)


def _need(tx: Tx, name: str) -> Automation:
    found = automations.get(tx, name)
    if found is None:
        known = [each.name for each in automations.all_of(tx)]
        raise ObjectNotFound(f"Automation {names.shown(name)} not found!{names.suggestion(name, known)}")
    return found


# --- seeing ----------------------------------------------------------------------------------------------------------


def watch(store: Store, now: datetime, lives: Lives, ui_url: str | None) -> bool:
    """Looks at what has changed since it last looked, and at what takes long; whether more has changed."""
    with store.read() as tx:
        n = automations.cursor(tx)
        if n is None:  # there never was one
            return False
        enabled = [each for each in automations.all_of(tx) if each.enabled]
        gone = _gone_workers(tx, enabled, now, lives)
        slow = _slow_runs(tx, enabled, now)
    before = n
    kept = streaming.kept(store)
    if not kept.reaches(n):  # nobody looked for so long that it is not known any more what changed
        n = kept.last
    read = streaming.news_since(store, n, lambda _: False, every_flow_run=lambda: True, limit=AT_ONCE)
    runs = [each.run for each in read.news if isinstance(each.run, FlowRun)]
    firings = [*gone]
    for each in enabled:
        if isinstance(each.trigger, RunState):
            firings += [one for run in runs for one in _entered(each, each.trigger, run, now, ui_url)]
        elif isinstance(each.trigger, RunLasts):
            trigger = each.trigger
            for run in slow:
                if trigger.fits(run, now):
                    subject = f"{run.id} {run.state.timestamp.isoformat()}"
                    firings += firings_of(each, subject, now, _of_run(run, ui_url), run.id)
    if firings or read.to != before:
        with store.write() as tx:
            # (Some may have been changed meanwhile.)
            stands = {each.name for each in automations.all_of(tx) if each in enabled}
            automations.fire(tx, [each for each in firings if each.automation in stands])
            automations.set_cursor(tx, read.to)
            automations.prune(tx, now - KEPT, AT_ONCE)
    return read.more


def _entered(
    automation: Automation, trigger: RunState, run: FlowRun, now: datetime, ui_url: str | None
) -> list[Firing]:
    if tag_of(automation.name) in run.tags:  # it made the run itself: it would go round for ever
        return []
    found = []
    for place, state in enumerate(run.states):
        if trigger.fits(run, state) and (automation.since is None or state.timestamp >= automation.since):
            about = _of_run(run, ui_url) | {
                "flow_run.state_name": state.name, "flow_run.state_message": state.message or ""
            }  # fmt: skip
            found += firings_of(automation, f"{run.id} {place}", now, about, run.id)
    return found


def _slow_runs(tx: Tx, enabled: list[Automation], now: datetime) -> list[FlowRun]:
    if not any(isinstance(each.trigger, RunLasts) for each in enabled):
        return []
    return [run for run in flow_runs.unfinished_held(tx) if run.state.is_running()]


def _gone_workers(tx: Tx, enabled: list[Automation], now: datetime, lives: Lives) -> list[Firing]:
    wanted = [(each, each.trigger) for each in enabled if isinstance(each.trigger, WorkerGone)]
    if not wanted:
        return []
    found = []
    for worker in workers.select(tx, None, now - WORKERS_SEEN, AT_ONCE):
        alive = None if worker.holder is None else lives(worker.holder)
        if worker.left is not None or not worker.is_gone(now, alive):
            continue
        for each, trigger in wanted:
            fits = not trigger.work_pools or worker.work_pool in trigger.work_pools
            if fits and (each.since is None or worker.heard >= each.since):
                subject = f"worker {worker.id} {worker.heard.isoformat()}"
                found += firings_of(each, subject, now, _of_worker(worker), None)
    return found


def _of_run(run: FlowRun, ui_url: str | None) -> dict[str, str]:
    return {
        "flow_run.id": str(run.id), "flow_run.name": run.name, "flow_run.flow_name": run.flow_name,
        "flow_run.state_name": run.state.name, "flow_run.state_message": run.state.message or "",
        "flow_run.url": f"{ui_url or ''}/flow-runs/flow-run/{run.id}",
    }  # fmt: skip


def _of_worker(worker: WorkerRecord) -> dict[str, str]:
    return {"worker.name": worker.name, "worker.work_pool": worker.work_pool or "", "worker.host": worker.host}


# --- doing -----------------------------------------------------------------------------------------------------------


def to_do(store: Store, notifications: bool) -> list[Firing]:
    """What is to be done: notifications, or all else."""
    with store.read() as tx:
        return automations.open_ones(tx, notifications, AT_ONCE)


def settle(store: Store, firing: Firing, outcome: str, *, failed: bool, now: datetime) -> None:
    """What came of it is recorded, and it is not done again."""
    firing.done, firing.outcome, firing.failed = now, outcome[:2_000], failed
    with store.write() as tx:
        automations.settle(tx, firing)


def act(store: Store, firing: Firing, now: datetime, lives: Lives) -> None:
    """Does what needs the record only."""
    try:
        outcome, failed = _act(store, firing, now, lives), False
    except PenstockError as error:
        outcome, failed = str(error), True
    except Exception as error:  # one that cannot be done must not keep the others waiting for ever
        _log.exception("an action of automation %s failed", firing.automation)
        outcome, failed = f"{type(error).__name__}: {error}", True
    settle(store, firing, outcome, failed=failed, now=now)


def _act(store: Store, firing: Firing, now: datetime, lives: Lives) -> str:
    action, who = firing.action, f"automation {firing.automation}"
    if isinstance(action, CancelRun):
        assert firing.flow_run_id is not None
        run = cancelling.cancel_flow_run(store, firing.flow_run_id, who=who, grace=action.grace, now=now, lives=lives)
        return f"Flow run {run.name!r} is {run.state_name}."
    if isinstance(action, RunDeployment):
        found = deployments.find(store, action.deployment)
        wanted = CreateRun(
            id=found.id, parameters=filled_all(action.parameters, firing.about), tags=(tag_of(firing.automation),),
            idempotency_key=f"firing {firing.id}",
        )  # fmt: skip
        return f"Flow run {deployments.create_run(store, wanted, now).name!r} was made."
    assert isinstance(action, PauseDeployment | ResumeDeployment)
    found = deployments.find(store, action.deployment)
    paused = isinstance(action, PauseDeployment)
    deployments.update(store, UpdateDeployment(id=found.id, paused=paused), now)
    return f"Deployment {found.full_name!r} is {'paused' if paused else 'resumed'}."
