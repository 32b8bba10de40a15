"""Planning: the runs that schedules will want are in the record some time before they are due.

Law: a time of a schedule is one run: its id follows from both, so planning twice is planning once, whoever plans. What
was planned under other circumstances (the schedule was changed, paused or deleted) and has not begun is taken back.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid5

import msgspec

from ..domain.deployments import Deployment
from ..domain.errors import ScheduleError
from ..domain.ids import uuid7
from ..domain.rules import Facts
from ..domain.schedule_times import latest, times
from ..domain.schedules import CatchUp, DeploymentSchedule
from ..domain.states import SCHEDULED, make
from ..store import deployments, flow_runs, launches, schedules
from ..store.contract import Store, Tx
from . import orchestrate, running

# So many of a schedule's next times are planned, but none that is farther away; and so many at least.
MOST_AHEAD, FARTHEST, LEAST_AHEAD = 100, timedelta(days=1), 3
# So many missed times of one schedule are caught up at most, and a time counts as missed when it passed so long ago.
MOST_MISSED = 1_000
MISSED = timedelta(seconds=60)
# A run that nobody has claimed so long after its time is late.
LATE = timedelta(seconds=15)
_NAMESPACE = UUID("8d0d6d51-5a44-5c0b-8f7e-3f8c7c1b1f1c")
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def plan(store: Store, now: datetime) -> int:
    """Plans the next runs of all schedules that want some; how many."""
    with store.read() as tx:
        wanting = [each for each in schedules.active(tx) if _wants(each, now)]
    planned = 0
    for schedule in wanting:
        try:
            wanted = _due(schedule, now)  # nobody who writes waits while times are computed
        except ScheduleError as error:
            _stop(store, schedule, str(error))
            continue
        with store.write() as tx:
            fresh = schedules.get(tx, schedule.id)
            deployment = deployments.get(tx, schedule.deployment_id)
            unchanged = fresh is not None and msgspec.structs.asdict(fresh) == msgspec.structs.asdict(schedule)
            if unchanged and deployment is not None and not deployment.paused:
                planned += _plan(tx, deployment, schedule, wanted, now)
    return planned


class _Due(msgspec.Struct, frozen=True):
    """What is planned of a schedule: times that were `missed`, and times `ahead`; up to when, then."""

    missed: list[datetime]
    ahead: list[datetime]
    until: datetime


def _stop(store: Store, schedule: DeploymentSchedule, problem: str) -> None:
    """One whose times cannot be told stops, and says why; it does not keep the others from being planned."""
    with store.write() as tx:
        fresh = schedules.get(tx, schedule.id)
        if fresh is not None and fresh.updated == schedule.updated:
            schedules.put(tx, msgspec.structs.replace(fresh, active=False, problem=problem))


def _wants(schedule: DeploymentSchedule, now: datetime) -> bool:
    return schedule.plan_again is None or now >= schedule.plan_again


def _due(schedule: DeploymentSchedule, now: datetime) -> _Due:
    """Raises `ScheduleError`."""
    since = schedule.planned_until or now  # a new one begins with what is still to come
    missed: list[datetime] = []
    if since < now - MISSED:
        missed, since = _missed(schedule, since, now), now
    end = now + FARTHEST
    ahead = times(schedule.schedule, created=schedule.created, after=since, limit=MOST_AHEAD, until=end)
    until = ahead[-1] if len(ahead) == MOST_AHEAD else end
    if len(ahead) < LEAST_AHEAD:
        ahead = times(schedule.schedule, created=schedule.created, after=since, limit=LEAST_AHEAD, until=LATEST)
    return _Due(missed, ahead, until)


def _missed(schedule: DeploymentSchedule, since: datetime, now: datetime) -> list[datetime]:
    """The times that passed while nobody planned; the policy says which of them are run."""
    if schedule.catchup_window is not None:
        since = max(since, now - timedelta(seconds=schedule.catchup_window))
    if schedule.catchup is CatchUp.NONE or since >= now:
        return []
    if schedule.catchup is CatchUp.LATEST:
        last = latest(schedule.schedule, created=schedule.created, after=since, before=now)
        return [] if last is None else [last]
    return times(schedule.schedule, created=schedule.created, after=since, limit=MOST_MISSED, until=now)


def _plan(tx: Tx, deployment: Deployment, schedule: DeploymentSchedule, wanted: _Due, now: datetime) -> int:
    planned = 0
    for each in wanted.missed:
        said = f"Caught up: it was due {(now - each).total_seconds():.0f} seconds ago."
        planned += _make(tx, deployment, schedule, each, now, said)
    schedule.planned_until = wanted.until
    # Half of what is planned may pass before more is.
    schedule.plan_again = now + (schedule.planned_until - now) / 2
    for each in wanted.ahead:
        planned += _make(tx, deployment, schedule, each, now, None)
    schedules.put(tx, schedule)
    return planned


def _make(
    tx: Tx, deployment: Deployment, schedule: DeploymentSchedule, due: datetime, now: datetime, message: str | None
) -> int:
    id = run_id(schedule, due)
    if flow_runs.get(tx, id) is not None:
        return 0
    begin = due
    if schedule.jitter:
        begin += timedelta(seconds=Random(id.int).uniform(0, schedule.jitter))
    running.create_run(
        tx, deployment, now=now, scheduled=begin, parameters=schedule.parameters, id=id, tags=("auto-scheduled",),
        schedule_id=schedule.id, message=message,
    )  # fmt: skip
    return 1


def run_id(schedule: DeploymentSchedule, due: datetime) -> UUID:
    """The id of the run that a schedule's time is: it tells when it is due, as other ids tell when they were made."""
    mark = uuid5(_NAMESPACE, f"{schedule.id} {due.isoformat()}").int
    return uuid7(round(due.timestamp() * 1e9), mark)


def take_back(tx: Tx, schedule_id: UUID) -> int:
    """Deletes what was planned for a schedule and nobody has claimed; how many runs."""
    count = 0
    for launch in launches.waiting_of(tx, "schedule_id", schedule_id.bytes):
        run = flow_runs.get(tx, launch.flow_run_id)
        if run is None or run.state_name == "Scheduled":
            flow_runs.delete(tx, [launch.flow_run_id])
            count += 1
    return count


def replan(tx: Tx, schedule: DeploymentSchedule, now: datetime) -> DeploymentSchedule:
    """A schedule that was changed, to be planned anew from now on."""
    take_back(tx, schedule.id)
    fresh = msgspec.structs.replace(schedule, planned_until=None, plan_again=None, updated=now)
    schedules.put(tx, fresh)
    return fresh


def mark_late(store: Store, now: datetime) -> int:
    """Says of runs that should have begun that they have not; how many."""
    with store.read() as tx:
        late = [launch.flow_run_id for launch in launches.late(tx, now - LATE, MOST_MISSED)]
    if not late:
        return 0
    marked = 0
    with store.write() as tx:
        for id in late:
            launch, run = launches.get(tx, id), flow_runs.get(tx, id)
            if launch is None or launch.claimed is not None or launch.ended is not None or launch.late:
                continue
            launch.late = True
            launches.put(tx, launch)
            if run is not None and run.state.type is SCHEDULED and run.state_name == "Scheduled":
                message = "Nobody has claimed it yet, though it is due."
                orchestrate.enter(tx, id, make("Late", now, message=message), Facts())
                marked += 1
    return marked
