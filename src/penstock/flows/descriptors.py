"""Capture of all that is written to the program's output: by programs it starts, by native code, by `os.write(1)`.

While a flow run with `capture="all"` is under way, the file descriptors 1 and 2 lead to a pump (`pump`), which passes
on to the terminal what is written, and tells this process. Where the output is a terminal, what is written to is one.

Law: a line belongs to the run whose code is at work, when there is only one; else to the flow run above all that are.
While code of a run that does not log its prints is at work, nobody can tell who wrote a line, and it is not stored.
What was written before a run begins or ends is taken before (`settle`), so the answer is right. Lines come in the order
in which they were written, also between those of prints.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..domain.stops import ABANDONED
from ..engine import console, live
from ..engine.context import FlowRunContext, RunContext
from ..engine.output_lines import OutputLines
from ..engine.stopping import shielded
from .streams import CapturedStream

HEAD = struct.Struct("<cI")
# How long the pump may take to answer. It waits for the terminal, which somebody may have stopped.
PATIENCE = 5.0
NAMES = {1: "stdout", 2: "stderr"}

_lock = threading.RLock()
_installed: Descriptors | None = None


@contextlib.contextmanager
def capturing(context: RunContext[Any]) -> Iterator[None]:
    """All that is written while this run is under way is captured; undone exactly at its end."""
    global _installed
    with _lock:
        if _installed is None:
            _installed = Descriptors(context)
        descriptors = _installed
        descriptors.users.append(context)
    try:
        yield
    finally:
        with _lock:
            if _installed is descriptors:
                descriptors.users.remove(context)
                if not descriptors.users:
                    _installed = None
                    descriptors.close()


def outputs() -> tuple[int | None, int | None]:
    """The process's real stdout and stderr, for programs of our own that it starts; None where they are as ever."""
    descriptors = _installed
    if descriptors is None:
        return None, None
    terminals = descriptors.terminals()
    return terminals.get(1), terminals.get(2)


class _Output:
    """One of the descriptors 1 and 2, and what it led to."""

    def __init__(self, number: int, shown: bool) -> None:
        self.number = number
        self.lines = OutputLines(NAMES[number], shown)
        self.saved = os.dup(number)
        self.reading, writing = _terminal_like(number) if os.isatty(number) else os.pipe()
        os.dup2(writing, number)
        os.close(writing)
        self._below: list[tuple[CapturedStream, Any]] = []

    def take_prints(self, number: int) -> None:
        """Text that Python code prints to descriptor `number` goes to the terminal below: it was captured already."""
        stream = getattr(sys, NAMES[number])
        if not isinstance(stream, CapturedStream):
            return
        original = stream.penstock_original
        try:
            if original.fileno() != number:
                return
        except (AttributeError, OSError, ValueError):  # no file at all
            return
        self._below.append((stream, original))
        stream.penstock_below = open(  # noqa: SIM115 - closed when nobody holds it any more
            os.dup(self.saved), "w", encoding=original.encoding, errors=original.errors, buffering=1
        )

    def restore(self) -> None:
        console.flush()
        for stream, original in self._below:
            with contextlib.suppress(OSError, ValueError):
                stream.penstock_below.flush()
            stream.penstock_below = original
        os.dup2(self.saved, self.number)

    def show(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self.saved, data) :]

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.saved)


def _terminal_like(number: int) -> tuple[int, int]:
    """A terminal of our own that is like the one there; it leaves text as it is, for the real one changes it."""
    import fcntl
    import pty
    import termios
    import tty

    reading, writing = pty.openpty()
    tty.setraw(writing)
    with contextlib.suppress(OSError):
        fcntl.ioctl(reading, termios.TIOCSWINSZ, fcntl.ioctl(number, termios.TIOCGWINSZ, b"\0" * 8))
    return reading, writing


class Descriptors:
    """The descriptors as long as they are captured. `context`: the run that asked first, whose settings hold."""

    def __init__(self, context: RunContext[Any]) -> None:
        self.users: list[RunContext[Any]] = []
        settings = context.runtime.settings
        self._shows = settings.logging_to_console and settings.logging_console_format == "text"
        self._taking = threading.RLock()
        self._taker = 0  # the thread that is at it
        self._ending: RunContext[Any] | None = None
        self._buffer = bytearray()
        self._asked = self._answered = 0
        self._doubtful = False
        _flush_buffers()
        console.flush()
        self._outputs: dict[int, _Output] = {}
        # Where both lead to the same place and are treated alike, one captures both: what comes first is shown first.
        self._second = os.dup(2) if _same_file(1, 2) and settings.logging_stderr_level == "INFO" else None
        for number in (1, 2):
            if _is_open(number) and not (number == 2 and self._second is not None):
                self._outputs[number] = _Output(number, self._shows)
        if self._second is not None:
            os.dup2(1, 2)
        for number in (1, 2):
            if number in self._outputs or self._second is not None:
                self._outputs.get(number, self._outputs[min(self._outputs)]).take_prints(number)
        self._connect()
        live.begins_or_ends, live.catches_up = self.settle, self.catch_up

    def _connect(self) -> None:
        flag = _memory()
        self._on_its_way = mmap.mmap(flag, 1)
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        self._pump = _start_pump(theirs.fileno(), flag, self._shows, list(self._outputs.values()))
        os.close(flag)
        theirs.close()
        self._unread = [output.reading for output in self._outputs.values()]
        self._untaken = [self._control.fileno()]
        self._thread = threading.Thread(target=self._work, name="penstock-capture", daemon=True)
        self._thread.start()

    def terminals(self) -> dict[int, int]:
        found = {number: output.saved for number, output in self._outputs.items()}
        return found if self._second is None else found | {2: self._second}

    # --- taking what was written ---

    def settle(self, ending: RunContext[Any] | None) -> None:
        """A run begins, or one ends: what was written so far is of those at work until now."""
        _flush_buffers()
        if self._is_behind():
            shielded(self._sync, ending)
        if ending is not None:
            shielded(self._finish, ending)
            scope = ending.scope
            if not ending.log_prints and scope is not None and scope.ended == ABANDONED:
                self._doubtful = True  # its code goes on, and may write whenever it likes

    def catch_up(self) -> None:
        """What was written by others comes before the line that is about to be said."""
        if self._taker == threading.get_ident():
            return
        if self._is_behind():
            shielded(self._sync, None)
        elif any(output.lines.has_ended() for output in self._outputs.values()):
            shielded(self._release)

    def _release(self) -> None:
        """Displays that are done come before what is said next."""
        with self._taking:
            self._taker = threading.get_ident()
            for output in self._outputs.values():
                if output.lines.has_ended():
                    output.lines.finish(None)
            self._taker = 0

    def _is_behind(self) -> bool:
        """Whether something was written and is not taken. It is looked for in the direction in which it moves: what has
        left one place is found at the next."""
        return (
            _readable(self._unread, 0.0)
            or self._on_its_way[0] != 0
            or self._taker != 0
            or _readable(self._untaken, 0.0)
        )

    def _sync(self, ending: RunContext[Any] | None) -> None:
        with self._taking:
            self._ending = ending
            self._asked += 1
            asked, deadline = self._asked, time.monotonic() + PATIENCE
            with contextlib.suppress(OSError):  # the pump is gone, as is found when it is read from
                self._control.send(HEAD.pack(b"S", asked & 0xFFFFFFFF))
            while self._answered < asked and (left := deadline - time.monotonic()) > 0:
                _readable(self._untaken, left)
                if not self._take():
                    break
            self._ending = None
        if any(output.lines.has_ended() for output in self._outputs.values()):
            self._release()

    def _work(self) -> None:
        while True:
            _readable(self._untaken, None)
            with self._taking:
                if not self._take():
                    return

    def _take(self) -> bool:
        """Takes what the pump has told; False when it will not tell more."""
        self._taker = threading.get_ident()
        try:
            data = self._control.recv(1 << 18)
            self._buffer += data
            self._handle()
            return bool(data)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._taker = 0

    def _handle(self) -> None:
        buffer, place = self._buffer, 0
        while len(buffer) - place >= HEAD.size:
            kind, number = HEAD.unpack_from(buffer, place)
            if kind == b"S":
                self._answered = self._asked if number == self._asked & 0xFFFFFFFF else self._answered
                place += HEAD.size
                continue
            end = place + HEAD.size + number
            if len(buffer) < end:
                break
            self._write(self._outputs[int(kind)], bytes(buffer[place + HEAD.size : end]))
            place = end
        del buffer[:place]

    def _write(self, output: _Output, data: bytes) -> None:
        owner = self._owner()
        if owner is None and not self._shows:
            output.show(data)
        output.lines.write(owner, data)

    def _owner(self) -> RunContext[Any] | None:
        """Whose the text is that is there; None when it may be of somebody whose text is not to be stored."""
        at_work = _at_work(self._ending) or self.users[-1:]
        if self._doubtful or live.quiet_go_on() or not all(run.log_prints and run.captures_all for run in at_work):
            return None
        return at_work[0] if len(at_work) == 1 else _common_flow(at_work) or self.users[0]

    def _finish(self, run: RunContext[Any] | None) -> None:
        """What a run (None: any) wrote without an end of line is a line now."""
        with self._taking:
            self._taker = threading.get_ident()
            for output in self._outputs.values():
                output.lines.finish(run)
            self._taker = 0

    # --- the end ---

    def close(self) -> None:
        _flush_buffers()
        for output in self._outputs.values():
            output.restore()
        if self._second is not None:
            os.dup2(self._second, 2)
            os.close(self._second)
        self._sync(None)
        live.begins_or_ends = live.catches_up = None
        self._finish(None)
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._control.close()
        for output in self._outputs.values():
            output.close()
        _reap(self._pump)

    def forsake(self) -> None:
        """In a forked child: what it writes goes where its parent's goes; the parent takes it."""
        self._control.close()
        for output in self._outputs.values():
            os.close(output.reading)


def _at_work(ending: RunContext[Any] | None) -> list[RunContext[Any]]:
    """The runs of this process whose code is at work, without those that only wait for what they called."""
    found = [run for run in list(live.RUNS.values()) if run is ending or _is_at_work(run)]
    callers = {run.parent for run in found}
    return [run for run in found if run not in callers]


def _is_at_work(run: RunContext[Any]) -> bool:
    """A task from the beginning of an attempt until its end was said, unless it waits or its code is elsewhere."""
    if isinstance(run, FlowRunContext):
        return True
    scope = run.scope
    return scope is not None and not scope.closed and (scope.frame is None or scope.frame.here)


def _common_flow(runs: list[RunContext[Any]]) -> FlowRunContext | None:
    """The innermost flow run that all of these are in."""
    lines = []
    for run in runs:
        each: RunContext[Any] | None = run
        above: list[RunContext[Any]] = []
        while each is not None:
            above.append(each)
            each = each.parent
        lines.append(above)
    for candidate in lines[0]:
        if isinstance(candidate, FlowRunContext) and all(candidate in above for above in lines):
            return candidate
    return None


# --- the system ------------------------------------------------------------------------------------------------------

_pumps: list[int] = []


def _start_pump(control: int, flag: int, shows: bool, outputs: list[_Output]) -> int:
    """Spawned by hand: `subprocess` is followed for the run's sake, and this is no program of the run's."""
    given = [control, flag, *(fd for output in outputs for fd in (output.reading, output.saved))]
    # To numbers that none of them has: so none is overwritten before it was copied.
    first = max(given) + 1
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, fd, first + place) for place, fd in enumerate(given)]
    # What is captured is not to be held open by who waits for its end.
    actions += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    arguments = [str(first), str(first + 1), str(int(shows))]
    for place, output in enumerate(outputs):
        arguments += [str(output.number), str(first + 2 + 2 * place), str(first + 3 + 2 * place)]
    program = str(Path(__file__).with_name("pump.py"))
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", program, *arguments],
        os.environ,
        file_actions=actions,
        setpgroup=0,  # Ctrl-C is not for it: it ends when nobody writes any more
    )


def _reap(pump: int) -> None:
    """It goes when nobody writes any more, which may be later than now."""
    _pumps.append(pump)
    for each in list(_pumps):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(each, os.WNOHANG)[0] == 0:
                continue
        _pumps.remove(each)


def _readable(fds: list[int], seconds: float | None) -> bool:
    """Waits at most so long for something to read. (Each call has its own `poll`: one cannot be shared by threads.)"""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


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


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _same_file(first: int, second: int) -> bool:
    try:
        return os.path.sameopenfile(first, second)
    except OSError:
        return False


def _flush_buffers() -> None:
    """What Python and C hold back of what was written to the descriptors."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    for flush in _c_flushes():
        flush()


@functools.cache
def _c_flushes() -> list[Callable[[], Any]]:
    """Not `fflush(NULL)`: it waits for whoever reads from a stream."""
    import ctypes

    try:
        library = ctypes.CDLL(None)
        streams = [ctypes.c_void_p.in_dll(library, name) for name in ("stdout", "stderr")]
    except (OSError, ValueError, TypeError):  # another C library
        return []
    return [functools.partial(library.fflush, stream) for stream in streams]


def _forget() -> None:
    global _installed, _lock
    descriptors, _installed = _installed, None
    _lock = threading.RLock()
    live.begins_or_ends = live.catches_up = None
    _pumps.clear()
    if descriptors is not None:
        descriptors.forsake()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
