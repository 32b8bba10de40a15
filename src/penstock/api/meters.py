"""What the server counts of itself: requests by operation and status, transactions, states that runs enter, loops; and
how long each took."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from threading import Lock

from ..domain.states import StateType

# Upper bounds in seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Durations:
    """How long things of one kind took: how many in each bucket, the last one for what took longer than all bounds."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1


class Meters:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.requests: Counter[tuple[str, int]] = Counter()
        # by operation
        self.latencies: dict[str, Durations] = {}
        # transactions, by what they do ("read", "write"); and how long they had to wait before they began
        self.transactions = {"read": Durations(), "write": Durations()}
        self.waits = {"read": Durations(), "write": Durations()}
        # (kind of run, type of state) -> how often it was entered
        self.states: Counter[tuple[str, StateType]] = Counter()
        self.counts: Counter[str] = Counter()
        # name of a loop -> how it ended ("ok", "failed") -> how often
        self.loops: Counter[tuple[str, str]] = Counter()
        # name of a loop -> when it ran last, in seconds since 1970; and for how many seconds in all
        self.loops_at: dict[str, float] = {}
        self.loop_seconds: dict[str, float] = {}
        self.leading = False

    def request(self, operation: str, status: int, seconds: float) -> None:
        with self._lock:
            self.requests[operation, status] += 1
            self.latencies.setdefault(operation, Durations()).add(seconds)

    def transaction(self, kind: str, waited: float, seconds: float) -> None:
        with self._lock:
            self.waits[kind].add(waited)
            self.transactions[kind].add(seconds)

    def entered(self, entries: list[tuple[str, StateType]]) -> None:
        """States that runs have entered, each with the kind of run ("flow", "task")."""
        with self._lock:
            self.states.update(entries)

    def count(self, name: str, more: int = 1) -> None:
        """Counts what has a name and nothing else, as the rows that were ingested."""
        with self._lock:
            self.counts[name] += more

    def loop(self, name: str, ended: str, seconds: float) -> None:
        with self._lock:
            self.loops[name, ended] += 1
            self.loops_at[name] = time.time()
            self.loop_seconds[name] = self.loop_seconds.get(name, 0.0) + seconds
