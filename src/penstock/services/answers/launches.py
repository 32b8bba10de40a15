"""Answers to workers, and about what they launched."""

from __future__ import annotations

from datetime import timedelta

from ...domain.errors import ObjectNotFound
from ...domain.launches import EVERYBODYS_BELL, Launch
from ...domain.pools import WORKER_SECONDS, WorkerRecord
from ...protocol import launches as asked
from ...protocol.operation import Page, Unchanged
from ...protocol.paging import after, id_in
from ...store import changes, flow_runs, launches, workers
from .. import claiming, launching
from ..desk import Desk, answers


@answers(asked.CLAIM_LAUNCHES)
def claim_launches(desk: Desk, query: asked.ClaimLaunches) -> asked.Claims:
    try:
        return claiming.claim(desk.store, query, desk.now(), desk.lives)
    except claiming.Nothing as nothing:
        raise Unchanged(nothing.claims) from None


@answers(asked.REPORT_LAUNCH)
def report_launch(desk: Desk, query: asked.ReportLaunch) -> asked.Reported:
    return launching.report(desk.store, query, desk.now())


@answers(asked.READ_LAUNCH)
def read_launch(desk: Desk, query: asked.LaunchOf) -> Launch:
    with desk.store.read() as tx:
        launch = launches.get(tx, query.id)
        there = launch is not None or flow_runs.get(tx, query.id) is not None
    if launch is None:
        raise ObjectNotFound(
            f"Flow run '{query.id}' was not launched by anybody: it is executed where its flow was called."
            if there
            else f"Flow run '{query.id}' not found!"
        )
    return launch


@answers(asked.FILTER_LAUNCHES)
def filter_launches(desk: Desk, query: asked.FilterLaunches) -> Page[asked.Work]:
    before = id_in(query.cursor)
    with desk.store.read() as tx:
        found = launches.open_ones(tx, query.work_pool, query.limit, before)
        items = [
            asked.Work(launch=launch, run=run)
            for launch in found
            if (run := flow_runs.get(tx, launch.flow_run_id)) is not None
        ]
    return Page(items=items, next=after(found[-1].flow_run_id) if len(found) == query.limit else None)


@answers(asked.FILTER_WORKERS)
def filter_workers(desk: Desk, query: asked.FilterWorkers) -> Page[WorkerRecord]:
    now = desk.now()
    since = None if query.all else now - timedelta(seconds=WORKER_SECONDS)
    with desk.store.read() as tx:
        found = workers.select(tx, query.work_pool, since, query.limit)
    return Page(items=[each for each in found if query.all or each.is_online(now)])


@answers(asked.WORKER_LEAVES)
def worker_leaves(desk: Desk, query: asked.WorkerLeaves) -> None:
    with desk.store.write() as tx:
        worker = workers.get(tx, query.id)
        if worker is not None:
            worker.left = desk.now()
            workers.put(tx, worker)
            changes.ring(tx, [EVERYBODYS_BELL])  # what it leaves is another's to look after
