"""Simulated flow runs and workers, thousands in a process, which send what real ones send.

Law: a moment at which something is due is planned before it, and what is measured is from then until its answer; so
time in which a slow answer keeps the next question from being asked is not left out. As a program: a client process.

A run that a script begins: Begin; a batch when its first task begins, and one at each end of a task (the task that
ended, the next that begins, the task's lines); Enter at its end, with its last task. Beside it what its process does:
when nothing was sent for twenty seconds, a batch of nothing that keeps its lease; and one open stream of signals. A run
that a worker launches is created and claimed first, and taken instead of begun.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec

from penstock.domain.launches import Place
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder, TaskRun
from penstock.domain.states import State
from penstock.ledger.heartbeat import RENEW_SECONDS
from penstock.protocol.deployments import CREATE_RUN, CreateRun
from penstock.protocol.journal import Asked, Begin, Enter, Question, Take, batch_of
from penstock.protocol.launches import (
    CLAIM_LAUNCHES,
    REPORT_LAUNCH,
    WORKER_LEAVES,
    ClaimLaunches,
    Event,
    ReportLaunch,
    WorkerLeaves,
    WorkerReport,
)
from penstock.worker.worker import MOST_AT_ONCE, POLL_SECONDS

from .fleet_wire import Wire
from .server_clients import Job, Work, be_client
from .server_runs import COMPLETED, ONE, RUNNING, Maker, line, now

# Another machine's, as far as the servers can see: so its lease is all that is known of a process.
HOST = "fleet"
RAMP, STEADY, DRAIN = "ramp", "steady", "drain"
BEGIN, END, CREATE, TAKE = "begin", "end", "create", "take"
STATE_CHANGES = (BEGIN, END, CREATE, TAKE)
REPORT, RENEW, CLAIM, TOLD = "report", "renew", "claim", "report of a launch"
LATE = "late in the client"


class Profile(msgspec.Struct, frozen=True):
    """What a run does: so many tasks, one after the other, each as long, and so many lines in all. Seconds."""

    length: float = 300.0
    tasks: int = 10
    lines: int = 100

    @property
    def interval(self) -> float:
        return self.length / self.tasks

    @property
    def lines_of_a_task(self) -> int:
        return self.lines // self.tasks


class Course(msgspec.Struct, frozen=True):
    """How the measurement goes: `runs` at once, all of which begin in `ramp` seconds; those that end in the `seconds`
    after it are followed by others; and what is left then ends within `drain` seconds."""

    runs: int
    ramp: float
    seconds: float
    drain: float

    def phase(self, at: float) -> str:
        return RAMP if at < self.ramp else STEADY if at < self.ramp + self.seconds else DRAIN


class Plan(msgspec.Struct, frozen=True):
    """A run to be: seconds since the beginning of all."""

    due: float
    end: float
    launched: bool
    name: str


def plans(course: Course, profile: Profile, slot: int, launched: bool) -> list[Plan]:
    """The runs of one place in the fleet, one after the other. The first one's end falls anywhere in the length of a
    run after the ramp, so that ends are spread as in a fleet that has run for long."""
    stop = course.ramp + course.seconds
    last = stop + course.drain * slot / course.runs
    due = course.ramp * slot / course.runs
    end = course.ramp + profile.length * random.Random(slot).random()
    found = []
    while due < stop:
        found.append(Plan(due, min(end, last), launched, f"slot-{slot}-{len(found)}"))
        due, end = end, end + profile.length
    return found


@dataclass
class Seen:
    """What one client process saw."""

    took: dict[str, dict[str, list[float]]]
    written: Counter[str]
    troubles: Counter[str]
    again: Counter[str]


class Client:
    """The simulated runs and workers of this process."""

    def __init__(self, job: Job) -> None:
        self.course = msgspec.convert(job["course"], Course)
        self.profile = msgspec.convert(job["profile"], Profile)
        self.streams: bool = job["streams"]
        self.maker = Maker(job["seed"])
        self.seen = Seen({}, Counter(), Counter(), Counter())
        self._job = job
        self._began = 0.0
        self._wires: list[Wire] = []
        self._turn = 0
        self._expected: dict[str, Plan] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.pool: str = job["pool"]
        self.over = False
        self._marks: list[dict[str, float]] = []

    # --- time ----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def until(self, at: float) -> None:
        wait = at - self.now()
        if wait > 0:
            await asyncio.sleep(wait)
            self.took(LATE, at, self.now() - at)

    def took(self, kind: str, due: float, seconds: float) -> None:
        self.seen.took.setdefault(self.course.phase(due), {}).setdefault(kind, []).append(round(seconds, 5))

    def answered(self, kind: str, due: float) -> None:
        self.took(kind, due, self.now() - due)

    # --- the whole -----------------------------------------------------------------------------------------------

    async def work(self) -> Any:
        self._began = asyncio.get_running_loop().time()
        self._wires = [Wire(url, self.seen.again) for url in self._job["urls"]]
        workers = [asyncio.create_task(Worker(self).work()) for _ in range(self._job["workers"])]
        self.start(self._mark())
        wanted: list[Plan] = []
        for slot in self._job["slots"]:
            wanted += plans(self.course, self.profile, slot, slot % 100 < self._job["launched"])
        for plan in sorted(wanted, key=lambda plan: plan.due):
            await self.until(plan.due)
            self.start(self._create(plan) if plan.launched else Simulated(self, plan).live(None))
        while self.tasks or self._expected:
            await asyncio.sleep(0.1)
        self.over = True
        await asyncio.gather(*workers)
        return {
            "took": self.seen.took, "written": self.seen.written, "troubles": self.seen.troubles,
            "again": self.seen.again, "marks": self._marks,
        }  # fmt: skip

    def start(self, work: Any) -> None:
        task = asyncio.create_task(self._told(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _told(self, work: Any) -> None:
        try:
            await work
        except Exception as error:  # whatever it is, it is told with the measurement
            self.seen.troubles[repr(error)[:300]] += 1

    async def _mark(self) -> None:
        """What this process has used, and sent, at the borders of the steady state."""
        for at in (self.course.ramp, self.course.ramp + self.course.seconds):
            await asyncio.sleep(at - self.now())
            used, requests = time.process_time(), sum(wire.requests for wire in self._wires)
            self._marks.append({"at": self.now(), "used": used, "requests": requests})

    def wire(self) -> Wire:
        """Each process has one server, as the place before them gives it."""
        self._turn += 1
        return self._wires[self._turn % len(self._wires)]

    # --- what a worker launches ----------------------------------------------------------------------------------

    async def _create(self, plan: Plan) -> None:
        self._expected[plan.name] = plan
        wanted = CreateRun(id=UUID(self._job["deployment"]), name=plan.name, idempotency_key=plan.name)
        await self.wire().call(CREATE_RUN, wanted)
        self.answered(CREATE, plan.due)

    def expected(self, run: FlowRun) -> Plan:
        plan = self._expected.pop(run.name)
        self.answered(CLAIM, plan.due)
        return plan


class Simulated:
    """One flow run, and the process that executes it."""

    def __init__(self, client: Client, plan: Plan) -> None:
        self._client = client
        self._plan = plan
        self._wire = client.wire()
        self._holder = Holder(HOST, "simulated", client.maker.random.getrandbits(22), plan.name)
        self._task_run: TaskRun | None = None
        self._count = 0
        self._seq = 0
        self._heard = 0.0

    async def live(self, launched: FlowRun | None) -> None:
        client = self._client
        run = await (self._begin() if launched is None else self._take(launched))
        self._heard = client.now()
        stream = await self._wire.signals(self._holder) if client.streams else None
        report_due = client.now()
        while True:
            at = min(report_due, self._heard + RENEW_SECONDS, self._plan.end)
            await client.until(at)
            if at >= self._plan.end:
                break
            if at == report_due:
                report_due += client.profile.interval
                await self._send(REPORT, at, self._facts(run, begins=True))
            else:
                await self._send(RENEW, at, [])
            self._heard = client.now()
        await self._end(run, at)
        if stream is not None:
            stream.close()
        client.seen.written.update({"flow runs": 1, "task runs": self._count, "lines": self._seq})

    async def _begin(self) -> FlowRun:
        at = now()
        run = self._client.maker.flow_run(f"flow-{self._holder.pid % 20}", at, holder=self._holder, run_count=1)
        await self._asked(Begin(run, State(RUNNING, "Running", at)))
        self._client.answered(BEGIN, self._plan.due)
        return run

    async def _take(self, launched: FlowRun) -> FlowRun:
        due = self._client.now()
        run: FlowRun = (await self._asked(Take(launched.id, now(), self._holder))).run
        facts = Facts(epoch_of_writer=run.epoch)
        await self._asked(Enter(run.id, State(RUNNING, "Running", now()), facts, run_count=1))
        self._client.answered(TAKE, due)
        return run

    async def _end(self, run: FlowRun, due: float) -> None:
        facts = self._facts(run, begins=False)
        enter = Enter(run.id, State(COMPLETED, "Completed", now()), Facts(epoch_of_writer=run.epoch), run_count=1)
        await self._asked(enter, facts)
        self._client.answered(END, due)

    async def _asked(self, question: Question, facts: Any = ()) -> Any:
        asked = Asked(uuid4().hex, question)
        (answer,) = await self._wire.report(batch_of(self._holder, facts, [asked], attending=True))
        if isinstance(answer, Exception):
            raise answer
        if getattr(answer, "status", "accepted") != "accepted":
            raise RuntimeError(f"{type(question).__name__} was answered {answer}")
        return answer

    async def _send(self, kind: str, due: float, facts: Any) -> None:
        await self._wire.report(batch_of(self._holder, facts, attending=True))
        self._client.answered(kind, due)

    def _facts(self, run: FlowRun, *, begins: bool) -> list[Any]:
        """The task that ends now, with its lines, and the one that begins."""
        facts: list[Any] = []
        at: datetime = now()
        before = self._task_run
        if before is not None:
            states = (*before.states, State(COMPLETED, "Completed", at))
            facts.append(msgspec.structs.replace(before, states=states, version=3, result=ONE))
            for _ in range(self._client.profile.lines_of_a_task):
                text = (
                    f"{before.name}: row {self._seq} of the table was read and has {self._seq % 7} columns that are new"
                )
                facts.append(line(run.id, before.id, self._seq, at, text))
                self._seq += 1
            self._task_run = None
        if begins:
            whole = self._client.maker.task_run(run.id, self._count, at)
            begun = msgspec.structs.replace(whole, states=whole.states[:2], version=2, result=None, epoch=run.epoch)
            self._count += 1
            self._task_run = begun
            facts.append(begun)
        return facts


class Worker:
    """One worker: it asks for runs, and says by that that it lives; what it launches are simulated runs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wire = client.wire()
        self._id = uuid4()
        self._running: set[UUID] = set()
        self._next: datetime | None = None
        self._me = WorkerReport(
            id=self._id, name=f"worker-{self._id}", type="process", host=HOST, scope=f"scope-{self._id}", version="0",
            started=now(),
        )  # fmt: skip

    async def work(self) -> None:
        while not self._client.over:
            wait = POLL_SECONDS if self._client.now() < self._client.course.ramp + self._client.course.seconds else 1.0
            asked = ClaimLaunches(
                worker=self._me, work_pool=self._client.pool, running=tuple(self._running), next_seen=self._next,
                slots=MOST_AT_ONCE, wait=wait,
            )  # fmt: skip
            try:
                claims = await self._wire.call(CLAIM_LAUNCHES, asked)
            except Exception as error:
                self._client.seen.troubles[f"a worker was answered {error!r}"[:300]] += 1
                await asyncio.sleep(1.0)
                continue
            self._next = claims.next
            for work in claims.work:
                if work.run.id not in self._running:
                    self._running.add(work.run.id)
                    self._client.start(self._look_after(work.run))
        await self._wire.call(WORKER_LEAVES, WorkerLeaves(id=self._id))

    async def _look_after(self, run: FlowRun) -> None:
        plan = self._client.expected(run)
        try:
            place = Place("process", f"scope-{self._id}", run.name)
            await self._tell(run.id, Event.LAUNCHED, place=place, configuration={})
            await Simulated(self._client, plan).live(run)
            await self._tell(run.id, Event.ENDED, exit_code=0)
        finally:
            self._running.discard(run.id)

    async def _tell(self, id: UUID, event: Event, **what: Any) -> None:
        due = self._client.now()
        await self._wire.call(REPORT_LAUNCH, ReportLaunch(id=id, worker=self._id, event=event, **what))
        self._client.answered(TOLD, due)


def client(job: Job) -> tuple[Any, Work]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    made = Client(job)
    gc.freeze()
    return None, partial(_work, made)


def _work(made: Client) -> Any:
    return asyncio.run(made.work())


if __name__ == "__main__":
    be_client(client)
