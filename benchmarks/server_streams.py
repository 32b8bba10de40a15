"""Part `streams`: ten thousand open streams of server-sent events; what they weigh, and how soon they hear of a change.

As a program: some of those who listen. Moments are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import re
import resource
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from penstock.domain.runs import FlowRun

from . import report
from .server_clients import Clients, Job, Work, be_client
from .server_place import NAMES, Server, serving
from .server_runs import Maker, Reporter, now
from .server_session import Session, percentile

STREAMS, QUICK_STREAMS = 10_000, 400
PROCESSES = 2
# Half of them follow one run, the others so many.
RUNS = 100
CHANGES, QUICK_CHANGES = 20, 5
OPENING_AT_ONCE = 50
QUIET_SECONDS, QUICK_QUIET_SECONDS = 20.0, 1.0
# Between two changes: everybody has heard of the one before.
PAUSE, QUICK_PAUSE = 1.0, 0.2
PATIENCE = 60.0
FILES_BESIDE = 500

NOTES = f"""\
`GET /api/stream?flow_run=…`, each on a connection of its own, held by {PROCESSES} processes. Half of the streams follow
one flow run, the others {RUNS} runs. A change is the report of a task run that ended; the time is from before it is
sent to when a client has read the event. That everybody heard of each change once is checked. Memory is the growth of
the server's resident size, divided by the number of streams."""


def measure(session: Session) -> list[str]:
    wanted = QUICK_STREAMS if session.quick else STREAMS
    streams = min(wanted, _files_allowed() - FILES_BESIDE)
    said = [] if streams == wanted else [f"(This system lets a process have no more than {streams:,} of {wanted:,}.)"]
    head = ("what", "record", "measured")
    rows = [row for kind in session.kinds for row in _rows(session, kind, streams)]
    return [f"## {streams:,} open streams", NOTES, *said, report.table(head, rows)]


def _files_allowed() -> int:
    """For this process, and those that it starts: as many as the system lets it have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _rows(session: Session, kind: str, streams: int) -> list[tuple[str, ...]]:
    changes = QUICK_CHANGES if session.quick else CHANGES
    name = NAMES[kind]
    with session.databases.fresh(kind) as place, serving(place, session.complain) as server:
        reporter = Reporter(server.url, Maker(7))
        crowded, *others = [reporter.begin("followed") for _ in range(1 + RUNS)]
        followed = [crowded if number % 2 else others[number // 2 % RUNS] for number in range(streams)]
        # An event of one of the others is followed by the one of the crowd's: both are heard before the next.
        expected = {run.id.hex: changes if run is crowded else 0 for run in (crowded, *others)}
        for number in range(changes):
            expected[others[number % RUNS].id.hex] += 1
        before = server.memory()
        with Clients("server_streams", _jobs(server.url, followed, expected)) as clients:
            troubles = [trouble for each in clients.ready for trouble in each["troubles"]]
            opened = max(each["ended"] for each in clients.ready) - min(each["began"] for each in clients.ready)
            weight = (server.memory() - before) / streams * 1024
            report.say(f"streams, {name}: {streams:,} open after {opened:.1f} s, {weight:.1f} KiB each")
            idle = _idle_share(server, QUICK_QUIET_SECONDS if session.quick else QUIET_SECONDS)
            sent = _change(reporter, crowded, others, changes, QUICK_PAUSE if session.quick else PAUSE)
            heard = clients.work()
        troubles += [trouble for each in heard for trouble in each["troubles"]]
    for trouble in troubles[:5]:
        session.complain(f"streams on {name}: {trouble}")
    return [
        ("until all are open", name, f"{report.quantity(opened)} ({streams / opened:,.0f}/s)"),
        ("memory for each", name, f"{weight:.1f} KiB"),
        ("a processor, while nothing changes", name, f"{idle:.1%}"),
        *_latencies(session, name, heard, sent, followed, crowded),
    ]


def _jobs(url: str, followed: Sequence[FlowRun], expected: dict[str, int]) -> list[Job]:
    size = -(-len(followed) // PROCESSES)
    shares = [followed[start : start + size] for start in range(0, len(followed), size)]
    return [{"url": url, "runs": [run.id.hex for run in share], "expected": expected} for share in shares]


def _idle_share(server: Server, seconds: float) -> float:
    used, began = server.processor_seconds(), time.monotonic()
    threading.Event().wait(seconds)
    return (server.processor_seconds() - used) / (time.monotonic() - began)


def _change(
    reporter: Reporter, crowded: FlowRun, others: Sequence[FlowRun], changes: int, pause: float
) -> dict[str, bool]:
    """Changes runs in turn; the moments at which it was done, and whether it was the crowd's run."""
    maker, sent = Maker(8), {}
    for number in range(changes):
        for run in (others[number % len(others)], crowded):
            task_run = maker.task_run(run.id, number, now())
            began = time.monotonic_ns()
            task_run.name = f"at {began}"
            reporter.send(reporter.body([task_run]))
            sent[str(began)] = run is crowded
            threading.Event().wait(pause)
    return sent


def _latencies(
    session: Session, name: str, heard: Sequence[Any], sent: dict[str, bool], followed: Sequence[FlowRun],
    crowded: FlowRun,
) -> list[tuple[str, ...]]:  # fmt: skip
    rows: list[tuple[str, ...]] = []
    crowd = sum(run is crowded for run in followed)
    for of_crowd in (True, False):
        changes: dict[str, list[float]] = {at: [] for at, is_crowd in sent.items() if is_crowd is of_crowd}
        for each in heard:
            for at, latencies in each["heard"].items():
                if at in changes:
                    changes[at] += latencies
        numbers = [len(latencies) for latencies in changes.values()]
        if of_crowd and numbers != [crowd] * len(numbers):
            session.complain(f"streams on {name}: {numbers} heard of a change that {crowd} followed")
        if not all(numbers):
            session.complain(f"streams on {name}: nobody heard of {numbers.count(0)} changes")
            continue
        everybody = [latency for latencies in changes.values() for latency in latencies]
        who = f"a change of a run that {max(numbers):,} follow"
        middle, late = (report.quantity(percentile(everybody, percent)) for percent in (50, 99))
        last = sorted(max(latencies) for latencies in changes.values())
        rows += [
            (f"{who}: p50, p99", name, f"{middle}, {late}"),
            (f"{who}: until the last has heard, median and longest", name,
             f"{report.quantity(percentile(last, 50))}, {report.quantity(last[-1])}"),
        ]  # fmt: skip
    return rows


# --- those who listen ------------------------------------------------------------------------------------------------

_CHANGED = re.compile(rb'"name":"at (\d+)"')
_BEGUN = b"event: flow_run"


class Listener(asyncio.Protocol):
    """One stream. `begun` is done when it has said how the run is, and what comes now is new."""

    def __init__(self, request: bytes, heard: dict[str, list[float]], begun: asyncio.Future[None]) -> None:
        self._request = request
        self._heard = heard
        self._begun = begun
        self._rest = b""
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        moment = time.monotonic_ns()
        data = self._rest + data
        end = 0
        for found in _CHANGED.finditer(data):
            at, end = found[1].decode(), found.end()
            self._heard.setdefault(at, []).append((moment - int(at)) / 1e9)
            self.count += 1
        self._rest = data[end:][-200:]
        if not self._begun.done():
            if not data.startswith(b"HTTP/1.1 200 "):
                self._begun.set_exception(RuntimeError(f"a stream was answered {data[:200]!r}"))
            elif _BEGUN in data:
                self._begun.set_result(None)
            else:
                self._rest = data

    def connection_lost(self, error: Exception | None) -> None:
        if not self._begun.done():
            self._begun.set_exception(error or ConnectionError("a stream was closed before it began"))


class Listeners:
    """All streams of this process, on an event loop in a thread of its own."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._heard: dict[str, list[float]] = {}
        self._listeners: list[tuple[str, Listener]] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.troubles: list[str] = []

    def open(self) -> Any:
        began = time.monotonic()
        asyncio.run_coroutine_threadsafe(self._open_all(), self._loop).result()
        return {"began": began, "ended": time.monotonic(), "troubles": self.troubles}

    async def _open_all(self) -> None:
        waiting = iter(self._job["runs"])

        async def some() -> None:
            for run in waiting:
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._open(run)
                except Exception as error:
                    self.troubles.append(f"a stream could not be opened: {error!r}")

        await asyncio.gather(*(some() for _ in range(OPENING_AT_ONCE)))

    async def _open(self, run: str) -> None:
        parts = urlsplit(self._job["url"])
        path = f"{parts.path}/stream?flow_run={run}"
        request = f"GET {path} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: text/event-stream\r\n\r\n".encode()
        begun: asyncio.Future[None] = self._loop.create_future()
        listener = Listener(request, self._heard, begun)
        await self._loop.create_connection(lambda: listener, parts.hostname or "", parts.port or 0)
        await begun
        self._listeners.append((run, listener))

    def hear(self) -> Any:
        """When all has been heard that is to be, or patience ends."""
        expected = self._job["expected"]
        deadline = time.monotonic() + PATIENCE
        while (late := self._late(expected)) and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        if late:
            self.troubles.append(f"{late:,} streams did not hear of each change once")
        return {"heard": self._heard, "troubles": self.troubles}

    def _late(self, expected: dict[str, int]) -> int:
        return sum(listener.count != expected[run] for run, listener in self._listeners)


def listeners(job: Job) -> tuple[Any, Work]:
    _files_allowed()
    made = Listeners(job)
    said = made.open()
    made.troubles = []
    return said, made.hear


if __name__ == "__main__":
    be_client(listeners)
