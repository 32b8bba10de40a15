"""A server as a process, its answers, its streams; and runs to put into its record."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec

from penstock.domain.ids import flow_id, uuid7
from penstock.domain.logs import LogLine
from penstock.domain.runs import FlowRun, Holder, TaskRun
from penstock.domain.states import make
from penstock.server import notice
from penstock.services import ingest
from penstock.store import flow_runs, holders, logs
from penstock.store.opening import open_store

BEGIN = datetime(2026, 11, 1, 12, tzinfo=UTC)
_numbers = count(1)


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the error."""
        return str(self.json["error"]["code"])


class Server:
    """`penstock server start --port 0` with a home; returns when it answers."""

    def __init__(self, home: Path, options: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.log = home / "test-server.log"
        home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "server", "start", "--port", "0", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | (environment or {}),
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while (found := notice.find(home)) is None or found.pid != self.process.pid or not self._answers(found.url):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        self.url = found.url
        self.parts = urlsplit(found.url)

    def _answers(self, url: str) -> bool:
        self.parts = urlsplit(url)
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/health").status == 200
        return False

    def connection(self, timeout: float = 20) -> http.client.HTTPConnection:
        assert self.parts.hostname is not None
        return http.client.HTTPConnection(self.parts.hostname, self.parts.port, timeout=timeout)

    def ask(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, root: bool = False, **headers: str
    ) -> Answer:
        """A request below `/api` (`root`: at the root) with a JSON body, or `raw` bytes; `_` in a header's name is a
        dash."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("content-type", "application/json")
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path if root else f"/api{path}", data, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())

    @contextlib.contextmanager
    def stream(
        self, path: str = "/stream", timeout: float = 20, last: str | None = None, **query: str
    ) -> Iterator[Stream]:
        with contextlib.closing(self.connection(timeout)) as connection:
            headers = {"accept": "text/event-stream"} | ({} if last is None else {"last-event-id": last})
            connection.request("GET", f"/api{path}?{urlencode(query)}", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield Stream(answer)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(how)
        return self.process.wait(15)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


class Said(msgspec.Struct):
    event: str
    id: str | None
    data: Any


class Stream:
    """Server-sent events as they come."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def events(self) -> Iterator[Said]:
        """All of them, to the end of the answer."""
        fields: dict[str, str] = {}
        for raw in self._answer:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                yield Said(fields["event"], fields.get("id"), json.loads(fields["data"]))
                fields = {}
            else:
                self.retry = fields.get("retry", getattr(self, "retry", None))
                fields = {}

    def take(self, number: int) -> list[Said]:
        """The next `number` events."""
        events = self.events()
        return [next(events) for _ in range(number)]


class Record:
    """Writes as scripts do."""

    def __init__(self, address: str | Path, home: Path) -> None:
        self.store = open_store(address, spool_folder=home / "spool")

    def flow_run(self, *names: str, flow: str = "f", holder: Holder | None = None, **fields: Any) -> FlowRun:
        """A run that has gone through these states (default: Running)."""
        number = next(_numbers)
        moment = BEGIN + timedelta(seconds=number)
        run = FlowRun(
            id=uuid7(int(moment.timestamp() * 1e9), number), name=f"run-{number}", created=moment,
            flow_id=flow_id(flow), flow_name=flow, holder=holder, **fields,
        )  # fmt: skip
        for place, name in enumerate(names or ("Running",)):
            run.enter(make(name, moment + timedelta(milliseconds=place)))
        self.put(run)
        return run

    def put(self, run: FlowRun) -> None:
        with self.store.write() as tx:
            if run.holder is not None:  # a process without a lease is taken for gone by the server's next rescue
                holders.put(tx, run.holder, datetime.now(UTC) + timedelta(hours=1), False)
            flow_runs.put_flow(tx, run.flow_id, run.flow_name, run.created)
            flow_runs.put(tx, run)

    def enter(self, run: FlowRun, name: str) -> FlowRun:
        run.enter(make(name, run.state.timestamp + timedelta(milliseconds=1)))
        self.put(run)
        return run

    def task_runs(self, run: FlowRun, *names: str) -> list[TaskRun]:
        """One for each name, in one transaction."""
        made = []
        for name in names:
            number = next(_numbers)
            each = TaskRun(
                id=uuid7(int(BEGIN.timestamp() * 1e9), number), name=name, created=BEGIN, flow_run_id=run.id,
                task_name="t", task_key="t",
            )  # fmt: skip
            each.enter(make("Running", BEGIN))
            made.append(each)
        with self.store.write() as tx:
            ingest.apply(tx, made)
        return made

    def lines(self, run_id: UUID, *numbers: int) -> None:
        lines = [LogLine(run_id, None, number, BEGIN, 20, f"line {number}") for number in numbers]
        with self.store.write() as tx:
            logs.append(tx, lines)
