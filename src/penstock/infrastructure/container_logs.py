"""Lines of a stream that somebody else reads when he has the time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

# A stream that nobody reads lines of is not read on: so many are kept.
MOST_KEPT = 10_000
LONGEST_LINE = 1 << 20


class Follower:
    """Reads a stream of bytes in a thread of its own, from its beginning to its end, and gives its lines on, each
    once, to whoever asks. `open()` gives the stream's pieces."""

    def __init__(self, open: Callable[[], Iterator[bytes]]) -> None:
        self._open = open
        self._lines: deque[str] = deque()
        self._changed = threading.Condition()
        self._over = False
        self._thread: threading.Thread | None = None

    def follow(self, line: Callable[[str], None], deadline: float) -> bool:
        """Gives lines as they come; whether the stream has ended before the deadline (of the monotonic clock)."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="penstock-container-logs", daemon=True)
            self._thread.start()
        while True:
            with self._changed:
                while not self._lines and not self._over:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    self._changed.wait(left)
                lines, over = list(self._lines), self._over
                self._lines.clear()
                self._changed.notify_all()
            for each in lines:
                line(each)
            if over:
                return True

    def close(self) -> None:
        """Nobody will ask for lines any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _read(self) -> None:
        rest = b""
        try:
            for piece in self._open():
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                if not self._give(lines):
                    return
        except Exception:  # the engine went away: what is missing is in its own log still
            pass
        self._give([rest] if rest else [])
        self.close()

    def _give(self, lines: list[bytes]) -> bool:
        """Whether anybody is there still."""
        with self._changed:
            while len(self._lines) > MOST_KEPT and not self._over:
                self._changed.wait()
            self._lines.extend(each.decode("utf-8", "replace").rstrip("\r") for each in lines)
            self._changed.notify_all()
            return not self._over
