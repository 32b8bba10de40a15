"""`/metrics` in Prometheus' text format: what the server counts of itself, and a little of the record.

What is asked of the record is kept for some seconds, so that asking often costs nothing.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable

from starlette.types import Receive, Scope, Send

from ..domain.accounts import VIEWER
from ..domain.errors import PenstockError
from ..domain.filters import RunFilter
from ..domain.states import FINAL, StateType
from ..services import reading
from .meters import BUCKETS
from .replies import Reply, reply_to, send_reply
from .service import Service

KIND = b"text/plain; version=0.0.4; charset=utf-8"
KEPT_SECONDS = 10.0

Sample = tuple[dict[str, str], float]


class Metrics:
    """The endpoint. `queue` gives the bytes that wait to be recorded."""

    def __init__(self, service: Service, queue: Callable[[], int]) -> None:
        self._service = service
        self._queue = queue
        self._runs: dict[str, int] = {}
        self._runs_at: float | None = None
        self._began = time.time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _, asker = await self._service.asker_of(scope)
            asker.check("read_metrics", VIEWER, reads=True)
            now = time.monotonic()
            if self._runs_at is None or now - self._runs_at > KEPT_SECONDS:
                self._runs = await self._service.pool.run(self._count_runs)
                self._runs_at = now
            reply = Reply(200, self.text().encode(), kind=KIND)
        except PenstockError as error:
            reply = reply_to(error)
        await send_reply(send, reply, bodiless=scope["method"] == "HEAD")

    def _count_runs(self) -> dict[str, int]:
        """Of runs that have not ended: those that have are too many to be counted again and again."""
        store = self._service.desk.store
        return {
            type_.value: reading.count_flow_runs(store, RunFilter(state_types=(type_,)))
            for type_ in StateType
            if type_ not in FINAL
        }

    def text(self) -> str:
        meters, service = self._service.meters, self._service
        usage = resource.getrusage(resource.RUSAGE_SELF)
        lines: list[str] = []

        def add(name: str, kind: str, help: str, samples: Iterable[Sample]) -> None:
            lines.extend((f"# HELP penstock_{name} {help}", f"# TYPE penstock_{name} {kind}"))
            lines.extend(_line(f"penstock_{name}", labels, value) for labels, value in samples)

        requests = sorted(meters.requests.items())
        add("requests_total", "counter", "Requests that were answered.", (
            ({"operation": name, "status": str(status)}, count) for (name, status), count in requests
        ))  # fmt: skip
        lines.extend(_histogram(meters.latencies.copy(), dict(meters.seconds)))
        for name, count in sorted(meters.counts.items()):
            add(f"{name}_total", "counter", name.replace("_", " ").capitalize() + ".", [({}, count)])
        add("journal_waiting_bytes", "gauge", "What waits to be recorded.", [({}, self._queue())])
        add("requests_at_the_record", "gauge", "Requests that are asking the record or wait for it.", [
            ({}, service.pool.busy)
        ])  # fmt: skip
        add("streams_open", "gauge", "Live streams.", (
            ({"topic": topic}, count) for topic, count in service.hub.streams.items()
        ))  # fmt: skip
        add("flow_runs", "gauge", "Flow runs that have not ended.", (
            ({"state_type": type_}, count) for type_, count in self._runs.items()
        ))  # fmt: skip
        add("loop_runs_total", "counter", "How often a loop of this server ran, and how that ended.", (
            ({"loop": name, "ended": ended}, count) for (name, ended), count in sorted(meters.loops.items())
        ))  # fmt: skip
        add("loop_last_run_seconds", "gauge", "When a loop of this server ran last, in seconds since 1970.", (
            ({"loop": name}, at) for name, at in sorted(meters.loops_at.copy().items())
        ))  # fmt: skip
        add("leading", "gauge", "Whether this server runs the loops.", [({}, int(meters.leading))])
        reachable = int(not service.hub.away)
        add("record_reachable", "gauge", "Whether the record could be read just now.", [({}, reachable)])
        lines.extend(_process(usage.ru_utime + usage.ru_stime, self._began))
        return "\n".join(lines) + "\n"


def _histogram(latencies: dict[str, list[int]], seconds: dict[str, float]) -> list[str]:
    name = "penstock_request_seconds"
    lines = [f"# HELP {name} How long requests took.", f"# TYPE {name} histogram"]
    for operation, buckets in sorted(latencies.items()):
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
            total += count
            lines.append(_line(f"{name}_bucket", {"operation": operation, "le": bound}, total))
        lines.append(_line(f"{name}_sum", {"operation": operation}, seconds.get(operation, 0.0)))
        lines.append(_line(f"{name}_count", {"operation": operation}, total))
    return lines


def _process(cpu: float, began: float) -> list[str]:
    """As Prometheus' own clients name them."""
    found = [("process_cpu_seconds_total", "counter", cpu), ("process_start_time_seconds", "gauge", began)]
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        found.append(("process_resident_memory_bytes", "gauge", pages * os.sysconf("SC_PAGE_SIZE")))
    except OSError:
        pass
    return [line for name, kind, value in found for line in (f"# TYPE {name} {kind}", _line(name, {}, value))]


def _line(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value:.14g}" if inside else f"{name} {value:.14g}"
