"""What is against a run that is due: its schedule's other runs, its deployment's limit, what its key may.

Law: it is told in one place. A worker is given a run when nothing is said here, and who asks why a run waits hears the
same. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ..domain.concurrency_keys import PerKey, Rate
from ..domain.deployments import Deployment
from ..domain.launches import Launch
from ..domain.schedules import Overlap
from ..domain.waiting import MOST_NAMED, SlotHolder, WaitReason, Why, moment, unended
from ..store import deployments, flow_runs, launches, schedules, work_pools
from ..store.contract import Tx


def overlap(tx: Tx, launch: Launch) -> tuple[Overlap, Why, Sequence[Launch]] | None:
    """A run of the same schedule that has not ended, where its schedule minds; and those that have not."""
    if launch.schedule_id is None:
        return None
    schedule = schedules.get(tx, launch.schedule_id)
    if schedule is None or schedule.overlap is Overlap.ALLOW:
        return None
    others = launches.claimed_of(tx, "schedule_id", launch.schedule_id.bytes)
    if not others:
        return None
    sentence = f"Flow run {others[0].flow_run_id} of the same schedule has not ended."
    found = Why(
        reason=WaitReason.SCHEDULE_BUSY, sentence=sentence, holders=named(tx, others), limit=1, used=len(others)
    )
    return schedule.overlap, found, others


def deployment_limit(
    tx: Tx, deployment: Deployment | None, launch: Launch
) -> tuple[Deployment, Why, Sequence[Launch]] | None:
    """A deployment that runs as often as it may, and its runs."""
    if deployment is None or deployment.concurrency_limit is None:
        return None
    limit = deployment.concurrency_limit
    others = launches.claimed_of(tx, "deployment_id", deployment.id.bytes)
    if len(others) < limit:
        return None
    sentence = unended(len(others), limit, f"deployment {deployment.full_name!r}")
    found = Why(
        reason=WaitReason.DEPLOYMENT_LIMIT, sentence=sentence, limit=limit, used=len(others), holders=named(tx, others),
        deployment=deployment.full_name,
    )  # fmt: skip
    return deployment, found, others


def key(tx: Tx, deployment: Deployment | None, launch: Launch, now: datetime) -> Why | None:
    """A key that has as many runs as it may, or has started as many lately."""
    if not launch.lane:
        return None
    allowed = _per_key(tx, deployment, launch)
    whose = f"key {launch.concurrency_key!r}"
    if allowed.limit is not None:
        others = launches.claimed_of_key(tx, launch.lane, allowed.limit)
        if len(others) >= allowed.limit:
            return Why(
                reason=WaitReason.KEY_LIMIT, key=launch.concurrency_key, limit=allowed.limit, used=len(others),
                sentence=unended(len(others), allowed.limit, whose),
                holders=named(tx, others),
            )  # fmt: skip
    if allowed.rate is not None:
        period = timedelta(seconds=allowed.rate.period)
        first = launches.claimed_before(tx, launch.lane, allowed.rate.limit, now - period)
        if first is not None:
            until = first + period
            return Why(
                reason=WaitReason.KEY_RATE, key=launch.concurrency_key, limit=allowed.rate.limit,
                used=allowed.rate.limit, period=allowed.rate.period, until=until,
                sentence=f"{_rate(launch, allowed.rate)} The next may at {moment(until)}.",
            )  # fmt: skip
    return None


def _rate(launch: Launch, rate: Rate) -> str:
    return f"Runs of key {launch.concurrency_key!r} start at most {rate.limit} times in {rate.period:g} s."


def lasting(launch: Launch, found: Why) -> str:
    """What is said on the run: once, and not anew with each moment."""
    if found.reason is WaitReason.KEY_RATE:
        return _rate(launch, Rate(found.limit or 0, found.period or 0.0))
    return found.sentence


def _per_key(tx: Tx, deployment: Deployment | None, launch: Launch) -> PerKey:
    """As its owner has it now."""
    if not launch.key_of_queue:
        return PerKey() if deployment is None else deployment.per_key
    queue = work_pools.queue(tx, launch.work_pool or "", launch.work_queue or "")
    return PerKey() if queue is None else queue.per_key


def deployment_of(tx: Tx, launch: Launch) -> Deployment | None:
    return None if launch.deployment_id is None else deployments.get(tx, launch.deployment_id)


def named(tx: Tx, found: Iterable[Launch]) -> tuple[SlotHolder, ...]:
    """The first of them by name."""
    ids = [launch.flow_run_id for launch in found][:MOST_NAMED]
    known = flow_runs.get_all(tx, ids)
    return tuple(SlotHolder(id, known[id].name) for id in ids if id in known)
