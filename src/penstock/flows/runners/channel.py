"""Whole messages over a pipe or a socket, and waiting for them in a way that can be ended.

(`multiprocessing.connection` takes two system calls for each message, and has no such waiting; what a task in another
process costs is mostly these.)
"""

from __future__ import annotations

import contextlib
import os
import select

_AT_ONCE = 1 << 16
_HEAD = 8


class Channel:
    """One end, by its file descriptor, which it owns. One thread at a time may send, and one receive."""

    __slots__ = ("_buffer", "_fd")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        return self._fd

    def send(self, kind: bytes, data: bytes) -> None:
        """`kind` is one byte. Raises OSError when nobody is at the other end."""
        head = (len(data) + 1).to_bytes(_HEAD, "big") + kind
        if len(data) < _AT_ONCE:
            self._write(head + data)
        else:
            self._write(head)
            self._write(data)

    def send_all(self, messages: list[tuple[bytes, bytes]]) -> None:
        """Several, in as few system calls as they take."""
        self._write(b"".join([(len(data) + 1).to_bytes(_HEAD, "big") + kind + data for kind, data in messages]))

    def receive(self) -> tuple[bytes, bytes]:
        """The next message, when it is there: its kind and its data. Raises EOFError when none will come."""
        while (message := self.next()) is None:
            self.read()
        return message

    def next(self) -> tuple[bytes, bytes] | None:
        """The next message, if it has been read."""
        buffer = self._buffer
        if len(buffer) < _HEAD:
            return None
        end = _HEAD + int.from_bytes(buffer[:_HEAD], "big")
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            kind, data = bytes(view[_HEAD : _HEAD + 1]), bytes(view[_HEAD + 1 : end])
        del buffer[:end]
        return kind, data

    def read(self) -> None:
        """Reads what is there, or waits until there is something. Raises EOFError when nothing will come."""
        read = os.read(self._open(), _AT_ONCE)
        if not read:
            raise EOFError
        self._buffer += read

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, data: bytes) -> None:
        written = os.write(self._open(), data)
        if written < len(data):
            rest = memoryview(data)
            while written < len(data):
                written += os.write(self._open(), rest[written:])

    def _open(self) -> int:
        if self._fd < 0:
            raise OSError("the channel is closed")
        return self._fd


class Bell:
    """Waits for a channel, and ends that waiting. Whoever holds it may ring it: its descriptors live as long as it."""

    __slots__ = ("_in", "_out", "_poll", "_watched")

    def __init__(self, channel: Channel | None = None) -> None:
        self._watched = -1
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        if channel is not None:
            self.watch(channel)

    def watch(self, channel: Channel) -> None:
        """For one that had no channel yet. Who waits is to be rung for: it does not notice."""
        self._watched = channel.fileno()
        self._poll.register(self._watched, select.POLLIN)

    def leave(self) -> None:
        """The channel is not waited for any more."""
        if self._watched >= 0:
            self._poll.unregister(self._watched)
        self._watched = -1

    def ring(self) -> None:
        """From any thread, and from a signal handler. One that nobody waits for yet is heard by who waits next."""
        with contextlib.suppress(BlockingIOError):  # it rings already
            os.write(self._in, b"!")

    def wait(self, seconds: float | None = None) -> bool:
        """Whether there is something to read from the channel; False when the time is over, or the bell rang."""
        ready = self._poll.poll(None if seconds is None else max(seconds, 0.0) * 1000)
        for fd, _ in ready:
            if fd == self._out:
                os.read(fd, 4096)
        return self._watched >= 0 and any(fd == self._watched for fd, _ in ready)

    def __del__(self) -> None:
        os.close(self._in)
        os.close(self._out)
