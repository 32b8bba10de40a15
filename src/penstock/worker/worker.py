"""The worker: one loop that asks for work and says that it lives, and a thread for each run that it has.

Law: the loop never waits for a run, and a run never waits for the loop. What was asked for and answered twice is done
once: a run is known by its id here, by its key to the infrastructure.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from ..domain import templates
from ..domain.errors import PenstockError
from ..domain.launches import Launch
from ..domain.runs import FlowRun, Holder
from ..infrastructure.contract import Driver, Job
from ..protocol.launches import CLAIM_LAUNCHES, WORKER_LEAVES, ClaimLaunches, Claims, Event, WorkerLeaves, WorkerReport
from .reporting import Ask, GivenUp, Reporter
from .watching import Watched

# How long one question waits for news: a worker is heard of as often.
POLL_SECONDS = 10.0
LEAST_SECONDS = 0.01
MOST_AT_ONCE = 20
LAST_SECONDS = 1.0


class Worker:
    """Takes runs of a work pool (`queues` of it, or all), or of `deployments` that this process serves by itself.

    `ask` is how the record is asked; `env` is what a launched process needs to reach it. At most `limit` runs are
    launched at once, None: any number. `line(text)` is given what runs write.
    """

    def __init__(
        self,
        driver: Driver,
        ask: Ask,
        *,
        name: str,
        holder: Holder,
        version: str,
        work_pool: str | None = None,
        queues: Sequence[str] = (),
        deployments: Sequence[UUID] = (),
        limit: int | None = None,
        env: dict[str, str] | None = None,
        line: Callable[[str], None] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.id = uuid4()
        self.name = name
        self._driver = driver
        self._ask = ask
        self._work_pool = work_pool
        self._queues = tuple(queues)
        self._deployments = tuple(deployments)
        self._limit = limit
        self._env = env or {}
        self._line = line
        self._say = say
        self._holder = holder
        self._version = version
        self._began = datetime.now(UTC)
        self._running: dict[UUID, Watched] = {}
        self._threads: dict[UUID, threading.Thread] = {}
        self._seen: set[UUID] = set()
        self._draining = threading.Event()
        self._closed = threading.Event()
        self._idle = threading.Event()
        self._template: dict[str, Any] = {}
        self._next: datetime | None = None
        self._next_at = 0.0  # by our own clock, that counts on
        self._reporter = Reporter(ask, self.id, self._closed, say)
        self._context = contextvars.copy_context()

    # --- from outside ------------------------------------------------------------------------------------------------

    def run(self, *, once: bool = False) -> None:
        """Works until `drain` (and the last run has ended) or `close`. `once`: what is due now, to its end.

        Raises what the first question raises: a pool that is not there, a key that is not good.
        """
        try:
            self._hear(self._claim(0.0))
            if once:
                self._draining.set()
            while not self._is_done():
                self._turn()
        except GivenUp:
            pass
        finally:
            self._closed.set()
            self._leave()

    def drain(self) -> None:
        """Takes no more runs, and ends when those that it has have ended. (May be called in a signal's handler.)"""
        if not self._draining.is_set():
            self._draining.set()
            # The loop may be waiting for work: told this way, the record answers that question.
            threading.Thread(target=self._context.copy().run, args=(self._say_so,), daemon=True).start()

    def close(self) -> None:
        """Ends now. What runs goes on, and is adopted by the next worker that can reach it."""
        self._closed.set()
        self.drain()

    def _say_so(self) -> None:
        try:
            self._ask(CLAIM_LAUNCHES, self._question(0, 0.0))
        except PenstockError:  # then nobody answers the loop's question either, or it is answered
            pass

    @property
    def running(self) -> list[FlowRun]:
        return [each.run for each in list(self._running.values())]

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        try:
            self._hear(self._reporter.until_answered(lambda: self._claim(self._patience())))
        except PenstockError as error:  # the pool was deleted, say: it may come back, and what runs is seen to
            self._say(str(error))
            self._closed.wait(POLL_SECONDS)

    def _is_done(self) -> bool:
        self._sweep()
        return self._closed.is_set() or (self._draining.is_set() and not self._running)

    def _sweep(self) -> None:
        """Forgets the runs whose thread has ended."""
        for id, thread in list(self._threads.items()):
            if not thread.is_alive():
                del self._threads[id], self._running[id]
                self._seen.discard(id)

    def _patience(self) -> float:
        if self._next is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(LEAST_SECONDS, self._next_at - time.monotonic()))

    def _claim(self, wait: float) -> Claims:
        self._sweep()
        free = MOST_AT_ONCE if self._limit is None else self._limit - len(self._running)
        if self._draining.is_set():
            free, wait = 0, min(wait, 1.0)
        return self._ask(CLAIM_LAUNCHES, self._question(free, wait))

    def _question(self, free: int, wait: float) -> ClaimLaunches:
        me = WorkerReport(
            id=self.id, name=self.name, type=self._driver.type, host=self._holder.host, scope=self._driver.scope(),
            version=self._version, started=self._began, holder=self._holder, limit=self._limit,
        )  # fmt: skip
        return ClaimLaunches(
            worker=me, work_pool=self._work_pool, queues=self._queues, deployments=self._deployments,
            running=tuple(self._running), seen=tuple(self._seen), next_seen=self._next, slots=max(free, 0), wait=wait,
            draining=self._draining.is_set(),
        )  # fmt: skip

    def _hear(self, claims: Claims) -> None:
        self._next = claims.next
        if claims.next is not None:
            now = claims.now or datetime.now(UTC)
            self._next_at = time.monotonic() + (claims.next - now).total_seconds()
        self._template = claims.base_job_template or self._driver.base_job_template
        for id in claims.lost:
            watched = self._running.get(id)
            if watched is not None:
                watched.let_go()
                self._threads[id].join(1.0)
        for work in claims.work:
            if work.run.id in self._running:
                continue
            if self._draining.is_set() and not work.adopt:  # it was given before that was known
                self._reporter.tell(work.run.id, Event.RELEASED)
                continue
            if work.adopt:
                self._say(f"Adopted flow run {work.run.name!r} ({work.launch.place}).")
            watched = Watched(
                work, self._driver, self._reporter, self._job, grace=claims.grace, closed=self._closed,
                line=self._line, say=self._say,
            )  # fmt: skip
            thread = threading.Thread(
                target=self._context.copy().run, args=(watched.look_after,), name="penstock-run", daemon=True
            )
            self._running[work.run.id], self._threads[work.run.id] = watched, thread
            thread.start()
        for request in claims.stops:
            watched = self._running.get(request.flow_run_id)
            if watched is not None:
                self._seen.add(request.flow_run_id)
                watched.stop(request)

    def _job(self, launch: Launch, run: FlowRun) -> Job:
        of = "this worker" if launch.work_pool is None else f"work pool {launch.work_pool!r}"
        configuration = templates.filled(self._template, launch.job_variables, of=of)
        command = configuration.get("command") or list(default_command(self._driver.type, run.id))
        env = {key: each for key, each in (configuration.get("env") or {}).items() if each is not None}
        configuration["env"] = env
        if isinstance(command, str):
            import shlex

            command = shlex.split(command)
        labels = {
            "penstock.flow-run-id": str(run.id),
            "penstock.flow-run-name": run.name,
            "penstock.deployment-id": str(launch.deployment_id),
            "penstock.worker": self.name,
        }
        return Job(
            name=str(configuration.get("name") or run.name),
            key=f"{run.id.hex}-{run.epoch}",
            command=tuple(command),
            env={**self._env, **env, "PENSTOCK__FLOW_RUN_ID": str(run.id)},
            labels={**labels, **(configuration.get("labels") or {})},
            configuration=configuration,
        )

    def _leave(self) -> None:
        deadline = time.monotonic() + LAST_SECONDS  # what is being told is told
        for thread in list(self._threads.values()):
            thread.join(max(0.0, deadline - time.monotonic()))
        try:
            self._ask(WORKER_LEAVES, WorkerLeaves(id=self.id))
        except PenstockError:  # its lease says it, a little later
            pass


def default_command(type: str, run_id: UUID) -> tuple[str, ...]:
    """What executes a run: this Python where it is on this machine, else the first one there."""
    python = sys.executable if type == "process" else "python"
    return (python, "-P", "-m", "penstock.flows.launched", str(run_id))
