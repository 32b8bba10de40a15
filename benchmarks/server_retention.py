"""Part `retention`: how fast a server deletes what is old, and what those who write notice of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

from penstock.store.contract import Store

from . import report
from .server_data import SPAN, Filled, fill
from .server_place import MEBIBYTE, NAMES, POSTGRES, Place, serving
from .server_runs import Maker, Reporter, now
from .server_session import Session, met, percentile

TASK_RUNS, QUICK_TASK_RUNS = 200_000, 4_000
KEPT = timedelta(days=1)
BEFORE, QUICK_BEFORE = 10.0, 2.0
LOOK_EVERY = 0.5
LONGEST = 600.0
A_SECOND = 20
TARGET = 0.25

NOTES = f"""\
The record has runs of {SPAN.days} days, and the server keeps those of {KEPT.days} day: it deletes the others by itself,
with their task runs and lines. *Rows a second* is all that it deleted by the time that it took, pauses and all. Beside
it a client begins and ends {A_SECOND} flow runs a second: *state changes* are its requests, before (in another server,
which keeps everything) and meanwhile. *On the disk*: before, and after PostgreSQL was vacuumed, which it does by
itself: it keeps the space for what comes."""


def measure(session: Session) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for kind in session.kinds:
        with session.databases.fresh(kind) as place:
            rows.append(_row(session, place))
    head = (
        "record", "rows before", "deleted", "took", "rows a second", "state change, before: p50", "p99",
        "meanwhile: p50", "p99", "target", "", "on the disk",
    )  # fmt: skip
    return ["## Retention", NOTES, report.table(head, rows)]


def _row(session: Session, place: Place) -> tuple[str, ...]:
    with place.open() as store:
        filled = fill(store, QUICK_TASK_RUNS if session.quick else TASK_RUNS, now())
    place.vacuum()
    size = _size(place)
    for_ever = {"PENSTOCK_RETENTION_RUNS_DAYS": "", "PENSTOCK_RETENTION_LOGS_DAYS": ""}
    with serving(place, session.complain, **for_ever) as old, _changes(old.url) as before:
        time.sleep(QUICK_BEFORE if session.quick else BEFORE)
    kept = {"PENSTOCK_RETENTION_RUNS_DAYS": str(KEPT.days), "PENSTOCK_RETENTION_LOGS_DAYS": str(KEPT.days)}
    with place.open() as store:
        had = _rows(store)
        began = time.monotonic()
        with serving(place, session.complain, **kept) as server, _changes(server.url) as meanwhile:
            took = _until_gone(session, store, filled) - began - server.seconds_to_start
            _until_small(place)
        gone = had - _rows(store)
    place.vacuum()
    late = percentile(meanwhile, 99)
    return (
        NAMES[place.kind], f"{had:,}", f"{gone:,}", f"{took:.1f} s", f"{gone / took:,.0f}",
        *(report.quantity(percentile(each, at)) for each in (before, meanwhile) for at in (50, 99)),
        report.quantity(TARGET), met(late, TARGET),
        f"{size / MEBIBYTE:,.0f} MiB, then {_size(place) / MEBIBYTE:,.0f} MiB",
    )  # fmt: skip


def _until_gone(session: Session, store: Store, filled: Filled) -> float:
    """When nothing is left that is old; the client's own runs are new."""
    oldest = now() - KEPT
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        with store.read() as tx:
            row = tx.row(
                "SELECT count(*) FROM flow_run WHERE ended IS NOT NULL AND ended < ?",
                (int(oldest.timestamp() * 1e6),),
            )
        if row == (0,):
            return time.monotonic()
        time.sleep(LOOK_EVERY)
    session.complain(f"retention has not deleted what is old of {filled.task_runs:,} task runs in {LONGEST:.0f} s")
    return time.monotonic()


@contextlib.contextmanager
def _changes(url: str) -> Iterator[list[float]]:
    """Seconds of each state change of a client that begins and ends runs meanwhile."""
    took: list[float] = []
    ended = threading.Event()

    def work() -> None:
        reporter = Reporter(url, Maker(7), patience=30.0)
        began, count = time.monotonic(), 0
        while not ended.wait(max(0.0, began + count / A_SECOND - time.monotonic())):
            count += 1
            at = time.monotonic()
            run = reporter.begin("meanwhile")
            begun = time.monotonic()
            reporter.end(run)
            took.extend((begun - at, time.monotonic() - begun))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def _until_small(place: Place) -> None:
    """SQLite's file is given back a little at a time."""
    size = _size(place)
    while place.url is None:
        time.sleep(4 * LOOK_EVERY)
        before, size = size, _size(place)
        if size == before:
            return


def _rows(store: Store) -> int:
    with store.read() as tx:
        counts = [tx.row(f"SELECT count(*) FROM {table}") for table in ("flow_run", "task_run", "log")]
    return sum(int(row[0]) for row in counts if row)


def _size(place: Place) -> int:
    if place.kind != POSTGRES:
        return sum(each.stat().st_size for each in place.home.glob("*.db*"))
    import psycopg

    assert place.url is not None
    with psycopg.connect(place.url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0
