"""What is launched: given to one worker, taken by one process, and closed by what is seen of it. On each database."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock.domain.deployments import Collision, Deployment
from penstock.domain.ids import flow_id
from penstock.domain.launches import Place
from penstock.domain.pools import WorkPool, WorkQueue
from penstock.domain.rules import Facts
from penstock.domain.runs import FlowRun, Holder
from penstock.domain.schedules import CronSchedule, DeploymentSchedule, Overlap
from penstock.domain.states import make
from penstock.engine.clock import SYSTEM
from penstock.exceptions import ObjectNotFound, TransitionRefused
from penstock.protocol import launches as asked
from penstock.protocol.launches import Claims, Event
from penstock.services import cancelling, claiming, launching, orchestrate, running
from penstock.services.desk import Desk
from penstock.services.loops import launching as loop
from penstock.services.rescue import close, rescue
from penstock.store import deployments, flow_runs, launches, schedules, work_pools
from penstock.store.contract import Store
from penstock.vault import Vault

from ..store.kit import at

PROCESS = Holder("host", "boot", 500, "1")


class Yard:
    """A record with a work pool and a deployment, a clock of the test's own, and workers."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.second = 0.0
        self.dead: set[Holder] = set()
        self.deployment = Deployment(
            id=SYSTEM.new_id(), name="nightly", flow_id=flow_id("etl"), flow_name="etl", created=at(0), updated=at(0),
            work_pool="local", entrypoint="flows.py:etl",
        )  # fmt: skip
        with store.write() as tx:
            work_pools.put(tx, WorkPool(id=SYSTEM.new_id(), name="local", type="process", created=at(0), updated=at(0)))
            self.add_queue(tx, "default", 100)
            deployments.put(tx, self.deployment)

    def add_queue(self, tx: Any, name: str, priority: int, limit: int | None = None) -> None:
        queue = WorkQueue(
            id=SYSTEM.new_id(), work_pool="local", name=name, created=at(0), updated=at(0), priority=priority,
            concurrency_limit=limit,
        )  # fmt: skip
        work_pools.put_queue(tx, queue)

    def change(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self.deployment, name, value)
        with self.store.write() as tx:
            deployments.put(tx, self.deployment)

    def now(self) -> datetime:
        return at(self.second)

    def lives(self, holder: Holder) -> bool | None:
        return holder not in self.dead

    def run(self, after: float = 0.0, **fields: Any) -> FlowRun:
        with self.store.write() as tx:
            due = self.now() + timedelta(seconds=after)
            return running.create_run(tx, self.deployment, now=self.now(), scheduled=due, parameters={}, **fields)

    def read(self, run: FlowRun) -> FlowRun:
        with self.store.read() as tx:
            found = flow_runs.get(tx, run.id)
        assert found is not None
        return found

    def launch(self, run: FlowRun) -> Any:
        with self.store.read() as tx:
            return launches.get(tx, run.id)

    def take(self, run: FlowRun, holder: Holder = PROCESS) -> FlowRun:
        with self.store.write() as tx:
            return launching.take(tx, run.id, holder=holder, now=self.now()).run

    def cancel(self, run: FlowRun, grace: float | None = None) -> FlowRun:
        return cancelling.cancel_flow_run(self.store, run.id, who="ann", grace=grace, now=self.now(), lives=self.lives)

    def loop(self) -> None:
        loop.once(Desk(self.store, Vault(Path("nowhere"), None), self.now, self.lives, "loop"))

    def lines(self, run: FlowRun) -> list[str]:
        with self.store.read() as tx:
            return [
                str(row[0]) for row in tx.rows("SELECT message FROM log WHERE run_id = ? ORDER BY seq", (run.id.bytes,))
            ]


class Worker:
    """A worker as the record sees it."""

    def __init__(self, yard: Yard, pid: int = 1, scope: str = "host:boot", pool: str | None = "local") -> None:
        self.yard = yard
        self.pool = pool
        self.holder = Holder("host", "boot", pid, "1")
        self.me = asked.WorkerReport(
            id=SYSTEM.new_id(), name=f"w{pid}", type="process", host="host", scope=scope, version="1",
            started=at(0), holder=self.holder,
        )  # fmt: skip
        self.running: list[UUID] = []

    def claim(self, slots: int = 1, **fields: Any) -> Claims:
        query = asked.ClaimLaunches(
            worker=self.me, work_pool=self.pool, running=tuple(self.running), slots=slots, **fields
        )
        try:
            claims = claiming.claim(self.yard.store, query, self.yard.now(), self.yard.lives)
        except claiming.Nothing as nothing:
            return nothing.claims
        self.running += [work.run.id for work in claims.work if work.run.id not in self.running]
        return claims

    def tell(self, run: FlowRun, event: Event, **fields: Any) -> asked.Reported:
        told = asked.ReportLaunch(id=run.id, worker=self.me.id, event=event, **fields)
        return launching.report(self.yard.store, told, self.yard.now())

    def launched(self, run: FlowRun, id: str = "77:1") -> asked.Reported:
        return self.tell(run, Event.LAUNCHED, place=Place("process", self.me.scope, id), configuration={"a": 1})

    def end(self) -> None:
        self.yard.dead.add(self.holder)


@pytest.fixture
def yard(store: Store) -> Yard:
    return Yard(store)


@pytest.fixture
def worker(yard: Yard) -> Worker:
    return Worker(yard)


def ids(claims: Claims) -> list[UUID]:
    return [work.run.id for work in claims.work]


def test_a_run_that_is_due_is_given_to_one_worker(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    other = Worker(yard, pid=2)
    assert ids(worker.claim()) == [run.id]
    assert ids(other.claim()) == []
    assert (yard.read(run).state_name, yard.read(run).state.message) == ("Pending", "Claimed by worker 'w1'.")


def test_a_run_is_not_given_before_it_is_due_and_when_that_is_is_told_at_once(yard: Yard, worker: Worker) -> None:
    worker.claim()
    run = yard.run(after=30)
    told = worker.claim()
    assert (ids(told), told.next) == ([], yard.now() + timedelta(seconds=30))
    yard.second = 30
    assert ids(worker.claim()) == [run.id]


def test_the_queue_of_the_lower_number_goes_first_and_then_who_was_due_first(yard: Yard, worker: Worker) -> None:
    with yard.store.write() as tx:
        yard.add_queue(tx, "urgent", 1)
    late, early = yard.run(after=2), yard.run(after=1)
    urgent = yard.run(after=3, work_queue="urgent")
    yard.second = 10
    assert ids(worker.claim(slots=2)) == [urgent.id, early.id]
    assert ids(worker.claim(slots=2)) == [late.id]


def test_no_more_than_a_pool_or_a_queue_may_run_are_given(yard: Yard, worker: Worker) -> None:
    with yard.store.write() as tx:
        pool = work_pools.need(tx, "local")
        pool.concurrency_limit = 3
        work_pools.put(tx, pool)
        yard.add_queue(tx, "narrow", 1, limit=1)
    narrow = [yard.run(after=-9 + place, work_queue="narrow") for place in range(2)]
    wide = [yard.run(after=-3 + place) for place in range(3)]
    assert ids(worker.claim(slots=9)) == [narrow[0].id, wide[0].id, wide[1].id]
    assert ids(worker.claim(slots=9)) == []
    worker.launched(narrow[0])
    worker.tell(narrow[0], Event.ENDED, exit_code=0)
    assert ids(worker.claim(slots=9)) == [narrow[1].id]


def test_a_paused_pool_gives_nothing_and_says_so(yard: Yard, worker: Worker) -> None:
    yard.run()
    with yard.store.write() as tx:
        pool = work_pools.need(tx, "local")
        pool.is_paused = True
        work_pools.put(tx, pool)
    told = worker.claim()
    assert (ids(told), told.paused) == ([], "Work pool 'local' is paused.")


def test_a_pool_that_is_not_there_is_said(yard: Yard) -> None:
    with pytest.raises(ObjectNotFound, match="Work pool 'locl' not found! Did you mean 'local'"):
        Worker(yard, pool="locl").claim()


def test_one_process_takes_a_run_and_no_other(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    taken = yard.take(run)
    assert (taken.holder, taken.epoch, taken.state_name) == (PROCESS, 2, "Pending")
    with pytest.raises(TransitionRefused, match="is executed by another process already"):
        yard.take(run, Holder("host", "boot", 501, "1"))


def test_infrastructure_that_ends_before_its_run_crashes_it_with_what_is_known(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    assert yard.read(run).infrastructure_pid == "host:boot:77:1"
    worker.tell(run, Event.ENDED, exit_code=-9, message="killed by SIGKILL", lines=("Traceback", "boom"))
    ended = yard.read(run)
    assert ended.state_name == "Crashed"
    assert "exit code -9 (killed by SIGKILL) before the run did" in (ended.state.message or "")
    assert (ended.state.details or {})["exit_code"] == -9
    assert yard.lines(run)[:2] == ["Traceback", "boom"]


def test_infrastructure_that_ends_after_its_run_changes_nothing(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    yard.take(run)
    yard.dead.add(PROCESS)
    cancelled = yard.cancel(run)
    assert cancelled.state_name == "Cancelling"
    worker.tell(run, Event.STOPPED, how="killed", seconds=1.5)
    before = yard.read(run)
    assert worker.tell(run, Event.ENDED, exit_code=3).kept is False
    assert yard.read(run) == before


def test_a_run_that_nobody_has_claimed_is_cancelled_at_once_and_never_given(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    ended = yard.cancel(run)
    assert (ended.state_name, (ended.state.details or {})["stopped"]) == ("Cancelled", "idle")
    assert ids(worker.claim()) == []


def test_who_has_the_run_is_told_to_end_it_and_it_is_cancelled_when_that_is_known(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    assert yard.cancel(run, grace=7).state_name == "Cancelling"
    (stop,) = worker.claim().stops
    assert (stop.flow_run_id, stop.grace, stop.who) == (run.id, 7, "ann")
    assert worker.claim(seen=(run.id,)).stops == []
    worker.tell(run, Event.STOPPED, how="killed", seconds=7.2)
    ended = yard.read(run)
    details = ended.state.details or {}
    assert ended.state_name == "Cancelled"
    assert (details["stopped"], details["confirmed"], details["who"], details["seconds_to_stop"]) == (
        "killed", True, "ann", 7.2,
    )  # fmt: skip


def test_a_worker_that_killed_a_run_says_so_also_where_others_saw_its_end_first(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    cancelling = yard.cancel(run)
    with yard.store.write() as tx:
        seen = {**(cancelling.state.details or {}), "stopped": "gone", "confirmed": True}
        close(tx, yard.read(run), make("Cancelled", at(9), details=seen))
    worker.tell(run, Event.STOPPED, how="killed", seconds=7.2)
    details = yard.read(run).state.details or {}
    assert (details["stopped"], details["seconds_to_stop"], details["who"]) == ("killed", 7.2, "ann")


def test_a_claimed_run_that_was_not_launched_yet_is_cancelled_through_its_worker(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    assert yard.cancel(run).state_name == "Cancelling"
    with pytest.raises(TransitionRefused, match="is Cancelling: it cannot be started"):
        yard.take(run)
    worker.tell(run, Event.RELEASED)
    ended = yard.read(run)
    assert (ended.state_name, (ended.state.details or {})["stopped"]) == ("Cancelled", "idle")


def test_what_cannot_be_ended_stays_cancelling_and_says_so(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.cancel(run)
    worker.tell(run, Event.NOT_STOPPED, message="the engine does not answer")
    worker.tell(run, Event.NOT_STOPPED, message="the engine does not answer")
    found = yard.read(run)
    assert found.state_name == "Cancelling"
    assert found.state.message == ("Its infrastructure could not be ended yet (try 2): the engine does not answer")
    assert (found.state.details or {})["who"] == "ann"
    worker.tell(run, Event.STOPPED, how="gone")
    ended = yard.read(run)
    assert (ended.state_name, (ended.state.details or {})["stopped"]) == ("Cancelled", "gone")


def test_a_worker_that_begins_anew_adopts_what_runs_and_cancel_works_then(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    new = Worker(yard, pid=2)
    assert ids(new.claim()) == []  # the old one lives
    worker.end()
    (work,) = new.claim(slots=0).work
    assert (work.run.id, work.adopt) == (run.id, True)
    assert yard.read(run).state_name == "Pending"
    yard.cancel(run)
    assert [stop.flow_run_id for stop in new.claim().stops] == [run.id]
    new.tell(run, Event.STOPPED, how="killed", seconds=1.0)
    assert yard.read(run).state_name == "Cancelled"
    assert worker.tell(run, Event.ENDED, exit_code=0).kept is False


def test_a_worker_of_another_scope_leaves_it_to_one_that_can_reach_it(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    worker.end()
    yard.cancel(run)
    assert Worker(yard, pid=2, scope="elsewhere:boot").claim(slots=5).work == []
    assert yard.read(run).state_name == "Cancelling"
    near = Worker(yard, pid=3)
    assert [work.adopt for work in near.claim(slots=0).work] == [True]
    assert [stop.flow_run_id for stop in near.claim(slots=0).stops] == [run.id]


def test_what_was_claimed_and_never_launched_goes_to_another_worker(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.end()
    (work,) = Worker(yard, pid=2).claim().work
    assert (work.run.id, work.adopt) == (run.id, False)


def test_an_answer_that_was_lost_on_its_way_is_given_once_more(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.running.clear()
    assert ids(worker.claim(slots=0)) == [run.id]


def test_a_worker_is_told_what_it_has_no_more(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    worker.end()
    Worker(yard, pid=2).claim()
    assert worker.claim().lost == [run.id]


def test_a_run_that_cannot_be_launched_is_tried_again_and_not_for_ever(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    for attempt in range(1, launching.MOST_TRIES):
        worker.claim()
        worker.tell(run, Event.NOT_LAUNCHED, message="no engine")
        worker.running.clear()
        found = yard.read(run)
        assert found.state_name == "AwaitingRetry"
        assert f"(try {attempt} of {launching.MOST_TRIES}): no engine" in (found.state.message or "")
        assert ids(worker.claim()) == []
        yard.second += 400
    worker.claim()
    worker.tell(run, Event.NOT_LAUNCHED, message="no engine")
    assert (yard.read(run).state_name, yard.read(run).state.message) == (
        "Crashed", "The run could not be launched: no engine",
    )  # fmt: skip


def test_a_run_that_can_never_be_launched_so_says_why(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.tell(run, Event.REFUSED, message="there is no image 'nope'")
    assert yard.read(run).state.message == "The run could not be launched: there is no image 'nope'"


def test_a_run_is_skipped_while_one_of_its_schedule_has_not_ended(yard: Yard, worker: Worker) -> None:
    schedule = _schedule(yard, Overlap.SKIP)
    first = yard.run(schedule_id=schedule)
    second = yard.run(after=1, schedule_id=schedule)
    yard.second = 1
    assert ids(worker.claim(slots=5)) == [first.id]
    skipped = yard.read(second)
    assert skipped.state_name == "Cancelled"
    assert f"flow run {first.id} of the same schedule has not ended" in (skipped.state.message or "")


def test_a_run_that_waits_for_its_schedule_s_other_says_for_what(yard: Yard, worker: Worker) -> None:
    schedule = _schedule(yard, Overlap.QUEUE)
    first, second = yard.run(schedule_id=schedule), yard.run(after=1, schedule_id=schedule)
    yard.second = 1
    worker.claim(slots=5)
    waiting = yard.read(second)
    assert waiting.state_name == "AwaitingConcurrencySlot"
    assert str(first.id) in (waiting.state.message or "")
    worker.tell(first, Event.ENDED, exit_code=0)
    assert ids(worker.claim()) == [second.id]


def test_the_older_run_of_a_schedule_is_cancelled_for_the_newer(yard: Yard, worker: Worker) -> None:
    schedule = _schedule(yard, Overlap.CANCEL_OLD)
    first, second = yard.run(schedule_id=schedule), yard.run(after=1, schedule_id=schedule)
    worker.claim()
    worker.launched(first)
    yard.take(first)
    yard.second = 1
    stops = worker.claim().stops or worker.claim().stops
    assert [stop.flow_run_id for stop in stops] == [first.id]
    worker.tell(first, Event.STOPPED, how="returned")
    assert ids(worker.claim()) == [second.id]


@pytest.mark.parametrize("collision", list(Collision))
def test_a_deployment_runs_no_more_than_it_may(yard: Yard, worker: Worker, collision: Collision) -> None:
    yard.change(concurrency_limit=1, collision=collision)
    first, second = yard.run(), yard.run(after=1)
    yard.second = 1
    assert ids(worker.claim(slots=5)) == [first.id]
    names = {
        Collision.ENQUEUE: ("Pending", "AwaitingConcurrencySlot"),
        Collision.CANCEL_NEW: ("Pending", "Cancelled"),
        Collision.CANCEL_OLD: ("Cancelling", "AwaitingConcurrencySlot"),
    }
    assert (yard.read(first).state_name, yard.read(second).state_name) == names[collision]
    assert "1 of at most 1 run of deployment 'etl/nightly'" in (yard.read(second).state.message or "")


def test_a_process_that_serves_deployments_gets_their_runs_and_no_others(yard: Yard) -> None:
    yard.change(work_pool=None)
    run = yard.run()
    server = Worker(yard, pool=None)
    assert ids(server.claim()) == []
    assert ids(server.claim(deployments=(yard.deployment.id,))) == [run.id]
    with yard.store.read() as tx:
        found = deployments.get(tx, yard.deployment.id)
    assert found is not None
    assert found.last_polled == yard.now()


def _schedule(yard: Yard, overlap: Overlap) -> UUID:
    schedule = DeploymentSchedule(
        id=SYSTEM.new_id(), deployment_id=yard.deployment.id, schedule=CronSchedule("* * * * *"), created=at(0),
        updated=at(0), overlap=overlap,
    )  # fmt: skip
    with yard.store.write() as tx:
        schedules.put(tx, schedule)
    return schedule.id


def test_a_run_that_is_executed_by_hand_is_no_worker_s_business(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    assert yard.take(run).state_name == "Pending"
    assert ids(worker.claim()) == []
    assert yard.cancel(run).state_name == "Cancelling"
    assert worker.claim().stops == []


def test_a_run_that_is_deleted_while_it_waits_is_not_given(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    with yard.store.write() as tx:
        flow_runs.delete(tx, [run.id])
    assert ids(worker.claim()) == []
    assert yard.launch(run) is None


def test_what_runs_of_a_run_that_was_deleted_is_ended(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    with yard.store.write() as tx:
        flow_runs.delete(tx, [run.id])
    told = worker.claim()
    assert ([(stop.flow_run_id, stop.over) for stop in told.stops], told.lost) == ([(run.id, True)], [])


def test_a_run_that_never_starts_is_closed_and_its_worker_ends_what_it_launched(yard: Yard, worker: Worker) -> None:
    yard.change(start_timeout=60)
    run = yard.run()
    worker.claim()
    worker.launched(run)
    worker.tell(run, Event.WAITING, message="The image is being pulled.")
    yard.loop()
    assert yard.read(run).state_name == "Pending"
    yard.second = 61
    yard.loop()
    found = yard.read(run)
    assert found.state_name == "Crashed"
    assert found.state.message == (
        "The run never started: 60 s after it was claimed, no code of it runs (The image is being pulled)."
    )
    assert [stop.flow_run_id for stop in worker.claim().stops] == [run.id]


def test_a_run_that_has_started_may_take_longer_than_starting_may(yard: Yard, worker: Worker) -> None:
    yard.change(start_timeout=60)
    run = yard.run()
    worker.claim()
    taken = yard.take(run)
    with yard.store.write() as tx:
        orchestrate.enter(tx, run.id, make("Running", yard.now()), Facts(epoch_of_writer=taken.epoch))
        orchestrate.enter(tx, run.id, make("AwaitingRetry", yard.now()), Facts(epoch_of_writer=taken.epoch))
    yard.second = 1000
    yard.loop()
    assert yard.read(run).state_name == "AwaitingRetry"


def test_a_process_that_loads_its_program_for_longer_than_starting_may_take_never_started(
    yard: Yard, worker: Worker
) -> None:
    yard.change(start_timeout=60)
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    yard.second = 61
    yard.loop()
    found = yard.read(run)
    assert "never started" in (found.state.message or "")
    # The process is there, as far as is known; its worker is told to end it.
    assert (found.state_name, (found.state.details or {})["confirmed"]) == ("Crashed", False)
    with yard.store.read() as tx:
        launch = launches.get(tx, run.id)
    assert launch is not None
    assert launch.stopping is not None


def test_a_launch_that_nobody_will_report_on_is_over_some_time_after_its_run(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    yard.dead.add(PROCESS)
    worker.end()
    rescue(yard.store, yard.lives, yard.now)
    yard.second = 60
    yard.loop()
    assert yard.launch(run).ended is None
    yard.second = 7300
    yard.loop()
    assert yard.launch(run).ended == yard.now()


def test_a_dead_process_is_left_to_the_worker_that_sees_why_it_ended(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    yard.dead.add(PROCESS)
    rescue(yard.store, yard.lives, yard.now)
    assert yard.read(run).state_name == "Pending"
    worker.tell(run, Event.ENDED, exit_code=-9, message="killed by SIGKILL")
    assert "(killed by SIGKILL)" in (yard.read(run).state.message or "")


def test_a_dead_process_whose_worker_is_gone_as_well_crashes(yard: Yard, worker: Worker) -> None:
    run = yard.run()
    worker.claim()
    worker.launched(run)
    yard.take(run)
    yard.dead.add(PROCESS)
    worker.end()
    rescue(yard.store, yard.lives, yard.now)
    assert yard.read(run).state_name == "Crashed"
    near = Worker(yard, pid=2)
    near.claim()
    near.tell(run, Event.ENDED, exit_code=None, message="nobody saw it")
    assert yard.lines(run)[-1] == "The run's infrastructure ended (nobody saw it)."


def test_a_run_of_a_lower_number_goes_first_in_its_queue(yard: Yard, worker: Worker) -> None:
    first, urgent = yard.run(after=-5), yard.run(priority=1)
    assert ids(worker.claim(slots=2)) == [urgent.id, first.id]


def test_what_a_run_launched_is_cancelled_with_it_and_closed_when_it_has_ended(yard: Yard, worker: Worker) -> None:
    parent = yard.run()
    worker.claim()
    worker.launched(parent)
    yard.take(parent)
    running = yard.run(parent=parent)
    worker.claim()
    worker.launched(running, "78:1")
    waiting = yard.run(parent=parent)
    yard.cancel(parent)
    assert (yard.read(running).state_name, yard.read(waiting).state_name) == ("Cancelling", "Cancelled")
    assert {stop.flow_run_id for stop in worker.claim().stops} == {parent.id, running.id}
    worker.tell(running, Event.STOPPED, how="killed", seconds=1.0)
    assert yard.read(running).state_name == "Cancelled"
    assert (yard.read(running).state.details or {})["who"] == "ann"


def test_what_a_run_launched_is_told_to_end_when_the_run_crashes(yard: Yard, worker: Worker) -> None:
    parent = yard.run()
    worker.claim()
    worker.launched(parent)
    yard.take(parent)
    child = yard.run(parent=parent)
    worker.claim()
    worker.launched(child, "78:1")
    yard.take(child, Holder("host", "boot", 600, "1"))
    yard.dead.add(PROCESS)
    worker.end()
    rescue(yard.store, yard.lives, yard.now)
    assert (yard.read(parent).state_name, yard.read(child).state_name) == ("Crashed", "Cancelling")
