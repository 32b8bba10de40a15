"""The engine's clock and source of ids. Everything in the engine that depends on time asks the clock it was given."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from uuid import UUID

from ..domain.ids import uuid7


class Clock:
    """The system's clock. Tests hand the engine another with the same three methods."""

    def now(self) -> datetime:
        """The moment, aware, in UTC: for the record."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever go forward: for deadlines, which a changed system clock must not move."""
        return time.monotonic()

    def new_id(self) -> UUID:
        """A fresh uuid7."""
        return uuid7(time.time_ns(), int.from_bytes(os.urandom(8)))


SYSTEM = Clock()
