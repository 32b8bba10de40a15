"""The watcher of the record: what it does not say, somebody else has to."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from penstock.api.hub import Hub
from penstock.api.subscriptions import Subscription
from penstock.store import changes

from .kit import Record


class Late:
    """A store whose watching begins only when `open` is set, as where a machine is slow."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.open = threading.Event()

    def changes(self) -> int:
        self.open.wait(20)
        found: int = self._store.changes()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def late(record: Record) -> Iterator[Late]:
    made = Late(record.store)
    yield made
    made.open.set()


def test_what_changed_before_the_watcher_began_is_not_lost_to_who_was_there_already(record: Record, late: Any) -> None:
    """They have read the record up to then, and wait to hear of more."""
    run = record.flow_run()

    async def listen() -> None:
        hub = Hub(late)
        hub.start()
        every, one = Subscription(None, False), Subscription(run.id, True)
        for each in (every, one):
            hub.join(each)
        try:
            with hub.change(run.id) as changed:
                record.enter(run, "Completed")
                late.open.set()
                await asyncio.wait_for(changed, 10)
            for each in (every, one):
                assert each.behind or each.waiting
            assert one.log_due
        finally:
            await asyncio.to_thread(hub.stop)

    asyncio.run(listen())


class Held:
    """A store whose readers wait at the door while `open` is not set; `knocked`: one does."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.open = threading.Event()
        self.open.set()
        self.knocked = threading.Event()

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        if not self.open.is_set():
            self.knocked.set()
            self.open.wait(20)
        with self._store.read() as tx:
            yield tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_who_comes_while_the_watcher_waits_for_the_database_hears_of_what_it_then_reads(record: Record) -> None:
    """As where a connection to PostgreSQL is slow to be made: the change is in what the watcher reads, and it was on
    its way there before anybody listened."""
    held: Any = Held(record.store)
    run = record.flow_run()

    async def listen() -> None:
        hub = Hub(held)
        every = Subscription(None, False)
        try:
            with hub.change(run.id) as begun:
                hub.start()
                await asyncio.wait_for(begun, 10)
            held.open.clear()
            record.enter(run, "Completed")
            assert await asyncio.to_thread(held.knocked.wait, 10)
            hub.join(every)
            told = record.flow_run()
            held.open.set()
            await every.wait(10)
            assert told.id in {each.flow_run_id for each in every.waiting}
        finally:
            held.open.set()
            await asyncio.to_thread(hub.stop)

    asyncio.run(listen())


def test_who_waits_for_work_is_woken_by_his_bell_and_not_by_every_change(record: Record) -> None:
    mine, others, everybodys = uuid4(), uuid4(), uuid4()

    async def listen() -> None:
        hub = Hub(record.store)
        try:
            with hub.change(uuid4()) as begun, hub.change(mine, everybodys) as woken, hub.change(mine) as too:
                hub.start()
                await asyncio.wait_for(begun, 10)  # all are, when the watcher begins
                assert woken.done()
                assert too.done()
            for bell in (everybodys, mine):
                with hub.change(mine, everybodys) as woken, hub.change(others) as last:
                    record.flow_run()
                    _ring(record, others)
                    await asyncio.wait_for(last, 10)  # so what came before it was read, too
                    assert not woken.done()
                    _ring(record, bell)
                    await asyncio.wait_for(woken, 10)
        finally:
            await asyncio.to_thread(hub.stop)

    asyncio.run(listen())


def _ring(record: Record, bell: UUID) -> None:
    with record.store.write() as tx:
        changes.ring(tx, [bell])
