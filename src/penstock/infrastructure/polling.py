"""Watching what cannot be waited for: asked again and again, at first soon, then less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_SECONDS, MOST_SECONDS = 0.5, 5.0


class Poller:
    """`pause` is how it waits, `clock` what time it is: tests have their own."""

    def __init__(
        self, pause: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause = pause
        self.clock = clock

    def until(self, look: Callable[[], T | None], seconds: float) -> T | None:
        """What `look` gives as soon as it gives something; None when that is not so in time."""
        deadline, pause = self.clock() + seconds, FIRST_SECONDS
        while True:
            found = look()
            if found is not None:
                return found
            left = deadline - self.clock()
            if left <= 0:
                return None
            self._pause(min(pause, left))
            pause = min(pause * 1.3, MOST_SECONDS)
