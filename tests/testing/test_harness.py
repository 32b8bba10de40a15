"""A Penstock for one test: what happens in it is what would happen, and nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydantic
import pytest

from penstock import (
    Flow,
    allow_failure,
    flow,
    get_client,
    get_run_logger,
    pause_flow_run,
    runtime,
    suspend_flow_run,
    task,
)
from penstock.approvals import require_approval
from penstock.blocks.system import Secret
from penstock.engine import masking
from penstock.exceptions import (
    ApprovalRejected,
    DefinitionError,
    InputRefused,
    NotAllowed,
    NotPausedError,
    RunSuspended,
)
from penstock.flows.runners.process import ProcessPoolTaskRunner
from penstock.settings import PENSTOCK_HOME, PENSTOCK_LOGGING_LEVEL, current
from penstock.testing import Crash, FakeClock, TestHarness, test_harness, wait_until
from penstock.testing import harness as harness_room
from penstock.variables import Variable

Harness = TestHarness[Any]


@task
def add(a: int, b: int) -> int:
    return a + b


@task(retries=2)
def load(day: int) -> str:
    get_run_logger().info("loading day %s", day)
    return f"day {day}"


@flow
def etl(days: int = 2) -> list[str]:
    return [load(day) for day in range(days)]


# --- a record of its own, and nothing left ----------------------------------------------------------------------------


def test_runs_are_in_its_record_and_in_no_other(penstock_home: Path) -> None:
    with test_harness() as harness:
        assert etl() == ["day 0", "day 1"]
        assert [run.name for run in harness.task_runs()] == ["load-1", "load-0"]
        (run,) = harness.flow_runs(flow_names=("etl",))
        assert [state.name for state in harness.states(run)] == ["Pending", "Running", "Completed"]
        assert "loading day 1" in harness.logs(run)
        assert harness.logs(harness.task_runs()[0])[:2] == ["loading day 1", "Finished in state Completed()"]
        home = harness.home
        assert home.is_dir()

    assert not home.exists()
    assert not (penstock_home / "penstock.db").exists()
    with test_harness() as harness:
        assert harness.flow_runs() == []


def test_what_a_client_and_a_thread_see_is_the_same_record() -> None:
    with test_harness() as harness:
        thread = threading.Thread(target=etl)
        thread.start()
        thread.join()
        with get_client(sync_client=True) as client:
            assert [run.flow_name for run in client.read_flow_runs()] == ["etl"]
        assert len(harness.flow_runs()) == 1


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    with test_harness(FakeClock()):
        add.submit(1, 2).wait()
        etl()

    wait_until(lambda: not [each for each in threading.enumerate() if each not in before])


def test_settings_of_the_test_are_those_of_all_its_threads() -> None:
    outer = current().home
    with test_harness(settings={PENSTOCK_LOGGING_LEVEL: "DEBUG"}) as harness:
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.extend((PENSTOCK_LOGGING_LEVEL.value(), PENSTOCK_HOME.value())))
        thread.start()
        thread.join()
        assert seen == ["DEBUG", harness.home]
    assert current().home == outer


def test_the_inner_one_counts() -> None:
    with test_harness() as outer:
        etl()
        with test_harness() as inner:
            add(1, 2)
            assert inner.flow_runs() == []
        assert len(outer.flow_runs()) == 1
        assert len(outer.task_runs()) == 2


def test_it_decorates_and_awaits() -> None:
    @test_harness()
    def decorated() -> int:
        etl()
        with get_client(sync_client=True) as client:
            return len(client.read_flow_runs())

    async def awaited() -> int:
        async with test_harness(), get_client() as client:
            await asyncio.to_thread(etl)
            return len(await client.read_flow_runs())

    assert [decorated(), decorated(), asyncio.run(awaited())] == [1, 1, 1]


def test_variables_blocks_and_secrets_are_its_own() -> None:
    before = masking.MASKER.learned()
    with test_harness():
        Variable.set("rows", 5)
        Secret(value="correct horse").save("db")
        assert Secret.load("db").get() == "correct horse"
        assert masking.MASKER.text("correct horse") != "correct horse"
    assert masking.MASKER.learned() == before
    with test_harness():
        assert Variable.get("rows") is None


def test_tasks_in_processes_report_to_it() -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def apart() -> int:
        return add.submit(1, 2).result()

    with test_harness() as harness:
        assert apart() == 3
        assert [run.state.name for run in harness.task_runs()] == ["Completed"]


def test_runs_that_were_not_waited_for_end_with_it() -> None:
    began, ended = threading.Event(), threading.Event()

    @flow
    def waits() -> None:
        began.set()
        try:
            while True:
                time.sleep(0.001)
        finally:
            ended.set()

    with test_harness():
        thread = threading.Thread(target=lambda: waits(return_state=True))
        thread.start()
        assert began.wait(10)
    thread.join(10)
    assert ended.is_set()


def test_a_function_can_be_called_plainly() -> None:
    with test_harness() as harness:
        assert add.fn(1, 2) == 3
        assert load.fn(7) == "day 7"  # its logger is an ordinary one
        assert harness.task_runs() == []


def test_a_coroutine_is_decorated_as_well(penstock_home: Path) -> None:
    @test_harness()
    async def decorated() -> int:
        await asyncio.to_thread(etl)
        async with get_client() as client:
            return len(await client.read_flow_runs())

    assert asyncio.run(decorated()) == 1
    assert not (penstock_home / "penstock.db").exists()


def test_it_answers_for_its_own_record_or_not_at_all() -> None:
    with test_harness() as outer:
        etl()
        with test_harness(), pytest.raises(RuntimeError, match="Another harness"):
            outer.flow_runs()
        assert len(outer.flow_runs()) == 1
    with pytest.raises(RuntimeError, match="The test is over"):
        outer.flow_runs()


def test_harnesses_are_left_in_their_order() -> None:
    first, second = test_harness(), test_harness()
    first.__enter__()
    second.__enter__()
    with pytest.raises(RuntimeError, match="in the order"):
        first.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="entered already"):
        second.__enter__()
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)


# --- what the test has happen -----------------------------------------------------------------------------------------


@pytest.fixture
def harness() -> Iterator[Harness]:
    with test_harness(FakeClock()) as made:
        yield made


def test_a_stub_stands_for_a_task(harness: Harness) -> None:
    used = harness.stub(load, returns="nothing")

    assert etl() == ["nothing", "nothing"]
    assert used.happened == 2
    assert [run.state.name for run in harness.task_runs()] == ["Completed", "Completed"]


def test_a_stub_fails_so_many_times(harness: Harness) -> None:
    harness.stub("load", raises=ConnectionError("away"), times=2)

    assert etl(1) == ["day 0"]
    (run,) = harness.task_runs()
    assert run.run_count == 3


def test_a_stub_is_called_with_the_arguments(harness: Harness) -> None:
    harness.stub(load, calls=lambda day: f"fake {day}")

    assert etl() == ["fake 0", "fake 1"]


def test_stubs_stand_for_methods_and_for_tasks_in_processes(harness: Harness) -> None:
    class Warehouse:
        @task
        def load(self) -> str:
            return "real"

    @task(isolation="process")
    def apart() -> str:
        return "real"

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def all_of_them() -> list[Any]:
        return [Warehouse().load(), apart(), load.submit(1).result()]

    for each in (Warehouse.load, apart, load):
        harness.stub(each, returns="stub")

    assert all_of_them() == ["stub"] * 3


@pytest.mark.parametrize("options", [{"returns": 1, "raises": ValueError}, {"raises": "text"}, {"raises": int}])
def test_a_stub_that_cannot_be_is_refused(harness: Harness, options: Any) -> None:
    with pytest.raises(TypeError):
        harness.stub(load, **options)


def test_a_cancel_waits_for_the_run_that_is_meant(harness: Harness) -> None:
    @flow
    def other() -> str:
        return load(1)

    @flow
    def nightly() -> str:
        return load(2)

    harness.cancel(nightly, at=load)

    assert other() == "day 1"
    assert nightly(return_state=True).name == "Cancelled"


def test_stubs_have_the_kind_of_what_they_stand_for(harness: Harness) -> None:
    @task
    async def later() -> int:
        return 1

    @task
    def items() -> Iterator[int]:
        yield 1

    @task
    async def items_later() -> Any:
        yield 1

    @flow
    async def all_kinds() -> list[Any]:
        return [await later(), list(items()), [item async for item in items_later()]]

    for each, value in ((later, 5), (items, [6, 7]), (items_later, [8])):
        harness.stub(each, returns=value)

    assert asyncio.run(all_kinds()) == [5, [6, 7], [8]]


def test_a_task_times_out(harness: Harness) -> None:
    @task(timeout_seconds=30, retries=1)
    def query() -> str:
        return "rows"

    @task(timeout_seconds=30)
    async def query_later() -> None: ...

    harness.time_out(query)
    harness.time_out(query_later)

    assert query() == "rows"
    assert asyncio.run(query_later(return_state=True)).name == "TimedOut"
    first, second = reversed(harness.task_runs())
    assert [state.name for state in harness.states(first)] == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]
    assert second.state.name == "TimedOut"


def test_what_has_no_limit_cannot_time_out(harness: Harness) -> None:
    harness.time_out(add)

    with pytest.raises(DefinitionError, match="no timeout_seconds"):
        add(1, 2)


def test_a_flow_is_cancelled_as_its_task_begins(harness: Harness) -> None:
    hooks = []

    @flow(on_cancellation=[lambda flow, run, state: hooks.append(state.name)])
    def nightly() -> None:
        etl()

    harness.cancel(nightly, at=load)

    assert nightly(return_state=True).name == "Cancelled"
    assert hooks == ["Cancelled"]
    assert {run.name: run.state.name for run in harness.task_runs()} == {"load-0": "Cancelled"}


def test_an_asynchronous_flow_is_cancelled(harness: Harness) -> None:
    @flow
    async def nightly() -> None: ...

    harness.cancel(nightly)

    assert asyncio.run(nightly(return_state=True)).name == "Cancelled"


def test_a_task_crashes_and_is_tried_again(harness: Harness) -> None:
    harness.crash(load)

    assert etl(1) == ["day 0"]
    (run,) = harness.task_runs()
    assert run.run_count == 2

    harness.crash(add)

    @flow
    def goes_on() -> int:
        return add(1, 2, return_state=True).is_crashed()

    assert goes_on()


def test_a_flow_crashes(harness: Harness) -> None:
    hooks = []

    @flow(on_crashed=[lambda flow, run, state: hooks.append(state.name)])
    def nightly() -> None: ...

    harness.crash(nightly)

    with pytest.raises(Crash):
        nightly()
    assert [run.state.name for run in harness.flow_runs()] == hooks == ["Crashed"]


class Decision(pydantic.BaseModel):
    approved: bool
    reason: str = ""


@flow
def release() -> str:
    decision = pause_flow_run(wait_for_input=Decision, timeout=3600)
    return "out" if decision.approved else decision.reason


def test_a_person_resumes_with_an_input(harness: Harness) -> None:
    harness.resume(release, Decision(approved=True), after=timedelta(minutes=59), times=1)
    harness.resume("release", {"approved": False, "reason": "too big"})

    assert [release(), release()] == ["out", "too big"]


def test_a_wrong_answer_is_an_error_of_the_test() -> None:
    harness = test_harness(FakeClock())
    harness.__enter__().resume(release, {"approved": "perhaps"})
    release(return_state=True)

    with pytest.raises(InputRefused):
        harness.__exit__(None, None, None)


def test_a_person_approves_and_rejects(harness: Harness) -> None:
    @flow
    def delete() -> str:
        first = require_approval("Delete the logs?", key="logs", timeout=60)
        require_approval("And the data?", key="data", timeout=60)
        return str(first.comment)

    harness.approve(delete, key="logs", comment="go on")
    harness.reject(delete, key="data")

    with pytest.raises(ApprovalRejected):
        delete()


def test_one_who_may_approve_does(harness: Harness) -> None:
    @flow
    def delete() -> str:
        return require_approval("Delete the logs?", approvers=["ann"]).who

    harness.approve(delete, by="ann")

    assert delete() == "user ann"


def test_a_run_does_not_wait_for_an_answer_that_cannot_be_given() -> None:
    @flow
    def delete() -> None:
        require_approval("Delete the logs?", approvers=["ann"], timeout=None)

    harness = test_harness()  # with the real clock
    harness.__enter__().approve(delete, by="bob")

    assert not delete(return_state=True).is_completed()
    with pytest.raises(NotAllowed, match="not by bob"):
        harness.__exit__(None, None, None)


def test_one_that_nobody_holds_counts_all_the_same() -> None:
    entered = test_harness().__enter__()
    gc.collect()

    etl()

    assert len(entered.flow_runs()) == 1
    harness_room._open[-1].__exit__(None, None, None)


def test_several_pauses_are_answered_by_their_keys(harness: Harness) -> None:
    @flow
    def twice() -> list[Any]:
        return [pause_flow_run(wait_for_input=int, key=key) for key in ("a", "b")]

    harness.resume(twice, 1, key="a")
    harness.resume(twice, 2, key="b")

    assert twice() == [1, 2]


def test_a_suspended_run_is_in_the_record(harness: Harness) -> None:
    @flow
    def waits() -> None:
        suspend_flow_run(timeout=60)

    with pytest.raises(RunSuspended):
        waits()

    assert harness.flow_runs()[0].state.name == "Suspended"


def test_nobody_resumes_what_does_not_wait(harness: Harness) -> None:
    etl()

    with pytest.raises(NotPausedError):
        harness.client().resume_flow_run(harness.flow_runs()[0].id)


@pytest.mark.parametrize("target", [None, 5, etl.fn, "".join])
def test_who_is_meant_must_be_said(harness: Harness, target: Any) -> None:
    with pytest.raises(TypeError, match="by a flow, a task, or a name"):
        harness.stub(target)


@pytest.mark.parametrize("times", [0, -1, True, 1.5])
def test_how_often_is_a_number(harness: Harness, times: Any) -> None:
    with pytest.raises(ValueError, match="times"):
        harness.crash(etl, times=times)


# --- schedules --------------------------------------------------------------------------------------------------------


def test_a_schedule_is_run_when_it_is_due() -> None:
    days = []

    @flow
    def report(name: str) -> None:
        days.append((name, runtime.flow_run.scheduled_start_time.day))

    with test_harness(FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))) as harness:
        harness.deploy(report, cron="0 6 * * *", parameters={"name": "sales"})
        assert harness.run_due() == []
        for _ in range(3):
            harness.clock.advance(timedelta(days=1))
            (run,) = harness.run_due()
            assert run.state.name == "Completed"

    assert days == [("sales", 2), ("sales", 3), ("sales", 4)]


def test_no_run_of_a_schedule_is_left_out_when_time_jumps(harness: Harness) -> None:
    @flow
    def report() -> None: ...

    harness.deploy(report, cron="0 6 * * *")
    harness.clock.advance(timedelta(days=30))

    days = [run.expected_start_time for run in harness.run_due()]
    assert len(days) in (30, 31)
    assert days == sorted(days)


def test_an_answer_that_would_come_too_late_does_not_come(harness: Harness) -> None:
    harness.resume(release, {"approved": True}, after=timedelta(hours=2))

    assert release(return_state=True).is_failed()


def test_a_wrong_answer_to_a_plain_call_is_the_error_of_the_test() -> None:
    def test() -> None:
        with test_harness(FakeClock()) as harness:
            harness.resume(release, {"approved": "perhaps"})
            release()

    with pytest.raises(InputRefused):
        test()


def test_code_knows_the_deployment_that_it_is_of(harness: Harness) -> None:
    seen: list[Any] = []

    @flow
    def below() -> None:
        seen.append(runtime.deployment.name)

    @flow
    def report(day: str) -> None:
        deployment = runtime.deployment
        seen.extend((deployment.id, deployment.flow_run_id, deployment.name, deployment.parameters, deployment.version))
        below()

    id = harness.deploy(report, "nightly", interval=60, parameters={"day": "monday"}, version="7")
    harness.clock.advance(60)
    (run,) = harness.run_due()

    assert seen == [str(id), str(run.id), "nightly", {"day": "monday"}, "7", "nightly"]
    report("tuesday")
    assert seen[6:] == [None, None, None, {}, None, None]
    with pytest.raises(AttributeError, match="has no 'nosuch'"):
        _ = runtime.deployment.nosuch


def test_an_asynchronous_flow_is_run_when_it_is_due(harness: Harness) -> None:
    @flow
    async def report() -> Any:
        return allow_failure(1)

    harness.deploy(report, interval=60)
    harness.clock.advance(3600)

    assert {run.state.name for run in harness.run_due()} == {"Completed"}
    assert isinstance(report, Flow)
