"""What a worker process beside a cluster's own knows of the cluster, for the task at hand."""

from __future__ import annotations

from collections.abc import Callable

# How the task reaches the cluster that it is on (an address, and options of its client, pickled), and what it says when
# its place there may be given to others. None: it is on none, or on one whose clients need no such things.
here: tuple[bytes, Callable[[], None]] | None = None
