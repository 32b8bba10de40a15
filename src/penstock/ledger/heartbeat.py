"""What a process does beside its served runs: it keeps its lease with the server, and hears requests to stop.

Law: this never touches a run. One connection stays open, on which the server says when the end of a run of this
process is asked for; while it is broken it is tried again. It rests while no run is under way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from ..domain.errors import PenstockError
from ..domain.stops import Signal

# A third of the lease: two may fail.
RENEW_SECONDS = 20.0
# The server says something at least every 15 s, if only that it is there.
SILENCE_SECONDS = 40.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0

Hear = Callable[[Signal], None]


class Lines(Protocol):
    """What the server sends, line by line; `stop`, from any thread, ends it."""

    def __iter__(self) -> Iterator[bytes]: ...

    def stop(self) -> None: ...


Listen = Callable[[], AbstractContextManager[Lines]]

_decode = msgspec.json.Decoder(Signal).decode


class Heartbeat:
    """`listen()` gives the lines that the server sends (server-sent events), `renew()` keeps the lease, `hear(signal)`
    is called in a thread of the heartbeat's."""

    def __init__(self, renew: Callable[[], None], listen: Listen, hear: Hear) -> None:
        self._renew = renew
        self._listen = listen
        self._hear = hear
        self.forget()
        _open.add(self)

    def forget(self) -> None:
        """In a forked child: its runs are its own, and the threads are not in it."""
        self._runs = 0
        self._closed = False
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._heard: set[Signal] = set()
        self._renewed = 0.0
        self._lines: Lines | None = None

    def begin(self) -> None:
        with self._lock:
            self._runs += 1
            self._begun.set()
            if not self._threads and not sys.is_finalizing():
                for work, name in ((self._keep, "lease"), (self._follow, "signals")):
                    thread = threading.Thread(target=work, name=f"penstock-{name}", daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def end(self) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs <= 0:
                self._begun.clear()

    def renewed(self) -> None:
        """The server has heard of this process, by whatever way."""
        self._renewed = time.monotonic()

    def close(self) -> None:
        self._closed = True
        self._begun.set()
        self._wake.set()
        if self._lines is not None:
            self._lines.stop()

    def _rest(self) -> bool:
        """Waits while no run is under way; whether that is for good."""
        self._begun.wait()
        return self._closed

    def _keep(self) -> None:
        self.renewed()  # the batch that begins the run does it
        while not self._rest():
            self._wake.wait(max(self._renewed + RENEW_SECONDS - time.monotonic(), 0.1))
            if not self._closed and self._begun.is_set() and time.monotonic() - self._renewed >= RENEW_SECONDS:
                try:
                    self._renew()
                except PenstockError:  # the journal says so; here it is tried again
                    self._wake.wait(1.0)

    def _follow(self) -> None:
        pause = FIRST_PAUSE
        while not self._rest():
            with contextlib.suppress(PenstockError), self._listen() as lines:
                self._lines = lines
                if self._closed:
                    return
                for line in lines:
                    pause = FIRST_PAUSE
                    if line.startswith(b"data:"):
                        self._take(line[5:])
                    elif not self._begun.is_set() and not line:
                        break  # no run is under way: the connection is given back at the next sign of life
            self._wake.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _take(self, data: bytes) -> None:
        try:
            signal = _decode(data)
        except msgspec.MsgspecError:
            return  # of a newer server
        if signal in self._heard:
            return
        if len(self._heard) > 10_000:
            self._heard.clear()
        self._heard.add(signal)
        try:
            self._hear(signal)
        except Exception as error:
            print(f"penstock: a request to stop could not be delivered: {error!r}", file=sys.__stderr__)


_open: weakref.WeakSet[Heartbeat] = weakref.WeakSet()


def _forget() -> None:
    for heartbeat in list(_open):
        heartbeat.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
