"""Work pools and their queues."""

from __future__ import annotations

import secrets
from datetime import datetime

import msgspec
from msgspec import UNSET

from ..domain import concurrency_keys, names, templates
from ..domain.errors import NameTaken, ObjectNotFound, WorkPoolError
from ..domain.ids import uuid7
from ..domain.launches import line_of
from ..domain.pools import DEFAULT_QUEUE, WorkPool, WorkQueue
from ..protocol.work_pools import CreatePool, CreateQueue, UpdatePool, UpdateQueue
from ..store import deployments, lanes, launches, work_pools
from ..store.contract import Store, Tx


def create(store: Store, wanted: CreatePool, now: datetime) -> WorkPool:
    """Raises `NameTaken`, or `WorkPoolError` for a name or a template that cannot be."""
    _check_name("work pool", wanted.name)
    templates.check(wanted.base_job_template, of=f"work pool {wanted.name!r}")
    with store.write() as tx:
        there = work_pools.get(tx, wanted.name)
        if there is not None and not wanted.overwrite:
            raise NameTaken(f"Work pool {wanted.name!r} already exists; overwrite (`--overwrite`) replaces it.")
        pool = WorkPool(
            id=uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)) if there is None else there.id,
            name=wanted.name,
            type=wanted.type,
            created=now if there is None else there.created,
            updated=now,
            description=wanted.description,
            base_job_template=wanted.base_job_template,
            concurrency_limit=wanted.concurrency_limit,
            grace=wanted.grace,
            is_paused=wanted.is_paused,
        )
        work_pools.put(tx, pool)
        if work_pools.queue(tx, pool.name, DEFAULT_QUEUE) is None:
            _put_queue(tx, CreateQueue(work_pool=pool.name, name=DEFAULT_QUEUE), now)
    return pool


def read(store: Store, name: str) -> WorkPool:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        return work_pools.need(tx, name)


def list_pools(store: Store, limit: int, after: str | None) -> list[WorkPool]:
    with store.read() as tx:
        return work_pools.select(tx, limit, after)


def update(store: Store, wanted: UpdatePool, now: datetime) -> WorkPool:
    """Raises `ObjectNotFound` or `WorkPoolError`."""
    if wanted.base_job_template is not UNSET:
        templates.check(wanted.base_job_template, of=f"work pool {wanted.name!r}")
    with store.write() as tx:
        pool = msgspec.structs.replace(work_pools.need(tx, wanted.name), **given(wanted, "name"), updated=now)
        work_pools.put(tx, pool)
    return pool


def delete(store: Store, name: str) -> None:
    """Raises `ObjectNotFound`, and `WorkPoolError` while runs of it are launched."""
    with store.write() as tx:
        work_pools.need(tx, name)
        count = launches.count_claimed(tx, "work_pool", name)
        if count:
            runs = "1 run has" if count == 1 else f"{count} runs have"
            raise WorkPoolError(
                f"{runs} not ended in work pool {name!r}. Pause the pool, and delete it when none is left."
            )
        work_pools.delete(tx, name)


# --- queues ----------------------------------------------------------------------------------------------------------


def queues(store: Store, work_pool: str) -> list[WorkQueue]:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        work_pools.need(tx, work_pool)
        return work_pools.queues_of(tx, work_pool)


def create_queue(store: Store, wanted: CreateQueue, now: datetime) -> WorkQueue:
    """Raises `ObjectNotFound`, `NameTaken`, `WorkPoolError`, or `ConcurrencyError` for a key or a rate."""
    _check_name("work queue", wanted.name)
    _check_keys(wanted)
    with store.write() as tx:
        work_pools.need(tx, wanted.work_pool)
        if work_pools.queue(tx, wanted.work_pool, wanted.name) is not None:
            raise NameTaken(f"Work pool {wanted.work_pool!r} has a queue {wanted.name!r} already.")
        return _put_queue(tx, wanted, now)


def read_queue(store: Store, work_pool: str, name: str) -> WorkQueue:
    """Raises `ObjectNotFound`."""
    with store.read() as tx:
        return need_queue(tx, work_pool, name)


def update_queue(store: Store, wanted: UpdateQueue, now: datetime) -> WorkQueue:
    """Raises `ObjectNotFound`, or `ConcurrencyError` for a key or a rate."""
    _check_keys(wanted)
    with store.write() as tx:
        there = need_queue(tx, wanted.work_pool, wanted.name)
        queue = msgspec.structs.replace(there, **given(wanted, "work_pool", "name"), updated=now)
        work_pools.put_queue(tx, queue)
        lanes.open_all(tx)  # its keys may be allowed more now
    return queue


def delete_queue(store: Store, work_pool: str, name: str) -> None:
    """Raises `ObjectNotFound`, or `WorkPoolError` for the queue that every pool has, and for one that is in use."""
    if name == DEFAULT_QUEUE:
        raise WorkPoolError(f"Every work pool has a queue {DEFAULT_QUEUE!r}; pause it, if it is to give no runs.")
    with store.write() as tx:
        need_queue(tx, work_pool, name)
        named = deployments.of_queue(tx, work_pool, name)
        if named:
            raise WorkPoolError(
                f"Queue {name!r} of work pool {work_pool!r} is that of deployment {named[0]!r}"
                f"{f' and {len(named) - 1} more' if len(named) > 1 else ''}: give it another one first."
            )
        if launches.any_waiting(tx, line_of(work_pool, name)):
            raise WorkPoolError(
                f"Runs wait in queue {name!r} of work pool {work_pool!r}: have them run, or cancel them, first."
            )
        work_pools.delete_queue(tx, work_pool, name)


def need_queue(tx: Tx, work_pool: str, name: str) -> WorkQueue:
    """Raises `ObjectNotFound`, with names that are near."""
    work_pools.need(tx, work_pool)
    found = work_pools.queue(tx, work_pool, name)
    if found is None:
        known = [queue.name for queue in work_pools.queues_of(tx, work_pool)]
        raise ObjectNotFound(f"Work pool {work_pool!r} has no queue {name!r}!{names.suggestion(name, known)}")
    return found


def _put_queue(tx: Tx, wanted: CreateQueue, now: datetime) -> WorkQueue:
    queue = WorkQueue(
        id=uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)),
        created=now,
        updated=now,
        **msgspec.structs.asdict(wanted),
    )
    work_pools.put_queue(tx, queue)
    return queue


def _check_keys(wanted: CreateQueue | UpdateQueue) -> None:
    if wanted.concurrency_key is not UNSET:
        concurrency_keys.check_path(wanted.concurrency_key)
    if wanted.rate_limit_per_key is not UNSET and wanted.rate_limit_per_key is not None:
        concurrency_keys.check_rate(wanted.rate_limit_per_key)


def given(wanted: msgspec.Struct, *without: str) -> dict[str, object]:
    """The fields of a change that are to be changed."""
    fields = msgspec.structs.asdict(wanted).items()
    return {name: value for name, value in fields if name not in without and value is not UNSET}


def _check_name(kind: str, name: str) -> None:
    if not name.isprintable() or not name.strip() or "/" in name:
        raise WorkPoolError(f"The name of a {kind} is printable text without '/'; not {name!r}.")
