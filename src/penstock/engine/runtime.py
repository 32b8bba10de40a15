"""What an engine is given: the record's door, a clock, settings. Made once, by `connect.py`, and passed down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..domain.pauses import Pause
from ..domain.runs import Holder
from ..domain.stops import Stop
from ..ledger.contract import Ledger
from ..vault import Vault
from .clock import Clock

if TYPE_CHECKING:
    from ..ledger.slots import Slots
    from .context import RunContext
    from .scopes import Guard
    from .tracing import Tracer


class EngineSettings(Protocol):
    """The settings that the engine reads."""

    @property
    def logging_level(self) -> str: ...
    @property
    def logging_log_prints(self) -> bool: ...
    @property
    def logging_extra_loggers(self) -> tuple[str, ...]: ...
    @property
    def logging_colors(self) -> bool: ...
    @property
    def logging_to_console(self) -> bool: ...
    @property
    def logging_console_level(self) -> str | None: ...
    @property
    def logging_console_format(self) -> str: ...
    @property
    def logging_quiet(self) -> bool: ...
    @property
    def logging_capture(self) -> str: ...
    @property
    def logging_stderr_level(self) -> str: ...
    @property
    def logging_mask_patterns(self) -> tuple[str, ...]: ...
    @property
    def logging_collapse_above(self) -> int: ...
    @property
    def logging_max_line_bytes(self) -> int: ...
    @property
    def results_persist_by_default(self) -> bool: ...
    @property
    def results_default_serializer(self) -> str: ...
    @property
    def results_inline_limit(self) -> int: ...
    @property
    def local_storage_path(self) -> Path: ...
    @property
    def flows_default_retries(self) -> int: ...
    @property
    def flows_default_retry_delay_seconds(self) -> float: ...
    @property
    def flows_fail_on_failed_tasks(self) -> bool: ...
    @property
    def flows_return_states(self) -> bool: ...
    @property
    def tasks_default_retries(self) -> int: ...
    @property
    def tasks_default_retry_delay_seconds(self) -> float: ...
    @property
    def tasks_refresh_cache(self) -> bool: ...
    @property
    def tasks_disable_caching(self) -> bool: ...
    @property
    def stop_grace_seconds(self) -> float: ...
    @property
    def stop_watchdog(self) -> bool: ...
    @property
    def hooks_timeout_seconds(self) -> float: ...
    @property
    def tasks_default_persist_result(self) -> bool | None: ...


class Watchdog(Protocol):
    """Somebody beside the process who sees to it that limits hold when the process itself cannot."""

    def guard(
        self, context: RunContext[Any], stop: Stop, due_in: float, record_in: float | None, kill_in: float
    ) -> Guard | None:
        """A run's code is told to stop in `due_in` seconds; it is to have ended in `record_in` in the record (None:
        whenever), and in `kill_in` in truth."""


class NoWatchdog:
    """Where there is none: in worker processes, which are watched by the process that they work for."""

    def guard(
        self, context: RunContext[Any], stop: Stop, due_in: float, record_in: float | None, kill_in: float
    ) -> None:
        return None


class Double(Protocol):
    """Tests have something else stand for the code of a run, and answer for people."""

    def code_of(self, context: RunContext[Any], fn: Callable[..., Any], awaits: bool) -> Callable[..., Any]:
        """What is called in the place of `fn` in this attempt, in its scope; `awaits`: it gives a coroutine."""

    def waits(self, context: RunContext[Any], pause: Pause) -> None:
        """A run waits for a person from now on."""


class Runtime:
    """One engine's surroundings."""

    __slots__ = (
        "clock", "double", "holder", "ledger", "may_be_killed", "settings", "show_level", "slots", "tracer", "vault",
        "watchdog",
    )  # fmt: skip

    def __init__(
        self,
        ledger: Ledger,
        settings: EngineSettings,
        clock: Clock,
        holder: Holder,
        show_level: int,
        vault: Vault,
        slots: Callable[[], Slots],
        watchdog: Watchdog | None = None,
        may_be_killed: bool = False,
        double: Double | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.ledger = ledger
        self.settings = settings
        self.clock = clock
        self.double = double
        self.holder = holder
        self.show_level = show_level  # lines below it are neither shown nor stored
        self.vault = vault  # encrypts what is kept and holds a secret
        self.slots = slots  # of concurrency limits; made when they are first asked for
        self.watchdog: Watchdog = watchdog or NoWatchdog()
        self.tracer = tracer  # None, unless it was asked for
        self.may_be_killed = may_be_killed  # the process, when a run in it does not stop

    def grace_of(self, stop: Stop) -> float:
        """How many seconds code that is stopped has to come to its end by itself."""
        return self.settings.stop_grace_seconds if stop.grace is None else stop.grace
