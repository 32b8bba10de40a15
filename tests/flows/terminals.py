"""Programs run on a terminal of their own, and what somebody in front of it would have seen."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

from .kit import SOURCE, WATCHED

ROWS, COLUMNS = 50, 140


@dataclass
class Drawn:
    code: int
    text: str  # all that was written to the terminal, in its order

    def screen(self) -> list[str]:
        """What stands there at the end, without blank lines below it."""
        screen = pyte.Screen(COLUMNS, ROWS)
        pyte.Stream(screen).feed(self.text)
        return "\n".join(line.rstrip() for line in screen.display).rstrip().split("\n")


def on_terminal(
    program: Path, *arguments: str, typed: Sequence[tuple[str, str]] = (), timeout: float = 60, **environment: str
) -> Drawn:
    """Runs a program that has a terminal. `typed`: what is waited for, and what is typed then, one after the other."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_FRONT, sys.executable, str(program), *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**_surroundings(), **environment},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        text = _watch(ours, list(typed), time.monotonic() + timeout)
        return Drawn(process.wait(timeout), text)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)


# Only who leads a session can take a terminal for its own, which Ctrl-C and getpass are about.
_IN_FRONT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def _surroundings() -> dict[str, str]:
    """Without what would be said of another terminal."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**inherited, "PYTHONPATH": str(SOURCE), "TERM": "xterm-256color", **WATCHED}


def _watch(terminal: int, typed: list[tuple[str, str]], deadline: float) -> str:
    seen, place = b"", 0
    while True:
        ready, _, _ = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise AssertionError(f"the program did not end, or did not ask: {seen.decode(errors='replace')}")
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            assert not typed, f"the program did not ask for {typed}: {seen.decode(errors='replace')}"
            return seen.decode(errors="replace")
        seen += data
        while typed and (found := seen.find(typed[0][0].encode(), place)) >= 0:
            place = found + len(typed[0][0].encode())
            os.write(terminal, typed.pop(0)[1].encode())
