"""The runs of this process that have not ended, by id: so that a request to stop one finds it; and who follows them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..domain.stops import RESUME, STOP, Signal

if TYPE_CHECKING:
    from .context import RunContext

RUNS: dict[UUID, RunContext[Any]] = {}

# While all output of the process is captured (`flows.descriptors`): told of a run before an attempt of it begins, and
# before the end of one is said; and asked, before a line is said, for what others wrote before it.
begins: Callable[[RunContext[Any]], None] | None = None
ends: Callable[[RunContext[Any]], None] | None = None
catches_up: Callable[[], None] | None = None


def hear(signal: Signal) -> None:
    """Somebody asked something of a run; perhaps one of another process."""
    context = RUNS.get(signal.run_id)
    if context is None:
        return
    if signal.kind == STOP:
        context.halt(signal.stop)
    elif signal.kind == RESUME:
        context.answered()
    else:
        context.hold(signal)


def _forget() -> None:
    """The runs are the parent's, and so is what they have begun to write; code in the child may go on writing."""
    for run in RUNS.values():
        run.partial = None
    RUNS.clear()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
