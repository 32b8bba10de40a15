"""What the watchdog writes and ends on behalf of its program. Loaded when there is something to do.

Law: the process is ended before anything is written: one that is frozen may hold the record locked. What is written is
decided by the record, in the transaction that writes it (`services.enforcing`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from ..domain.errors import PenstockError, RecordError
from ..domain.runs import Holder, TaskRun
from ..domain.stops import Stop
from ..engine import identity
from ..infrastructure.process import Process
from ..protocol.deeds import CloseGone, CloseKilled, CloseStopped, Ended
from .doors import Door, StoreDoor, door_to
from .ending import end_process, sentence
from .enforcement import due, enforce
from .places import place_in
from .table import OPEN, Entry, View

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
        self._doors: dict[bytes, Door] = {}
        self._renew_at = 0.0
        # what the program was ended for, until that is written
        self._ended: list[Entry] = []
        self._open_all()

    def _open_all(self) -> None:
        """Opens the records before they are needed, and reads in them: the first time takes longest."""
        for where in self._view.paths():
            try:
                door = self._door(where)
                if door is not None:
                    door.requests(self._holder)
            except PenstockError:
                continue

    def record(self, entry: Entry) -> None:
        """Closes a run's record, unconfirmed."""
        door = self._door(self._where(entry))
        if door is not None and not door.ask(CloseStopped(_ended(entry), _now())):
            raise NotYet("the program has not yet come to report the run")

    def end(self, entry: Entry, entries: list[Entry]) -> None:
        """Ends the program, and says so of each run; where it may not be ended, only closes the run's record."""
        if not self._may_be_killed:
            self.record(entry)
            return
        run_id, stop = UUID(bytes=entry.run_id), _stop(entry.stop)
        kind, name = "flow run" if entry.is_flow else "task run", self._name_of(entry)
        line = sentence(kind, name, run_id, stop, entry.kill_at - entry.due_at, self._holder)
        if not end_process(self._holder, line):
            self.record(entry)
            raise NotYet(f"process {self._program.pid} could not be ended")
        moment = time.monotonic()
        # Others of its runs may have been told to stop as well; they first, so that they say why.
        self._ended = [entry, *(each for each in entries if each.serial != entry.serial and each.due_at <= moment)]
        self._close_ended()

    def _close_ended(self) -> None:
        """Closes what the program had under way when it was ended, first of all the run that it was ended for."""
        for where in self._view.paths():
            door = self._door(where)
            ended = tuple(_ended(entry) for entry in self._ended if self._where(entry) == where)
            if door is None:
                continue
            door.take_spooled()
            if ended:
                door.ask(CloseKilled(self._holder, ended, _now()))
        self._ended = []

    def look(self) -> None:
        """Keeps the program's lease, and enforces requests to stop that it does not answer."""
        renew = time.monotonic() >= self._renew_at
        if renew:
            self._renew_at = time.monotonic() + RENEW_SECONDS
        for where in self._view.paths():
            door = self._door(where)
            if door is not None:
                self._enforce(door)
                if renew and identity.lives(self._holder):
                    door.renew(self._holder, self._may_be_killed)

    def _enforce(self, door: Door) -> None:
        for request in door.requests(self._holder):
            if _now() < due(door, request.signal, self._default_grace):
                continue
            try:
                enforce(
                    door, request.signal.run_id, now=_now, default_grace=self._default_grace, lives=identity.lives,
                    only=self._holder,
                )  # fmt: skip
            except RecordError:  # at the next look; and the other requests now
                continue

    def part(self, entries: list[Entry]) -> None:
        """Closes what the program left open. Code that was abandoned has ended with its process."""
        if self._ended:
            self._close_ended()
        for where in self._view.paths():
            door = self._door(where)
            if door is not None:
                door.take_spooled()
                door.rescue(identity.lives)
                door.ask(CloseGone(self._holder, _now()))

    # --- the records -------------------------------------------------------------------------------------------------

    def _name_of(self, entry: Entry) -> str | None:
        """That the record cannot be read keeps no process alive."""
        try:
            door = self._door(self._where(entry))
            return None if door is None else door.name_of(UUID(bytes=entry.run_id), entry.is_flow)
        except Exception:
            return None

    def _where(self, entry: Entry) -> bytes:
        return self._view.paths()[entry.path]

    def _door(self, where: bytes) -> Door | None:
        """The record that is there; None when it is not (any more)."""
        door = self._doors.get(where)
        if isinstance(door, StoreDoor) and not door.store.is_there():
            del self._doors[where]
            door.close()
            door = None
        if door is None:
            door = door_to(place_in(where))
            if door is not None:
                self._doors[where] = door
        return door


def _ended(entry: Entry) -> Ended:
    return Ended(
        run_id=UUID(bytes=entry.run_id),
        is_flow=entry.is_flow,
        stop=_stop(entry.stop),
        seconds=max(time.monotonic() - entry.due_at, 0.0),
        task_run=_decode_run(entry.run) if entry.run else None,
        open=entry.state == OPEN,
    )


def _now() -> datetime:
    return datetime.now(UTC)
