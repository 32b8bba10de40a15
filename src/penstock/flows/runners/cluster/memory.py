"""How much memory the tasks on a node may take, where the cluster sets a limit to the process that they run beside.

Law: Dask's nanny looks at Dask's own process only; the task's code is in another, which nobody but us would look at.
When all of them together are beyond the limit, the largest of those with a task ends.
"""

from __future__ import annotations

import threading

# How often it is looked at.
LOOK_SECONDS = 0.2


class Room:
    """What processes of a node may take together: `most` bytes, counted with this process; `whose` says who set it."""

    def __init__(self, most: int, whose: str) -> None:
        self.most = most
        self.whose = whose

    def excess(self, pid: int) -> str | None:
        """What is wrong, in words, if this worker process is the one that has to go."""
        mine = _memory_of(pid)
        with _lock:
            _used[pid] = mine
            used = dict(_used)
        if mine < max(used.values()):
            return None
        total = sum(used.values()) + _memory_of(None)
        if total <= self.most:
            return None
        return f"it took {_size(mine)}, and all on {self.whose} together {_size(total)} of {_size(self.most)}"


_used: dict[int, int] = {}
_lock = threading.Lock()


def forget(pid: int) -> None:
    """It has no task any more."""
    with _lock:
        _used.pop(pid, None)


def _memory_of(pid: int | None) -> int:
    """Of a process; 0 when it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
