"""The watcher of the record: what it does not say, somebody else has to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.api.hub import Hub
from penstock.api.subscriptions import Subscription

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
