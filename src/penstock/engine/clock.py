"""The engine's clock and source of ids. Everything in the engine that depends on time asks the clock it was given."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from ..domain.ids import uuid7
from .timers import TIMERS, Timer


class Clock:
    """The system's clock. Tests hand the engine another with the same methods (`penstock.testing.FakeClock`)."""

    def now(self) -> datetime:
        """The moment, aware, in UTC: for the record."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever go forward: for deadlines, which a changed system clock must not move."""
        return time.monotonic()

    def new_id(self) -> UUID:
        """A fresh uuid7."""
        return uuid7(time.time_ns(), next_random())

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Has `action()`, which must be short, called in so many seconds, in another thread."""
        return TIMERS.after(seconds, action)


# A system call costs many times what the rest of an id does; so randomness is fetched for many ids at once.
_BLOCK = 512
_random: Iterator[int] = iter(())


def next_random() -> int:
    global _random
    number = next(_random, None)  # atomic: no number is given twice
    if number is None:
        _random = iter(struct.unpack(f"{_BLOCK}Q", os.urandom(8 * _BLOCK)))
        number = next(_random)
    return number


def _forget() -> None:
    """A forked child must not use the numbers that its parent will."""
    global _random
    _random = iter(())


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)

SYSTEM = Clock()
