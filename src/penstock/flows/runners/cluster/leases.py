"""Places on a cluster, each for one call after the other, so that its scheduler is not asked for each of them.

Law: as many leases are asked of the scheduler as there are calls that wait for a place, so that it sees how much is
wanted; a host that comes takes the call that waits longest. It is kept for the next call for LEASE_SECONDS: others
wait for the cluster, too. A call whose arguments are on the cluster has a lease of its own, for the scheduler to bring
both together, and so has one that asks something of the cluster; while there are such calls, no host is kept.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

from ....domain.errors import InfrastructureNotAvailable
from ....engine import identity
from ....engine.timers import TIMERS
from .. import parcels
from ..channel import Channel
from ..worker import Told
from .home import Home, Taker
from .orders import Lease, Machine, Trouble

# What is told when the scheduler is through with a lease; None: it came to its end.
Over = Callable[[Trouble | None], None]
LEASE_SECONDS = 1.0
# How long a place is kept for a call that may come.
IDLE_SECONDS = 0.1
# How long calls may wait without a word in the log.
SILENT_SECONDS = 60.0


class Submission(Protocol):
    """A lease that was handed to the cluster's scheduler."""

    @property
    def value(self) -> Any:
        """The cluster's own handle of the value that stays there when the lease ends."""

    def cancel(self) -> None:
        """It is not to begin, if it has not."""


class Cluster(Protocol):
    """A connection to a cluster, for the time of a flow run."""

    @property
    def peer(self) -> str:
        """The name or address of a host of it."""

    @property
    def inside(self) -> bytes | None:
        """How code on it reaches it, for its own clients."""

    @property
    def lost(self) -> bool:
        """Whether nothing can be asked of it any more."""

    def watch(self, lost: Callable[[Trouble], None]) -> None:
        """Calls `lost` when it turns out that it is gone, where it would not be heard otherwise."""

    def wishes(self) -> dict[str, Any]:
        """What the code that submits asks of the cluster for the call at hand: resources, a priority, …"""

    def submit(
        self,
        name: str,
        lease: bytes,
        values: Sequence[Any],
        wishes: dict[str, Any],
        over: Callable[[Trouble | None], None],
    ) -> Submission:
        """Hands `host.host(lease, *values)` to the scheduler, to be called once; `over(trouble)`: it will not be, or
        was not to its end; `over(None)`: it was."""

    def fetch(self, handle: Any) -> bytes:
        """A value that stayed there."""

    def close(self) -> None:
        """Gives it back; one that was made for the flow run ends."""


class Guest(Protocol):
    """A call that waits for a host, or has one: its `line`."""

    line: Line | None

    def attach(self, line: Line) -> bool:
        """One has come; False: it is not wanted any more."""

    def failed(self, trouble: Trouble) -> None:
        """None will come."""

    def cut(self, trouble: Trouble) -> None:
        """The one that came is given up."""


class Asked:
    """A lease that was asked of the scheduler. `guest`: the one call that it is for."""

    def __init__(self, number: int, guest: Guest | None) -> None:
        self.number = number
        self.guest = guest
        self.trouble: Trouble | None = None
        self.is_over = threading.Event()
        self._submission: Submission | None = None
        self._submitted = threading.Event()

    def submitted(self, submission: Submission) -> None:
        self._submission = submission
        self._submitted.set()

    @property
    def submission(self) -> Submission:
        """(A host may come before the scheduler's client has returned.)"""
        self._submitted.wait()
        assert self._submission is not None
        return self._submission


class Line:
    """A host, as long as it is kept. `near`: it is on this machine."""

    def __init__(self, channel: Channel, asked: Asked, near: bool) -> None:
        self.channel = channel
        self.near = near
        self.told = Told(None, anew=True)
        self.until = time.monotonic() + LEASE_SECONDS
        self.idle_since = 0.0
        self._asked = asked

    @property
    def value(self) -> Any:
        """The cluster's handle of what its last call gave, where that stayed there."""
        return self._asked.submission.value

    def trouble(self, seconds: float) -> str:
        """What the cluster says about the loss of the host, if it says anything in so many seconds."""
        self._asked.is_over.wait(seconds)
        trouble = self._asked.trouble
        return "" if trouble is None else trouble.text

    def lives(self) -> bool:
        """A host that has nothing to do says nothing, unless it is gone."""
        poll = select.poll()
        poll.register(self.channel.fileno(), select.POLLIN)
        return not poll.poll(0)


class Leases:
    """The leases of one flow run."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._home = Home(cluster.peer, self._known)
        here = identity.me()
        self._machine = Machine(here.host, here.boot)
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._closed = False
        self._heard_at = time.monotonic()
        # calls that any host may take; leases that no host has come for, the first asked first; hosts without a call
        self._waiting: deque[Guest] = deque()
        self._asked: dict[int, Asked] = {}
        self._own = 0  # of them, those that are for one call
        self._idle: list[Line] = []
        self._guests: weakref.WeakSet[Guest] = weakref.WeakSet()

    def want(self, guest: Guest, name: str, values: Sequence[Any], wishes: dict[str, Any]) -> None:
        """A call needs a host; `values` are those among its arguments that are on the cluster. Raises
        `InfrastructureNotAvailable`."""
        self._guests.add(guest)
        if values or wishes:
            self._ask(name, guest, values, wishes)
            return
        while (line := self._take_idle()) is not None:
            if line.lives():
                guest.attach(line)
                return
            line.channel.close()
        with self._lock:
            self._waiting.append(guest)
            short = len(self._asked) - self._own < len(self._waiting)
        if short:
            try:
                self._ask(name, None, (), {})
            except InfrastructureNotAvailable:
                self.forget(guest)
                raise

    def silence(self) -> float | None:
        """For how long the cluster has had no host for any call, if that is long and has not been said since."""
        with self._lock:
            heard, now = self._heard_at, time.monotonic()
            if now - heard < SILENT_SECONDS or any(guest.line is not None for guest in self._guests):
                return None
            self._heard_at = now
            return now - heard

    def forget(self, guest: Guest) -> None:
        """A call that no host has come for does not want one any more."""
        surplus = []
        with self._lock:
            if guest in self._waiting:
                self._waiting.remove(guest)
            surplus += [asked for asked in self._asked.values() if asked.guest is guest]
            for asked in surplus:
                self._drop(asked)
            surplus += self._surplus()
        _cancel(surplus)

    def give_back(self, line: Line) -> None:
        """A host has done its call, and can do another."""
        while True:
            guest = None
            with self._lock:
                now = time.monotonic()
                self._heard_at = now
                keeps = not self._closed and not self._own and now < line.until
                if keeps and self._waiting:
                    guest = self._waiting.popleft()
                elif keeps:
                    line.idle_since = now
                    self._idle.append(line)
                surplus = self._surplus()
            _cancel(surplus)
            if guest is None:
                if keeps:
                    TIMERS.after(IDLE_SECONDS + 0.01, self._sweep)
                else:
                    line.channel.close()
                return
            if guest.attach(line):
                return

    def lose(self, trouble: Trouble) -> None:
        """The cluster is gone: no call waits any longer, and none goes on that nobody could end."""
        with self._lock:
            asked, self._asked = list(self._asked.values()), {}
            waiting, self._own = [*self._waiting, *(each.guest for each in asked if each.guest is not None)], 0
            self._waiting.clear()
        for each in asked:
            each.trouble = trouble
            each.is_over.set()
        for guest in waiting:
            guest.failed(trouble)
        for guest in list(self._guests):
            guest.cut(trouble)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            asked = list(self._asked.values())
            self._asked.clear()
        for line in idle:
            line.channel.close()
        _cancel(asked)
        self._home.close()

    def _take_idle(self) -> Line | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _ask(self, name: str, guest: Guest | None, values: Sequence[Any], wishes: dict[str, Any]) -> None:
        asked = Asked(next(self._numbers), guest)
        with self._lock:
            self._asked[asked.number] = asked
            self._own += guest is not None
        lease = Lease(self._home.address, self._home.token, asked.number, self._machine)
        try:
            asked.submitted(
                self._cluster.submit(
                    name, parcels.encode(lease), values, wishes, lambda trouble: self._over(asked, trouble)
                )
            )
        except Exception as error:
            with self._lock:
                self._drop(asked)
            raise InfrastructureNotAvailable(f"The cluster does not take task {name!r}: {error}") from error

    def _drop(self, asked: Asked) -> bool:
        """It is not waited for any more; False: it was not. The lock is held."""
        if self._asked.pop(asked.number, None) is None:
            return False
        self._own -= asked.guest is not None
        return True

    def _surplus(self) -> list[Asked]:
        """Takes those out that nobody needs: not each at once, for calls often come one after the other. The lock is
        held."""
        free = len(self._asked) - self._own
        wanted = len(self._waiting)
        if free <= 2 * wanted + 2:
            return []
        surplus = [asked for asked in self._asked.values() if asked.guest is None][wanted:]
        for asked in surplus:
            self._drop(asked)
        return surplus

    def _known(self, number: int, near: bool) -> Taker | None:
        """A host has dialled."""
        with self._lock:
            asked = self._asked.get(number)
            if asked is None or not self._drop(asked):
                return None
            guest = asked.guest or (self._waiting.popleft() if self._waiting else None)
        if guest is None:
            return None
        found = guest

        def take(channel: Channel) -> None:
            self._heard_at = time.monotonic()
            line = Line(channel, asked, near)
            if not found.attach(line):
                self.give_back(line)

        return take

    def _over(self, asked: Asked, trouble: Trouble | None) -> None:
        """The scheduler says that no host will come. (Where one has come, its line says whether it is there.)"""
        asked.trouble = trouble
        asked.is_over.set()
        if trouble is None:
            return
        with self._lock:
            if not self._drop(asked):
                return
            guest = asked.guest or (self._waiting.popleft() if self._waiting else None)
        if guest is not None:
            guest.failed(trouble)

    def _sweep(self) -> None:
        """Lets hosts go that have had nothing to do."""
        with self._lock:
            latest = time.monotonic() - IDLE_SECONDS
            stale = [line for line in self._idle if line.idle_since <= latest]
            self._idle = [line for line in self._idle if line.idle_since > latest]
        for line in stale:
            line.channel.close()


def _cancel(asked: Sequence[Asked]) -> None:
    for each in asked:
        with contextlib.suppress(Exception):  # a scheduler that is gone
            each.submission.cancel()
