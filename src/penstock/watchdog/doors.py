"""The records that a watchdog works on: a database of this machine, or a server's, by one contract.

Law: what a watchdog wants of a record is a question of `protocol.deeds`, so it is done in the same way wherever the
record is.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

from ..domain.errors import PenstockError
from ..domain.limits import LEASE
from ..domain.runs import Holder
from ..domain.stops import Signal
from ..engine import identity
from ..protocol.deeds import Deed, FindRequests, Request
from ..protocol.journal import MSGPACK, PATH, Asked, answers_in, batch_of, encoded
from ..services import questions
from ..services.rescue import Lives, rescue, take_spooled
from ..store import flow_runs, holders, task_runs
from ..store.sqlite import SqliteStore
from ..transport import Transport
from .places import ServerPlace

# A record that somebody holds locked must not keep the watchdog from what else is due.
LOCK_PATIENCE = 1.0
# Here it is renewed only when the program is late with that.
RENEW_WHEN_LEFT = LEASE * 3 / 4
SERVER_SECONDS = 10.0


class Door(Protocol):
    """A record. What cannot be done raises `PenstockError`."""

    def ask(self, deed: Deed) -> Any:
        """Has a deed done; its answer."""

    def requests(self, holder: Holder) -> list[Request]:
        """Whose end is asked for, of the runs of a process."""

    def asked_at(self, signal: Signal) -> datetime:
        """When the end of a run was asked for, by the clock of this machine."""

    def renew(self, holder: Holder, may_be_killed: bool) -> None:
        """A program that is busy or frozen is alive all the same, and its runs are its own."""

    def take_spooled(self) -> None:
        """Records what processes which are gone had reported and had no time to."""

    def rescue(self, lives: Lives) -> None:
        """Closes what processes that are gone left open, where whoever looks can do that."""

    def name_of(self, run_id: UUID, is_flow: bool) -> str | None:
        """A run's name, where that is known at once."""

    def changes(self) -> int:
        """Differs when there may be something new."""

    def close(self) -> None: ...


class StoreDoor:
    """A database of this machine."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self._changes: int | None = None
        self._requests: list[Request] = []

    def ask(self, deed: Deed) -> Any:
        if isinstance(deed, FindRequests):
            with self.store.read() as tx:
                return questions.answer(tx, deed)
        with self.store.write() as tx:
            answer = questions.answer(tx, deed)
        if isinstance(answer, PenstockError):
            raise answer
        return answer

    def requests(self, holder: Holder) -> list[Request]:
        changes = self.store.changes()
        if changes != self._changes:
            self._requests = self.ask(FindRequests(holder))
            self._changes = changes
        return self._requests

    def asked_at(self, signal: Signal) -> datetime:
        return signal.at

    def renew(self, holder: Holder, may_be_killed: bool) -> None:
        now = datetime.now(UTC)
        with self.store.read() as tx:
            lease = holders.lease_of(tx, holder)
        if lease is not None and lease < now + RENEW_WHEN_LEFT:
            with self.store.write() as tx:
                holders.put(tx, holder, now + LEASE, may_be_killed)

    def take_spooled(self) -> None:
        take_spooled(self.store, identity.lives, lambda: datetime.now(UTC))

    def rescue(self, lives: Lives) -> None:
        rescue(self.store, lives, lambda: datetime.now(UTC))

    def name_of(self, run_id: UUID, is_flow: bool) -> str | None:
        with self.store.read() as tx:
            run = flow_runs.get(tx, run_id) if is_flow else task_runs.get(tx, run_id)
        return None if run is None else run.name

    def changes(self) -> int:
        return self.store.changes()

    def close(self) -> None:
        self.store.close()


class ServerDoor:
    """A server's record. It is looked at seldom: the program itself hears requests at once, and this one is for those
    that it cannot answer."""

    def __init__(self, url: str, key: str | None, basic: str | None, spool: Path) -> None:
        self._transport = Transport(url, key=key, basic=basic, patience=0.0)
        self._spool = spool
        self._looked = -SERVER_SECONDS
        self._requests: list[Request] = []
        self._heard: dict[Signal, datetime] = {}

    def ask(self, deed: Deed) -> Any:
        asked = [Asked(uuid4().hex, deed)]
        (answer,) = answers_in(self._post(encoded(batch_of(identity.me(), (), asked))), asked)
        if isinstance(answer, PenstockError):
            raise answer
        return answer

    def requests(self, holder: Holder) -> list[Request]:
        if time.monotonic() - self._looked >= SERVER_SECONDS:
            self._looked = time.monotonic()
            self._requests = self.ask(FindRequests(holder))
            open_ones = {request.signal for request in self._requests}
            self._heard = {signal: at for signal, at in self._heard.items() if signal in open_ones}
        return self._requests

    def asked_at(self, signal: Signal) -> datetime:
        """When it was heard of here. The server's clock may differ from this machine's by minutes: one that is behind
        would have the program ended before its grace is over, one that is ahead long after it."""
        return self._heard.setdefault(signal, datetime.now(UTC))

    def renew(self, holder: Holder, may_be_killed: bool) -> None:
        self._post(encoded(batch_of(holder, (), attending=True, may_be_killed=may_be_killed)))

    def take_spooled(self) -> None:
        from ..ledger.remote import ship_left

        ship_left(self._post, self._spool, identity.lives, lambda: datetime.now(UTC))

    def rescue(self, lives: Lives) -> None:
        """The server does that."""

    def name_of(self, run_id: UUID, is_flow: bool) -> str | None:
        return None  # a process that is to be ended is not kept alive by a server that is slow to answer

    def changes(self) -> int:
        return int(time.monotonic() / SERVER_SECONDS)

    def close(self) -> None:
        self._transport.close()

    def _post(self, body: bytes) -> bytes:
        return self._transport.send("POST", PATH, body, {"content-type": MSGPACK, "accept": MSGPACK})


def door_to(place: Path | ServerPlace) -> Door | None:
    """None where a database is not there (any more): it is not made anew."""
    if isinstance(place, ServerPlace):
        return ServerDoor(*place)
    return StoreDoor(SqliteStore(place, patience=LOCK_PATIENCE)) if place.exists() else None
