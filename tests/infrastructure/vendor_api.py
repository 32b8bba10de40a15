"""A vendor's management API for tests: an HTTP server that answers with shapes as the vendor documents them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
TOKEN = "the-token"


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    body: Json | None


class Vendor:
    """`answer(asked)` gives a status and JSON; `asked` has all that was."""

    def __init__(self, answer: Callable[[Asked], tuple[int, Json]]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                asked = Asked(self.command, parts.path, query, body)
                vendor.asked.append(asked)
                if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                    status, content = vendor.answer(asked)
                else:
                    status, content = 401, {"error": {"code": 401, "message": "who are you"}}
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _do

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), name="vendor", daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def sent(self, method: str, ending: str) -> list[Json]:
        """The bodies of these requests."""
        return [each.body or {} for each in self.asked if each.method == method and each.path.endswith(ending)]


class Clock:
    """A time that goes on when somebody waits, which is noted; `then` is called each time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.then: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.then()


def serving(answer: Callable[[Asked], tuple[int, Json]]) -> Iterator[Vendor]:
    made = Vendor(answer)
    yield made
    made.close()
