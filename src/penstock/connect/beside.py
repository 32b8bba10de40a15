"""The process beside this one, for the engine: made when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..domain.stops import Stop
from ..engine import program
from ..engine.context import RunContext
from ..engine.masking import MASKER
from ..engine.runtime import Runtime
from ..ledger.masked import masked
from ..settings import current

if TYPE_CHECKING:
    from ..watchdog.beside import Guard, Watchdog


def may_be_killed() -> bool:
    """Whether this process may be ended when a run in it does not stop: as the setting says, else if it is a script."""
    wanted = current().stop_kill
    return program.is_script() if wanted is None else wanted


class Beside:
    """`where_is(runtime)`: the record that a run reports to, for the watchdog; None where the process works for the run
    of another, which has somebody beside it."""

    def __init__(self, where_is: Callable[[Runtime], bytes | None]) -> None:
        self._where_is = where_is
        self._lock = threading.Lock()
        self._watchdog: Watchdog | None = None

    def watchdog(self) -> Watchdog:
        if self._watchdog is None:
            from ..watchdog.beside import Watchdog

            with self._lock:
                if self._watchdog is None:
                    self._watchdog = Watchdog(may_be_killed=may_be_killed(), default_grace=current().stop_grace_seconds)
        return self._watchdog

    def guard(
        self, context: RunContext[Any], stop: Stop, due_in: float, record_in: float | None, kill_in: float
    ) -> Guard | None:
        where = self._where_is(context.runtime) if context.runtime.settings.stop_watchdog else None
        if where is None:
            return None
        return self.watchdog().guard(
            masked(MASKER, context.run),
            where=where,
            due_in=due_in,
            record_in=record_in,
            kill_in=kill_in if context.runtime.may_be_killed else None,
            stop=masked(MASKER, stop),
        )

    def close(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.close()
