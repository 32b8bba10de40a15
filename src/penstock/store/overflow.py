"""What a process reports while its server is away for long, and more of it than memory should hold: on disk, in order.

The files are those of `spool`, one after the other, so what a process leaves behind is read and shipped like that.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..domain.runs import Holder
from ..protocol.journal import Fact
from .spool import START, SpoolFile, facts_in, new_file, packed


class Overflow:
    """A queue of facts on disk. `folder` is where its files are, `holder()` is this process.

    `active` says that there may be facts in it: then everything that follows goes here as well, or it would overtake.
    Any thread adds; one takes.
    """

    def __init__(self, folder: Path, holder: Callable[[], Holder]) -> None:
        self._folder = folder
        self._holder = holder
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._files: deque[SpoolFile] = deque()
        # how far the first file has been taken, and what was given last reaches
        self._place = self._behind = START
        self.active = False

    def begin(self) -> None:
        self.active = True

    def add(self, fact: Fact) -> bool | None:
        """Whether the fact is kept; None when the queue has just ended, and the fact is to go the usual way."""
        data = packed(fact)
        with self._lock:
            if not self.active:
                return None
            if self._files and self._files[-1].append(data):
                return True
            try:
                self._files.append(new_file(self._folder, self._holder()))
            except (OSError, ValueError):
                return False
            return self._files[-1].append(data)

    def take(self, most: int) -> list[Fact]:
        """The oldest facts; they stay until `taken`. Empty: that was all, and the queue is not active any more."""
        with self._lock:
            while self._files:
                first = self._files[0]
                facts, self._behind = facts_in(first.map, self._place, first.end, most)
                if facts:
                    return facts
                self._files.popleft().close(remove=True)
                self._place = START
            self.active = False
            return []

    def taken(self) -> None:
        """What `take` gave is recorded."""
        with self._lock:
            self._place = self._behind

    def close(self) -> bool:
        """Gives the files back; whether facts are left in them, for somebody else to ship."""
        with self._lock:
            left = False
            while self._files:
                file = self._files.popleft()
                empty = self._place >= file.end
                left = left or not empty
                file.close(remove=empty)
                self._place = START
            self.active = False
        with contextlib.suppress(OSError):
            self._folder.rmdir()
        return left

    def forget(self) -> None:
        """In a forked child: the files are the parent's."""
        for file in self._files:
            file.close(remove=False)
        self._begin()
