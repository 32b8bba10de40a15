"""The runs of this process that have not ended, by id: so that a request to stop one finds it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..domain.stops import Signal

if TYPE_CHECKING:
    from .context import RunContext

RUNS: dict[UUID, RunContext[Any]] = {}


def hear(signal: Signal) -> None:
    """Somebody asked for the end of a run; perhaps one of another process."""
    context = RUNS.get(signal.run_id)
    if context is not None:
        context.halt(signal.stop)


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=RUNS.clear)
