"""What tests of traces are given: a record, programs, a collector, and the spans of this process.

OpenTelemetry's provider can be set once in a process. It is set here, as a program sets its own; so whatever is traced
in this process shows that Penstock uses the provider that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from penstock.connect import traces

from ..flows.fixtures import disconnected, gate, programs, record, threads_allowed
from .kit import Collector, Trace, collecting, of_sdk

__all__ = ["disconnected", "gate", "programs", "record", "threads_allowed"]

MEMORY = InMemorySpanExporter()


@pytest.fixture
def traced(penstock_home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Trace]]:
    """Runs of this process are traced; gives the spans that have ended."""
    provider = trace.get_tracer_provider()
    if not getattr(provider, "of_tests", False):
        provider = TracerProvider()
        provider.of_tests = True  # type: ignore[attr-defined]
        provider.add_span_processor(SimpleSpanProcessor(MEMORY))
        trace.set_tracer_provider(provider)
    MEMORY.clear()
    traces.forget()
    monkeypatch.setenv("PENSTOCK_TELEMETRY_TRACES", "true")
    yield lambda: Trace([of_sdk(span) for span in MEMORY.get_finished_spans()])
    traces.forget()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made
