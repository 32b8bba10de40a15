"""How spans leave the process: by the provider that the program has set, else by one of ours, which sends them by
OTLP as OpenTelemetry's own variables (`OTEL_*`) say.

Law: a collector that is away costs a run nothing. Spans wait in a bounded queue, another thread sends them, the end of
the program waits for that a little; and that spans are lost is said once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

from ..domain.errors import ConfigurationError
from ..engine.masking import MASKER

NAME = "penstock"
# Sooner than OpenTelemetry's 5 s: a process may be killed, and what it has not sent is lost.
SEND_EVERY_MS = 1_000
# How long the end of a program waits for spans to be sent; and how long, where sending failed before.
PATIENCE, SHORT_PATIENCE = 2.0, 0.3
# Whose warnings tell of a collector that is away, each time anew.
LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.sdk._shared_internal",
)


class Sending:
    """The provider that spans go to. `flush` is for the end of the process."""

    def __init__(self, version: str) -> None:
        set_by_program = trace.get_tracer_provider()
        self._ours: Exporter | None = None
        if isinstance(set_by_program, trace.ProxyTracerProvider):
            self._provider: Any = self._make()
            trace.set_tracer_provider(self._provider)
        else:
            self._provider = set_by_program
        self.tracer = trace.get_tracer(NAME, version, tracer_provider=self._provider)

    def _make(self) -> TracerProvider:
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": NAME})
        # (It is shut down by us: runs may end later than what `atexit` calls first.)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = make_exporter()
        if exporter is not None:
            self._ours = Exporter(exporter)
            every = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else SEND_EVERY_MS
            provider.add_span_processor(BatchSpanProcessor(self._ours, schedule_delay_millis=every))
        return provider

    def flush(self) -> None:
        """Waits until what has ended is sent, a little while at most."""
        flush = getattr(self._provider, "force_flush", None)
        if flush is None:
            return
        patience = SHORT_PATIENCE if self._ours is not None and self._ours.failing.is_set() else PATIENCE
        sent = threading.Event()

        def send() -> None:
            with contextlib.suppress(Exception):
                flush(int(patience * 1000))
            sent.set()

        try:
            threading.Thread(target=send, name="otel-flush", daemon=True).start()
        except RuntimeError:  # the interpreter is too far on its way out for a thread
            send()
            return
        self._await(sent, patience)

    def _await(self, sent: threading.Event, patience: float) -> None:
        """What cannot be sent at all is not waited for as long as what takes its time."""
        deadline = time.monotonic() + patience
        while not sent.wait(0.02):
            failing = self._ours is not None and self._ours.failing.is_set()
            if failing:
                deadline = min(deadline, time.monotonic() + SHORT_PATIENCE)
                sent.wait(max(deadline - time.monotonic(), 0.0))
                return
            if time.monotonic() > deadline:
                if self._ours is not None:
                    self._ours.lost(f"it has not answered in {patience:g} s")
                return


def make_exporter() -> SpanExporter | None:
    """The one that OTEL_TRACES_EXPORTER names (otlp, console, none). Raises `ConfigurationError`."""
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if wanted == "none":
        return None
    if wanted == "console":
        return ConsoleSpanExporter()
    if wanted != "otlp":
        raise ConfigurationError(
            f"OTEL_TRACES_EXPORTER={wanted} is not known; use otlp, console or none, or set a TracerProvider of your "
            "own before the first run."
        )
    names = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if protocol == "grpc":
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as ByGrpc
        except ImportError:
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, which needs the package opentelemetry-exporter-otlp-proto-grpc: "
                "install it, or use http/protobuf."
            ) from None
        made: SpanExporter = ByGrpc()
        return made
    if protocol not in (None, "http/protobuf"):
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not known; use http/protobuf or grpc.")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Exporter(SpanExporter):
    """Another exporter, whose failures are said once, and not by each line of its log."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._where = getattr(inner, "_endpoint", None) or type(inner).__name__
        self._told = False
        self.failing = threading.Event()
        self._hush = _Hush(self._heard)
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.addHandler(self._hush)
            logger.propagate = False

    def _heard(self, message: str) -> None:
        self.failing.set()
        reason = re.search(r"\[Errno -?\d+\] [\w ,]+", message)
        self.lost(message if reason is None else reason[0].strip())

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception as error:
            self._heard(f"{type(error).__name__}: {error}")
            return SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self.failing.clear()
        else:
            self._heard("it did not take them")
        return result

    def lost(self, why: str) -> None:
        """Says that spans do not arrive; once."""
        if self._told:
            return
        self._told = True
        where = MASKER.head(str(self._where).rpartition("@")[2], 200)
        print(
            f"penstock: traces cannot be sent to {where} ({MASKER.head(why, 300)}). Runs go on; their spans are lost "
            "while that is so. This is said once.",
            file=sys.__stderr__,
        )

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _Hush(logging.Handler):
    """Takes the exporter's own warnings."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard_by = heard

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            self._heard_by(record.getMessage())
