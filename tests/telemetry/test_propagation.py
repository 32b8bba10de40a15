"""One trace across processes: a run that is launched, entered again or asked for from outside is a part of the trace of
whoever wanted it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry import trace

from penstock import connect, flow, resume_flow_run
from penstock.client import get_client
from penstock.deployments import run_deployment
from penstock.domain.errors import PenstockError
from penstock.domain.runs import FlowRun
from penstock.domain.trace_context import trace_id_of, trace_of
from penstock.protocol.deployments import APPLY_DEPLOYMENT, CREATE_RUN, ApplyDeployment, CreateRun
from penstock.protocol.version import HEADER, PROTOCOL
from penstock.settings import PENSTOCK_API_URL, temporary_settings

from ..api.kit import Server
from ..flows.kit import SOURCE, Programs, Record, until
from ..served.kit import ServerProcess, serving
from ..worker.kit import Workshop
from .kit import Collector, Trace

Traced = Callable[[], Trace]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(tmp_path / "server") as started:
        yield started


@pytest.fixture(params=["embedded", "served"])
def workshop(request: pytest.FixtureRequest, tmp_path: Path, collector: Collector) -> Iterator[Workshop]:
    """A pool whose workers' runs are traced; the record is a file, or a server's."""
    if request.param == "embedded":
        made = Workshop(tmp_path, collector.environment)
        yield made
        made.close()
        return
    url = request.getfixturevalue("server").url
    with temporary_settings({PENSTOCK_API_URL: url}):
        made = Workshop(tmp_path, {**collector.environment, "PENSTOCK_API_URL": url})
        yield made
        made.close()


def test_a_run_of_a_deployment_that_a_flow_asks_for_goes_on_with_its_trace(
    workshop: Workshop, traced: Traced, collector: Collector
) -> None:
    @flow
    def main() -> FlowRun:
        with trace.get_tracer("mine").start_as_current_span("asking"):
            run: FlowRun = run_deployment("quick/test", parameters={"folder": str(workshop.folder)}, timeout=60)
            return run

    workshop.run("quick")  # deploys it
    workshop.start()
    run = main()
    assert run.state.is_completed()
    asking = traced().one("asking")
    until(lambda: any(span.trace == asking.trace for span in collector.spans))
    (launched,) = [span for span in collector.spans if span.trace == asking.trace]
    assert (launched.name, launched.parent) == ("flow quick", asking.id)
    assert (launched["flow_run.id"], launched["deployment.id"]) == (str(run.id), str(run.deployment_id))
    assert trace_id_of(workshop.read(run).labels) == asking.trace


def test_a_launched_run_that_nobody_traced_begins_a_trace_and_its_record_names_it(
    workshop: Workshop, collector: Collector
) -> None:
    run = workshop.run("quick")
    workshop.start()
    workshop.until_state(run, "Completed")
    top = collector.trace("flow quick").one("flow quick")
    assert top.parent is None
    assert trace_id_of(workshop.read(run).labels) == top.trace


def test_a_suspended_run_goes_on_in_its_trace_with_the_wait_told(workshop: Workshop, collector: Collector) -> None:
    run = workshop.run("asking")
    workshop.start()
    workshop.until_state(run, "Suspended")
    resume_flow_run(run.id, run_input={"value": "go"})
    workshop.until_state(run, "Completed")
    until(lambda: len(collector.trace("wait for resume", "flow asking").all("flow asking")) == 2)
    found = Trace(collector.spans)
    first, second = found.all("flow asking")
    assert (first["state.name"], second["state.name"]) == ("Suspended", "Completed")
    assert (second.trace, second.parent) == (first.trace, first.id)
    wait = found.one("wait for resume")
    assert first.end <= wait.start + 1_000_000
    assert wait.end <= second.end


def test_a_run_that_is_retried_as_a_whole_goes_on_in_its_trace(
    programs: Programs, collector: Collector, record: Record, tmp_path: Path
) -> None:
    program = programs.write(
        f"""
        import os
        from penstock import flow, task
        @task
        def step():
            pass
        @flow
        def main():
            step()
            if not os.path.exists({str(tmp_path / "repaired")!r}):
                raise ValueError("not yet")
        if __name__ == "__main__":
            main()
        """
    )
    assert programs.run(program, **collector.environment).code == 1
    (tmp_path / "repaired").touch()
    again = [sys.executable, "-m", "penstock.flows.reentry", str(record.flow_run().id), "somebody"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **collector.environment}
    subprocess.run(again, env=environment, check=True, capture_output=True)
    until(lambda: len(Trace(collector.spans).all("flow main")) == 2)
    first, second = Trace(collector.spans).all("flow main")
    assert (first["state.name"], second["state.name"], second["run_count"]) == ("Failed", "Completed", 2)
    assert (second.trace, second.parent) == (first.trace, first.id)


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server's URL, and the headers of what it was asked."""
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header(HEADER, str(PROTOCOL))
            self.end_headers()
            self.wfile.write(b'{"status": "ok"}')

        def log_message(self, *_: Any) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/api", heard
    made.shutdown()
    made.server_close()
    thread.join()


def test_requests_of_the_client_carry_what_is_current(
    listener: tuple[str, list[dict[str, str]]], traced: Traced
) -> None:
    url, heard = listener

    @flow
    def main() -> str:
        with get_client(sync_client=True, api_url=url) as client:
            return client.hello()

    with trace.get_tracer("mine").start_as_current_span("outside") as span, get_client(True, api_url=url) as client:
        client.hello()
    assert heard.pop()["traceparent"].split("-")[1:3] == [f"{c:0{n}x}" for c, n in _ids(span)]
    assert main() == "ok"
    top = traced().one("flow main")
    assert heard.pop()["traceparent"].split("-")[1:3] == [top.trace, top.id]
    with get_client(True, api_url=url) as client:
        client.hello()
    assert "traceparent" not in heard.pop()


def _ids(span: trace.Span) -> list[tuple[int, int]]:
    context = span.get_span_context()
    return [(context.trace_id, 32), (context.span_id, 16)]


def test_requests_carry_nothing_while_it_is_off(
    listener: tuple[str, list[dict[str, str]]], traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_TELEMETRY_TRACES")
    url, heard = listener
    with trace.get_tracer("mine").start_as_current_span("outside"), get_client(True, api_url=url) as client:
        client.hello()
    assert "traceparent" not in heard.pop()


def test_a_run_that_is_asked_for_over_rest_is_of_the_requests_trace(tmp_path: Path, penstock_home: Path) -> None:
    server = Server(penstock_home)
    try:
        with temporary_settings({PENSTOCK_API_URL: server.url}):
            wanted = ApplyDeployment(flow_name="f", name="d", entrypoint="f.py:f")
            id = connect.call(APPLY_DEPLOYMENT, wanted).deployment.id
        path = CREATE_RUN.path.replace("{id}", str(id))
        labels = server.ask("POST", path, {}, traceparent=TRACEPARENT, tracestate="a=1").json["labels"]
        assert labels == {"traceparent": TRACEPARENT, "tracestate": "a=1"}
        other = TRACEPARENT.replace("0af7", "1af7")
        labels = server.ask("POST", path, {"traceparent": other}, traceparent=TRACEPARENT).json["labels"]
        assert labels == {"traceparent": other}
        for bad in ("", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", TRACEPARENT + "\xe9"):
            assert server.ask("POST", path, {}, traceparent=bad).json["labels"] == {}
        assert server.ask("POST", path, {"traceparent": "nonsense"}).status == 422
    finally:
        server.close()


def test_a_run_that_the_client_or_the_command_line_asks_for_is_of_their_trace(traced: Traced) -> None:
    id = connect.call(APPLY_DEPLOYMENT, ApplyDeployment(flow_name="f", name="d", entrypoint="f.py:f")).deployment.id

    @flow
    def main() -> FlowRun:
        with get_client(sync_client=True) as client:
            return client.create_flow_run_from_deployment(id)

    @flow
    async def awaited() -> FlowRun:
        async with get_client() as client:
            return await client.create_flow_run_from_deployment(id)

    made = main(), asyncio.run(awaited())
    tops = [traced().one(f"flow {name}") for name in ("main", "awaited")]
    assert [run.labels["traceparent"].split("-")[1:3] for run in made] == [[top.trace, top.id] for top in tops]
    command = [sys.executable, "-m", "penstock", "deployment", "run", "f/d", "--output", "json"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TRACEPARENT": TRACEPARENT}
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert json.loads(said)["labels"] == {"traceparent": TRACEPARENT}


def test_trace_context_that_cannot_be_read_is_none() -> None:
    assert trace_of({"traceparent": TRACEPARENT, "tracestate": "a=1"}) == {
        "traceparent": TRACEPARENT, "tracestate": "a=1",
    }  # fmt: skip
    assert trace_of({"traceparent": TRACEPARENT, "tracestate": "x" * 600}) == {"traceparent": TRACEPARENT}
    assert trace_of({"traceparent": TRACEPARENT.upper()}) == {}
    assert trace_of({"tracestate": "a=1"}) == {}
    assert trace_id_of({"traceparent": TRACEPARENT}) == TRACE
    assert trace_id_of({}) is None
    with pytest.raises(PenstockError):
        connect.call(CREATE_RUN, CreateRun(id=connect.clock().new_id(), traceparent="nonsense"))
