"""Runs that wait take turns by their keys, keys have limits, and why a run waits is told. On each database."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from penstock.domain.concurrency_keys import Rate
from penstock.domain.deployments import Collision, Deployment
from penstock.domain.ids import flow_id
from penstock.domain.runs import FlowRun
from penstock.domain.waiting import WaitReason, Why
from penstock.engine.clock import SYSTEM
from penstock.exceptions import ConcurrencyError, ObjectNotFound
from penstock.protocol.deployments import ApplyDeployment, CreateRun, UpdateDeployment
from penstock.protocol.launches import ClaimLaunches, Event
from penstock.protocol.work_pools import UpdatePool, UpdateQueue
from penstock.services import claiming, running, waiting
from penstock.services import deployments as deploying
from penstock.services import work_pools as pools
from penstock.store import deployments, flow_runs, lanes
from penstock.store.contract import Store

from ..store.kit import at
from .test_launching import Worker, Yard, ids

_made = count()


@pytest.fixture
def yard(store: Store) -> Yard:
    return Yard(store)


@pytest.fixture
def worker(yard: Yard) -> Worker:
    return Worker(yard)


def made(
    yard: Yard, tenant: Any = None, *, deployment: Deployment | None = None, after: float = 0, **more: Any
) -> FlowRun:
    """A run that is due after those that were made before it."""
    parameters = {} if tenant is None else {"tenant": tenant}
    with yard.store.write() as tx:
        due = yard.now() + timedelta(seconds=after or -1, microseconds=0 if after else next(_made))
        return running.create_run(
            tx, deployment or yard.deployment, now=yard.now(), scheduled=due, parameters=parameters, **more
        )


def other(yard: Yard, name: str, **fields: Any) -> Deployment:
    found = Deployment(
        id=SYSTEM.new_id(), name=name, flow_id=flow_id("etl"), flow_name="etl", created=at(0), updated=at(0),
        work_pool="local", entrypoint="flows.py:etl", **fields,
    )  # fmt: skip
    with yard.store.write() as tx:
        deployments.put(tx, found)
    return found


def why(yard: Yard, run: FlowRun) -> Why:
    return waiting.why(yard.store, run.id, yard.now())


def end(worker: Worker, run: FlowRun) -> None:
    """The run's process has come to its end, which its worker sees."""
    worker.tell(run, Event.ENDED, exit_code=1)
    worker.running.remove(run.id)


def take_all(worker: Worker, count: int) -> list[Any]:
    return [run_id for _ in range(count) for run_id in ids(worker.claim())]


# --- turns -----------------------------------------------------------------------------------------------------------


def test_a_key_with_one_run_waits_for_one_turn_of_a_key_with_many(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant")
    many = [made(yard, "big") for _ in range(50)]
    assert take_all(worker, 3) == [run.id for run in many[:3]]
    one = made(yard, "small")
    assert one.id in take_all(worker, 2)


def test_keys_take_turns_in_one_claim_too(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant")
    a = [made(yard, "a").id for _ in range(4)]
    b = [made(yard, "b").id for _ in range(2)]
    c = [made(yard, "c").id]
    assert ids(worker.claim(slots=10)) == [a[0], b[0], c[0], a[1], b[1], a[2], a[3]]


def test_the_lowest_priority_goes_before_any_turn(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant")
    b = [made(yard, "b").id for _ in range(2)]
    a = [made(yard, "a", priority=1).id for _ in range(3)]
    assert ids(worker.claim(slots=10)) == [*a, *b]


def test_within_a_key_who_is_due_first_goes_first(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant")
    late, early = made(yard, "a", after=-1), made(yard, "a", after=-5)
    assert ids(worker.claim(slots=2)) == [early.id, late.id]


def test_runs_without_a_key_are_one_line_and_wait_as_ever(yard: Yard, worker: Worker) -> None:
    first, second = made(yard), made(yard)
    yard.change(concurrency_key="parameters.tenant")
    missing, keyed = made(yard), made(yard, "a")
    assert ids(worker.claim(slots=4)) == [first.id, keyed.id, second.id, missing.id]


def test_a_deployment_has_a_priority_that_a_run_may_differ_from(yard: Yard, worker: Worker) -> None:
    usual = made(yard)
    yard.change(priority=5)
    first, urgent = made(yard), made(yard, priority=0)
    assert ids(worker.claim(slots=3)) == [urgent.id, first.id, usual.id]


def test_a_queue_gives_its_deployments_one_set_of_keys(yard: Yard, worker: Worker) -> None:
    two = other(yard, "hourly")
    pools.update_queue(
        yard.store, UpdateQueue(work_pool="local", name="default", concurrency_key="parameters.tenant"), at(0)
    )
    a = [made(yard, "a").id, made(yard, "a", deployment=two).id]
    b = made(yard, "b", deployment=two).id
    assert ids(worker.claim(slots=3)) == [a[0], b, a[1]]


def test_keys_of_two_deployments_are_two_keys(yard: Yard, worker: Worker) -> None:
    two = other(yard, "hourly", concurrency_key="parameters.tenant", concurrency_limit_per_key=1)
    yard.change(concurrency_key="parameters.tenant", concurrency_limit_per_key=1)
    first, second = made(yard, "a"), made(yard, "a", deployment=two)
    made(yard, "a")
    assert ids(worker.claim(slots=5)) == [first.id, second.id]


def test_a_run_may_be_given_its_key(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_limit_per_key=1)
    first, free = made(yard, concurrency_key="a"), made(yard, concurrency_key="b")
    made(yard, concurrency_key="a")
    assert ids(worker.claim(slots=5)) == [first.id, free.id]


def test_what_is_served_takes_turns_too(yard: Yard) -> None:
    yard.change(work_pool=None, concurrency_key="parameters.tenant")
    a = [made(yard, "a").id for _ in range(3)]
    b = made(yard, "b").id
    worker = Worker(yard, pool=None)
    assert ids(worker.claim(slots=3, deployments=(yard.deployment.id,))) == [a[0], b, a[1]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_no_key_waits_for_more_than_one_turn_of_each_other(yard: Yard, worker: Worker, seed: int) -> None:
    """With any number of keys, and runs that come at any time: between the moment at which a key's first run is due
    and its turn, no other key has two."""
    dice = random.Random(seed)
    yard.change(concurrency_key="parameters.tenant")
    keys = [f"k{n}" for n in range(dice.randint(2, 7))]
    key_of, left = {}, dict.fromkeys(keys, 0)
    turns_since: dict[str, dict[str, int]] = {}
    given = 0
    for step in range(160):
        if dice.random() < 0.6:
            for _ in range(dice.choice((1, 1, 1, 12))):
                key = dice.choice(keys)
                key_of[made(yard, key).id] = key
                left[key] += 1
                turns_since.setdefault(key, dict.fromkeys(keys, 0))
        for run_id in ids(worker.claim(slots=dice.randint(0, 2))):
            key = key_of[run_id]
            given += 1
            left[key] -= 1
            for waits, seen in turns_since.items():
                if waits != key:
                    seen[key] += 1
                    assert seen[key] <= 1, f"step {step}: {key} had two turns while {waits} waited"
            del turns_since[key]
            if left[key]:
                turns_since[key] = dict.fromkeys(keys, 0)
    while found := ids(worker.claim(slots=50)):
        given += len(found)
    assert given == len(key_of)  # nothing is lost
    with yard.store.read() as tx:
        assert tx.row("SELECT count(*) FROM lane") == (0,)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_no_more_of_a_key_run_than_may_and_the_others_go_on(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant", concurrency_limit_per_key=2)
    a = [made(yard, "a") for _ in range(600)]  # more than are looked at in one claim
    b = made(yard, "b")
    assert ids(worker.claim(slots=10)) == [a[0].id, b.id, a[1].id]
    assert ids(worker.claim(slots=10)) == []
    waits = yard.read(a[2])
    assert waits.state_name == "AwaitingConcurrencySlot"
    assert waits.state.message == "2 of at most 2 runs of key 'a' have not ended."
    end(worker, a[0])
    assert ids(worker.claim(slots=10)) == [a[2].id]


@pytest.mark.parametrize("way", ["crash", "cancel", "delete", "released", "worker gone", "limit raised"])
def test_the_slot_of_a_key_is_given_back_however_a_run_ends(yard: Yard, worker: Worker, way: str) -> None:
    yard.change(concurrency_key="parameters.tenant", concurrency_limit_per_key=1)
    first, second = made(yard, "a"), made(yard, "a")
    assert ids(worker.claim(slots=2)) == [first.id]
    assert ids(worker.claim(slots=2)) == []
    after = worker
    if way == "crash":
        worker.launched(first)
        end(worker, first)
        assert yard.read(first).state_name == "Crashed"
    elif way == "cancel":
        worker.launched(first)
        yard.cancel(first)
        worker.tell(first, Event.STOPPED, how="killed", seconds=1.0)
        assert yard.read(first).state_name == "Cancelled"
    elif way == "delete":
        with yard.store.write() as tx:
            flow_runs.delete(tx, [first.id])
    elif way == "released":
        worker.tell(first, Event.RELEASED, message="It ends.")
        worker.running.remove(first.id)
        assert ids(worker.claim(slots=2)) == [first.id]  # it is due first, and the other one waits still
        return
    elif way == "worker gone":
        worker.launched(first)
        worker.end()
        after = Worker(yard, pid=2)
        assert ids(after.claim(slots=2)) == [first.id]  # adopted, it holds its slot
        after.tell(first, Event.ENDED, exit_code=1)
    else:
        deploying.update(yard.store, UpdateDeployment(id=yard.deployment.id, concurrency_limit_per_key=2), at(1))
    assert ids(after.claim(slots=2)) == [second.id]


def test_a_key_starts_no_more_often_than_its_rate_in_any_period(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant", rate_limit_per_key=Rate(3, 60))
    runs = [made(yard, "a") for _ in range(12)]
    free = made(yard, "b")
    started: list[float] = []
    dice = random.Random(4)
    for _ in range(400):
        found = ids(worker.claim(slots=dice.randint(1, 3)))
        started += [yard.second for run_id in found if run_id != free.id]
        for run in (run for run in (*runs, free) if run.id in found):
            end(worker, run)
        yard.second += dice.choice((0.5, 1, 7))
    assert len(started) == len(runs)
    for at_first, at_fourth in zip(started, started[3:], strict=False):
        assert at_fourth - at_first >= 60


def test_a_worker_is_told_when_a_rate_lets_the_next_run_start(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant", rate_limit_per_key=Rate(1, 30))
    made(yard, "a"), made(yard, "a")
    worker.claim()
    claims = worker.claim()
    assert (ids(claims), claims.next) == ([], at(30))
    yard.second = 30
    assert len(ids(worker.claim())) == 1


def test_a_deployment_that_is_full_does_not_keep_the_others_of_its_queue_waiting(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_limit=1)
    mine = [made(yard) for _ in range(600)]
    theirs = made(yard, deployment=other(yard, "hourly"))
    assert ids(worker.claim(slots=5)) == [mine[0].id, theirs.id]


def test_keys_of_a_deployment_that_is_full_do_not_keep_others_waiting(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_limit=1, concurrency_key="parameters.tenant")
    mine = [made(yard, f"t{n}") for n in range(600)]
    theirs = made(yard, "t0", deployment=other(yard, "hourly", concurrency_key="parameters.tenant"))
    assert ids(worker.claim(slots=5)) == [mine[0].id, theirs.id]


def test_one_too_many_of_a_deployment_is_cancelled_where_that_is_its_strategy(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_limit=1, collision=Collision.CANCEL_NEW, concurrency_key="parameters.tenant")
    runs = [made(yard, key) for key in "abc"]
    assert ids(worker.claim(slots=5)) == [runs[0].id]
    assert [yard.read(run).state_name for run in runs[1:]] == ["Cancelled", "Cancelled"]


def test_what_was_planned_and_deleted_leaves_no_turn_behind(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant")
    gone, kept = made(yard, "a"), made(yard, "b")
    with yard.store.write() as tx:
        flow_runs.delete(tx, [gone.id])
        assert [each.flow_run_id for each in lanes.heads(tx, ["local/default"], at(9), 5)] == [kept.id]


# --- bad input -------------------------------------------------------------------------------------------------------


SCHEMA = {"type": "object", "properties": {"tenant": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"concurrency_key": "parametres.tenant"}, "'parametres'"),
        ({"concurrency_key": "parameters.tenat"}, "did you mean 'tenant'"),
        ({"concurrency_key": "parameters"}, "names nothing"),
        ({"concurrency_key": "tags.a.b"}, "no parts"),
        ({"concurrency_key": "''"}, "empty"),
        ({"concurrency_key": "parameters." + "a" * 300}, "at most 200"),
        ({"concurrency_key": "__import__('os')"}, "is a path from"),
        ({"rate_limit_per_key": Rate(0, 60)}, "1 to 10,000"),
        ({"rate_limit_per_key": Rate(1, 0)}, "more than 0"),
        ({"concurrency_limit_per_key": 0}, "1 or more"),
        ({"priority": "high"}, "whole number"),
        ({"priority": True}, "whole number"),
        ({"priority": -1}, "whole number"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(yard: Yard, fields: dict[str, Any], said: str) -> None:
    wanted = ApplyDeployment(flow_name="etl", name="new", parameter_schema=SCHEMA, **fields)
    with pytest.raises(ConcurrencyError) as caught:
        deploying.apply(yard.store, wanted, at(0))
    assert said.lower() in str(caught.value).lower()
    with pytest.raises(ObjectNotFound):
        deploying.by_name(yard.store, "etl", "new")


@pytest.mark.parametrize("fields", [{"priority": "1"}, {"concurrency_key": "k" * 201}, {"concurrency_key": 5}])
def test_a_run_that_cannot_be_is_refused(yard: Yard, fields: dict[str, Any]) -> None:
    with pytest.raises(ConcurrencyError):
        deploying.create_run(yard.store, CreateRun(id=yard.deployment.id, **fields), at(0))


@pytest.mark.parametrize("value", [None, "", {"deep": 1}, "x" * 5000, 7, True, "a\0b"])
def test_any_value_of_a_parameter_is_a_key_or_none_and_the_run_is_given(yard: Yard, worker: Worker, value: Any) -> None:
    yard.change(concurrency_key="parameters.tenant", concurrency_limit_per_key=1)
    run, again = made(yard, value), made(yard, value)
    found = ids(worker.claim(slots=2))
    assert found == ([run.id, again.id] if value in (None, "") else [run.id])


# --- why -------------------------------------------------------------------------------------------------------------


def test_why_one_that_is_not_due_waits(yard: Yard, worker: Worker) -> None:
    found = why(yard, made(yard, after=60))
    assert (found.reason, found.until) == (WaitReason.NOT_DUE, at(60))


def test_why_where_the_pool_or_the_queue_is_paused_or_nobody_works(yard: Yard, worker: Worker) -> None:
    run = made(yard)
    assert why(yard, run).reason is WaitReason.NO_WORKER
    pools.update_queue(yard.store, UpdateQueue(work_pool="local", name="default", is_paused=True), at(0))
    assert why(yard, run).reason is WaitReason.QUEUE_PAUSED
    pools.update(yard.store, UpdatePool(name="local", is_paused=True), at(0))
    found = why(yard, run)
    assert (found.reason, found.sentence) == (WaitReason.POOL_PAUSED, "Work pool 'local' is paused.")
    assert (found.work_pool, found.work_queue, found.deployment) == ("local", "default", "etl/nightly")


def test_why_one_waits_that_its_deployment_s_limit_keeps_and_who_holds_it(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_limit=1)
    first, second = made(yard), made(yard)
    worker.claim(slots=2)
    found = why(yard, second)
    assert (found.reason, found.limit, found.used) == (WaitReason.DEPLOYMENT_LIMIT, 1, 1)
    assert [(each.id, each.name) for each in found.holders] == [(first.id, first.name)]
    assert first.name in found.sentence


def test_why_one_waits_for_its_key_or_its_key_s_rate(yard: Yard, worker: Worker) -> None:
    yard.change(concurrency_key="parameters.tenant", concurrency_limit_per_key=1, rate_limit_per_key=Rate(1, 60))
    first, second = made(yard, "a"), made(yard, "a")
    worker.claim(slots=2)
    found = why(yard, second)
    assert (found.reason, found.key, found.limit, found.holders[0].id) == (WaitReason.KEY_LIMIT, "a", 1, first.id)
    end(worker, first)
    found = why(yard, second)
    assert (found.reason, found.until, found.period) == (WaitReason.KEY_RATE, at(60), 60)


def test_why_one_waits_for_its_pool_or_its_queue(yard: Yard, worker: Worker) -> None:
    pools.update_queue(yard.store, UpdateQueue(work_pool="local", name="default", concurrency_limit=1), at(0))
    first, second = made(yard), made(yard)
    worker.claim(slots=2)
    found = why(yard, second)
    assert (found.reason, found.limit, found.holders[0].id) == (WaitReason.QUEUE_LIMIT, 1, first.id)
    pools.update_queue(yard.store, UpdateQueue(work_pool="local", name="default", concurrency_limit=None), at(0))
    pools.update(yard.store, UpdatePool(name="local", concurrency_limit=1), at(0))
    found = why(yard, second)
    assert (found.reason, found.limit, found.holders[0].id) == (WaitReason.POOL_LIMIT, 1, first.id)


def test_why_one_waits_whose_workers_run_as_many_as_they_may(yard: Yard, worker: Worker) -> None:
    worker.me.limit = 1
    made(yard), (second := made(yard))
    worker.claim()
    yard.second = 6  # what it runs is heard with its next word
    worker.claim(slots=0)
    found = why(yard, second)
    assert (found.reason, found.used, found.limit, found.worker) == (WaitReason.WORKERS_BUSY, 1, 1, "w1")


def test_the_place_that_is_told_is_the_place_in_which_runs_are_given(yard: Yard, worker: Worker) -> None:
    dice = random.Random(7)
    yard.change(concurrency_key="parameters.tenant")
    with yard.store.write() as tx:
        yard.add_queue(tx, "first", 1)
    runs = []
    for _ in range(40):
        queue = dice.choice(("default", "default", "first"))
        runs.append(
            made(yard, dice.choice(("a", "a", "a", "b", "c", None)), priority=dice.choice((1, 5, 5)), work_queue=queue)
        )
    worker.claim(slots=0)
    for run_id in take_all(worker, 5):
        runs = [run for run in runs if run.id != run_id]
    told = {run.id: why(yard, run) for run in runs}
    given = ids(worker.claim(slots=100))
    assert [told[run_id].position for run_id in given] == list(range(1, len(runs) + 1))
    assert told[given[0]].reason is WaitReason.NEXT
    assert told[given[1]].sentence == "1 run goes before it: its place is 2."


def test_why_one_that_was_taken_has_not_begun_and_that_one_that_ended_does_not_wait(yard: Yard, worker: Worker) -> None:
    run = made(yard)
    worker.claim()
    found = why(yard, run)
    assert (found.reason, found.worker) == (WaitReason.STARTING, "w1")
    end(worker, run)
    assert why(yard, run).reason is WaitReason.NOT_WAITING


def test_what_is_served_by_nobody_says_so(yard: Yard) -> None:
    yard.change(work_pool=None)
    run = made(yard)
    assert why(yard, run).reason is WaitReason.NO_WORKER
    Worker(yard, pool=None).claim(slots=0, deployments=(yard.deployment.id,))
    assert why(yard, run).reason is WaitReason.NEXT


def test_of_a_run_that_is_not_there_nothing_is_told(yard: Yard) -> None:
    with pytest.raises(ObjectNotFound):
        waiting.why(yard.store, SYSTEM.new_id(), at(0))


def test_a_claim_that_is_blocked_by_keys_is_no_news(yard: Yard, worker: Worker) -> None:
    """So a worker waits, and does not ask again and again."""
    yard.change(concurrency_key="parameters.tenant", concurrency_limit_per_key=1)
    made(yard, "a"), made(yard, "a")
    worker.claim(slots=2)
    worker.claim(slots=2)
    query = ClaimLaunches(worker=worker.me, work_pool="local", running=tuple(worker.running), slots=2)
    before = yard.store.changes()
    with pytest.raises(claiming.Nothing):
        claiming.claim(yard.store, query, yard.now(), yard.lives)
    assert yard.store.changes() == before
