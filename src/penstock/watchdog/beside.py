"""The program's side of the watchdog: what it is told, and when it is started.

Law: nothing here raises into the program's code, and nothing here waits. A run is guarded by an entry in the shared
table; the watchdog is sent a byte only when it would otherwise look too late. Where no watchdog can be started, all
this does nothing: limits are then as good as the program itself can make them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
import weakref

import msgspec

from ..domain.runs import FlowRun, TaskRun
from ..domain.stops import TIMEOUT, Stop
from ..engine import identity
from . import detached
from .table import LONGEST_STOP, NEVER, Table

# A watchdog that is later than this with what it announced is asked whether it lives.
LATE_SECONDS = 2.0
# While runs are under way it looks more often than this; one that has announced a longer sleep is to be told of them.
SOON_SECONDS = 2.0
# Starts after which no watchdog came up, until no more is tried.
TRIES = 3

# A socket, not a pipe: writing to a pipe whose reader is gone ends programs that have set SIGPIPE to its default.
_SEND = getattr(socket, "MSG_NOSIGNAL", 0) | getattr(socket, "MSG_DONTWAIT", 0)
_encode = msgspec.json.Encoder().encode
_encode_run = msgspec.msgpack.Encoder(enc_hook=repr).encode


class Guard:
    """One run's place in the table."""

    __slots__ = ("_slot", "_table")

    def __init__(self, table: Table | None, slot: int | None) -> None:
        # A list of one: taking the slot out is one step, so that it is given back once.
        self._slot = [] if table is None or slot is None else [slot]
        self._table = table

    @property
    def is_kept(self) -> bool:
        """Whether a watchdog knows of the run."""
        return bool(self._slot)

    def recorded(self) -> None:
        """The program has closed the run's record; only its code remains."""
        table = self._table
        if table is not None:
            with table.lock:
                for slot in self._slot:
                    table.recorded(slot)

    def release(self) -> None:
        """The run's code is still: nothing remains. May be called again."""
        table = self._table
        if table is not None:
            with table.lock:
                while self._slot:
                    table.free(self._slot.pop())


class Watchdog:
    """The watchdog of this process; it is started when there is something to guard.

    `may_be_killed` says that the process may be ended when a run in it does not stop. `default_grace` is how many
    seconds a run has that is cancelled, where the request does not say.
    """

    def __init__(self, *, may_be_killed: bool, default_grace: float = 30.0) -> None:
        self.may_be_killed = may_be_killed
        self._default_grace = default_grace
        self._table: Table | None = None
        self._socket: socket.socket | None = None
        self._indexes: dict[bytes, int | None] = {}
        self._forget()
        _open.add(self)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._roots = 0
        self._failures = 0
        self._has_warned = False
        self._first_pids: list[int] = []
        table, self._table = self._table, None
        connection, self._socket = self._socket, None
        self._indexes = dict.fromkeys(self._indexes)
        if connection is not None:
            connection.close()
        if table is not None:
            table.forget()

    def forget(self) -> None:
        """In a forked child: the watchdog is the parent's, and must see the parent's end though the child lives on."""
        self._indexes = {}
        self._forget()

    def guard(
        self,
        run: FlowRun | TaskRun,
        *,
        where: bytes,
        stop: Stop,
        record_in: float | None = None,
        kill_in: float | None = None,
        due_in: float | None = None,
    ) -> Guard:
        """Has a run's record closed in `record_in` seconds from now and its process ended in `kill_in`, unless the
        guard is told otherwise before (None: never). `where` is the record, as `places` says it.

        `due_in` is when the code is told to stop: proof counts from there. Without it, a time limit is due when it
        is to be recorded, and anything else now.
        """
        now = time.monotonic()
        record_at = NEVER if record_in is None else now + record_in
        kill_at = NEVER if kill_in is None else now + kill_in
        if due_in is None:
            due_in = record_in if record_in is not None and stop.reason == TIMEOUT else 0.0
        try:
            table = self._table or self._make_table()
            index = self._index(table, where)
            if index is None:
                return _NOTHING
            task_run = b"" if isinstance(run, FlowRun) else _encode_run(run)
            is_flow, due_at = isinstance(run, FlowRun), now + due_in
            slot = table.add(run.id.bytes, is_flow, index, record_at, kill_at, due_at, packed(stop), task_run)
            if slot is None:
                return _NOTHING
            if due_in:
                self._call(table, min(record_at, kill_at), now)
            else:  # a stop that is under way: it must not be found only later that nobody watches any more
                self._call(table, NEVER, now)
                self._wake(table)
            return Guard(table, slot)
        except Exception as error:  # no limit is worth the run itself
            self._warn(error)
            return _NOTHING

    def attend(self, where: bytes) -> None:
        """A run without a parent begins."""
        with self._lock:
            self._roots += 1
            self._indexes.setdefault(where, None)
            table = self._table
            if table is None:
                return
            try:
                self._index(table, where)
                table.set_roots(self._roots)
                if self._socket is not None:
                    now = time.monotonic()
                    self._call(table, now + SOON_SECONDS, now)
            except Exception as error:
                self._warn(error)

    def leave(self) -> None:
        """A run without a parent has ended."""
        with self._lock:
            self._roots = max(self._roots - 1, 0)
            if self._table is not None:
                self._table.set_roots(self._roots)
            self._reap()

    def launch(self) -> None:
        """Starts the watchdog, unless it is there."""
        try:
            now = time.monotonic()
            self._call(self._table or self._make_table(), NEVER, now)
        except Exception as error:
            self._warn(error)

    def close(self) -> None:
        """Lets the watchdog go; what is guarded is not guarded any more."""
        with self._lock:
            table = self._table
            if table is not None:
                table.set_roots(0)
                table.close()
            self._table = None
            first_pids = self._first_pids
            self._forget()
            self._first_pids = first_pids
            self._reap()

    # --- the process -------------------------------------------------------------------------------------------------

    def _call(self, table: Table, at: float, now: float) -> None:
        """Sees to it that the watchdog is there, and looks at `at` at the latest."""
        if self._socket is None:
            self._start(table)
        else:
            wake_at = table.wake_at
            if at < wake_at or wake_at < now - LATE_SECONDS:
                self._wake(table)
            if self._first_pids:
                self._reap()

    def _wake(self, table: Table) -> None:
        connection = self._socket
        try:
            if connection is not None:
                connection.send(b"\0", _SEND)
        except BlockingIOError:
            pass  # it has enough to wake up for
        except OSError:  # it has died
            with self._lock:
                if self._socket is connection and connection is not None:
                    self._socket = None
                    connection.close()
                    self._failures = 0 if table.watcher else self._failures + 1
            self._start(table)

    def _start(self, table: Table) -> None:
        with self._lock:
            if self._socket is not None:
                return
            if self._failures >= TRIES:
                self._warn("it ends as soon as it is started")
                return
            table.begin_watch(time.monotonic())
            ours, theirs = socket.socketpair()
            try:
                passed = (theirs.fileno(), table.fd)
                self._first_pids.append(detached.start("penstock.watchdog.watch", self._arguments(passed), passed))
                self._socket = ours
            except Exception as error:
                ours.close()
                self._failures = TRIES
                self._warn(error)
            finally:
                theirs.close()

    def _arguments(self, passed: tuple[int, ...]) -> list[str]:
        me = identity.me()
        told = [_encode(me).decode(), str(int(self.may_be_killed)), repr(self._default_grace)]
        return [*map(str, detached.numbers_for(passed)), str(me.pid), me.started, *told]

    def _reap(self) -> None:
        with self._lock:
            self._first_pids = [pid for pid in self._first_pids if not detached.wait_for(pid)]

    # --- the table ---------------------------------------------------------------------------------------------------

    def _make_table(self) -> Table:
        with self._lock:
            if self._table is None:
                table = Table()
                for where in list(self._indexes):
                    self._indexes[where] = table.path_index(where)
                table.set_roots(self._roots)
                self._table = table
            return self._table

    def _index(self, table: Table, where: bytes) -> int | None:
        index = self._indexes.get(where)
        if index is None:
            index = self._indexes[where] = table.path_index(where)
        return index

    def _warn(self, error: object) -> None:
        """Once: what is not guarded is not wrong, only less sure."""
        if not self._has_warned:
            self._has_warned = True
            with contextlib.suppress(Exception):
                print(f"penstock: no watchdog stands beside this program ({error})", file=sys.__stderr__)


def packed(stop: Stop) -> bytes:
    """A stop as JSON, its texts cut to fit."""
    try:
        text = _encode(stop)
        if len(text) <= LONGEST_STOP:
            return text
    except UnicodeEncodeError:  # half characters, which JSON cannot hold
        pass
    length = LONGEST_STOP
    while True:
        text = _encode(msgspec.structs.replace(stop, message=_cut(stop.message, length), who=_cut(stop.who, length)))
        if len(text) <= LONGEST_STOP:
            return text
        length -= 16


def _cut(text: str | None, length: int) -> str:
    text = (text or "").encode("utf-8", "replace").decode()
    return text if len(text) <= length else text[: length - 1] + "…"


_NOTHING = Guard(None, None)
_open: weakref.WeakSet[Watchdog] = weakref.WeakSet()


def _forget() -> None:
    for watchdog in list(_open):
        watchdog.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
