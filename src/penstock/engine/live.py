"""The runs of this process that have not ended, by id: so that a request to stop one finds it; and who follows them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..domain.stops import Signal
from ..infrastructure.process import Process, find, lives

if TYPE_CHECKING:
    from .context import RunContext

RUNS: dict[UUID, RunContext[Any]] = {}

# While all output of the process is captured (`flows.descriptors`): told before an attempt begins (None), and before
# the end of one is said (its run); and asked, before a line is said, for what others wrote before it.
begins_or_ends: Callable[[RunContext[Any] | None], None] | None = None
catches_up: Callable[[], None] | None = None
# Programs started by runs that do not log their prints, which may write as long as they live.
_quiet: list[Process] = []


def note_quiet(pid: int) -> None:
    process = find(pid)
    if process is not None:
        _quiet.append(process)


def quiet_go_on() -> bool:
    """Whether a program may write whose output nobody is to store."""
    _quiet[:] = [process for process in _quiet if lives(process)]
    return bool(_quiet)


def hear(signal: Signal) -> None:
    """Somebody asked for the end of a run; perhaps one of another process."""
    context = RUNS.get(signal.run_id)
    if context is not None:
        context.halt(signal.stop)


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=RUNS.clear)
