"""What the server counts of itself: requests by operation and status, how long they took, streams that are open."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from threading import Lock

# Upper bounds in seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Meters:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.requests: Counter[tuple[str, int]] = Counter()
        # operation -> how many in each bucket, the last one for what took longer than all bounds
        self.latencies: dict[str, list[int]] = {}
        self.seconds: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        # name of a loop -> how it ended ("ok", "failed") -> how often
        self.loops: Counter[tuple[str, str]] = Counter()
        # name of a loop -> when it ran last, in seconds since 1970
        self.loops_at: dict[str, float] = {}
        self.leading = False

    def request(self, operation: str, status: int, seconds: float) -> None:
        with self._lock:
            self.requests[operation, status] += 1
            self.seconds[operation] += seconds  # type: ignore[assignment]
            buckets = self.latencies.get(operation)
            if buckets is None:
                buckets = self.latencies[operation] = [0] * (len(BUCKETS) + 1)
            buckets[bisect_left(BUCKETS, seconds)] += 1

    def count(self, name: str, more: int = 1) -> None:
        """Counts what has a name and nothing else, as the rows that were ingested."""
        with self._lock:
            self.counts[name] += more

    def loop(self, name: str, ended: str) -> None:
        with self._lock:
            self.loops[name, ended] += 1
            self.loops_at[name] = time.time()
