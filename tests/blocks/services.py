"""Stand-ins for the services that notifications are sent to: a web server and a mail server that record what comes."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Came:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class WebService:
    """Answers everything with `status`; while `silent` is set, with nothing."""

    url: str = ""
    port: int = 0
    status: int = 200
    says: bytes = b"ok"
    silent: threading.Event | None = None
    came: list[Came] = field(default_factory=list)


@contextmanager
def web_service() -> Iterator[WebService]:
    service = WebService()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.came.append(Came(self.command, self.path, headers, body))
            if service.silent is not None:
                service.silent.wait(20)
                return
            self.send_response(service.status)
            self.send_header("content-length", str(len(service.says)))
            self.end_headers()
            self.wfile.write(service.says)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_port
    service.url = f"http://127.0.0.1:{service.port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield service
    finally:
        if service.silent is not None:
            service.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailServer:
    port: int = 0
    refuses: bool = False
    mails: list[str] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """As much of SMTP as is needed to hand over a mail."""
    mail = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line.split(":")[0].split()[0].upper()
                if verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (each := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        lines.append(each)
                    mail.mails.append("\n".join(lines))
                    self.say("250 taken")
                elif verb == "RCPT" and mail.refuses:
                    self.say("550 nobody of that name")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 well")

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        mail.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield mail
        finally:
            server.shutdown()
            thread.join()
