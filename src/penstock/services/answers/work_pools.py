"""Answers about work pools and their queues."""

from __future__ import annotations

from ...domain.pools import WorkPool, WorkQueue
from ...protocol import work_pools as asked
from ...protocol.operation import Page
from .. import work_pools
from ..desk import Desk, answers


@answers(asked.FILTER_POOLS)
def filter_work_pools(desk: Desk, query: asked.FilterPools) -> Page[WorkPool]:
    found = work_pools.list_pools(desk.store, query.limit, query.cursor)
    return Page(items=found, next=found[-1].name if len(found) == query.limit else None)


@answers(asked.CREATE_POOL)
def create_work_pool(desk: Desk, query: asked.CreatePool) -> WorkPool:
    return work_pools.create(desk.store, query, desk.now())


@answers(asked.READ_POOL)
def read_work_pool(desk: Desk, query: asked.PoolByName) -> WorkPool:
    return work_pools.read(desk.store, query.name)


@answers(asked.UPDATE_POOL)
def update_work_pool(desk: Desk, query: asked.UpdatePool) -> WorkPool:
    return work_pools.update(desk.store, query, desk.now())


@answers(asked.DELETE_POOL)
def delete_work_pool(desk: Desk, query: asked.PoolByName) -> None:
    work_pools.delete(desk.store, query.name)


@answers(asked.READ_QUEUES)
def read_work_queues(desk: Desk, query: asked.QueuesOf) -> asked.Queues:
    return asked.Queues(work_pools.queues(desk.store, query.work_pool))


@answers(asked.CREATE_QUEUE)
def create_work_queue(desk: Desk, query: asked.CreateQueue) -> WorkQueue:
    return work_pools.create_queue(desk.store, query, desk.now())


@answers(asked.READ_QUEUE)
def read_work_queue(desk: Desk, query: asked.QueueByName) -> WorkQueue:
    return work_pools.read_queue(desk.store, query.work_pool, query.name)


@answers(asked.UPDATE_QUEUE)
def update_work_queue(desk: Desk, query: asked.UpdateQueue) -> WorkQueue:
    return work_pools.update_queue(desk.store, query, desk.now())


@answers(asked.DELETE_QUEUE)
def delete_work_queue(desk: Desk, query: asked.QueueByName) -> None:
    work_pools.delete_queue(desk.store, query.work_pool, query.name)
