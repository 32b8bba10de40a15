"""What a server does by itself, again and again: one file a loop.

Law: a loop is a function that does its work once, in short transactions, and an interval. It runs on one server of
those that share a record; it may be ended between any two of its transactions, and begun anew elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..desk import Desk
from . import automating, expiring, launching, pruning, rescuing, retaining, scheduling


class Loop(msgspec.Struct, frozen=True):
    """`once(desk)` is called when the server begins to lead, and `seconds` after each time that it has ended; or
    sooner, when it says after how many."""

    name: str
    once: Callable[[Desk], float | None]
    seconds: float


LOOPS = (
    Loop("rescue", rescuing.once, 2.0),
    Loop("pauses", expiring.once, 0.05),
    Loop("schedule", scheduling.once, 1.0),
    Loop("automations", automating.once, 0.25),
    Loop("launches", launching.once, 5.0),
    Loop("prune", pruning.once, 60.0),
    Loop("retention", retaining.once, 30.0),
)
