"""What tests of traces share: spans as a tree, and a collector that is spoken to by OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

from ..flows.kit import until


@dataclass
class Span:
    """One span, wherever it was read."""

    name: str
    id: str
    trace: str
    parent: str | None
    status: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    start: int
    end: int
    service: str = ""
    says: str = ""
    below: list[Span] = field(default_factory=list)

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[f"penstock.{attribute}"]

    def names(self) -> list[str]:
        """Of the spans below it, in the order in which they began."""
        return [span.name for span in self.below]

    def child(self, name: str) -> Span:
        (found,) = [span for span in self.below if span.name == name]
        return found


class Trace:
    """Spans, by who is below whom."""

    def __init__(self, spans: list[Span]) -> None:
        self.spans = sorted(spans, key=lambda span: span.start)
        by_id = {span.id: span for span in self.spans}
        for span in self.spans:
            if span.parent in by_id:
                by_id[span.parent].below.append(span)

    def one(self, name: str) -> Span:
        (found,) = self.all(name)
        return found

    def all(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def of_sdk(span: ReadableSpan) -> Span:
    assert span.context is not None
    return Span(
        span.name, f"{span.context.span_id:016x}", f"{span.context.trace_id:032x}",
        None if span.parent is None else f"{span.parent.span_id:016x}", span.status.status_code.name,
        dict(span.attributes or {}), [(event.name, dict(event.attributes or {})) for event in span.events],
        span.start_time or 0, span.end_time or 0, str(span.resource.attributes.get("service.name")),
        span.status.description or "",
    )  # fmt: skip


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _of_bytes(body: bytes) -> Iterator[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = str(_attributes(group.resource.attributes).get("service.name"))
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield Span(
                span.name, span.span_id.hex(), span.trace_id.hex(), span.parent_span_id.hex() or None,
                ("UNSET", "OK", "ERROR")[span.status.code], _attributes(span.attributes),
                [(event.name, _attributes(event.attributes)) for event in span.events],
                span.start_time_unix_nano, span.end_time_unix_nano, service, span.status.message,
            )  # fmt: skip


class Collector:
    """Takes spans at `url`; `stuck`: it takes requests, and never answers."""

    def __init__(self, stuck: bool = False) -> None:
        self.spans: list[Span] = []
        self.paths: list[str] = []
        self._let_go = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if stuck:
                    collector._let_go.wait(60)
                    return
                collector.paths.append(self.path)
                collector.spans.extend(_of_bytes(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """For a program that is to send its spans here."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {"PENSTOCK_TELEMETRY_TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url}

    def trace(self, *names: str) -> Trace:
        """All spans, when those of these names have come."""
        until(lambda: set(names) <= {span.name for span in self.spans})
        return Trace(self.spans)

    def close(self) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def collecting(stuck: bool = False) -> Iterator[Collector]:
    made = Collector(stuck)
    try:
        yield made
    finally:
        made.close()
