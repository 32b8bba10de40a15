"""The tracer of this process, made when a run first asks for it; None unless PENSTOCK_TELEMETRY_TRACES is on."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from .. import __version__, settings
from ..domain.errors import ConfigurationError
from ..settings import Settings

if TYPE_CHECKING:
    from ..telemetry.sending import Sending
    from ..telemetry.spans import RunTracer

_lock = threading.Lock()
_sending: Sending | None = None
_tracer: RunTracer | None = None


def tracer(asked: Settings) -> RunTracer | None:
    """Raises `ConfigurationError` where the packages for it are missing."""
    global _sending, _tracer
    if not asked.telemetry_traces:
        return None
    if _tracer is None:
        with _lock:
            if _tracer is None:
                try:
                    from ..telemetry.sending import Sending
                    from ..telemetry.spans import RunTracer

                    _sending = Sending(__version__)
                    _tracer = RunTracer(_sending.tracer)
                except ModuleNotFoundError as error:
                    raise ConfigurationError(
                        f"PENSTOCK_TELEMETRY_TRACES is on, and the module {error.name} is not installed: "
                        "`pip install 'penstock[otel]'`, or switch the setting off."
                    ) from None
    return _tracer


def carry(headers: dict[str, str]) -> None:
    """Puts the trace context of the code that asks into the headers of its request."""
    if _tracer is not None:
        _tracer.carry(headers)
    elif "opentelemetry.trace" in sys.modules and settings.current().telemetry_traces:
        from opentelemetry import propagate

        propagate.inject(headers)  # of a program that traces, and has no runs


def current() -> dict[str, Any]:
    """The W3C trace context of the calling code; {} where nothing is traced."""
    return {} if _tracer is None else _tracer.current()


def flush() -> None:
    """The process ends, perhaps at once: spans that have ended are sent."""
    if _sending is not None:
        _sending.flush()


def forget() -> None:
    """For tests: the next run makes its tracer anew."""
    global _sending, _tracer
    _sending = _tracer = None
