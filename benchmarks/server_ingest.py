"""Part `ingest`: how many task runs and lines a server takes in, prepared beforehand and sent by 1, 2, 4 processes.

As a program: one such process.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from . import report
from .server_clients import Clients, Job, Work, be_client
from .server_place import NAMES, serving
from .server_runs import Maker, Reporter, line, now
from .server_session import Session, met, percentile

SENDERS = (1, 2, 4)
A_BATCH = 500
BATCHES, QUICK_BATCHES = 400, 20
TARGET = 20_000
# A server that is told too much says so, and is told again.
PATIENCE = 120.0

NOTES = f"""\
Batches of the journal (msgpack, {A_BATCH} task runs that went through three states, and a line each), made before the
clock starts and sent by so many processes at once, each waiting for the answer, which is given when the batch is
recorded. The processors are shared by the senders, the server and the database: how much of one processor each of them
had is shown. Fresh databases; all rows are counted afterwards."""


def measure(session: Session) -> list[str]:
    head = (
        "record", "senders", "task runs/s", "lines/s", "a batch: p50", "p99", "server", "database", "all senders",
        "target", "",
    )  # fmt: skip
    rows = [_row(session, kind, senders) for kind in session.kinds for senders in SENDERS]
    return ["## Journal ingest", NOTES, report.table(head, rows)]


def _row(session: Session, kind: str, senders: int) -> tuple[str, ...]:
    batches = (QUICK_BATCHES if session.quick else BATCHES) // senders
    with session.databases.fresh(kind) as place, serving(place, session.complain) as server:
        jobs = [{"url": server.url, "batches": batches, "seed": seed} for seed in range(senders)]
        with Clients("server_ingest", jobs) as clients:
            used, used_database = server.processor_seconds(), session.databases.processor_seconds(kind)
            found = clients.work()
            used = server.processor_seconds() - used
            used_database = session.databases.processor_seconds(kind) - used_database
            counted = place.count()  # while the senders live: of one that is gone, the server closes what it left
        seconds = max(each["ended"] for each in found) - min(each["began"] for each in found)
        sent = batches * senders * A_BATCH
    for trouble in (each["trouble"] for each in found if each["trouble"]):
        session.complain(f"ingest by {senders} on {NAMES[kind]}: {trouble}")
    session.expect(f"ingest by {senders}: task runs", kind, counted["task runs"], sent)
    session.expect(f"ingest by {senders}: lines", kind, counted["lines"], sent)
    took = [value for each in found for value in each["took"]]
    rate = sent / seconds
    report.say(f"ingest, {NAMES[kind]}, {senders} senders: {rate:,.0f} task runs/s")
    shares = (used, used_database, sum(each["used"] for each in found))
    return (
        NAMES[kind], str(senders), f"{rate:,.0f}", f"{rate:,.0f}", report.quantity(percentile(took, 50)),
        report.quantity(percentile(took, 99)), *(f"{share / seconds:.0%}" for share in shares),
        f"{TARGET:,}/s", met(-rate, -TARGET),
    )  # fmt: skip


# --- a sender --------------------------------------------------------------------------------------------------------


def _bodies(reporter: Reporter, maker: Maker, batches: int) -> list[bytes]:
    run = reporter.begin("ingested")
    at = now()
    bodies = []
    for batch in range(batches):
        facts: list[Any] = []
        for place in range(A_BATCH):
            number = batch * A_BATCH + place
            at += timedelta(microseconds=50)
            task_run = maker.task_run(run.id, number, at)
            facts.append(task_run)
            facts.append(line(run.id, task_run.id, number, at, "Finished in state Completed()"))
        bodies.append(reporter.body(facts))
    return bodies


def sender(job: Job) -> tuple[Any, Work]:
    maker = Maker(job["seed"])
    reporter = Reporter(job["url"], maker, patience=PATIENCE)
    bodies = _bodies(reporter, maker, job["batches"])

    def work() -> Any:
        took, trouble = [], ""
        used = time.process_time()
        began = time.monotonic()
        for body in bodies:
            sent = time.monotonic()
            try:
                reporter.send(body)
            except Exception as error:
                trouble = repr(error)
                break
            took.append(time.monotonic() - sent)
        ended = time.monotonic()
        used = time.process_time() - used
        return {"began": began, "ended": ended, "took": took, "used": used, "trouble": trouble}

    return None, work


if __name__ == "__main__":
    be_client(sender)
