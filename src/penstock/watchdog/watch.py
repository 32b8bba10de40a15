"""The watchdog's own process: it sleeps until something is due, and has it done.

Law: until something is to be written, only the standard library is loaded; `deeds`, which opens the record, is loaded
a moment before it is needed. The table is read again right before anything is done, for the program may have done it
itself meanwhile. An error in one thing keeps nothing else from being done; it is tried again a little later.

The process ends when its program has: at once where nothing was under way, else after closing what it left open. It
does not end before, whatever signals it is sent together with its program.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Protocol

from ..infrastructure.process import Process, lives, send
from .table import NEVER, OPEN, Entry, View

# Loading the record's code takes a tenth of a second, on a busy machine several: it is begun this long before something
# is due.
LOAD_SECONDS = 0.5
# While runs are under way: how often to look, and when to be ready for all there may be to do.
LOOK_SECONDS = 0.2
READY_SECONDS = 2.0
# While there is nothing to do.
REST_SECONDS = 30.0
# What failed is tried again after this long, and then ever less often.
RETRY_SECONDS = 0.1
# A program whose end was told may take a moment to be gone.
PARTING_SECONDS = 2.0

# A limit that the program has not acted on after this long is one that it cannot: code keeps all threads but its own
# from running. A signal is seen by some such code (a regular expression), which a thread of the program cannot send.
NUDGE_SECONDS = 0.02

Key = tuple[int, int]


class Deeds(Protocol):
    """What can be done. What raises is tried again."""

    def record(self, entry: Entry) -> None:
        """Closes a run's record: its code did not stop in time."""

    def end(self, entry: Entry, entries: list[Entry]) -> None:
        """Ends the program, and closes all that it had under way. `entries` is all that is guarded."""

    def look(self) -> None:
        """Keeps the program's lease, and enforces requests to stop that it does not answer."""

    def part(self, entries: list[Entry]) -> None:
        """The program is gone: closes what it left open."""


class Watch:
    """What is due when, and having it done. `load` gives the deeds; `now` is the monotonic clock."""

    def __init__(
        self,
        view: View,
        load: Callable[[], Deeds],
        now: Callable[[], float],
        *,
        nudge: Callable[[], None] = lambda: None,
        rest: float = REST_SECONDS,
    ) -> None:
        self._view = view
        self._load = load
        self._now = now
        self._nudge = nudge
        self._rest = rest
        self._deeds: Deeds | None = None
        self._ready_at = now() + READY_SECONDS
        self._look_at = now()
        self._done: dict[tuple[Key, str], None] = {}
        self._failed: dict[tuple[Key, str], tuple[int, float]] = {}

    def step(self) -> float:
        """Does what is due; in how many seconds there is something to do again."""
        self._view.announce(NEVER)
        entries = self._view.entries()
        self._forget_but(entries)
        for entry in entries:
            self._serve(entry, entries)
        self._look()
        now = self._now()
        at = min((self._due(entry) for entry in entries), default=NEVER)
        if at < NEVER and self._deeds is None:
            at -= LOAD_SECONDS
            if at <= now:
                at = self._prepared_at(now)
        at = max(min(at, now + self._longest_sleep(entries)), now)
        # What is due soon after it has woken must be told before, while there is something to load first.
        self._view.announce(at if self._deeds is not None else at + LOAD_SECONDS)
        return at - now

    def part(self) -> None:
        """The program is gone."""
        entries = self._view.entries()
        if not self.is_idle:
            for attempt in range(8):
                try:
                    self._loaded().part(entries)
                    return
                except Exception:
                    time.sleep(RETRY_SECONDS * 2**attempt)

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be left open, were the program gone now."""
        return not self._view.roots and not self._view.entries()

    @property
    def is_over(self) -> bool:
        """Whether the program has said that there is nothing more to watch."""
        return self._view.is_closed

    def _loaded(self) -> Deeds:
        if self._deeds is None:
            self._deeds = self._load()
        return self._deeds

    def _prepared_at(self, now: float) -> float:
        """Loads what will be needed. When to look again: at once, for that took a while."""
        try:
            self._loaded()
            return now
        except Exception:
            return now + RETRY_SECONDS

    def _longest_sleep(self, entries: list[Entry]) -> float:
        return LOOK_SECONDS if entries or self._view.roots else self._rest

    # --- entries -----------------------------------------------------------------------------------------------------

    def _serve(self, entry: Entry, entries: list[Entry]) -> None:
        if entry.state == OPEN:
            if entry.record_at < NEVER:
                self._do("nudge", entry, entry.due_at + NUDGE_SECONDS, lambda fresh: self._nudge())
            self._do("record", entry, entry.record_at, lambda fresh: self._loaded().record(fresh))
        self._do("end", entry, entry.kill_at, lambda fresh: self._loaded().end(fresh, entries))

    def _do(self, what: str, entry: Entry, at: float, deed: Callable[[Entry], None]) -> None:
        key = ((entry.slot, entry.serial), what)
        tries, again_at = self._failed.get(key, (0, 0.0))
        if key in self._done or max(at, again_at) > self._now():
            return
        fresh = self._view.entry(entry.slot)
        if fresh is None or fresh.serial != entry.serial or (what == "record" and fresh.state != OPEN):
            return
        try:
            deed(fresh)
            self._done[key] = None
        except Exception:
            self._failed[key] = (tries + 1, self._now() + min(RETRY_SECONDS * 2**tries, LOOK_SECONDS))

    def _due(self, entry: Entry) -> float:
        """When there is next something to do for an entry."""
        key = (entry.slot, entry.serial)
        times = {"end": entry.kill_at}
        if entry.state == OPEN and entry.record_at < NEVER:
            times |= {"nudge": entry.due_at + NUDGE_SECONDS, "record": entry.record_at}
        return min(
            NEVER if (key, what) in self._done else max(at, self._failed.get((key, what), (0, 0.0))[1])
            for what, at in times.items()
        )

    def _forget_but(self, entries: list[Entry]) -> None:
        if self._done or self._failed:
            keys = {(entry.slot, entry.serial) for entry in entries}
            self._done = {known: None for known in self._done if known[0] in keys}
            self._failed = {known: value for known, value in self._failed.items() if known[0] in keys}

    def _look(self) -> None:
        now = self._now()
        if not self._view.roots or now < self._look_at or (self._deeds is None and now < self._ready_at):
            return
        self._look_at = now + LOOK_SECONDS
        try:
            self._loaded().look()
        except Exception:
            pass  # the record cannot be used at this moment


class Vigil:
    """Waits beside one program until it is gone."""

    def __init__(self, watch: Watch, program: Process, connection: socket.socket) -> None:
        self._watch = watch
        self._program = program
        self._connection: socket.socket | None = connection
        connection.setblocking(False)
        self._death = _death_of(program)

    def keep(self) -> None:
        while lives(self._program) and not self._watch.is_over:
            seconds = self._watch.step()
            waited_for = [each for each in (self._connection, self._death) if each is not None]
            ready = select.select(waited_for, [], [], seconds)[0]
            if self._connection in ready and self._hangs_up():
                # Its end is near; or it has given itself up to another program, or closed all its files.
                self._connection = None
                if self._watch.is_idle:
                    return
                self._await_end()
        if not self._watch.is_over:
            self._watch.part()

    def _hangs_up(self) -> bool:
        assert self._connection is not None
        try:
            while data := self._connection.recv(4096):
                del data
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _await_end(self) -> None:
        deadline = time.monotonic() + PARTING_SECONDS
        while lives(self._program) and not self._watch.is_over and time.monotonic() < deadline:
            if self._death is not None:
                select.select([self._death], [], [], 0.1)
            else:
                time.sleep(0.01)


def _death_of(program: Process) -> int | None:
    """A file that can be read when the process has ended; None where there is no such thing."""
    try:
        return os.pidfd_open(program.pid)
    except (AttributeError, OSError):
        return None


def main(arguments: list[str]) -> None:
    """What `beside` starts."""
    connection_fd, table_fd, pid, started, *told = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _close_all_but({0, 1, 2, int(connection_fd), int(table_fd)})
    os.chdir("/")
    program = Process(int(pid), started)
    view = View(int(table_fd))
    view.announce(NEVER)
    view.present(os.getpid())

    def load() -> Deeds:
        from . import deeds

        return deeds.Record(view, program, *told)

    # Where the program's end cannot be waited for, it is looked for.
    rest = REST_SECONDS if hasattr(os, "pidfd_open") else LOOK_SECONDS
    watch = Watch(view, load, time.monotonic, nudge=lambda: send(program, signal.SIGURG), rest=rest)
    Vigil(watch, program, socket.socket(fileno=int(connection_fd))).keep()


def _close_all_but(kept: set[int]) -> None:
    """Files that the program lets its children have are not ours: who waits for their end would wait for us."""
    try:
        opened = [int(name) for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")]
    except OSError:
        return
    for fd in opened:
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                pass
