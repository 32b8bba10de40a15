"""File descriptors 1 and 2, led elsewhere and back."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from ..engine import console
from ..engine.output_lines import OutputLines
from .streams import CapturedStream

NAMES = {1: "stdout", 2: "stderr"}


class Output:
    """One of the descriptors 1 and 2, and what it led to."""

    def __init__(self, number: int, shown: bool) -> None:
        self.number = number
        self.lines = OutputLines(NAMES[number], shown)
        self._below: list[tuple[CapturedStream, Any]] = []
        self.saved = os.dup(number)
        try:
            self.reading, self._writing = _terminal_like(number) if os.isatty(number) else os.pipe()
        except OSError:
            os.close(self.saved)
            raise

    def forgo(self) -> None:
        """It is not to be redirected after all."""
        os.close(self._writing)
        self.close()

    def redirect(self) -> None:
        os.dup2(self._writing, self.number)
        os.close(self._writing)

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
            below, stream.penstock_below = stream.penstock_below, original
            with contextlib.suppress(OSError, ValueError):
                below.close()
        os.dup2(self.saved, self.number)

    def show(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self.saved, data) :]

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.saved)


def open_outputs(numbers: tuple[int, ...], shown: bool) -> dict[int, Output]:
    """Those of these descriptors that are open, not redirected yet. Raises OSError."""
    outputs: dict[int, Output] = {}
    try:
        for number in numbers:
            if is_open(number):
                outputs[number] = Output(number, shown)
        if not outputs:
            raise OSError("neither stdout nor stderr is open")
    except OSError:
        for output in outputs.values():
            output.forgo()
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
