"""Real servers for tests: processes of their own on free ports, that can be killed and started again."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from penstock.domain.filters import RunFilter
from penstock.domain.runs import FlowRun
from penstock.protocol.flow_runs import FILTER_FLOW_RUNS, FilterRuns
from penstock.transport import Transport

from ..flows.kit import SOURCE, until

START_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class ServerProcess:
    """A server on the record of `home`, or on `database`. `environment` is added to this process's."""

    def __init__(self, home: Path, *, port: int = 0, database: str | None = None, **environment: str) -> None:
        self.home = home
        self.port = port or free_port()
        self._database = database
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the server was not started"
        return self._process

    def start(self, *options: str) -> ServerProcess:
        """Returns when the server is healthy."""
        without = {name: value for name, value in os.environ.items() if name != "PENSTOCK_API_URL"}
        here = {
            "PYTHONPATH": str(SOURCE), "PENSTOCK_HOME": str(self.home),
            "PENSTOCK_SERVER_API_PORT": str(self.port), "PENSTOCK_SERVER_API_HOST": "127.0.0.1",
        }  # fmt: skip
        if self._database is not None:
            here["PENSTOCK_DATABASE_URL"] = self._database
        self._process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "server", "start", *options],
            env={**without, **here, **self._environment}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        until(self._answers_or_ended, START_SECONDS)
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.process.stderr.read() if self.process.stderr else ''}")
        return self

    def _answers_or_ended(self) -> bool:
        return self.process.poll() is not None or self.answers("/api/ready")

    def answers(self, path: str = "/api/health") -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", path)
            return connection.getresponse().status == 200
        return False

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 15.0) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()


@contextlib.contextmanager
def serving(home: Path, **options: str | None) -> Iterator[ServerProcess]:
    server = ServerProcess(home, **options)  # type: ignore[arg-type]
    try:
        yield server.start()
    finally:
        server.close()


class RoundRobin:
    """A balancer before several servers: each connection goes to the next one. Bytes are passed on as they are; with
    `each_request`, a connection ends after one answer, so that every request goes to another server."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = cycle(ports)
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = int(self._listening.getsockname()[1])
        self.served: dict[int, int] = dict.fromkeys(ports, 0)
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        for _ in range(len(self.served)):
            with self._lock:
                port = next(self._ports)
            with contextlib.suppress(OSError):
                server = socket.create_connection(("127.0.0.1", port), timeout=5)
                server.settimeout(None)
                break
        else:
            client.close()
            return
        self.served[port] += 1
        self._open |= {client, server}
        threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
        self._pass(server, client)
        self._open -= {client, server}

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listening.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def runs_of(url: str, **filter: object) -> list[FlowRun]:
    """The flow runs of a server that fit, the newest first."""
    with contextlib.closing(Transport(url)) as transport:
        return transport.call(FILTER_FLOW_RUNS, FilterRuns(filter=RunFilter(**filter), limit=1000)).items  # type: ignore[arg-type]
