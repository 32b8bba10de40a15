"""Ending a process because a run in it does not stop."""

from __future__ import annotations

import os
from uuid import UUID

from ..domain.runs import Holder
from ..domain.stops import Stop
from ..infrastructure.process import Process, kill_tree


def end_process(holder: Holder, line: str) -> bool:
    """Ends a process with all below it, and says so where it writes its errors. Whether it is gone.

    Never ends the process that asks. The holder must be of this host.
    """
    if holder.pid == os.getpid():
        return False
    errors = _errors_of(holder.pid)
    try:
        gone = kill_tree(Process(holder.pid, holder.started))
        if gone and errors is not None:
            _say(errors, line)
        return gone
    finally:
        if errors is not None:
            os.close(errors)


def _errors_of(pid: int) -> int | None:
    """Where a process writes its errors; None where that cannot be opened."""
    try:
        # At the end of a file, not over its beginning; and a pipe that nobody reads must not hold us up.
        return os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


def _say(errors: int, line: str) -> None:
    try:
        os.write(errors, f"{line}\n".encode("utf-8", "replace"))
    except OSError:
        pass


def sentence(kind: str, name: str | None, run_id: UUID, stop: Stop, seconds: float, holder: Holder) -> str:
    """What is said when a process was ended; `kind` is "flow run" or "task run"."""
    called = str(run_id) if name is None else repr(name)
    why = stop.message.rstrip(".")
    within = f"within {round(seconds, 1):g} s of: {why}" if seconds > 0 else f"({why})"
    return f"penstock: {kind} {called} did not stop {within}; its process ({holder.pid}) was ended"
