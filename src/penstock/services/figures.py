"""What an operator watches: how much there is of what has not ended, what waits and how long, and who works.

Law: nothing here grows with what is over: it can be asked every few seconds, on a record of any size.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import msgspec

from ..domain.launches import Depth
from ..domain.pools import WORKER_SECONDS
from ..store import concurrency, flow_runs, launches, pauses, task_runs, work_pools, workers
from ..store.contract import Store

# How many pools, limits and workers are told of; there are hardly as many.
MOST = 1_000
SEEN = timedelta(seconds=WORKER_SECONDS)


class Slots(msgspec.Struct, frozen=True):
    """Of one concurrency limit."""

    limit: str
    slots: int
    taken: float
    wanted: int


class Figures(msgspec.Struct, frozen=True):
    """`flow_runs` are by (type, name) of their state, `task_runs` by its type; `workers` those online, by pool."""

    flow_runs: dict[tuple[str, str], int]
    task_runs: dict[str, int]
    queues: list[Depth]
    workers: dict[str, int]
    limits: list[Slots]
    pauses: int
    oldest_pause: datetime | None
    now: datetime


def gather(store: Store, now: datetime) -> Figures:
    """All of it, of one moment."""
    with store.read() as tx:
        waiting, oldest = pauses.count_open(tx)
        depths = {(depth.work_pool, depth.queue): depth for depth in launches.depths(tx, now)}
        online: Counter[str] = Counter()
        for pool in work_pools.select(tx, MOST):
            online[pool.name] = 0
            for queue in work_pools.queues_of(tx, pool.name):
                depths.setdefault((pool.name, queue.name), Depth(pool.name, queue.name))
        for worker in workers.select(tx, None, now - SEEN, MOST):
            if worker.is_online(now):
                online[worker.work_pool or ""] += 1
        held, wanted = concurrency.held(tx), concurrency.wanted(tx)
        limits = [
            Slots(
                limit.name, limit.limit, limit.used_now(now) if limit.is_rate else held.get(limit.name, 0),
                wanted.get(limit.name, 0),
            )
            for limit in concurrency.select(tx, MOST)
        ]  # fmt: skip
        return Figures(
            flow_runs.count_unfinished(tx), task_runs.count_unfinished(tx), list(depths.values()), dict(online), limits,
            waiting, oldest, now,
        )  # fmt: skip
