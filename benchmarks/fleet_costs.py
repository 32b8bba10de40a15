"""What single transactions cost: the figures that the model starts from, measured one at a time.

Law: nothing here is taken from a fleet. The transactions are those that a server makes of batches
(`services.journal.take`), on a fresh PostgreSQL, in this process, with nobody else there; so a measured fleet is a test
of the model, and not what it was fitted to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

import msgspec

from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.states import State
from penstock.protocol.journal import Asked, Batch, Begin, Enter, Fact, Question, batch_of
from penstock.services import journal
from penstock.store.contract import Store
from penstock.store.postgres_tx import PostgresTx

from . import report
from .fleet_runs import HOST
from .server_place import POSTGRES, Databases, Place, serving
from .server_runs import COMPLETED, RUNNING, Maker, Reporter, line, now
from .server_session import Session

# Batches of one kind in one transaction, and how often each is measured.
TOGETHER, ROUNDS, QUICK_ROUNDS = 32, 15, 3
ROWS = 960
REQUESTS, QUICK_REQUESTS = 600, 40
RUNNING_RUNS = ROUNDS * (TOGETHER + 1)
LOOK_SECONDS, QUICK_LOOK_SECONDS = 10.0, 0.7
LOOKS_A_SECOND = 20.0


class Costs(msgspec.Struct, frozen=True):
    """Seconds. A transaction holds the record for `transaction`, and for the sum of what is in it: for each batch that
    renews a lease, begins or ends a run, for each task run and line. `statements` are how often it goes to the database
    and back for each of these. `database` and `server` are how much of a hold each of them has a processor for.

    `request` is the server's for a request beside its transaction, `look` each server's for a transaction of anybody's
    (others are told that something has changed), `look_database` the database's for that, `rescue` for a running run of
    whose process nothing can be seen, each time that the loop comes by.
    """

    transaction: float
    renew: float
    begin: float
    end: float
    task_run: float
    line: float
    statements: dict[str, float]
    database: float
    server: float
    request: float
    look: float
    look_database: float
    rescue: float


class _Bench:
    def __init__(self, place: Place, store: Store, databases: Databases) -> None:
        self._place, self._store, self._databases = place, store, databases
        self._maker = Maker(1)
        self._clock = now()
        self.seconds: dict[tuple[str, int], list[float]] = {}
        self.statements: dict[tuple[str, int], float] = {}

    def take(self, kind: str, batches: Sequence[Batch]) -> None:
        """Records batches together, and notes how long that took."""
        self._clock += timedelta(seconds=10)  # so that leases are to be renewed
        with _counted() as statements:
            began = time.perf_counter()
            answers = journal.take(self._store, batches, lambda: self._clock)
            took = time.perf_counter() - began
        for answer in answers:
            for each in answer.answers:
                if each.error is not None:
                    raise RuntimeError(each.error.message)
        self.seconds.setdefault((kind, len(batches)), []).append(took)
        self.statements[kind, len(batches)] = statements[0]

    def runs(self, count: int) -> list[FlowRun]:
        """Begins so many, each of a process of its own."""
        made = [self._maker.flow_run("flow", now(), holder=self._holder(), run_count=1) for _ in range(count)]
        self.take("begin", [_asked(run, Begin(run, State(RUNNING, "Running", now()))) for run in made])
        return made

    def _holder(self) -> Holder:
        return Holder(HOST, "costs", self._maker.random.getrandbits(22), str(self._maker.random.random()))

    def round(self, count: int) -> list[FlowRun]:
        made = self.runs(count)
        self.take("renew", [_batch(run, []) for run in made])
        return made

    def rows(self, run: FlowRun) -> None:
        made = [self._maker.task_run(run.id, number, now()) for number in range(ROWS)]
        self.take("task_run", [_batch(run, made)])
        lines = [line(run.id, None, seq, now(), f"row {seq} of the table was read") for seq in range(ROWS)]
        self.take("line", [_batch(run, lines)])

    def end(self, runs: Sequence[FlowRun]) -> None:
        done = State(COMPLETED, "Completed", now())
        asked = [_asked(run, Enter(run.id, done, Facts(epoch_of_writer=run.epoch), run_count=1)) for run in runs]
        self.take("end", asked)

    def each(self, kind: str) -> tuple[float, float, float, float]:
        """Seconds and statements of a transaction with nothing in it, and of one more batch of the kind."""
        one, many = median(self.seconds[kind, 1]), median(self.seconds[kind, TOGETHER])
        more = max(many - one, 0.0) / (TOGETHER - 1)
        said = (self.statements[kind, TOGETHER] - self.statements[kind, 1]) / (TOGETHER - 1)
        return max(one - more, 0.0), more, self.statements[kind, 1] - said, said


def _batch(run: FlowRun, facts: Sequence[Fact], *asked: Asked) -> Batch:
    assert run.holder is not None
    return batch_of(run.holder, facts, asked, attending=True)


def _asked(run: FlowRun, question: Question) -> Batch:
    return _batch(run, [], Asked(uuid4().hex, question))


@contextlib.contextmanager
def _counted() -> Iterator[list[int]]:
    """How many statements are sent meanwhile."""
    count, execute = [0], PostgresTx._execute

    def counting(tx: PostgresTx, *what: Any) -> None:
        count[0] += 1
        execute(tx, *what)

    PostgresTx._execute = counting  # type: ignore[method-assign]
    try:
        yield count
    finally:
        PostgresTx._execute = execute  # type: ignore[method-assign]


def measure(session: Session) -> dict[str, Any]:
    """The figures, as JSON takes them."""
    rounds = QUICK_ROUNDS if session.quick else ROUNDS
    with session.databases.fresh(POSTGRES) as place, place.open() as store:
        bench = _Bench(place, store, session.databases)
        bench.end(bench.round(TOGETHER))  # statements are prepared, files are there
        bench.end(bench.round(1))
        bench.seconds.clear()
        used, used_database = time.process_time(), session.databases.processor_seconds(POSTGRES)
        began = time.perf_counter()
        for _ in range(rounds):
            many, one = bench.round(TOGETHER), bench.round(1)
            bench.rows(one[0])
            bench.end(many)
            bench.end(one)
        held = sum(sum(took) for took in bench.seconds.values())
        used = time.process_time() - used
        used_database = session.databases.processor_seconds(POSTGRES) - used_database
        report.say(f"costs: {time.perf_counter() - began:.1f} s, of which {held:.1f} s in transactions")
        found = {kind: bench.each(kind) for kind in ("renew", "begin", "end")}
        empty, renew = found["renew"][0], found["renew"][1]
        rows = {kind: max(median(bench.seconds[kind, 1]) - empty - renew, 0.0) / ROWS for kind in ("task_run", "line")}
        statements = {kind: each[3] for kind, each in found.items()}
        # The transaction's own: its beginning with its lock, and its commit.
        statements["transaction"] = max(found["renew"][2], 0.0) + 2
        for _ in range(RUNNING_RUNS // TOGETHER):
            bench.runs(TOGETHER)
        running = RUNNING_RUNS // TOGETHER * TOGETHER
        look, look_database, rescue = _idle(session, place, bench, running)
    request = _request(session)
    return msgspec.to_builtins(Costs(  # type: ignore[no-any-return]
        transaction=empty, renew=renew, begin=found["begin"][1] - renew, end=found["end"][1] - renew, **rows,
        statements={**statements, "begin": statements["begin"] - statements["renew"],
                    "end": statements["end"] - statements["renew"]},
        database=min(used_database / held, 1.0), server=min(used / held, 1.0), request=request, look=look,
        look_database=look_database, rescue=rescue,
    ))  # fmt: skip


def _idle(session: Session, place: Place, bench: _Bench, running: int) -> tuple[float, float, float]:
    """What a server uses because others write, and the database for it; and because runs are running."""
    from penstock.services.loops import LOOPS

    every = next(loop.seconds for loop in LOOPS if loop.name == "rescue")
    seconds = QUICK_LOOK_SECONDS if session.quick else LOOK_SECONDS

    def database() -> float:
        return session.databases.processor_seconds(POSTGRES)

    with session.databases.fresh(POSTGRES) as empty, empty.open() as store:
        other = _Bench(empty, store, session.databases)
        alone, _ = _share(database, database, seconds, lambda: other.round(1))
        with serving(empty, session.complain) as server:
            nothing, idle = _share(server.processor_seconds, database, seconds)
            looked, beside = _share(server.processor_seconds, database, seconds, lambda: other.round(1))
    with serving(place, session.complain) as server:
        rescuing, _ = _share(server.processor_seconds, database, seconds)
    looks = 2 * LOOKS_A_SECOND  # a round is two transactions
    return (
        max(looked - nothing, 0.0) / looks, max(beside - idle - alone, 0.0) / looks,
        max(rescuing - nothing, 0.0) * every / running,
    )  # fmt: skip


def _share(
    used: Callable[[], float], also: Callable[[], float], seconds: float, work: Callable[[], object] | None = None
) -> tuple[float, float]:
    """How much of a processor each has, while `work` is done so and so often."""
    before, began = (used(), also()), time.monotonic()
    count = 0
    while (left := began + seconds - time.monotonic()) > 0:
        if work is not None:
            work()
        count += 1
        due = began + count / LOOKS_A_SECOND
        time.sleep(max(0.0, min(due - time.monotonic(), left)))
    took = time.monotonic() - began
    return (used() - before[0]) / took, (also() - before[1]) / took


def _request(session: Session) -> float:
    """A server's for a request, without its transaction: batches of nothing, one after the other, whose process was
    heard of just now. What such a transaction takes of this process is taken off."""
    count = QUICK_REQUESTS if session.quick else REQUESTS
    with session.databases.fresh(POSTGRES) as place, serving(place, session.complain) as server:
        reporter = Reporter(server.url, Maker(2))
        reporter.send(reporter.body([]))
        used = server.processor_seconds()
        for _ in range(count):
            reporter.send(reporter.body([]))
        used = server.processor_seconds() - used
        with place.open() as store:
            moment: datetime = now()
            bodies = [reporter.body([]) for _ in range(count)]
            batches = [journal_batch(body) for body in bodies]
            spent = time.process_time()
            for batch in batches:
                journal.take(store, [batch], lambda: moment)
            spent = time.process_time() - spent
    return max(used - spent, 0.0) / count


def journal_batch(body: bytes) -> Batch:
    from penstock.protocol.journal import batch_in

    return batch_in(body)
