"""Who waits for work is woken by what concerns him, and not by everything. On each database.

(That nobody is left asleep is looked after in all tests here in which workers ask: `conftest.bells_are_rung`.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from penstock.domain.launches import EVERYBODYS_BELL, bell_of_pool
from penstock.domain.rules import Facts
from penstock.domain.states import make
from penstock.protocol import launches as asked
from penstock.protocol.journal import Asked, Begin, Enter, batch_of
from penstock.protocol.launches import Event
from penstock.protocol.work_pools import CreateQueue, UpdatePool, UpdateQueue
from penstock.services import journal, streaming, work_pools
from penstock.services.answers.launches import worker_leaves
from penstock.services.desk import Desk
from penstock.store import changes, flow_runs, lanes
from penstock.store.contract import Store
from penstock.vault import Vault

from ..store.kit import at, flow_run, line, task_run
from .test_launching import Worker, Yard

POOL = bell_of_pool("local")


@pytest.fixture
def yard(store: Store) -> Yard:
    return Yard(store)


@pytest.fixture
def worker(yard: Yard) -> Worker:
    return Worker(yard)


def rung(yard: Yard, work: Callable[[], object]) -> set[UUID]:
    """The bells that are rung by it, as a server's watcher reads them."""
    with yard.store.read() as tx:
        before = changes.last(tx)
    work()
    return streaming.news_since(yard.store, before, lambda _: True, every_flow_run=lambda: True).bells


def test_what_waits_rings_for_its_pool_and_what_is_done_with_it_for_nobody(yard: Yard, worker: Worker) -> None:
    worker.claim()
    made = []
    assert rung(yard, lambda: made.append(yard.run())) == {POOL}
    assert rung(yard, worker.claim) == set()
    run = made[0]
    assert rung(yard, lambda: worker.launched(run)) == set()
    assert rung(yard, lambda: yard.take(run)) == set()
    assert rung(yard, lambda: worker.tell(run, Event.ENDED, exit_code=0)) == set()


def test_an_end_rings_where_something_waits_for_room(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    yard.run()
    assert rung(yard, lambda: worker.tell(run, Event.ENDED, exit_code=0)) == {POOL}


def test_a_run_that_is_to_be_ended_rings_for_the_worker_that_has_it(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    assert rung(yard, lambda: yard.cancel(run)) == {worker.me.id}


def test_a_run_that_was_deleted_rings_for_the_worker_that_has_it(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()

    def delete() -> None:
        with yard.store.write() as tx:
            flow_runs.delete(tx, [run.id])

    assert rung(yard, delete) == {POOL, worker.me.id}


def test_a_pool_and_its_queues_ring_for_those_who_serve_it(yard: Yard) -> None:
    def add() -> None:
        work_pools.create_queue(yard.store, CreateQueue(work_pool="local", name="slow"), at(1))

    assert POOL in rung(yard, add)
    for work in (
        lambda: work_pools.update(yard.store, UpdatePool(name="local", is_paused=True), at(1)),
        lambda: work_pools.update_queue(yard.store, UpdateQueue(work_pool="local", name="slow", is_paused=True), at(1)),
        lambda: work_pools.delete_queue(yard.store, "local", "slow"),
        lambda: work_pools.delete(yard.store, "local"),
    ):
        assert POOL in rung(yard, work)


def test_what_keys_may_and_whose_worker_is_gone_rings_for_all(yard: Yard, worker: Worker) -> None:
    worker.claim()
    run = yard.run(concurrency_key="one")
    launch = yard.launch(run)

    def shut() -> None:
        with yard.store.write() as tx:
            lanes.shut(tx, launch, None)

    def open_again() -> None:
        with yard.store.write() as tx:
            lanes.open_gates(tx, launch.lane)

    def change() -> None:
        with yard.store.write() as tx:
            lanes.open_all(tx)

    desk = Desk(yard.store, Vault(Path("nowhere"), None), yard.now, yard.lives, "somebody")
    assert rung(yard, shut) == set()
    assert rung(yard, open_again) == {EVERYBODYS_BELL}
    assert rung(yard, open_again) == set()
    assert rung(yard, change) == {EVERYBODYS_BELL}
    assert rung(yard, lambda: worker_leaves(desk, asked.WorkerLeaves(id=worker.me.id))) == {EVERYBODYS_BELL}


def test_a_worker_that_takes_no_more_hears_itself_once(yard: Yard, worker: Worker) -> None:
    worker.claim()
    assert rung(yard, lambda: worker.claim(0, draining=True)) == {worker.me.id}
    assert rung(yard, lambda: worker.claim(0, draining=True)) == set()


def test_a_run_by_hand_of_what_waits_rings_only_where_more_waits(yard: Yard) -> None:
    run = yard.run()
    assert rung(yard, lambda: yard.take(run)) == set()
    first, _ = yard.run(), yard.run()
    assert rung(yard, lambda: yard.take(first)) == {POOL}


def test_runs_of_scripts_and_what_runs_write_ring_for_nobody(yard: Yard) -> None:
    run = flow_run()
    assert run.holder is not None
    batches = [
        batch_of(run.holder, [], [Asked("bells-begin", Begin(run, make("Running", at(1))))], attending=True),
        batch_of(run.holder, [task_run(flow_run_id=run.id), line(run.id, 1)], attending=True),
        batch_of(
            run.holder, [],
            [Asked("bells-end", Enter(run.id, make("Completed", at(2)), Facts(epoch_of_writer=run.epoch)))],
            attending=True,
        ),
    ]  # fmt: skip
    for batch in batches:
        assert rung(yard, lambda batch=batch: journal.take(yard.store, [batch], lambda: at(2))) == set()  # type: ignore[misc]
    with yard.store.read() as tx:
        ended = flow_runs.get(tx, run.id)
    assert ended is not None
    assert ended.state_name == "Completed"


def test_a_run_that_could_not_be_launched_rings_for_who_may_try_next(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    assert rung(yard, lambda: worker.tell(run, Event.NOT_LAUNCHED, message="no room")) == {POOL}
