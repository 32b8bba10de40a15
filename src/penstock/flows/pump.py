"""A small process between a program's output and its terminal, while all that the program writes is captured.

It passes on what it reads at once, to the terminal and to the program, and holds what the program has no time to take.
A process, not a thread: native code that holds the interpreter's lock, and writes more than a pipe takes, would wait
for ever for a thread of its own interpreter. It also goes on when the program has ended and others that it started
still write.

Run by its file's name, without the package: it starts in a few milliseconds, and knows only file descriptors.
Arguments: the control socket, a file whose first byte says whether something is on its way, whether text is passed on
to the terminal, and for each stream its number, the end to read, and the terminal.

What comes up the socket: a stream's number, a length, and so many bytes; or `S` and a number, in answer to the same
from the program: all that was written before it asked is ahead of the answer.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import signal
import struct
import sys
import time

HEAD = struct.Struct("<cI")
CHUNK = 1 << 16
# More than this is not held for a program that takes nothing: then those who write wait, as for any slow reader.
MOST_HELD = 1 << 27
SIZE_EVERY = 0.5


class Stream:
    def __init__(self, number: int, reading: int, terminal: int) -> None:
        self.number = number
        self.reading = reading
        self.terminal = terminal
        self.ended = False
        self._size = b""
        self._look_at = 0.0
        os.set_blocking(reading, False)

    def read(self) -> bytes:
        """What is there; empty when nothing is."""
        try:
            data = os.read(self.reading, CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end of a terminal open
                raise
            data = b""
        self.ended = not data
        return data

    def show(self, data: bytes) -> None:
        self._follow_size()
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[os.write(self.terminal, rest) :]
                except BlockingIOError:  # somebody made the terminal so
                    select.select((), (self.terminal,), (), 1.0)
        except OSError:
            return  # nobody looks any more

    def _follow_size(self) -> None:
        """Where the output is a terminal, it is as large as the real one."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + SIZE_EVERY
        try:
            import termios

            size = fcntl.ioctl(self.terminal, termios.TIOCGWINSZ, b"\0" * 8)
            if size != self._size:
                fcntl.ioctl(self.reading, termios.TIOCSWINSZ, size)
                self._size = size
        except (OSError, ImportError):
            self._look_at = float("inf")


class Pump:
    def __init__(self, control: int, on_its_way: mmap.mmap, shows: bool, streams: list[Stream]) -> None:
        self._control = control
        os.set_blocking(control, False)
        self._flag = on_its_way
        self._shows = shows
        self._streams = streams
        self._out = bytearray()
        self._heard = b""
        self._alone = False  # the program is gone, or does not want to know any more

    def run(self) -> None:
        while self._streams or (self._out and not self._alone):
            for fd, _ in self._poll():
                if fd == self._control:
                    self._hear()
                    self._send()
                for stream in self._streams:
                    if fd == stream.reading:
                        self._forward(stream)
            self._streams = [stream for stream in self._streams if not stream.ended]

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        if not self._alone:
            poll.register(self._control, select.POLLIN | (select.POLLOUT if self._out else 0))
        if len(self._out) < MOST_HELD:
            for stream in self._streams:
                poll.register(stream.reading, select.POLLIN)
        return poll.poll()

    def _forward(self, stream: Stream) -> bool:
        # Said before it is read: the program sees it in the pipe, or here, or in the socket.
        self._flag[0] = 1
        data = stream.read()
        if data and (self._shows or self._alone):
            stream.show(data)
        if data and not self._alone:
            self._out += HEAD.pack(b"%d" % stream.number, len(data)) + data
        self._send()
        return bool(data)

    def _send(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._control, memoryview(self._out)[:CHUNK].tobytes())]
        except BlockingIOError:
            return
        except OSError:
            self._part()
        self._flag[0] = 0

    def _hear(self) -> None:
        try:
            heard = os.read(self._control, 4096)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            self._part()
            return
        self._heard += heard
        while len(self._heard) >= HEAD.size:
            _, number = HEAD.unpack_from(self._heard)
            self._heard = self._heard[HEAD.size :]
            for stream in self._streams:
                while not stream.ended and self._forward(stream):
                    pass
            self._out += HEAD.pack(b"S", number)

    def _part(self) -> None:
        """From now on nobody but the terminal is told."""
        self._alone = True
        self._out.clear()


def main() -> None:
    # It ends when nobody writes any more. (SIGTTOU: it is not in the terminal's foreground, and writes there.)
    for number in (
        signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT, signal.SIGTTOU,
    ):  # fmt: skip
        signal.signal(number, signal.SIG_IGN)
    control, flag, shows, *rest = map(int, sys.argv[1:])
    streams = [Stream(*rest[place : place + 3]) for place in range(0, len(rest), 3)]
    Pump(control, mmap.mmap(flag, 1), bool(shows), streams).run()


if __name__ == "__main__":
    main()
