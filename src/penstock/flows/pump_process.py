"""The pump (`pump`) as the program sees it: its process, and the line to it."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from .outputs import Output

HEAD = struct.Struct("<cI")
SHELL = "/bin/sh"
# What was ended and may not be gone yet.
_ended: list[int] = []


class PumpProcess:
    """A pump for these outputs; `shows`: it passes on to the terminal what is written. Raises OSError."""

    def __init__(self, outputs: list[Output], shows: bool) -> None:
        flag = _memory()
        try:
            self._on_its_way = mmap.mmap(flag, 1)
            self._line, theirs = socket.socketpair()
            self._line.setblocking(False)
            with theirs:
                self.pid = _spawn(theirs.fileno(), flag, shows, outputs)
        finally:
            os.close(flag)
        self.fd = self._line.fileno()

    def ask(self, number: int) -> None:
        """Has it answer when all is told that was written until now."""
        with contextlib.suppress(OSError):  # it is gone, as is found when it is read from
            self._line.send(HEAD.pack(b"S", number))

    def is_busy(self) -> bool:
        """Whether it has read what it has not told."""
        return self._on_its_way[0] != 0

    def read(self) -> bytes | None:
        """What it tells; nothing when there is nothing, None when it will tell no more."""
        try:
            return self._line.recv(1 << 18) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def hang_up(self) -> None:
        """It need not tell any more; who waits for it is woken."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Its process goes when nobody writes any more, which may be later."""
        self._line.close()
        if self.pid is not None:
            _ended.append(self.pid)
        for pid in list(_ended):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            _ended.remove(pid)

    def forsake(self) -> None:
        """In a forked child: the line is the parent's."""
        self._line.close()
        _ended.clear()


def _spawn(line: int, flag: int, shows: bool, outputs: list[Output]) -> int | None:
    """By hand: `subprocess` is followed for the run's sake, and this is no program of the run's.

    Nor is it a child of this process's, where another takes care of orphans: code that waits for all its children would
    wait for it. Gives the child that is to be waited for, if it is one.
    """
    given = [line, flag, *(fd for output in outputs for fd in (output.reading, output.saved))]
    # To numbers that none of them has: so none is overwritten before it was copied.
    first = max(given) + 1
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, fd, first + place) for place, fd in enumerate(given)]
    # What is captured is not to be held open by who waits for its end.
    actions += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    arguments = [str(first), str(first + 1), str(int(shows))]
    for place, output in enumerate(outputs):
        arguments += [str(output.number), str(first + 2 + 2 * place), str(first + 3 + 2 * place)]
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("pump.py")), *arguments]
    if os.getpid() != 1 and os.access(SHELL, os.X_OK):
        command = [SHELL, "-c", '"$@" &', SHELL, *command]
    # Ctrl-C is not for it.
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setpgroup=0)
    if command[0] != SHELL:
        return pid
    with contextlib.suppress(ChildProcessError):  # another thread waits for all
        os.waitpid(pid, 0)
    return None


def _memory() -> int:
    """A file in memory that two processes share."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("penstock-capture")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.truncate(fd, 1)
    return fd
