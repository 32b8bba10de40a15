"""Why a run waits: looked for in the order in which it would be given to a worker, so that the first reason is the one.

Law: it is what the claim does, asked without claiming (`allowing`, `lanes`); nobody else makes up reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from ..domain.errors import ObjectNotFound
from ..domain.launches import Launch, line_of
from ..domain.pools import WORKER_SECONDS, WorkerRecord, WorkPool, WorkQueue
from ..domain.runs import FlowRun
from ..domain.states import FINAL, PAUSED, PENDING, SCHEDULED
from ..domain.waiting import MOST_NAMED, SlotHolder, WaitReason, Why, moment, runs, unended
from ..store import concurrency as limits
from ..store import flow_runs, lanes, launches, task_runs, work_pools, workers
from ..store.contract import Store, Tx
from . import allowing

MOST_WORKERS = 200


def why(store: Store, run_id: UUID, now: datetime) -> Why:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        run = flow_runs.get(tx, run_id)
        if run is None:
            raise ObjectNotFound(f"Flow run '{run_id}' not found!")
        launch = launches.get(tx, run_id)
        if run.state.type not in (SCHEDULED, PENDING):
            return _going_on(tx, run)
        if launch is None or launch.ended is not None:
            return _by_itself(run, now)
        if launch.claimed is not None:
            return _starting(tx, launch)
        return _in_line(tx, run, launch, now)


def _going_on(tx: Tx, run: FlowRun) -> Why:
    if run.state.type is PAUSED:
        return Why(reason=WaitReason.PAUSED, sentence=run.state.message or "It waits to be resumed.")
    claim = None if run.state.type in FINAL else limits.waiting_of_flow_run(tx, run.id)
    found = None if claim is None else _global_limit(tx, run, claim.id)
    if found is not None:
        return found
    what = "has ended" if run.state.type in FINAL else "is not waiting"
    return Why(reason=WaitReason.NOT_WAITING, sentence=f"The run {what}: it is {run.state_name}.")


def _global_limit(tx: Tx, run: FlowRun, claim_id: UUID) -> Why | None:
    """A slot that the run's code, or a task of it, waits for."""
    claim = limits.claim(tx, claim_id)
    if claim is None:
        return None
    known, held = limits.named(tx, claim.names), limits.held(tx)
    full = [name for name, each in known.items() if held.get(name, 0) + claim.occupy > each.limit]
    name = full[0] if full else next(iter(known), None)
    if name is None:
        return None
    slots = known[name].limit
    place = limits.behind(tx, name, claim.place) + 1
    task = None if claim.run_id in (None, run.id) else task_runs.get(tx, claim.run_id)
    who = "It waits" if task is None else f"Its task run {task.name!r} waits"
    holders = [each.flow_run_id for each in limits.claims_on(tx, name) if each.taken is not None and each.flow_run_id]
    found = flow_runs.get_all(tx, list(dict.fromkeys(holders))[:MOST_NAMED])
    return Why(
        reason=WaitReason.CONCURRENCY_LIMIT, limit_name=name, limit=slots, used=held.get(name, 0), position=place,
        holders=tuple(SlotHolder(each.id, each.name) for each in found.values()),
        sentence=f"{who} for {claim.occupy} of {slots} slots of limit {name!r} (place {place} in the queue)."
        f"{_held_by([each.name for each in found.values()])}",
    )  # fmt: skip


def _by_itself(run: FlowRun, now: datetime) -> Why:
    """No worker has anything to do with it."""
    state = run.state
    if state.type is PENDING:
        return Why(reason=WaitReason.STARTING, sentence="Its process is about to begin.")
    due = _due(run)
    if due is not None and due > now:
        said = "" if state.message is None else f"{state.message} "
        return Why(reason=WaitReason.NOT_DUE, until=due, sentence=f"{said}It is not due until {moment(due)}.")
    sentence = state.message or "It goes on when the process that it belongs to lets it."
    return Why(reason=WaitReason.HELD, sentence=sentence)


def _due(run: FlowRun) -> datetime | None:
    after = (run.state.details or {}).get("scheduled_after_seconds")
    if isinstance(after, int | float):
        return run.state.timestamp + timedelta(seconds=after)
    return run.expected_start_time


def _starting(tx: Tx, launch: Launch) -> Why:
    worker = None if launch.worker is None else workers.get(tx, launch.worker)
    name = None if worker is None else worker.name
    who = "Its worker" if name is None else f"Worker {name!r}"
    what = "launched it" if launch.launched is not None else "took it, and is launching it"
    problem = "" if launch.problem is None else f" {launch.problem}"
    return Why(
        reason=WaitReason.STARTING, worker=name, work_pool=launch.work_pool, work_queue=launch.work_queue,
        sentence=f"{who} {what}: its code has not begun yet.{problem}",
    )  # fmt: skip


# --- in line ---------------------------------------------------------------------------------------------------------


def _in_line(tx: Tx, run: FlowRun, launch: Launch, now: datetime) -> Why:
    deployment = allowing.deployment_of(tx, launch)
    found = _find(tx, run, launch, now)
    found.work_pool, found.work_queue = launch.work_pool, launch.work_queue
    found.deployment = None if deployment is None else deployment.full_name
    found.key = launch.concurrency_key
    return found


def _find(tx: Tx, run: FlowRun, launch: Launch, now: datetime) -> Why:
    if launch.scheduled > now:
        sentence = f"It is not due until {moment(launch.scheduled)}."
        if run.state_name == "AwaitingRetry":
            sentence = f"{run.state.message or ''} It is tried again at {moment(launch.scheduled)}.".strip()
        return Why(reason=WaitReason.NOT_DUE, until=launch.scheduled, sentence=sentence)
    pool = queue = None
    if launch.work_pool is not None:
        pool = work_pools.get(tx, launch.work_pool)
        queue = work_pools.queue(tx, launch.work_pool, launch.work_queue or "")
        closed = _closed(launch, pool, queue)
        if closed is not None:
            return closed
    online, nobody = _workers(tx, launch, now)
    if nobody is not None:
        return nobody
    full = _full(tx, launch, pool, queue, now)
    if full is not None:
        return full
    return _behind(tx, launch, queue, online, now)


def _closed(launch: Launch, pool: WorkPool | None, queue: WorkQueue | None) -> Why | None:
    name, line = launch.work_pool, launch.work_queue
    if pool is None:
        return Why(reason=WaitReason.POOL_MISSING, sentence=f"There is no work pool {name!r} any more.")
    if pool.is_paused:
        return Why(reason=WaitReason.POOL_PAUSED, sentence=f"Work pool {name!r} is paused.")
    if queue is None:
        return Why(reason=WaitReason.QUEUE_MISSING, sentence=f"Work pool {name!r} has no queue {line!r} any more.")
    if queue.is_paused:
        return Why(reason=WaitReason.QUEUE_PAUSED, sentence=f"Queue {line!r} of work pool {name!r} is paused.")
    return None


def _workers(tx: Tx, launch: Launch, now: datetime) -> tuple[list[WorkerRecord], Why | None]:
    """Who could take it; or that nobody can."""
    since = now - timedelta(seconds=WORKER_SECONDS)
    if launch.work_pool is None:
        deployment = allowing.deployment_of(tx, launch)
        polled = None if deployment is None else deployment.last_polled
        if polled is not None and polled >= since:
            return [], None
        name = "its deployment" if deployment is None else f"deployment {deployment.full_name!r}"
        return [], Why(reason=WaitReason.NO_WORKER, sentence=f"No process serves {name}: nobody will take it.")
    queue = launch.work_queue
    online = [
        worker
        for worker in workers.select(tx, launch.work_pool, since, MOST_WORKERS)
        if worker.is_online(now) and not worker.draining and (not worker.queues or queue in worker.queues)
    ]
    if online:
        return online, None
    sentence = f"No worker is online for queue {queue!r} of work pool {launch.work_pool!r}: nobody will take it."
    return [], Why(reason=WaitReason.NO_WORKER, sentence=sentence)


def _full(tx: Tx, launch: Launch, pool: WorkPool | None, queue: WorkQueue | None, now: datetime) -> Why | None:
    """The limits, as they are asked when a run is given."""
    deployment = allowing.deployment_of(tx, launch)
    busy = allowing.overlap(tx, launch)
    shut = allowing.key(tx, deployment, launch, now)
    full = allowing.deployment_limit(tx, deployment, launch)
    found = next((each for each in (busy and busy[1], shut, full and full[1]) if each is not None), None)
    if found is None:
        found = _full_line(tx, launch, pool, queue)
    if found is not None and found.holders:
        found.sentence += _held_by([each.name for each in found.holders])
    return found


def _full_line(tx: Tx, launch: Launch, pool: WorkPool | None, queue: WorkQueue | None) -> Why | None:
    if queue is not None and queue.concurrency_limit is not None:
        count = launches.claimed_of_queue(tx, queue.work_pool, queue.name)
        if count >= queue.concurrency_limit:
            return Why(
                reason=WaitReason.QUEUE_LIMIT, limit=queue.concurrency_limit, used=count,
                holders=allowing.named(tx, launches.open_of_queue(tx, queue.work_pool, queue.name, MOST_NAMED)),
                sentence=unended(count, queue.concurrency_limit, f"queue {queue.name!r}"),
            )  # fmt: skip
    if pool is not None and pool.concurrency_limit is not None:
        count, most = launches.count_claimed(tx, "work_pool", pool.name), pool.concurrency_limit
        if count >= most:
            return Why(
                reason=WaitReason.POOL_LIMIT, limit=most, used=count,
                holders=allowing.named(tx, launches.open_ones(tx, pool.name, MOST_NAMED)),
                sentence=unended(count, most, f"work pool {pool.name!r}"),
            )  # fmt: skip
    return None


def _behind(tx: Tx, launch: Launch, queue: WorkQueue | None, online: Sequence[WorkerRecord], now: datetime) -> Why:
    ahead = lanes.ahead(tx, launch, now)
    if queue is not None:
        first = [
            line_of(each.work_pool, each.name)
            for each in work_pools.queues_of(tx, queue.work_pool)
            if (each.priority, each.name) < (queue.priority, queue.name) and not each.is_paused
        ]
        ahead += lanes.due_in(tx, first, now)
    where = "" if queue is None else f" of work pool {queue.work_pool!r}"
    at_limit = [each for each in online if each.limit is not None and each.running >= each.limit]
    position = ahead + 1
    if online and len(at_limit) == len(online):
        names = ", ".join(f"{each.name!r} ({each.running} of {each.limit})" for each in at_limit[:MOST_NAMED])
        behind = "it is next" if not ahead else f"{runs(ahead)} go before it"
        return Why(
            reason=WaitReason.WORKERS_BUSY, position=position, worker=at_limit[0].name,
            limit=sum(each.limit or 0 for each in at_limit), used=sum(each.running for each in at_limit),
            sentence=f"Every worker{where} runs as many as it may: {names}; {behind}.",
        )  # fmt: skip
    if ahead:
        sentence = f"{runs(ahead)} {'goes' if ahead == 1 else 'go'} before it: its place is {position:,}."
        return Why(reason=WaitReason.BEHIND, sentence=sentence, position=position)
    return Why(reason=WaitReason.NEXT, sentence="It is next: a worker takes it in a moment.", position=1)


def _held_by(names: Sequence[str]) -> str:
    return f" Held by: {', '.join(names)}." if names else ""
