"""What a worker says, and what its runs write, on its way to a terminal or a pipe that may take nothing.

Law: whoever says something goes on at once. A pipe that nobody reads, a terminal that was stopped or closed: runs are
watched, reported and ended all the same. What finds no place is counted, and the count is said when there is a place.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

MOST_WAITING = 10_000
LAST_SECONDS = 2.0

Say = Callable[[str], None]


class Aside:
    """Calls functions that may block in a thread of its own, in the order in which they were asked for."""

    def __init__(self) -> None:
        # (Its `put` may be called in a signal's handler, whatever it interrupts.)
        self._waiting: queue.SimpleQueue[tuple[Say, str] | None] = queue.SimpleQueue()
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="penstock-worker-output", daemon=True)

    def __enter__(self) -> Aside:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What is left is said, if that is soon done."""
        self._waiting.put(None)
        self._thread.join(LAST_SECONDS)

    def wrap(self, say: Say) -> Say:
        """A function that returns at once."""

        def said(text: str) -> None:
            if self._waiting.qsize() >= MOST_WAITING:
                self._lost += 1
                return
            if self._lost:
                lost, self._lost = self._lost, 0
                self._waiting.put((say, f"({lost:,} lines are not shown: nobody took them.)"))
            self._waiting.put((say, text))

        return said

    def _run(self) -> None:
        while (each := self._waiting.get()) is not None:
            say, text = each
            try:
                say(text)
            except (OSError, ValueError):  # nobody is there any more
                continue
