"""Processes of this machine: which there are below one, and ending a whole tree of them.

Law: a pid alone is never signalled. A process is a pid and the moment it started, in the system's own words, as a
run's holder has them; a pid that was given to another process is left alone. The caller itself is never touched.

Light on purpose: the watchdog loads this at its start.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

_PROC = "/proc"
# A container's first process is immune to its own container's signals: only who started the container can end it.
_FIRST = 1
_POLL_SECONDS = 0.002
# How long to wait for stopped processes to be seen as stopped; one that waits for a disk cannot stop.
_STOP_PATIENCE = 0.25


class Process(NamedTuple):
    """One process, safe against reuse of its pid. `started` is as in a run's holder."""

    pid: int
    started: str


class _Seen(NamedTuple):
    process: Process
    parent: int
    state: str

    @property
    def is_dead(self) -> bool:
        return self.state in ("Z", "X")


def find(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or only a zombie of it."""
    seen = _look(pid)
    return None if seen is None or seen.is_dead else seen.process


def lives(process: Process) -> bool:
    """Whether the process is there still; a zombie is not."""
    return find(process.pid) == process


def descendants(pid: int) -> list[Process]:
    """All processes below one, parents before their children; zombies are left out."""
    return [seen.process for seen in _below(pid) if not seen.is_dead]


def kill_tree(root: Process, *, spare: Iterable[int] = (), patience: float = 5.0) -> bool:
    """Ends a process and all below it, but for `spare` and the caller. Whether they are gone.

    All are stopped first, so that none forks while the others are killed; then they are killed from the leaves up:
    were a parent killed first, the system would let its stopped children go on. Returns when they are gone, at the
    latest after `patience` seconds. A container's first process cannot be ended from inside, and is not tried.
    """
    spared = {os.getpid(), _FIRST, *spare}
    if root.pid in spared:
        return False
    if not lives(root):
        return True
    tree = _stopped_tree(root, spared)
    for process in reversed(tree):
        send(process, signal.SIGKILL)
    deadline = time.monotonic() + patience
    while any(lives(process) for process in tree):
        if time.monotonic() > deadline:
            # What could not be killed must not stay stopped for ever.
            for process in tree:
                send(process, signal.SIGCONT)
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _stopped_tree(root: Process, spared: set[int]) -> list[Process]:
    """The tree, parents first, once it stands still."""
    tree: dict[Process, None] = {}
    deadline = time.monotonic() + _STOP_PATIENCE
    while True:
        seen = [each for each in (_look(root.pid), *_below(root.pid)) if each and each.process.pid not in spared]
        new = [each.process for each in seen if each.process not in tree and not each.is_dead]
        for process in new:
            send(process, signal.SIGSTOP)
            tree[process] = None
        # A fork that was under way shows its child only after the parent is seen to be stopped.
        if not new and (all(each.state in "TtZX" for each in seen) or time.monotonic() > deadline):
            return list(tree)
        if not new:
            time.sleep(_POLL_SECONDS)


def send(process: Process, number: signal.Signals) -> None:
    """Signals a process, if it is still the one it was."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not on this system
        if lives(process):
            _quietly_kill(process.pid, number)
        return
    try:
        # What the handle means cannot be replaced any more; so the check holds for the signal.
        if lives(process):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    except OSError:  # some sandboxes know the one call and not the other
        _quietly_kill(process.pid, number)
    finally:
        os.close(handle)


def _quietly_kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


# --- looking ---------------------------------------------------------------------------------------------------------


def _below(pid: int) -> list[_Seen]:
    children: dict[int, list[_Seen]] = {}
    for seen in _all():
        children.setdefault(seen.parent, []).append(seen)
    found: list[_Seen] = []
    parents = [pid]
    for parent in parents:  # grows while we walk it: parents before their children
        for seen in children.get(parent, ()):
            found.append(seen)
            parents.append(seen.process.pid)
    return found


def _all() -> list[_Seen]:
    if not _has_proc():
        return _listed_by_ps()
    pids = [int(name) for name in os.listdir(_PROC) if name.isdigit()]
    return [seen for seen in map(_look, pids) if seen is not None]


def _look(pid: int) -> _Seen | None:
    try:
        with open(f"{_PROC}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None if _has_proc() else next(iter(_listed_by_ps(pid)), None)
    # The name, in parentheses, may hold anything; the fields after it are numbers, but for the state.
    fields = text.rpartition(")")[2].split()
    return _Seen(Process(pid, fields[19]), int(fields[1]), fields[0])


def _has_proc() -> bool:
    return os.path.exists(f"{_PROC}/self/stat")


def _listed_by_ps(pid: int | None = None) -> list[_Seen]:
    import subprocess  # heavy, and only where there is no /proc

    which = ["-ax"] if pid is None else ["-p", str(pid)]
    command = ["ps", *which, "-o", "pid=,ppid=,state=,lstart="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = []
    for line in listed.splitlines():
        own, parent, state, started = line.split(None, 3)
        found.append(_Seen(Process(int(own), started.strip()), int(parent), state[0]))
    return found
