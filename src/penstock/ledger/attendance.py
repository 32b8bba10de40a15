"""What a process does beside its runs: it keeps its lease, and hears requests to stop.

Law: this never touches a run. It looks whether the record has changed (a look costs microseconds), reads open requests
when it has, and hands each over once. It rests while no run is under way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable
from datetime import datetime

from ..domain.errors import RecordError
from ..domain.limits import LEASE
from ..domain.runs import Holder
from ..domain.stops import Signal
from ..store import holders, signals
from ..store.contract import Store, Tx

LOOK_SECONDS = 0.05
RENEW_LOOKS = round(10 / LOOK_SECONDS)
REST_SECONDS = 5.0

Hear = Callable[[Signal], None]


class Attendance:
    """`holder()` is this process, `now()` the moment, `hear(signal)` is called in the attendance's thread."""

    def __init__(
        self,
        store: Store,
        holder: Callable[[], Holder],
        now: Callable[[], datetime],
        hear: Hear,
        may_be_killed: bool,
    ) -> None:
        self._store = store
        self._holder = holder
        self._now = now
        self._hear = hear
        self._may_be_killed = may_be_killed
        self.forget()
        _open.add(self)

    def forget(self) -> None:
        """In a forked child: its runs are its own, and the thread is not in it."""
        self._runs = 0
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._heard: dict[Signal, None] = {}
        self.leased = False

    def begin(self) -> bool:
        """A run begins; whether the process's lease must be recorded first."""
        with self._lock:
            self._runs += 1
            first, self.leased = not self.leased, True
            self._begun.set()
            if self._thread is None and not sys.is_finalizing():
                self._thread = threading.Thread(target=self._attend, name="penstock-attendance", daemon=True)
                self._thread.start()
            return first

    def end(self) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs <= 0:
                self._begun.clear()

    def close(self) -> None:
        """The record is given back."""
        with self._lock:
            self._ending.set()
            self._begun.set()

    def _attend(self) -> None:
        seen, looks = -1, 0
        while True:
            if not self._begun.wait(REST_SECONDS):
                with self._lock:
                    if not self._begun.is_set():
                        self._thread = None
                        return
            if self._ending.wait(LOOK_SECONDS):
                return
            looks += 1
            try:
                seen = self._look(seen)
                if looks % RENEW_LOOKS == 0:
                    with self._store.write() as tx:
                        self.renew(tx)
            except RecordError:  # the journal says so; here it is tried again
                continue

    def renew(self, tx: Tx) -> None:
        """Records that the process lives."""
        holders.put(tx, self._holder(), self._now() + LEASE, self._may_be_killed)

    def _look(self, seen: int) -> int:
        changes = self._store.changes()
        if changes == seen:
            return seen
        with self._store.read() as tx:
            found = signals.all(tx)
        for signal in found:
            if signal not in self._heard:
                self._heard[signal] = None
                try:
                    self._hear(signal)
                except Exception as error:
                    print(f"penstock: a request to stop could not be delivered: {error!r}", file=sys.__stderr__)
        self._heard = dict.fromkeys(signal for signal in self._heard if signal in found)
        return changes


_open: weakref.WeakSet[Attendance] = weakref.WeakSet()


def _forget() -> None:
    for attendance in list(_open):
        attendance.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
