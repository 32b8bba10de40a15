"""A worker that waits for work hears of it: looked after in all tests in which workers ask for some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import pytest

from penstock.domain.errors import PenstockError
from penstock.protocol.launches import ClaimLaunches, Claims
from penstock.services import claiming
from penstock.services.rescue import Lives
from penstock.store import changes, launches
from penstock.store.contract import Store, Tx


class _Undone(Exception):
    """What would be answered; nothing of it has happened."""

    def __init__(self, news: bool) -> None:
        self.news = news


@dataclass
class _Waiting:
    store: Store
    asked: ClaimLaunches
    now: datetime
    since: int

    def has_news(self) -> bool:
        """Whether the question has another answer at the moment at which it was asked. (What time changes, and what
        is seen of processes, no bell is rung for.)"""
        try:
            with self.store.write() as tx:
                pool = (
                    None if self.asked.work_pool is None else claiming._pool_for(tx, self.asked.work_pool, self.asked)
                )
                queues = claiming._queues(tx, pool, self.asked)
                claims = claiming._claims(tx, self.asked, pool, queues, self.now, lambda holder: None)
                lost = [id for id in claims.lost if not self._ended_it(tx, id)]
                raise _Undone(bool(claims.work or claims.stops or lost or claiming._sooner(claims, self.asked)))
        except _Undone as undone:
            return undone.news
        except PenstockError:  # the pool was deleted
            return True

    def _ended_it(self, tx: Tx, id: UUID) -> bool:
        launch = launches.get(tx, id)
        return launch is not None and launch.worker == self.asked.worker.id

    def heard(self) -> bool:
        with self.store.read() as tx:
            rung = {bell for change in changes.since(tx, self.since, 100_000) for bell in change.bells}
        return bool(rung & set(claiming.bells(self.asked)))


@dataclass
class _Bells:
    waiting: dict[UUID, _Waiting] = field(default_factory=dict)

    def check(self) -> None:
        for each in self.waiting.values():
            if each.has_news() and not each.heard():
                pytest.fail("A worker waits, there is news for it, and none of its bells was rung.")


@pytest.fixture(autouse=True)
def bells_are_rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if "store" in request.fixturenames:
        request.getfixturevalue("store")  # so that it is closed after the last look
    bells, claim = _Bells(), claiming.claim

    def watched(store: Store, asked: ClaimLaunches, now: datetime, lives: Lives) -> Claims:
        bells.check()
        bells.waiting.pop(asked.worker.id, None)
        try:
            return claim(store, asked, now, lives)
        except claiming.Nothing:
            with store.read() as tx:
                waiting = _Waiting(store, asked, now, changes.last(tx))
            if not waiting.has_news():
                bells.waiting[asked.worker.id] = waiting
            raise

    monkeypatch.setattr(claiming, "claim", watched)
    yield
    bells.check()
