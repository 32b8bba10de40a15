"""What a process has reported and the record does not have yet, where the end of the process does not take it.

A fact is copied into a file that is mapped into memory: no system call, and when the process is killed a moment later,
the kernel has it. Who closes the process's runs reads the file first, so what a run wrote last is in its log. The files
are beside the database, and hold nothing that the record may not: facts are masked before.

Law: a fact counts when the end mark behind it has moved. Nothing is ever removed from a file but all of it: two files
take turns, and one is begun anew when the record has all that is in it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.caching import CacheEntry
from ..domain.events import Event
from ..domain.logs import LogLine
from ..domain.runs import Holder, TaskRun
from ..domain.stops import Stilled
from ..protocol.journal import Enter, Fact
from .codec import all_writable

_MAGIC = b"PENSPOOL"
# the mark, where the facts end, the holder's length; then the holder
_HEAD = struct.Struct("<8sQI")
_END_AT = len(_MAGIC)
_pack_end = struct.Struct("<Q").pack_into
_LENGTH = struct.Struct("<I")
_pack_length = _LENGTH.pack
START = 4096
SIZE = 1 << 18
# A file that holds so much makes room for the other one, when the record has what is in that.
TURN = START + SIZE // 2
# More than this is kept of no process: the journal has it, too, and waits for the record.
MOST = 1 << 26

_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
_KINDS: dict[type[Any], bytes] = {
    LogLine: b"L", TaskRun: b"T", CacheEntry: b"C", Stilled: b"S", Enter: b"E", Artifact: b"A", ArtifactChange: b"B",
    Event: b"V",
}  # fmt: skip
_decoders = {mark: msgspec.msgpack.Decoder(kind).decode for kind, mark in _KINDS.items()}
_encode_holder = msgspec.json.Encoder().encode
_decode_holder = msgspec.json.Decoder(Holder).decode

_open: weakref.WeakSet[Spool] = weakref.WeakSet()


class SpoolFile:
    """One mapped file. `last`: the number of the last fact that is in it."""

    def __init__(self, path: Path, holder: bytes) -> None:
        self.path = path
        self.last = 0
        self.end = START
        self.size = SIZE
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            self._reserve(0, SIZE)
            self.map = mmap.mmap(self._fd, SIZE)
        except BaseException:
            os.close(self._fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self.map[_HEAD.size : _HEAD.size + len(holder)] = holder
        _HEAD.pack_into(self.map, 0, _MAGIC, START, len(holder))

    def _reserve(self, start: int, end: int) -> None:
        # A mapped page that the disk has no room for would be the end of the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._fd, start, end - start)
        else:
            os.pwrite(self._fd, b"\0" * (end - start), start)

    def append(self, data: bytes) -> bool:
        """Whether there was room."""
        start, size = self.end, len(data)
        end = start + size + 4
        if end > self.size and not self.grow(end):
            return False
        self.map[start:end] = _pack_length(size) + data
        _pack_end(self.map, _END_AT, end)
        self.end = end
        return True

    def begin_anew(self) -> None:
        self.end = START
        _pack_end(self.map, _END_AT, START)

    def grow(self, least: int) -> bool:
        size = self.size
        while size < least:
            size *= 2
        if size > MOST:
            return False
        try:
            self._reserve(self.size, size)
            self.map.resize(size)
        except (OSError, ValueError, SystemError):
            return False
        self.size = size
        return True

    def close(self, remove: bool) -> None:
        self.map.close()
        os.close(self._fd)
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()


def packed(fact: Fact) -> bytes:
    """A fact as it is kept."""
    try:
        return _KINDS[type(fact)] + _encode(fact)
    except UnicodeEncodeError:  # the name of a file, perhaps
        return _KINDS[type(fact)] + _encode(all_writable(msgspec.to_builtins(fact, enc_hook=repr)))


def new_file(folder: Path, holder: Holder) -> SpoolFile:
    """Raises OSError where it cannot be made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SpoolFile(folder / f"{holder.pid}-{holder.started}-{os.urandom(4).hex()}", _encode_holder(holder))


class Spool:
    """The facts that this process has reported and the record may not have yet.

    `folder` is where its files are (None: nowhere); `holder()` is this process. A spool that cannot be written is none:
    the journal has the facts all the same.
    """

    def __init__(self, folder: Path | None, holder: Callable[[], Holder]) -> None:
        self._folder = folder
        self._holder = holder
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # of those who add
        self._added = 0
        self._recorded = 0  # of those who record: one thread
        self._files: list[SpoolFile] = []
        self._current: SpoolFile | None = None
        self._broken = self._folder is None

    def forget(self) -> None:
        """In a forked child: the files are the parent's."""
        for file in self._files:
            file.close(remove=False)
        self._begin()

    def add(self, fact: Fact) -> bool:
        """Whether the fact is kept. (It is on the way of everything that is reported: every tenth of a microsecond
        counts.)"""
        data = packed(fact)
        with self._lock:
            file = self._current
            self._added = number = self._added + 1  # also what finds no room: it is recorded in its turn
            if file is None or file.last <= self._recorded or file.end > TURN:
                file = self._turn()
                if file is None:
                    return False
            file.last = number
            return file.append(data)

    def _turn(self) -> SpoolFile | None:
        """The file for the next fact: begun anew where the record has all that is in it, the other one where it is
        long."""
        file = self._current
        if file is not None and file.last <= self._recorded and file.end > START:
            if file.path.exists():
                file.begin_anew()
            else:
                # Somebody took this process for dead, from another host perhaps, or has deleted the folder.
                self._files.remove(file)
                file.close(remove=False)
                file = None
        if file is None or file.end > START:
            file = self._current = self._next() or file
        return file

    def _next(self) -> SpoolFile | None:
        """The file whose turn it is, begun anew; None when the record does not have all that is in it."""
        if self._broken:
            return None
        for file in self._files:
            if file is not self._current and file.last <= self._recorded:
                file.begin_anew()
                return file
        if len(self._files) == 2:
            return None
        try:
            return self._make()
        except (OSError, ValueError):
            self._broken = not self._files
            return None

    def _make(self) -> SpoolFile:
        assert self._folder is not None
        file = new_file(self._folder, self._holder())
        self._files.append(file)
        return file

    def recorded(self, count: int) -> None:
        """So many facts, the oldest, need not be kept any more. (Without the lock: who holds that may have to wait for
        its turn, and all who report would wait with it.)"""
        self._recorded += count

    def close(self) -> bool:
        """The files go, but for those with facts that the record could not take: somebody will read them. Whether there
        are such."""
        with self._lock:
            left = any(file.last > self._recorded for file in self._files)
            for file in self._files:
                file.close(remove=file.last <= self._recorded)
            self._files, self._current, self._broken = [], None, True
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
        return left


class Left(msgspec.Struct):
    """What a process left behind."""

    path: Path
    holder: Holder


def left(folder: Path | None) -> list[Left]:
    """The spools in a folder, whether their processes live or not."""
    found = []
    try:
        entries = [] if folder is None else list(os.scandir(folder))
    except OSError:
        return []
    for entry in entries:
        holder = _holder_of(Path(entry.path)) if entry.is_file(follow_symlinks=False) else None
        if holder is not None:
            found.append(Left(Path(entry.path), holder))
    return found


def _holder_of(path: Path) -> Holder | None:
    try:
        with path.open("rb") as file:
            head = file.read(START)
        magic, _, length = _HEAD.unpack_from(head)
        return _decode_holder(head[_HEAD.size : _HEAD.size + length]) if magic == _MAGIC else None
    except (OSError, struct.error, ValueError):
        return None


def facts_of(path: Path) -> list[Fact]:
    """The facts in a spool, in their order; those before the damage, where it is damaged."""
    try:
        data = path.read_bytes()
        _, end, _ = _HEAD.unpack_from(data)
    except (OSError, struct.error):
        return []
    return facts_in(data, START, min(end, len(data)), sys.maxsize)[0]


def facts_in(data: bytes | mmap.mmap, place: int, end: int, most: int) -> tuple[list[Fact], int]:
    """At most `most` facts of a spool's bytes from a place on, and the place behind them; what comes after damage is
    passed over."""
    facts: list[Fact] = []
    try:
        while place < end and len(facts) < most:
            (length,) = _LENGTH.unpack_from(data, place)
            place += _LENGTH.size
            facts.append(_decoders[data[place : place + 1]](data[place + 1 : place + length]))
            place += length
    except (struct.error, ValueError, KeyError):
        place = end
    return facts, place


def _forget() -> None:
    for spool in list(_open):
        spool.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
