"""Something that happens once, and is waited for as a future is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Awaited:
    """`happen` says that it did, from any thread; who was there before and who comes later are both told."""

    __slots__ = ("_callbacks", "_lock")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] | None = []
        self._lock = threading.Lock()

    def done(self) -> bool:
        return self._callbacks is None

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Has `fn(self)` called when it happens; at once if it has."""
        with self._lock:
            if self._callbacks is not None:
                self._callbacks.append(fn)
                return
        fn(self)

    def happen(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            callback(self)
