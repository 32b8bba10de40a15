"""`/metrics` in Prometheus' text format: what the server counts of itself, and what an operator watches in the record.

What is asked of the record is kept for some seconds, so that asking often costs nothing. Counters are of this server
since it began: of several that share a record, each counts what it did. Gauges of the record are the record's: of
several servers, each says the same.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping

from starlette.types import Receive, Scope, Send

from ..domain.accounts import VIEWER
from ..domain.errors import PenstockError
from ..domain.launches import Depth
from ..domain.states import FINAL, NAMES, StateType
from ..services import figures
from ..services.figures import Figures
from .meters import BUCKETS, Durations, Meters
from .replies import Reply, reply_to, send_reply
from .service import Service

KIND = b"text/plain; version=0.0.4; charset=utf-8"
KEPT_SECONDS = 10.0
# States that a run has not ended in, by name; said even where no run is in one, so that a graph has no holes.
WAITING = {name: type_ for name, type_ in NAMES.items() if type_ not in FINAL}

Labels = dict[str, str]
Sample = tuple[Labels, float]


class Metrics:
    """The endpoint. `queue` gives the bytes that wait to be recorded."""

    def __init__(self, service: Service, queue: Callable[[], int]) -> None:
        self._service = service
        self._queue = queue
        self._figures: Figures | None = None
        self._asked_at = 0.0
        self._began = time.time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _, asker = await self._service.asker_of(scope)
            asker.check("read_metrics", VIEWER, reads=True)
            now = time.monotonic()
            if self._figures is None or now - self._asked_at > KEPT_SECONDS:
                self._figures = await self._service.pool.run(self._gather, reads=True)
                self._asked_at = now
            reply = Reply(200, self.text().encode(), kind=KIND)
        except PenstockError as error:
            reply = reply_to(error)
        await send_reply(send, reply, bodiless=scope["method"] == "HEAD")

    def _gather(self) -> Figures:
        desk = self._service.desk
        return figures.gather(desk.store, desk.now())

    def text(self) -> str:
        page = Page()
        _of_requests(page, self._service.meters)
        self._of_server(page)
        if self._figures is not None:
            _of_record(page, self._figures)
        _of_loops(page, self._service.meters)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _of_process(page, usage.ru_utime + usage.ru_stime, self._began)
        return "\n".join(page.lines) + "\n"

    def _of_server(self, page: Page) -> None:
        service = self._service
        for name, count in sorted(service.meters.counts.items()):
            page.add(f"{name}_total", "counter", name.replace("_", " ").capitalize() + ".", [({}, count)])
        page.add("journal_waiting_bytes", "gauge", "What waits to be recorded.", [({}, self._queue())])
        page.add("requests_at_the_record", "gauge", "Requests that are asking the record or wait for it.", [
            ({}, service.pool.busy)
        ])  # fmt: skip
        page.add("streams_open", "gauge", "Live streams.", (
            ({"topic": topic}, count) for topic, count in service.hub.streams.items()
        ))  # fmt: skip
        reachable = int(not service.hub.away)
        page.add("record_reachable", "gauge", "Whether the record could be read just now.", [({}, reachable)])


class Page:
    """Lines, as Prometheus reads them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, kind: str, help: str, samples: Iterable[Sample]) -> None:
        self.lines.extend((f"# HELP penstock_{name} {help}", f"# TYPE penstock_{name} {kind}"))
        self.lines.extend(_line(f"penstock_{name}", labels, value) for labels, value in samples)

    def histogram(self, name: str, help: str, label: str, of: Mapping[str, Durations]) -> None:
        name = f"penstock_{name}"
        self.lines.extend((f"# HELP {name} {help}", f"# TYPE {name} histogram"))
        for what, durations in sorted(of.items()):
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), tuple(durations.buckets), strict=True):
                total += count
                self.lines.append(_line(f"{name}_bucket", {label: what, "le": bound}, total))
            self.lines.append(_line(f"{name}_sum", {label: what}, durations.seconds))
            self.lines.append(_line(f"{name}_count", {label: what}, total))


def _of_requests(page: Page, meters: Meters) -> None:
    page.add("requests_total", "counter", "Requests that were answered.", (
        ({"operation": name, "status": str(status)}, count)
        for (name, status), count in sorted(meters.requests.copy().items())
    ))  # fmt: skip
    page.histogram("request_seconds", "How long requests took.", "operation", meters.latencies.copy())
    page.histogram("transaction_seconds", "How long transactions of the record took.", "kind", meters.transactions)
    page.histogram("transaction_wait_seconds", "How long transactions waited before they began.", "kind", meters.waits)
    page.add("flow_run_states_total", "counter", "States that flow runs have entered, told by this server.", (
        ({"state_type": type_.value}, meters.states["flow", type_]) for type_ in StateType
    ))  # fmt: skip
    page.add("task_runs_ended_total", "counter", "Task runs that have ended, reported to this server.", (
        ({"state_type": type_.value}, meters.states["task", type_]) for type_ in StateType if type_ in FINAL
    ))  # fmt: skip


def _of_record(page: Page, found: Figures) -> None:
    """What is so in the record, now."""
    unfinished = [type_ for type_ in StateType if type_ not in FINAL]
    by_type = {type_: sum(n for (of, _), n in found.flow_runs.items() if of == type_) for type_ in unfinished}
    page.add("flow_runs", "gauge", "Flow runs that have not ended.", (
        ({"state_type": type_.value}, by_type[type_]) for type_ in unfinished
    ))  # fmt: skip
    page.add("flow_runs_in_state", "gauge", "Flow runs that have not ended, by the name of their state.", (
        ({"state": name}, found.flow_runs.get((type_.value, name), 0)) for name, type_ in WAITING.items()
    ))  # fmt: skip
    page.add("task_runs", "gauge", "Task runs that have not ended.", (
        ({"state_type": type_.value}, found.task_runs.get(type_.value, 0)) for type_ in unfinished
    ))  # fmt: skip
    queues: list[tuple[Labels, Depth]] = [
        ({"work_pool": each.work_pool or "", "work_queue": each.queue or ""}, each) for each in found.queues
    ]
    page.add("queue_depth", "gauge", "Runs that are due and that no worker has taken.", (
        (labels, each.due) for labels, each in queues
    ))  # fmt: skip
    page.add("queue_oldest_wait_seconds", "gauge", "How long the first of them has been due.", (
        (labels, 0 if each.oldest is None else max((found.now - each.oldest).total_seconds(), 0.0))
        for labels, each in queues
    ))  # fmt: skip
    page.add("queue_at_work", "gauge", "Runs that workers have taken, and whose infrastructure is not gone.", (
        (labels, each.at_work) for labels, each in queues
    ))  # fmt: skip
    page.add("workers_online", "gauge", "Workers that were heard of just now.", (
        ({"work_pool": pool}, count) for pool, count in sorted(found.workers.items())
    ))  # fmt: skip
    limits: list[tuple[Labels, figures.Slots]] = [({"limit": each.limit}, each) for each in found.limits]
    page.add("limit_slots", "gauge", "Slots of a concurrency limit.", ((at, each.slots) for at, each in limits))
    page.add("limit_slots_taken", "gauge", "Slots that are taken.", ((at, each.taken) for at, each in limits))
    page.add("limit_slots_wanted", "gauge", "Slots that are waited for.", ((at, each.wanted) for at, each in limits))
    page.add("pauses_open", "gauge", "Pauses that nobody has answered.", [({}, found.pauses)])
    since = 0.0 if found.oldest_pause is None else (found.now - found.oldest_pause).total_seconds()
    page.add("pause_oldest_wait_seconds", "gauge", "How long the oldest of them waits.", [({}, max(since, 0.0))])


def _of_loops(page: Page, meters: Meters) -> None:
    page.add("loop_runs_total", "counter", "How often a loop of this server ran, and how that ended.", (
        ({"loop": name, "ended": ended}, count) for (name, ended), count in sorted(meters.loops.copy().items())
    ))  # fmt: skip
    page.add("loop_seconds_total", "counter", "How long the runs of a loop of this server took, all together.", (
        ({"loop": name}, seconds) for name, seconds in sorted(meters.loop_seconds.copy().items())
    ))  # fmt: skip
    page.add("loop_last_run_seconds", "gauge", "When a loop of this server ran last, in seconds since 1970.", (
        ({"loop": name}, at) for name, at in sorted(meters.loops_at.copy().items())
    ))  # fmt: skip
    page.add("leading", "gauge", "Whether this server runs the loops.", [({}, int(meters.leading))])


def _of_process(page: Page, cpu: float, began: float) -> None:
    """As Prometheus' own clients name them."""
    found = [("process_cpu_seconds_total", "counter", cpu), ("process_start_time_seconds", "gauge", began)]
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        found.append(("process_resident_memory_bytes", "gauge", pages * os.sysconf("SC_PAGE_SIZE")))
    except OSError:
        pass
    page.lines.extend(line for name, kind, value in found for line in (f"# TYPE {name} {kind}", _line(name, {}, value)))


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value:.14g}" if inside else f"{name} {value:.14g}"


def _escaped(text: str) -> str:
    """Names of pools, queues and limits are people's own."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
