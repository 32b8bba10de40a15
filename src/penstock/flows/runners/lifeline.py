"""A worker's end with the process that it works for, by the kernel's hand: also while code keeps the interpreter to
itself (a regular expression, a native loop), so that no thread could notice that nobody is there any more.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys


class Lifeline:
    """The reading end of a pipe into which nothing is ever written: it ends when the last process that can, does.

    While it is armed, that kills this process and all that it has started (Linux only; elsewhere nothing happens).
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd if sys.platform == "linux" and os.getpgrp() == os.getpid() else -1
        if self._fd >= 0:
            fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)  # type: ignore[attr-defined,unused-ignore]

    def arm(self) -> bool:
        """False when the other end is gone already, of which the kernel would not tell again."""
        if self._fd < 0:
            return True
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.FASYNC)
        return not select.select([self._fd], (), (), 0)[0]

    def disarm(self) -> None:
        if self._fd >= 0:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, 0)
