"""How an engine gets slots of concurrency limits: claims are made, waited for and given back beside the runs.

Law: nothing here makes a run's thread or a loop wait: who wants slots is told when they are there (`Place.arrived`),
and waits as it waits for anything else, so that a stop ends the waiting. One thread asks, in the order in which it was
told to: what is given back is free before what is claimed after it. Another one, while claims wait, waits for all of
them at once. A record that does not answer is asked again; a claim gives up after a while, and what is owed to the
record (slots to be given back) is owed for ever, but keeps no claim from giving up.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from ..domain.concurrency import TAG, Claimed, Reserved
from ..domain.errors import RecordError
from ..domain.runs import Holder
from ..protocol import concurrency_limits as asked
from ..protocol.operation import Nothing
from .awaited import Awaited

# How long it is believed which tags have limits.
TAGS_SECONDS = 2.0
# A wait is many short ones: so it is noticed when who holds slots is gone without a word.
WAIT_SECONDS = 1.0
PAUSE_SECONDS = 0.25
# Claims that wait and are not known to yet (they have just been made, or given up) are no reason to ask without a rest.
BREATH_SECONDS = 0.01
REST_SECONDS = 1.0
CLOSE_SECONDS = 5.0

Ask = Callable[..., Any]


class Place:
    """A claim on its way. `answered`: it is known how it stands (`claimed`). `arrived`: its slots are held.

    Both also happen when it failed, with `error`.
    """

    __slots__ = ("answered", "arrived", "asked", "claimed", "error", "given_back", "id", "pid")

    def __init__(self, id: UUID) -> None:
        self.id = id
        self.answered = Awaited()
        self.arrived = Awaited()
        self.claimed: Claimed | None = None
        self.error: BaseException | None = None
        # Whether the record may know of it. (That no answer came does not say that the question did not arrive.)
        self.asked = False
        self.given_back = False
        self.pid = os.getpid()

    def outcome(self) -> Claimed:
        """How the claim stood when it was answered; raises what went wrong."""
        if self.error is not None:
            raise self.error
        assert self.claimed is not None
        return self.claimed

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.answered.happen()
        self.arrived.happen()


class Wish:
    """A wish for slots of rate limits on its way: `answered` when it is known what became of it."""

    __slots__ = ("answered", "error", "pid", "reserved")

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.answered = Awaited()
        self.reserved: Reserved | None = None
        self.error: BaseException | None = None

    def outcome(self) -> Reserved:
        """What became of it; raises what went wrong."""
        if self.error is not None:
            raise self.error
        assert self.reserved is not None
        return self.reserved


class Slots:
    """This process's slots in one record. `ask(operation, argument, key=…)` has the record answer, `new_id()` makes
    ids.

    `patience` is for how many seconds a claim is tried while the record does not answer. Safe to use from several
    threads.
    """

    def __init__(self, ask: Ask, new_id: Callable[[], UUID], patience: float = 300.0) -> None:
        self._ask = ask
        self._new_id = new_id
        self._patience = patience
        self.forget()
        _open.add(self)

    def forget(self) -> None:
        """In a forked child: what is claimed and waited for is the parent's."""
        self._me = self._new_id()
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        self._waiting: dict[UUID, Place] = {}
        self._closing = threading.Event()
        self._tags: frozenset[str] = frozenset()
        self._tags_until = 0.0
        self._learning: Awaited | None = None
        # what the record has not been told yet; of the worker
        self._owed: deque[tuple[Any, Any, str | None]] = deque()

    # --- tags ---

    def limited(self, tags: Iterable[str]) -> tuple[str, ...] | None:
        """The limits on these tags; None when that is not known just now (`learn` first)."""
        if time.monotonic() > self._tags_until:
            return None
        known = self._tags
        return tuple(TAG + tag for tag in tags if tag in known) if known else ()

    def learn(self) -> Awaited:
        """Asks which tags have limits; what is waited for happens in any case. Where the record does not answer, what
        was known holds."""
        with self._lock:
            if self._learning is None:
                self._learning = Awaited()
                self._put(self._learn)
            return self._learning

    def _learn(self) -> None:
        try:
            self._tags = frozenset(self._ask(asked.LIMITED_TAGS, Nothing()).tags)
        except Exception as error:
            if not isinstance(error, RecordError):
                print(f"penstock: it is not known which tags have limits: {error}", file=sys.__stderr__)
        with self._lock:
            self._tags_until = time.monotonic() + TAGS_SECONDS
            learned, self._learning = self._learning, None
        if learned is not None:
            learned.happen()

    # --- slots ---

    def claim(
        self,
        names: Sequence[str],
        occupy: int,
        *,
        holder: Holder,
        run_id: UUID | None = None,
        flow_run_id: UUID | None = None,
        strict: bool = False,
        wait: bool = True,
    ) -> Place:
        """Takes slots of all these limits, or queues for them. Ends with the run, with the flow run, or with
        `give_back`."""
        place = Place(self._new_id())
        claim = asked.ClaimSlots(
            id=place.id,
            names=list(names),
            occupy=occupy,
            strict=strict,
            wait=wait,
            waiter=self._me,
            run_id=run_id,
            flow_run_id=flow_run_id,
            holder=holder,
        )
        deadline = time.monotonic() + self._patience
        with self._lock:
            self._put(lambda: self._claim(place, claim, deadline))
        return place

    def _claim(self, place: Place, claim: asked.ClaimSlots, deadline: float) -> None:
        if place.given_back:
            return
        place.asked = True
        try:
            claimed: Claimed = self._insist(asked.CLAIM_SLOTS, claim, deadline, lambda: place.given_back)
        except Exception as error:
            place.fail(error)
            return
        place.claimed = claimed
        if claimed.taken or not claim.wait:
            place.answered.happen()
            place.arrived.happen()
            return
        with self._lock:
            self._waiting[place.id] = place
            if self._watcher is None:
                self._watcher = self._thread(self._watch, "penstock-slots-wait")
        place.answered.happen()

    def give_back(self, place: Place) -> None:
        """The slots are free, or it is not waited for them any more. In a forked child they are not its own."""
        if place.given_back or place.pid != os.getpid():
            return
        place.given_back = True
        with self._lock:
            self._waiting.pop(place.id, None)
            self._put(lambda: self._give_back(place))

    def _give_back(self, place: Place) -> None:
        with self._lock:
            self._waiting.pop(place.id, None)
        if place.asked:
            self._owed.append((asked.RELEASE_SLOTS, asked.ReleaseSlots(ids=[place.id]), None))

    # --- rates ---

    def reserve(self, names: Sequence[str], occupy: int, *, strict: bool, longest: float | None) -> Wish:
        """Takes slots of rate limits, unless that means to wait longer than `longest` seconds."""
        wish = Wish()
        wanted = asked.ReserveRate(names=list(names), occupy=occupy, strict=strict, longest=longest)
        deadline = time.monotonic() + self._patience
        with self._lock:
            self._put(lambda: self._reserve(wish, wanted, deadline))
        return wish

    def _reserve(self, wish: Wish, wanted: asked.ReserveRate, deadline: float) -> None:
        try:
            wish.reserved = self._insist(asked.RESERVE_RATE, wanted, deadline, key=self._new_id().hex)
        except Exception as error:
            wish.error = error
        wish.answered.happen()

    def give_up(self, wish: Wish, occupy: int) -> None:
        """What was wished for is not waited for to the end: what was reserved is given back."""
        if wish.pid != os.getpid():
            return
        with self._lock:
            self._put(lambda: self._give_up(wish, occupy))

    def _give_up(self, wish: Wish, occupy: int) -> None:
        if wish.reserved is not None and wish.reserved.taken and wish.reserved.names:
            wanted = asked.GiveBackRate(names=list(wish.reserved.names), occupy=occupy)
            self._owed.append((asked.GIVE_BACK_RATE, wanted, self._new_id().hex))

    # --- threads ---

    def _put(self, work: Callable[[], None]) -> None:
        """With the lock."""
        self._work.put(work)
        if self._worker is None:
            self._worker = self._thread(self._do, "penstock-slots")

    def _thread(self, target: Callable[[], None], name: str) -> threading.Thread | None:
        if sys.is_finalizing():
            return None
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def _do(self) -> None:
        while True:
            paid = self._pay()
            try:
                work = self._work.get(timeout=REST_SECONDS if paid else PAUSE_SECONDS)
            except queue.Empty:
                work = None
            if work is not None:
                work()
                continue
            with self._lock:
                if self._work.empty() and (not self._owed or self._closing.is_set()):
                    self._worker = None
                    return

    def _pay(self) -> bool:
        """Tells the record what it is owed; whether that was all."""
        while self._owed:
            operation, argument, key = self._owed[0]
            try:
                self._ask(operation, argument, key=key)
            except RecordError:
                return False
            except Exception as error:
                print(f"penstock: slots could not be given back: {error}", file=sys.__stderr__)
            self._owed.popleft()
        return True

    def _watch(self) -> None:
        while True:
            with self._lock:
                waiting = list(self._waiting)
                if not waiting or self._closing.is_set():
                    self._watcher = None
                    return
            try:
                query = asked.WaitForSlots(waiter=self._me, waiting=waiting, wait=WAIT_SECONDS)
                arrived: list[UUID] = self._ask(asked.WAIT_FOR_SLOTS, query).ids
            except RecordError:
                self._closing.wait(PAUSE_SECONDS)
                continue
            except Exception as error:
                for id in waiting:
                    self._arrive(id, error)
                continue
            for id in arrived:
                self._arrive(id, None)
            if not arrived:
                self._closing.wait(BREATH_SECONDS)

    def _arrive(self, id: UUID, error: Exception | None) -> None:
        with self._lock:
            place = self._waiting.pop(id, None)
        if place is not None:
            place.error = error
            place.arrived.happen()

    def _insist(
        self,
        operation: Any,
        argument: Any,
        deadline: float,
        pointless: Callable[[], bool] = lambda: False,
        *,
        key: str | None = None,
    ) -> Any:
        """The answer, asked for again while the record does not give one."""
        while True:
            try:
                return self._ask(operation, argument, key=key)
            except RecordError:
                if self._closing.is_set() or pointless() or time.monotonic() > deadline:
                    raise
            self._closing.wait(PAUSE_SECONDS)

    def close(self) -> None:
        """What was given back is free when this returns, as far as the record answers; nothing is waited for."""
        with self._lock:
            self._closing.set()
            if self._worker is not None:
                self._work.put(None)
            threads = [thread for thread in (self._worker, self._watcher) if thread is not None]
        for thread in threads:
            thread.join(CLOSE_SECONDS)


_open: weakref.WeakSet[Slots] = weakref.WeakSet()


def _forget() -> None:
    for slots in list(_open):
        slots.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
