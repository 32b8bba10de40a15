"""File descriptors 1 and 2, led elsewhere and back."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from ..engine import console
from ..engine.output_lines import OutputLines
from .streams import CapturedStream

NAMES = {1: "stdout", 2: "stderr"}


class Output:
    """One of the descriptors 1 and 2, or both where they lead to one place; `led`: what each of them led to."""

    def __init__(self, numbers: tuple[int, ...], shown: bool) -> None:
        self.number = numbers[0]
        self.lines = OutputLines(NAMES[self.number], shown)
        self.led: dict[int, int] = {}
        self.reading = self._writing = -1
        self._below: list[tuple[CapturedStream, Any, Any]] = []
        try:
            for number in numbers:
                self.led[number] = os.dup(number)
            self.reading, self._writing = _terminal_like(self.number) if os.isatty(self.number) else os.pipe()
        except OSError:
            self.close()
            raise

    @property
    def saved(self) -> int:
        return self.led[self.number]

    def prepare(self) -> None:
        """All of `redirect` that may fail. Raises OSError."""
        for number in self.led:
            self._take_prints(number)

    def redirect(self) -> None:
        for number in self.led:
            os.dup2(self._writing, number)
        for stream, _, below in self._below:
            stream.penstock_below = below

    def lead(self, past: bool) -> None:
        """Past the capture, or to it again; a descriptor that the program has led elsewhere meanwhile stays there."""
        for number, saved in self.led.items():
            of, to = (self._writing, saved) if past else (saved, self._writing)
            if same_file(number, of):
                os.dup2(to, number)

    def _take_prints(self, number: int) -> None:
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
        fd = os.dup(self.led[number])
        below = open(fd, "w", encoding=original.encoding, errors=original.errors, buffering=1)  # noqa: SIM115
        self._below.append((stream, original, below))

    def restore(self) -> None:
        console.flush()
        for stream, original, below in self._below:
            stream.penstock_below = original
            with contextlib.suppress(OSError, ValueError):
                below.close()
        for number, saved in self.led.items():
            with contextlib.suppress(OSError):  # the program has closed all that is open
                os.dup2(saved, number)
        for stream, original, _ in self._below:
            if stream.penstock_options:
                with contextlib.suppress(OSError, ValueError):
                    original.reconfigure(**stream.penstock_options)
                stream.penstock_options = {}
        self._below.clear()
        self._let_go("_writing")

    def show(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                try:
                    data = data[os.write(self.saved, data) :]
                except BlockingIOError:  # somebody made the terminal so
                    select.select((), (self.saved,), (), 1.0)

    def close(self) -> None:
        for _, _, below in self._below:  # it was not redirected after all
            below.close()
        self.forsake()
        for saved in self.led.values():
            with contextlib.suppress(OSError):
                os.close(saved)

    def forsake(self) -> None:
        """In a forked child: the capture is the parent's."""
        self._let_go("reading")
        self._let_go("_writing")

    def _let_go(self, name: str) -> None:
        fd = getattr(self, name)
        if fd >= 0:
            setattr(self, name, -1)
            with contextlib.suppress(OSError):
                os.close(fd)


def open_outputs(groups: tuple[tuple[int, ...], ...], shown: bool) -> dict[int, Output]:
    """Those of these descriptors that are open, not redirected yet. Raises OSError."""
    outputs: dict[int, Output] = {}
    try:
        for numbers in groups:
            if is_open(numbers[0]):
                outputs[numbers[0]] = Output(numbers, shown)
        if not outputs:
            raise OSError("neither stdout nor stderr is open")
    except OSError:
        for output in outputs.values():
            output.close()
        raise
    return outputs


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


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def same_file(first: int, second: int) -> bool:
    try:
        return os.path.sameopenfile(first, second)
    except OSError:
        return False


def flush_buffers() -> None:
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
