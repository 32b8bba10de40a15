"""How far a map of many items is: one line at the foot of a terminal, instead of two lines an item.

Law: only somebody who watches is shown less. In a file or a pipe all lines stay; in the record they do in any case; and
warnings, errors and what items print are shown on a terminal, too.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..domain.states import State
from . import console

if TYPE_CHECKING:
    from typing import Any

    from .context import FlowRunContext

EVERY_SECONDS = 0.1
_active: list[Progress] = []
_lock = threading.Lock()


class Progress:
    """Of one map. `total` is how many items there are; None while that is not known."""

    def __init__(self, name: str, total: int | None, above: int) -> None:
        self.name = name
        self.total = total
        self._above = above
        self._begun = 0
        self._ends: Counter[str] = Counter()
        self._ended = 0
        self._since = time.monotonic()
        self._drawn_at = 0.0

    def takes(self) -> bool:
        """An item begins: whether its lines are to be left out on the terminal."""
        self._begun += 1
        if self._begun == 1:
            with _lock:
                _active.append(self)
                console.has_foot = True
        return self.total is not None or self._begun > self._above

    def ended(self, state: State[Any]) -> None:
        """An item has ended so."""
        with _lock:
            self._ended += 1
            self._ends[state.name] += 1
            now = time.monotonic()
            due = now - self._drawn_at >= EVERY_SECONDS
            if due:
                self._drawn_at = now
        if self._ended == self.total:
            self.finish()
        elif due and (self.total is not None or self._begun > self._above):
            console.draw_foot(" · ".join(each.text() for each in _active))

    def all_taken(self) -> None:
        """No more items will come than those that have begun."""
        self.total = self._begun
        if self._ended >= self.total:
            self.finish()

    def finish(self) -> None:
        """What it came to stays on the terminal."""
        with _lock:
            if self not in _active:
                return
            _active.remove(self)
            console.has_foot = bool(_active)
        rest = " · ".join(each.text() for each in _active)
        console.draw_foot(rest, self.text() if self._begun > self._above else None)

    def text(self) -> str:
        """`parse: 12,000 of 1,000,000 done, 3 Failed, 9,800/s`."""
        seconds = max(time.monotonic() - self._since, 1e-3)
        of = "" if self.total is None else f" of {self.total:,}"
        ends = [
            f"{count:,} {name}" for name, count in sorted(self._ends.items()) if name not in ("Completed", "Cached")
        ]
        return ", ".join([f"{self.name}: {self._ended:,}{of} done", *ends, f"{self._ended / seconds:,.0f}/s"])


def of_map(name: str, flow: FlowRunContext | None, total: int | None) -> Progress | None:
    """The progress of a map, if somebody is there to see it and the map is large, or may be."""
    if flow is None:
        return None
    settings = flow.runtime.settings
    above = settings.logging_collapse_above
    shown = settings.logging_to_console and not settings.logging_quiet and settings.logging_console_format == "text"
    if not shown or flow.runtime.show_level > 20 or settings.logging_console_level not in (None, "DEBUG", "INFO"):
        return None
    if (total is not None and total <= above) or not console.is_terminal(console.terminal()):
        return None
    return Progress(name, total, above)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _active.clear()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
