"""The memory that a program and its watchdog share: which runs are to be stopped when, and how.

Law: the program writes entries, the watchdog only reads them; what the watchdog knows of an entry beyond that, it
keeps for itself. An entry is written while its state says *free*, and its state last; a checksum over it makes a
half-written one impossible to believe, on any processor. An entry costs the program microseconds and no system call.

The watchdog announces until when it need not be told of anything, for it will look in time by itself (`wake_at`); the
program sends it a byte only for what is to happen before. It announces `NEVER`, that is, wants a byte for anything,
before it looks, and the true time after.

Times are of the monotonic clock, which is one for all processes of a machine. Only the standard library is used here,
and little of it: the watchdog's start is to cost nothing.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from binascii import crc32
from itertools import count
from typing import NamedTuple

NEVER = float("inf")

SLOTS = 1024
SLOT_SIZE = 2048
PATHS = 8
LONGEST_PATH = 4094

FREE, OPEN, RECORDED = 0, 1, 2

# In the machine's own form these are written in one piece, not byte by byte: the other side reads them at any time.
_WAKE = struct.Struct("@d")
_NUMBER = struct.Struct("@I")
_LENGTH = struct.Struct("<H")
# A checksum; serial, lengths of the stop and of the run, is it a flow run, index of the path, run's id, record_at,
# kill_at, due_at; the stop; the run.
_ENTRY = struct.Struct("<IHHBB16sddd")
_STOP_AT = _NUMBER.size + _ENTRY.size
LONGEST_STOP = 320
LONGEST_RUN = SLOT_SIZE - _STOP_AT - LONGEST_STOP

# Where what is. The watchdog writes the first two.
_WAKE_AT, _WATCHER, _ROOTS, _CLOSED, _PATH_COUNT = 0, 8, 12, 16, 17
_PATHS_AT = 64
_PATH_SIZE = LONGEST_PATH + _LENGTH.size
_STATES_AT = _PATHS_AT + PATHS * _PATH_SIZE
_SLOTS_AT = _STATES_AT + SLOTS
SIZE = _SLOTS_AT + SLOTS * SLOT_SIZE

Memory = mmap.mmap | bytearray


class Entry(NamedTuple):
    """A run that is guarded. `serial` is one entry's alone, also where a slot is used again.

    `record_at` is when its record is to be closed, `kill_at` when its process is to be ended, `due_at` when its code
    is or was told to stop; `stop` is the Stop as JSON. `run` is a task run as it was reported, which the program may
    not have come to record: empty where it has, or where it is too long.
    """

    slot: int
    serial: int
    state: int
    is_flow: bool
    path: int
    run_id: bytes
    record_at: float
    kill_at: float
    due_at: float
    stop: bytes
    run: bytes = b""


class Table:
    """The program's side. Safe to use from several threads."""

    def __init__(self) -> None:
        self.fd = _anonymous_file()
        os.ftruncate(self.fd, SIZE)
        self._memory: Memory = mmap.mmap(self.fd, SIZE)
        # A lock that its own thread may take twice: a signal's handler may come in between.
        self.lock = threading.RLock()
        self._free = list(range(SLOTS - 1, -1, -1))
        self._serials = count(1)
        self._paths: dict[bytes, int] = {}

    def add(
        self,
        run_id: bytes,
        is_flow: bool,
        path: int,
        record_at: float,
        kill_at: float,
        due_at: float,
        stop: bytes,
        run: bytes = b"",
    ) -> int | None:
        """Enters a run; its slot, or None when the table is full. `stop` has at most LONGEST_STOP bytes; a `run` of
        more than LONGEST_RUN is left out."""
        with self.lock:
            if not self._free:
                return None
            slot = self._free.pop()
            serial = next(self._serials) & 0xFFFFFFFF
            if len(run) > LONGEST_RUN:
                run = b""
            head = _ENTRY.pack(serial, len(stop), len(run), is_flow, path, run_id, record_at, kill_at, due_at)
            body = head + stop + run
            memory, at = self._memory, _SLOTS_AT + slot * SLOT_SIZE
            memory[at : at + _NUMBER.size + len(body)] = _NUMBER.pack(crc32(body)) + body
            memory[_STATES_AT + slot] = OPEN
            return slot

    def recorded(self, slot: int) -> None:
        """The record of the slot's run is closed; what remains is its code."""
        self._memory[_STATES_AT + slot] = RECORDED

    def free(self, slot: int) -> None:
        """Nothing of the slot's run remains."""
        with self.lock:
            self._memory[_STATES_AT + slot] = FREE
            self._free.append(slot)

    def path_index(self, path: bytes) -> int | None:
        """By which number entries name a database; None when it cannot be named."""
        known = self._paths.get(path)
        if known is not None:
            return known
        with self.lock:
            number = len(self._paths)
            if number == PATHS or len(path) > LONGEST_PATH:
                return None
            if path not in self._paths:
                at = _PATHS_AT + number * _PATH_SIZE
                self._memory[at : at + _LENGTH.size + len(path)] = _LENGTH.pack(len(path)) + path
                self._memory[_PATH_COUNT] = number + 1
                self._paths[path] = number
            return self._paths[path]

    def set_roots(self, number: int) -> None:
        """How many runs without a parent are under way."""
        _NUMBER.pack_into(self._memory, _ROOTS, number)

    def begin_watch(self, now: float) -> None:
        """A watchdog is being started: it will look as soon as it is there."""
        _NUMBER.pack_into(self._memory, _WATCHER, 0)
        _WAKE.pack_into(self._memory, _WAKE_AT, now)

    @property
    def wake_at(self) -> float:
        """What is to happen before this, the watchdog must be told of."""
        return float(_WAKE.unpack_from(self._memory, _WAKE_AT)[0])

    @property
    def watcher(self) -> int:
        """The watchdog's pid, 0 until it is there."""
        return int(_NUMBER.unpack_from(self._memory, _WATCHER)[0])

    def close(self) -> None:
        """Tells the watchdog that nothing is to be watched any more, and gives the memory back."""
        with self.lock:
            self._memory[_CLOSED] = 1
            self.forget()

    def forget(self) -> None:
        """The memory is not ours any more (in a forked child it is the parent's). Who still holds a slot writes into
        memory that nobody reads."""
        shared, self._memory = self._memory, bytearray(SIZE)
        self.lock = threading.RLock()
        if isinstance(shared, mmap.mmap):
            shared.close()
            os.close(self.fd)


class View:
    """The watchdog's side, on the file of the program's table."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, SIZE)

    def entries(self) -> list[Entry]:
        """All that are guarded now."""
        states = self._memory[_STATES_AT:_SLOTS_AT]
        if not states.strip(b"\0"):
            return []
        found = (self.entry(slot) for slot, state in enumerate(states) if state != FREE)
        return [entry for entry in found if entry is not None]

    def entry(self, slot: int) -> Entry | None:
        """What a slot holds now; None when it is free, or is being written at this moment."""
        state = self._memory[_STATES_AT + slot]
        if state == FREE:
            return None
        at = _SLOTS_AT + slot * SLOT_SIZE
        raw = self._memory[at : at + SLOT_SIZE]
        serial, stops, runs, is_flow, path, run_id, record_at, kill_at, due_at = _ENTRY.unpack_from(raw, _NUMBER.size)
        if _NUMBER.unpack_from(raw)[0] != crc32(raw[_NUMBER.size : _STOP_AT + stops + runs]):
            return None
        stop, run = raw[_STOP_AT : _STOP_AT + stops], raw[_STOP_AT + stops : _STOP_AT + stops + runs]
        return Entry(slot, serial, state, bool(is_flow), path, run_id, record_at, kill_at, due_at, stop, run)

    def paths(self) -> list[bytes]:
        """The databases of the program, in the order of their numbers."""
        found = []
        for number in range(self._memory[_PATH_COUNT]):
            at = _PATHS_AT + number * _PATH_SIZE
            (length,) = _LENGTH.unpack_from(self._memory, at)
            found.append(self._memory[at + _LENGTH.size : at + _LENGTH.size + length])
        return found

    @property
    def roots(self) -> int:
        return int(_NUMBER.unpack_from(self._memory, _ROOTS)[0])

    @property
    def is_closed(self) -> bool:
        return self._memory[_CLOSED] != 0

    def announce(self, wake_at: float) -> None:
        """Says that the watchdog must be told of what is to happen before this."""
        _WAKE.pack_into(self._memory, _WAKE_AT, wake_at)

    def present(self, pid: int) -> None:
        """Says that the watchdog is there."""
        _NUMBER.pack_into(self._memory, _WATCHER, pid)


def _anonymous_file() -> int:
    """A file without a name, closed by itself in programs that are started."""
    try:
        return os.memfd_create("penstock-watchdog")
    except (AttributeError, OSError):  # not on this system
        import tempfile

        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
