"""What stands between a client and its server: gateways that answer in its place, and have limits of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.exceptions import ServerUnavailableError, TooLarge, TooMuch, VersionSkew
from penstock.protocol.version import HEADER, PROTOCOL
from penstock.transport import Transport


class Gateway(ThreadingHTTPServer):
    """Answers with this status, with the header of a Penstock server or without."""

    daemon_threads = True
    status = 200
    is_penstock = False


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        if self.server.is_penstock:
            self.send_header(HEADER, str(PROTOCOL))
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(("127.0.0.1", 0), _Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def transport(gateway: Gateway) -> Iterator[Transport]:
    made = Transport(f"http://127.0.0.1:{gateway.server_port}")
    yield made
    made.close()


def test_what_never_was_a_server_is_told_at_once(transport: Transport) -> None:
    with pytest.raises(VersionSkew, match="is no Penstock server"):
        transport.send("GET", "/version", None, {})


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_a_server_is_away_while_something_else_answers_for_it(
    gateway: Gateway, transport: Transport, status: int
) -> None:
    gateway.is_penstock = True
    assert transport.send("GET", "/version", None, {}) == b"{}"
    gateway.is_penstock, gateway.status = False, status
    with pytest.raises(ServerUnavailableError, match="Something else answers"):
        transport.send("GET", "/version", None, {})


def test_a_gateways_limits_are_limits(gateway: Gateway, transport: Transport) -> None:
    for gateway.status, error in ((413, TooLarge), (429, TooMuch)):
        with pytest.raises(error, match="A gateway"):
            transport.send("GET", "/version", None, {})
