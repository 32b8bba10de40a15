"""Backfills: made, run on by a few runs at a time, and cancelled.

Law: a time of a backfill is one run, made in the same transaction as the note that it was. No more of them are made
than may run at once, so what waits for long costs nothing, and a backfill is cancelled at once however long it is.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from ..domain import schedule_times
from ..domain.backfills import MOST_RUNS, Backfill
from ..domain.deployments import Deployment
from ..domain.errors import ObjectNotFound, ScheduleError, TransitionRefused
from ..domain.ids import uuid7
from ..domain.schedules import IntervalSchedule, OneOffSchedule, Schedule
from ..protocol.backfills import CreateBackfill
from ..store import backfills, deployments, flow_runs
from ..store.contract import Store, Tx
from . import cancelling, running
from .deployments import check_parameters, need
from .rescue import Lives

TAG = "backfill"
INSTANT = timedelta(microseconds=1)
_NAMESPACE = UUID("5d0f3e0c-9a4e-5f0a-9c1b-7a1f1f3f6c52")


def create(store: Store, wanted: CreateBackfill, *, who: str, now: datetime) -> Backfill:
    """Raises `ObjectNotFound`, `ParameterError`, and `ScheduleError` for a stretch without times, or with too many."""
    with store.write() as tx:
        deployment = need(tx, wanted.deployment_id)
        check_parameters(deployment, wanted.parameters, whole=True)
        schedule, made_at = _schedule(deployment, wanted)
        since = _since(schedule, made_at, wanted.start)
        start, end = wanted.start, min(wanted.end, now)
        if start >= end:
            raise ScheduleError(f"A backfill's start is before its end, and not in the future: {wanted.start} is not.")
        found = _times(schedule, since, None, start, end, MOST_RUNS + 1)
        if not found:
            raise ScheduleError(
                f"{schedule_times.in_words(schedule).capitalize()}: there is no such time from {start} to {end}."
            )
        if len(found) > MOST_RUNS:
            raise ScheduleError(
                f"From {start} to {end} there are more than {MOST_RUNS:,} times; take a shorter stretch."
            )
        made = Backfill(
            id=uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)), deployment_id=deployment.id,
            deployment_name=deployment.full_name, schedule=schedule, schedule_created=since, start=start, end=end,
            parallelism=wanted.parallelism, total=len(found), created=now, who=who, parameters=wanted.parameters,
        )  # fmt: skip
        if not wanted.dry_run:
            _go_on(tx, made, deployment, now)
            backfills.put(tx, made)
            made.counts = backfills.counts(tx, made.id)
        return made


def go_on(store: Store, now: datetime) -> int:
    """Makes the next runs of all backfills that may have some; how many."""
    with store.read() as tx:
        wanting = [each.id for each in backfills.open_ones(tx) if _wants(tx, each)]
    made = 0
    for id in wanting:
        with store.write() as tx:
            backfill = backfills.get(tx, id)
            if backfill is None or backfill.ended is not None:
                continue
            made += _go_on(tx, backfill, deployments.get(tx, backfill.deployment_id), now)
            backfills.put(tx, backfill)
    return made


def _wants(tx: Tx, backfill: Backfill) -> bool:
    running = len(backfills.unfinished(tx, backfill.id))
    if backfill.cancelled is not None or backfill.made == backfill.total:
        return running == 0
    return running < backfill.parallelism


def _go_on(tx: Tx, backfill: Backfill, deployment: Deployment | None, now: datetime) -> int:
    unfinished = len(backfills.unfinished(tx, backfill.id))
    if deployment is None and backfill.cancelled is None:
        backfill.cancelled = now  # the deployment was deleted: there will be no more runs
    made = 0
    if backfill.cancelled is None and deployment is not None and backfill.made < backfill.total:
        room = backfill.parallelism - unfinished
        for due in _rest(backfill, room):
            _make(tx, deployment, backfill, due, now)
            backfill.made += 1
            backfill.made_until = due
            made += 1
    if not made and not unfinished:
        backfill.ended = now
    return made


def _rest(backfill: Backfill, room: int) -> list[datetime]:
    if room <= 0:
        return []
    return _times(
        backfill.schedule, backfill.schedule_created, backfill.made_until, backfill.start, backfill.end,
        min(room, backfill.total - backfill.made),
    )  # fmt: skip


def _times(
    schedule: Schedule, since: datetime, behind: datetime | None, start: datetime, end: datetime, limit: int
) -> list[datetime]:
    """The first times from `start` on (and behind `behind`), before `end`."""
    # What is asked for is behind a moment and up to another: the start is to be among it, and the end is not.
    after = behind or start - INSTANT
    return schedule_times.times(schedule, created=since, after=after, limit=limit, until=end - INSTANT)


def _since(schedule: Schedule, created: datetime, start: datetime) -> datetime:
    """From when the times of a schedule are counted that has been made at `created`, for a stretch before that: they
    are what they would have been."""
    if created <= start:
        return created
    step = timedelta(days=364)  # whole weeks: the time of day and the day of the week stay
    if isinstance(schedule, IntervalSchedule):
        step = timedelta(seconds=schedule.interval)
    steps = -((start - created) // step)
    try:
        zone = ZoneInfo(schedule.timezone) if not isinstance(schedule, OneOffSchedule) else UTC
        local = created.astimezone(zone).replace(tzinfo=None) - steps * step
        return local.replace(tzinfo=zone) if step % timedelta(days=1) == timedelta(0) else created - steps * step
    except OverflowError:
        raise ScheduleError(f"A backfill cannot start at {start.isoformat()}.") from None


def _make(tx: Tx, deployment: Deployment, backfill: Backfill, due: datetime, now: datetime) -> None:
    mark = uuid5(_NAMESPACE, f"{backfill.id} {due.isoformat()}").int
    running.create_run(
        tx, deployment, now=now, scheduled=due, parameters=backfill.parameters,
        id=uuid7(round(now.timestamp() * 1e9), mark), tags=(TAG,), backfill_id=backfill.id,
        message=f"Backfill {backfill.id}: it stands for {due.isoformat()}.",
    )  # fmt: skip


def _schedule(deployment: Deployment, wanted: CreateBackfill) -> tuple[Schedule, datetime]:
    """The schedule, and since when an interval without an anchor is counted."""
    if wanted.schedule is not None:
        schedule_times.check(wanted.schedule)
        return wanted.schedule, wanted.start
    found = [each for each in deployment.schedules if wanted.slug is None or wanted.slug in (each.slug, str(each.id))]
    if wanted.slug is not None and not found:
        raise ObjectNotFound(f"Deployment {deployment.full_name!r} has no schedule {wanted.slug!r}!")
    if len(found) != 1:
        what = "several schedules: name one" if found else "no schedule: describe one"
        raise ScheduleError(f"Deployment {deployment.full_name!r} has {what} whose times are to be run.")
    return found[0].schedule, found[0].created


def get(store: Store, id: UUID) -> Backfill:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        return _counted(tx, _need(tx, id))


def select(store: Store, limit: int, deployment_id: UUID | None, after: UUID | None) -> list[Backfill]:
    with store.read() as tx:
        return [_counted(tx, each) for each in backfills.select(tx, limit, deployment_id, after)]


def cancel(store: Store, id: UUID, *, who: str, now: datetime, lives: Lives) -> Backfill:
    """Those of its runs that have not ended are cancelled. Raises `ObjectNotFound`."""
    with store.write() as tx:
        backfill = _need(tx, id)
        if backfill.ended is None and backfill.cancelled is None:
            backfill.cancelled = now
            for run_id in backfills.unfinished(tx, id):
                run = flow_runs.get(tx, run_id)
                if run is not None:
                    try:
                        cancelling.request(tx, run, who=who, grace=None, now=now, lives=lives)
                    except TransitionRefused:  # it has ended in this moment
                        continue
            backfills.put(tx, backfill)
        return _counted(tx, backfill)


def _need(tx: Tx, id: UUID) -> Backfill:
    found = backfills.get(tx, id)
    if found is None:
        raise ObjectNotFound(f"Backfill '{id}' not found!")
    return found


def _counted(tx: Tx, backfill: Backfill) -> Backfill:
    return msgspec.structs.replace(backfill, counts=backfills.counts(tx, backfill.id))
