"""Who executes a run, and whether it still lives: host, boot, pid and the process's start, so that a pid that is used
again is not taken for the process that had it before."""

from __future__ import annotations

import os
import socket
from functools import cache

from ..domain.runs import Holder


def me() -> Holder:
    """This process. Cached by pid, for a forked child is another."""
    return _holder(os.getpid())


def lives(holder: Holder) -> bool | None:
    """Whether a process lives; None when it cannot be seen from here: it is of another host or container, or of this
    host before it was started anew (which may as well be another machine of that name)."""
    mine = me()
    if (holder.host, holder.boot, holder.namespace) != (mine.host, mine.boot, mine.namespace):
        return None
    return started(holder.pid) == holder.started


@cache
def _holder(pid: int) -> Holder:
    return Holder(socket.gethostname(), boot_id(), pid, started(pid) or "", _namespace())


@cache
def _namespace() -> str:
    """In which a pid means something; empty where the system has but one."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


@cache
def boot_id() -> str:
    """Differs after each start of the machine; empty where the system does not say."""
    try:
        return _read("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """When a process started, in the system's own words; None when there is none (or only a zombie of it)."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return None if os.path.exists("/proc/self/stat") else _started_by_ps(pid)
    # The name, in parentheses, may hold anything; the fields after it are numbers, but for the state.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _started_by_ps(pid: int) -> str | None:
    import subprocess

    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip() or None
