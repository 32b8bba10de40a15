"""What the watchdog writes and ends on behalf of its program. Loaded when there is something to do.

Law: each deed reads the run again in the transaction that writes it, and does nothing to one that has ended. The
process is ended before anything is written: one that is frozen may hold the record locked.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from ..domain.errors import RecordError
from ..domain.limits import LEASE
from ..domain.runs import FlowRun, Holder, TaskRun
from ..domain.stops import ABANDONED, GONE, KILLED, Proof, Signal, Stilled, Stop
from ..engine import identity
from ..infrastructure.process import Process
from ..services import proof
from ..services.rescue import rescue, take_spooled
from ..store import flow_runs, holders, signals
from ..store.contract import Tx
from ..store.sqlite import SqliteStore
from .ending import amend_gone, close_rest, close_stopped, end_process, find, sentence
from .enforcement import due, enforce
from .table import OPEN, Entry, View

# A record that somebody holds locked must not keep the watchdog from what else is due.
LOCK_PATIENCE = 1.0
# As the program keeps it by itself; here it is renewed only when the program is late with that.
RENEW_WHEN_LEFT = timedelta(seconds=45)
RENEW_SECONDS = 10.0

_stop = msgspec.json.Decoder(Stop).decode
_holder = msgspec.json.Decoder(Holder).decode
_decode_run = msgspec.msgpack.Decoder(TaskRun).decode


class NotYet(Exception):
    """This could not be done now; it is tried again."""


class Record:
    """The deeds, on all records that the program uses."""

    def __init__(self, view: View, program: Process, holder: str, may_be_killed: str, default_grace: str) -> None:
        self._view = view
        self._program = program
        self._holder = _holder(holder)
        self._may_be_killed = may_be_killed == "1"
        self._default_grace = float(default_grace)
        self._stores: dict[Path, SqliteStore] = {}
        self._changes: dict[Path, int] = {}
        self._signals: dict[Path, list[Signal]] = {}
        self._renew_at = 0.0
        # what the program was ended for, until that is written
        self._ended: list[Entry] = []
        self._open_all()

    def _open_all(self) -> None:
        """Opens the records before they are needed, and reads in them: the first time takes longest."""
        for path in self._paths():
            try:
                store = self._store(path)
                if store is not None:
                    with store.read() as tx:
                        flow_runs.unfinished_held(tx)
            except RecordError:
                continue

    def record(self, entry: Entry) -> None:
        """Closes a run's record, unconfirmed."""
        store = self._store(self._path(entry))
        if store is None:
            return
        with store.write() as tx:
            run = _find(tx, entry)
            if run is None:
                raise NotYet("the program has not yet come to report the run")
            if not run.state.is_final():
                close_stopped(tx, run, _stop(entry.stop), Proof(ABANDONED, _since(entry)), _now())

    def end(self, entry: Entry, entries: list[Entry]) -> None:
        """Ends the program, and says so of each run; where it may not be ended, only closes the run's record."""
        if not self._may_be_killed:
            self.record(entry)
            return
        run_id, stop = UUID(bytes=entry.run_id), _stop(entry.stop)
        run = self._look_up(entry)
        if not end_process(self._holder, sentence(run, run_id, stop, entry.kill_at - entry.due_at, self._holder)):
            self.record(entry)
            raise NotYet(f"process {self._program.pid} could not be ended")
        moment = time.monotonic()
        # Others of its runs may have been told to stop as well; they first, so that they say why.
        self._ended = [entry, *(each for each in entries if each.serial != entry.serial and each.due_at <= moment)]
        self._close_ended(run)

    def _close_ended(self, run: FlowRun | TaskRun | None) -> None:
        """Closes what the program had under way when it was ended; `run` is the one it was ended for."""
        for path in self._paths():
            store = self._store(path)
            if store is None:
                continue
            take_spooled(store, identity.lives, _now)
            with store.write() as tx:
                for entry in self._ended:
                    if self._path(entry) == path:
                        _close_killed(tx, entry)
                first = self._ended[0]
                fresh = find(tx, UUID(bytes=first.run_id), first.is_flow) or run
                if fresh is not None:
                    close_rest(tx, self._holder, fresh, _now())
        self._ended = []

    def look(self) -> None:
        """Keeps the program's lease, and enforces requests to stop that it does not answer."""
        renew = time.monotonic() >= self._renew_at
        if renew:
            self._renew_at = time.monotonic() + RENEW_SECONDS
        for path in self._paths():
            store = self._store(path)
            if store is not None:
                self._enforce(path, store)
                if renew:
                    self._renew(store)

    def part(self, entries: list[Entry]) -> None:
        """Closes what the program left open. Code that was abandoned has ended with its process."""
        if self._ended:
            self._close_ended(None)
        for path in self._paths():
            store = self._store(path)
            if store is None:
                continue
            rescue(store, identity.lives, _now)
            with store.write() as tx:
                proof.confirm_gone(tx, self._holder, GONE, _now())
                holders.delete(tx, self._holder)

    # --- requests and the lease --------------------------------------------------------------------------------------

    def _enforce(self, path: Path, store: SqliteStore) -> None:
        changes = store.changes()
        if changes != self._changes.get(path):
            with store.read() as tx:
                self._signals[path] = signals.all(tx)
            self._changes[path] = changes
        for signal in self._signals.get(path, ()):
            if _now() >= due(signal, self._default_grace):
                self._enforce_one(store, signal.run_id)

    def _enforce_one(self, store: SqliteStore, run_id: UUID) -> None:
        grace, lives = self._default_grace, identity.lives
        try:
            enforce(store, run_id, now=_now, default_grace=grace, lives=lives, only=self._holder)
        except RecordError:  # at the next look; and the other requests now
            return

    def _renew(self, store: SqliteStore) -> None:
        """A program that is busy or frozen is alive all the same, and its runs are its own."""
        with store.read() as tx:
            lease = holders.lease_of(tx, self._holder)
        if lease is not None and lease < _now() + RENEW_WHEN_LEFT and identity.lives(self._holder):
            with store.write() as tx:
                holders.put(tx, self._holder, _now() + LEASE, self._may_be_killed)

    # --- the records -------------------------------------------------------------------------------------------------

    def _paths(self) -> list[Path]:
        return [Path(os.fsdecode(path)) for path in self._view.paths()]

    def _path(self, entry: Entry) -> Path:
        return self._paths()[entry.path]

    def _store(self, path: Path) -> SqliteStore | None:
        """The record at a path; None when it is not there (any more): it is not made anew."""
        store = self._stores.get(path)
        if store is not None and not store.is_there():
            del self._stores[path]
            store.close()
            store = None
        if store is None and path.exists():
            store = self._stores[path] = SqliteStore(path, patience=LOCK_PATIENCE)
        return store

    def _look_up(self, entry: Entry) -> FlowRun | TaskRun | None:
        """For its name; that the record cannot be read keeps no process alive."""
        try:
            store = self._store(self._path(entry))
            if store is None:
                return None
            with store.read() as tx:
                return find(tx, UUID(bytes=entry.run_id), entry.is_flow)
        except Exception:
            return None


def _find(tx: Tx, entry: Entry) -> FlowRun | TaskRun | None:
    """The run as it is in the record; as the program last reported it where the code came before that was recorded."""
    found = find(tx, UUID(bytes=entry.run_id), entry.is_flow)
    return _decode_run(entry.run) if found is None and entry.run else found


def _close_killed(tx: Tx, entry: Entry) -> None:
    run = _find(tx, entry)
    if run is None:
        return
    if run.state.is_final():
        if not proof.confirm(tx, _stilled(run, KILLED, _since(entry))):
            amend_gone(tx, run, _since(entry))
    elif entry.state == OPEN:  # else it was recorded and goes on since, in another attempt: that one lost its process
        close_stopped(tx, run, _stop(entry.stop), Proof(KILLED, _since(entry)), _now())


def _stilled(run: FlowRun | TaskRun, stopped: str, seconds: float) -> Stilled:
    return Stilled(run.id, run.run_count, stopped, seconds)


def _since(entry: Entry) -> float:
    """Seconds since the run's code was told to stop."""
    return max(time.monotonic() - entry.due_at, 0.0)


def _now() -> datetime:
    return datetime.now(UTC)
