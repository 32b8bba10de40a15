"""Giving runs to workers: who gets what, in which order, and what waits for what.

Law: whatever is decided here is decided in one transaction, in which nobody else's comes between: so a limit is never
passed, and no run is given to two. A worker that cannot be heard of keeps what it has until it is known, or its lease
says, that it is gone. Whose turn it is, is the lanes' order (`store.lanes`); what is against a run, `allowing` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ..domain.deployments import Collision, Deployment
from ..domain.errors import WorkPoolError
from ..domain.launches import EVERYBODYS_BELL, Launch, bell_of_pool, line_of
from ..domain.pools import WorkerRecord, WorkPool, WorkQueue
from ..domain.rules import Facts
from ..domain.runs import FlowRun
from ..domain.schedules import Overlap
from ..domain.states import FINAL, SCHEDULED, make
from ..protocol.launches import ClaimLaunches, Claims, StopRequest, Work
from ..store import changes, deployments, flow_runs, lanes, launches, work_pools, workers
from ..store.contract import Store, Tx
from . import allowing, cancelling, launching, orchestrate
from .rescue import Lives
from .work_pools import need_queue

# How often a worker's word is written down, how long what has ended by itself has to be gone, and how many of those
# that wait are looked at for one that may run.
HEARD_SECONDS = 5.0
OVER_SECONDS = 30.0
MOST_LOOKED_AT = 500


class Nothing(Exception):
    """There is no news for the worker; `claims` says when there will be."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims


def bells(asked: ClaimLaunches) -> tuple[UUID, ...]:
    """What a worker hears that waits for news. What comes by time it learns when it asks again."""
    of = asked.deployments if asked.work_pool is None else (bell_of_pool(asked.work_pool),)
    return (EVERYBODYS_BELL, asked.worker.id, *of)


def claim(store: Store, asked: ClaimLaunches, now: datetime, lives: Lives) -> Claims:
    """What is to be done by a worker now. Raises `Nothing`, and `ObjectNotFound` for a pool that is not there."""
    with store.read() as tx:
        pool = None if asked.work_pool is None else _pool_for(tx, asked.work_pool, asked)
        queues = _queues(tx, pool, asked)
        known = workers.get(tx, asked.worker.id)
        if known is not None and known.draining and not asked.draining:
            return Claims(now=now)  # it has changed its mind since it asked
        fresh = known is not None and (now - known.heard).total_seconds() < HEARD_SECONDS
        fresh = fresh and known is not None and known.draining == asked.draining
        news = _news(tx, asked, pool, _lines(asked, queues), now, lives)
    if fresh and news is not None:
        raise Nothing(news)
    with store.write() as tx:
        _hear(tx, asked, now)
        if asked.draining and known is not None and not known.draining:
            changes.ring(tx, [asked.worker.id])  # what it asked before need not be waited for
        queues = _queues(tx, pool, asked)
        claims = _claims(tx, asked, pool, queues, now, lives)
        if pool is not None:
            work_pools.note_polled(tx, pool.name, [queue.name for queue in queues], now)
        else:
            deployments.note_polled(tx, asked.deployments, now)
    if not (claims.work or claims.stops or claims.lost) and not _sooner(claims, asked):
        raise Nothing(claims)
    return claims


def _pool_for(tx: Tx, name: str, asked: ClaimLaunches) -> WorkPool:
    """Raises `ObjectNotFound`, with the names that are near, and `WorkPoolError` for a pool of another kind of
    infrastructure."""
    pool = work_pools.need(tx, name)
    if pool.type != asked.worker.type:
        raise WorkPoolError(
            f"Work pool {name!r} is of type {pool.type}; this worker launches runs of type {asked.worker.type}. Start "
            f"one by `penstock worker start --pool {name}`."
        )
    for queue in asked.queues:
        need_queue(tx, name, queue)
    return pool


def _sooner(claims: Claims, asked: ClaimLaunches) -> bool:
    return claims.next is not None and (asked.next_seen is None or claims.next < asked.next_seen)


def _news(
    tx: Tx, asked: ClaimLaunches, pool: WorkPool | None, lines: Sequence[str], now: datetime, lives: Lives
) -> Claims | None:
    """None when there may be something to do; else what is answered when there is nothing."""
    mine = launches.of_worker(tx, asked.worker.id)
    claims = Claims(next=_next(tx, asked, lines, now), now=now)
    if _sooner(claims, asked) or _lost(tx, mine, asked) or _stops(tx, mine, asked, now):
        return None
    if {launch.flow_run_id for launch in mine} - set(asked.running):
        return None
    if pool is not None and pool.is_paused:
        claims.paused = f"Work pool {pool.name!r} is paused."
    if asked.slots > 0 and claims.paused is None and lanes.heads(tx, lines, now, 1):
        return None
    return None if _orphans(tx, asked, now, lives) else claims


def _claims(
    tx: Tx, asked: ClaimLaunches, pool: WorkPool | None, queues: Sequence[WorkQueue], now: datetime, lives: Lives
) -> Claims:
    mine = launches.of_worker(tx, asked.worker.id)
    claims = Claims(
        stops=_stops(tx, mine, asked, now),
        lost=_lost(tx, mine, asked),
        base_job_template={} if pool is None else pool.base_job_template,
        grace=None if pool is None else pool.grace,
        now=now,
    )
    # What was given before, and is not there: the answer was lost on its way.
    for launch in mine:
        run = flow_runs.get(tx, launch.flow_run_id)
        if launch.flow_run_id not in asked.running and run is not None:
            claims.work.append(Work(launch=launch, run=run, adopt=launch.place is not None))
    for launch in _orphans(tx, asked, now, lives):
        run = flow_runs.get(tx, launch.flow_run_id)
        if run is None:
            launches.delete(tx, launch.flow_run_id)
            continue
        launch.worker = asked.worker.id
        launches.put(tx, launch)
        claims.work.append(Work(launch=launch, run=run, adopt=launch.place is not None))
    if pool is not None and pool.is_paused:
        claims.paused = f"Work pool {pool.name!r} is paused."
    else:
        _give(tx, asked, pool, queues, claims, now)
    claims.next = _next(tx, asked, _lines(asked, queues), now)
    return claims


def _hear(tx: Tx, asked: ClaimLaunches, now: datetime) -> None:
    told = asked.worker
    workers.put(
        tx,
        WorkerRecord(
            id=told.id, name=told.name, work_pool=asked.work_pool, type=told.type, host=told.host, scope=told.scope,
            version=told.version, started=told.started, heard=now, queues=asked.queues, running=len(asked.running),
            limit=told.limit, holder=told.holder, draining=asked.draining,
        ),
    )  # fmt: skip


def _lost(tx: Tx, mine: Sequence[Launch], asked: ClaimLaunches) -> list[UUID]:
    """What another worker has taken over."""
    return [id for id in _unknown(mine, asked) if launches.get(tx, id) is not None]


def _unknown(mine: Sequence[Launch], asked: ClaimLaunches) -> list[UUID]:
    known = {launch.flow_run_id for launch in mine}
    return [id for id in asked.running if id not in known]


def _stops(tx: Tx, mine: Sequence[Launch], asked: ClaimLaunches, now: datetime) -> list[StopRequest]:
    """Whose end is asked for; and what is there still though its run is over."""
    deleted = [id for id in _unknown(mine, asked) if id not in asked.seen and launches.get(tx, id) is None]
    found = [StopRequest(flow_run_id=id, at=now, over=True) for id in deleted]
    for launch in mine:
        if launch.flow_run_id in asked.seen or launch.flow_run_id not in asked.running:
            continue
        if launch.stopping is not None:
            # (Not the signal's: that is gone when the run was closed, and its infrastructure may be there still.)
            grace = launch.grace if launch.stop_grace is None else launch.stop_grace
            found.append(
                StopRequest(flow_run_id=launch.flow_run_id, at=launch.stopping, grace=grace, who=launch.stopped_by)
            )
            continue
        run = flow_runs.get(tx, launch.flow_run_id)
        if run is None or (run.state.type in FINAL and _is_over(run, now)):
            found.append(StopRequest(flow_run_id=launch.flow_run_id, at=now, grace=launch.grace, over=True))
    return found


def _is_over(run: FlowRun, now: datetime) -> bool:
    return (now - run.state.timestamp).total_seconds() > OVER_SECONDS


def _orphans(tx: Tx, asked: ClaimLaunches, now: datetime, lives: Lives) -> list[Launch]:
    """What a worker had that is gone, and this one can reach."""
    found = []
    for launch, worker in launches.orphans(tx, asked.worker.scope, MOST_LOOKED_AT):
        if launch.worker == asked.worker.id or (launch.place is None and not _is_of(launch, asked)):
            continue
        if launch.place is not None and launch.place.type != asked.worker.type:
            continue
        if launch.worker is None or worker is None or _is_gone(worker, now, lives):
            found.append(launch)
    return found


def _is_of(launch: Launch, asked: ClaimLaunches) -> bool:
    if asked.work_pool is not None:
        return launch.work_pool == asked.work_pool and (not asked.queues or launch.work_queue in asked.queues)
    return launch.work_pool is None and launch.deployment_id in asked.deployments


def _is_gone(worker: WorkerRecord, now: datetime, lives: Lives) -> bool:
    return worker.is_gone(now, None if worker.holder is None else lives(worker.holder))


# --- what waits ------------------------------------------------------------------------------------------------------


def _queues(tx: Tx, pool: WorkPool | None, asked: ClaimLaunches) -> list[WorkQueue]:
    """The queues that the worker serves, in their order; of a process that serves deployments, none."""
    return [
        queue
        for queue in (() if pool is None else work_pools.queues_of(tx, pool.name))
        if not queue.is_paused and (not asked.queues or queue.name in asked.queues)
    ]


def _lines(asked: ClaimLaunches, queues: Sequence[WorkQueue]) -> list[str]:
    """Where that waits which the worker may take, in the order of the queues."""
    if asked.work_pool is None:
        return [id.hex for id in asked.deployments]
    return [line_of(queue.work_pool, queue.name) for queue in queues]


def _next(tx: Tx, asked: ClaimLaunches, lines: Sequence[str], now: datetime) -> datetime | None:
    """When the next run is due, or a key may have its next."""
    due = launches.next_due(tx, asked.work_pool, asked.deployments, now)
    gate = lanes.next_open(tx, lines, now)
    return min((each for each in (due, gate) if each is not None), default=None)


def _give(
    tx: Tx,
    asked: ClaimLaunches,
    pool: WorkPool | None,
    queues: Sequence[WorkQueue],
    claims: Claims,
    now: datetime,
) -> None:
    """Claims what is due and may run, the first in the first queue first."""
    slots = asked.slots
    if pool is not None and pool.concurrency_limit is not None:
        slots = min(slots, pool.concurrency_limit - launches.count_claimed(tx, "work_pool", pool.name))
    giving = _Giving(tx, asked, claims, now)
    if pool is None:
        giving.serve(_lines(asked, queues), slots)
    for queue in queues:
        if slots > 0:
            slots -= giving.serve([line_of(queue.work_pool, queue.name)], min(slots, _room(tx, queue, slots)))
    if giving.given:
        lanes.clear(tx)


def _room(tx: Tx, queue: WorkQueue, slots: int) -> int:
    limit = queue.concurrency_limit
    return slots if limit is None else limit - launches.claimed_of_queue(tx, queue.work_pool, queue.name)


class _Giving:
    """One worker is given runs, turn by turn. What was found to be full stays so in this transaction, and is not looked
    at again."""

    def __init__(self, tx: Tx, asked: ClaimLaunches, claims: Claims, now: datetime) -> None:
        self._tx = tx
        self._asked = asked
        self._claims = claims
        self._now = now
        self._full: set[bytes] = set()
        self._busy: set[bytes] = set()
        self._left = MOST_LOOKED_AT
        self._deployments: dict[UUID, Deployment | None] = {}
        self.given = 0

    def serve(self, lines: Sequence[str], slots: int) -> int:
        """At most `slots` runs of these lines; how many it were."""
        before = self.given
        while (room := slots - (self.given - before)) > 0 and self._left > 0:
            limit = min(room, self._left)
            turns = lanes.heads(self._tx, lines, self._now, limit, full=self._full, busy=self._busy)
            if not turns:
                break
            for launch in turns:
                self._left -= 1
                self.given += self._give(launch)
        return self.given - before

    def _give(self, launch: Launch) -> bool:
        tx, now = self._tx, self._now
        run = flow_runs.get(tx, launch.flow_run_id)
        if run is None or run.state.type is not SCHEDULED:
            launch.ended = now  # it was deleted, or has ended
            launches.put(tx, launch)
            return False
        if not self._may_run(launch, run):
            return False
        launch.worker, launch.claimed, launch.problem = self._asked.worker.id, now, None
        launches.take(tx, launch)
        message = f"Claimed by worker {self._asked.worker.name!r}."
        orchestrate.enter(tx, run.id, make("Pending", now, message=message), Facts())
        self._claims.work.append(Work(launch=launch, run=flow_runs.get(tx, run.id) or run))
        return True

    def _deployment(self, launch: Launch) -> Deployment | None:
        id = launch.deployment_id
        if id is not None and id not in self._deployments:
            self._deployments[id] = deployments.get(self._tx, id)
        return None if id is None else self._deployments[id]

    def _may_run(self, launch: Launch, run: FlowRun) -> bool:
        """Whether nothing is against it now. What is, is said on the run; it may end the run, or an older one."""
        tx, now = self._tx, self._now
        if launch.deployment_id is not None and launch.deployment_id.bytes in self._full:
            return False
        busy = allowing.overlap(tx, launch)
        if busy is not None:
            policy, why, others = busy
            if policy is Overlap.SKIP:
                message = f"Skipped: flow run {others[0].flow_run_id} of the same schedule has not ended."
                launching.cancel_waiting(tx, launch, who="overlap: skip", now=now, message=message)
                return False
            if policy is Overlap.CANCEL_OLD:
                _cancel(tx, others, "overlap: cancel-old", now)
            if launch.schedule_id is not None:
                self._busy.add(launch.schedule_id.bytes)
            _wait(tx, launch, run, why.sentence, now)
            return False
        deployment = self._deployment(launch)
        shut = allowing.key(tx, deployment, launch, now)
        if shut is not None:
            _wait(tx, launch, run, allowing.lasting(launch, shut), now)
            lanes.shut(tx, launch, shut.until)
            return False
        full = allowing.deployment_limit(tx, deployment, launch)
        if full is None:
            return True
        if full[0].collision is Collision.CANCEL_NEW:
            message = f"Not run: {full[1].sentence}"
            launching.cancel_waiting(tx, launch, who="collision: CANCEL_NEW", now=now, message=message)
            return False
        if full[0].collision is Collision.CANCEL_OLD:
            _cancel(tx, full[2][: len(full[2]) - (full[1].limit or 0) + 1], "collision: CANCEL_OLD", now)
        self._full.add(full[0].id.bytes)
        _wait(tx, launch, run, full[1].sentence, now)
        return False


def _cancel(tx: Tx, old: Sequence[Launch], who: str, now: datetime) -> None:
    for launch in old:
        run = flow_runs.get(tx, launch.flow_run_id)
        if launch.stopping is None and run is not None and run.state.type not in FINAL:
            cancelling.request(tx, run, who=who, grace=None, now=now, lives=lambda holder: None)


def _wait(tx: Tx, launch: Launch, run: FlowRun, why: str, now: datetime) -> None:
    """Says on the run why it waits; once."""
    if launch.problem == why:
        return
    launch.problem = why
    launches.put(tx, launch)
    if run.state_name != "AwaitingConcurrencySlot" or run.state.message != why:
        orchestrate.enter(tx, run.id, make("AwaitingConcurrencySlot", now, message=why), Facts())
