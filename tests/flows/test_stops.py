"""A run that was stopped carries the proof of how; requests to stop reach what they name, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from penstock import connect, flow, task
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.stops import CANCEL, Stop
from penstock.engine import identity, live
from penstock.engine.scopes import Scope
from penstock.exceptions import CancelledRun, TaskRunTimeoutError, TransitionRefused
from penstock.services import cancelling
from penstock.settings import temporary_settings

from .kit import Gate, Programs, Record, names, taking_less_than, until

PROMPT = 5.0  # the promise is 0.2 s; a busy machine gets more, and the code would take 20 s


def cancel_flow(id: UUID, grace: float | None = None) -> FlowRun:
    """As another process would: through the record."""
    store = connect.open_store()
    return cancelling.cancel_flow_run(
        store, id, who="ann@desk", grace=grace, now=datetime.now(UTC), lives=identity.lives
    )


def cancel_task(id: UUID, grace: float | None = None) -> TaskRun:
    store = connect.open_store()
    return cancelling.cancel_task_run(store, id, who="ann@desk", grace=grace, now=datetime.now(UTC))


def in_a_thread(fn: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    ending: list[Any] = []

    def run() -> None:
        try:
            ending.append(fn())
        except BaseException as error:
            ending.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ending


def doze(begun: threading.Event) -> None:
    """Code that a stop reaches at once, in any thread."""
    begun.set()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.002)


def details(run: FlowRun | TaskRun) -> dict[str, Any]:
    return run.state.details or {}


# --- proof -----------------------------------------------------------------------------------------------------------


def test_a_stopped_task_says_how_when_where_and_whose_limit_it_was(record: Record) -> None:
    @task(timeout_seconds=0.1)
    def slow() -> None:
        time.sleep(20)

    @flow
    def main() -> None:
        slow()

    main(return_state=True)
    found = details(record.task_run())
    assert found["reason"] == "timeout"
    assert found["stopped"] == "raised"
    assert found["confirmed"] is True
    assert 0 <= found["seconds_to_stop"] < PROMPT
    assert found["who"] == "timeout_seconds=0.1 of task run 'slow-0'"
    assert found["where"].endswith(" in slow")
    assert [line.rpartition(" in ")[2] for line in found["stack"]][-2:] == ["main", "slow"]
    (line,) = [message for message in record.messages() if message.startswith("Stopped after")]
    assert "(raised), was at" in line
    assert found["where"] in line


def test_code_that_swallows_its_stop_and_returns_is_said_to_have_returned(record: Record) -> None:
    @task(timeout_seconds=0.1)
    def stubborn() -> str:
        try:
            time.sleep(20)
        except BaseException:
            pass
        return "a value"

    @flow
    def main() -> None:
        stubborn()

    main(return_state=True)
    assert details(record.task_run())["stopped"] == "returned"
    assert record.task_run().result is None


def test_code_that_goes_on_is_not_confirmed_until_it_has_ended(record: Record, gate: Gate) -> None:
    @task(timeout_seconds=0.1)
    def deaf() -> str:
        while not gate.arrived.is_set():
            try:
                gate.wait()
            except BaseException:
                gate.arrived.clear()
                continue
        return "late"

    @flow
    def main() -> None:
        deaf.submit().wait()

    main(return_state=True)
    run = record.task_run()
    assert (run.state_name, details(run)["stopped"], details(run)["confirmed"]) == ("TimedOut", "abandoned", False)
    assert any("its code goes on" in message for message in record.messages())
    gate.open()
    until(lambda: details(record.task_run())["confirmed"])
    run = record.task_run()
    assert details(run)["stopped"] == "returned"
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert run.result is None


def test_a_flow_that_is_stopped_says_where_its_task_was(record: Record) -> None:
    @task
    def inner() -> None:
        time.sleep(20)

    @flow(timeout_seconds=0.2)
    def main() -> None:
        inner()

    main(return_state=True)
    assert details(record.flow_run())["where"].endswith(" in inner")
    of_task = details(record.task_run())
    assert of_task["reason"] == "parent"
    assert record.task_run().state.message == "Stopped with its parent: Flow run exceeded timeout of 0.2 second(s)."


def test_a_limit_that_passed_counts_though_nobody_could_say_so_in_time(record: Record) -> None:
    """Code that keeps all other threads from running ends after its limit, before any of them has its turn."""
    began = time.monotonic()
    scope = Scope()
    scope.limit(3600.0, Stop("timeout", "too long"))
    scope.deadline = began
    child = Scope(scope)
    child.check_limits()
    assert scope.stop is not None
    assert child.stop is not None
    assert child.stop.reason == "parent"
    child.close()
    scope.close()


# --- cancelling from outside -----------------------------------------------------------------------------------------


def test_a_flow_run_is_cancelled_through_the_record(record: Record) -> None:
    begun = threading.Event()
    hooked: list[str] = []

    @flow(on_cancellation=[lambda flow, run, state: hooked.append(state.name)])
    def main() -> None:
        doze(begun)

    thread, ending = in_a_thread(main)
    assert begun.wait(PROMPT)
    with taking_less_than(PROMPT):
        assert cancel_flow(record.flow_run().id).state_name == "Cancelling"
        thread.join()
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Cancelling", "Cancelled"]
    assert details(run)["reason"] == CANCEL
    assert details(run)["who"] == "ann@desk"
    assert details(run)["confirmed"] is True
    assert hooked == ["Cancelled"]
    assert isinstance(ending[0], CancelledRun)
    assert record.count("request") == 0


def test_all_below_a_cancelled_flow_run_ends_cancelled_and_no_later(record: Record) -> None:
    begun, inner_begun = threading.Event(), threading.Event()

    @task
    def slow(event: threading.Event) -> None:
        doze(event)

    @flow
    def child() -> None:
        slow(inner_begun)

    @flow
    def main() -> None:
        slow.submit(begun)
        child()

    thread, _ = in_a_thread(main)
    assert begun.wait(PROMPT)
    assert inner_begun.wait(PROMPT)
    parent = record.flow_run("main")
    cancel_flow(parent.id)
    thread.join(PROMPT)
    parent = record.flow_run("main")
    below = [record.flow_run("child"), *record.task_runs()]
    assert {run.state_name for run in below} == {"Cancelled"}
    assert parent.end_time is not None
    for run in below:
        assert run.end_time is not None
        assert run.end_time <= parent.end_time
        assert details(run)["who"] == "ann@desk"


def test_a_subflow_is_cancelled_alone_and_its_parent_may_go_on(record: Record) -> None:
    begun = threading.Event()

    @flow
    def child() -> None:
        doze(begun)

    @flow
    def main() -> str:
        try:
            child()
        except CancelledRun as error:
            return str(error)
        return "not cancelled"

    thread, ending = in_a_thread(main)
    assert begun.wait(PROMPT)
    cancel_flow(record.flow_run("child").id)
    thread.join(PROMPT)
    assert ending == ["Flow run was cancelled: Cancelled by ann@desk."]
    assert record.flow_run("main").state_name == "Completed"
    assert record.flow_run("child").state_name == "Cancelled"


def test_one_task_run_is_cancelled_and_the_others_go_on(record: Record, gate: Gate) -> None:
    begun = threading.Event()

    @task
    def slow() -> None:
        doze(begun)

    @task
    def other() -> int:
        gate.wait()
        return 7

    @flow
    def main() -> tuple[str, int]:
        first, second = slow.submit(), other.submit()
        first.wait()
        return first.state.name, second.result()

    thread, ending = in_a_thread(main)
    assert begun.wait(PROMPT)
    assert gate.arrived.wait(PROMPT)
    cancel_task(record.task_run("slow").id)
    until(lambda: record.task_run("slow").state.is_final())
    gate.open()
    thread.join(PROMPT)
    assert ending == [("Cancelled", 7)]
    assert details(record.task_run("slow"))["who"] == "ann@desk"
    assert record.count("request") == 0


def test_a_task_run_that_waits_for_its_retry_is_cancelled(record: Record) -> None:
    @task(retries=3, retry_delay_seconds=20)
    def fails() -> None:
        raise ValueError("no")

    @flow
    def main() -> str:
        future = fails.submit()
        future.wait()
        return future.state.name

    thread, ending = in_a_thread(main)
    until(lambda: [run for run in record.task_runs() if run.state_name == "AwaitingRetry"])
    cancel_task(record.task_run().id)
    thread.join(PROMPT)
    assert ending == ["Cancelled"]
    assert details(record.task_run())["stopped"] == "idle"


def test_a_task_run_that_has_not_begun_never_begins(record: Record, gate: Gate) -> None:
    ran: list[int] = []

    @task
    def first() -> None:
        gate.wait()

    @task
    def second() -> None:
        ran.append(1)

    @flow
    def main() -> str:
        future = second.submit(wait_for=[first.submit()])
        future.wait()
        return future.state.name

    thread, ending = in_a_thread(main)
    assert gate.arrived.wait(PROMPT)
    until(lambda: record.task_runs("second"))
    id = record.task_run("second").id
    cancel_task(id)
    until(lambda: live.RUNS[id].halted)
    gate.open()
    thread.join(PROMPT)
    assert ending == ["Cancelled"]
    assert ran == []


def test_a_task_outside_flows_is_cancelled(record: Record) -> None:
    begun = threading.Event()

    @task
    def slow() -> None:
        doze(begun)

    thread, ending = in_a_thread(slow)
    assert begun.wait(PROMPT)
    cancel_task(until(lambda: record.task_runs())[0].id)
    thread.join(PROMPT)
    assert isinstance(ending[0], CancelledRun)
    assert record.task_run().state_name == "Cancelled"
    assert record.count("request") == 0


def test_an_asynchronous_flow_is_cancelled(record: Record) -> None:
    begun = threading.Event()

    @flow
    async def main() -> None:
        begun.set()
        await asyncio.sleep(20)

    thread, ending = in_a_thread(lambda: asyncio.run(main()))
    assert begun.wait(PROMPT)
    cancel_flow(record.flow_run().id)
    thread.join(PROMPT)
    assert isinstance(ending[0], CancelledRun)
    assert details(record.flow_run())["where"].endswith(" in main")


def test_code_that_will_not_stop_is_gone_on_without_when_the_grace_is_over(record: Record, gate: Gate) -> None:
    @flow
    def main() -> None:
        while True:
            try:
                gate.wait()
                return
            except BaseException:
                continue

    thread, _ = in_a_thread(main)
    assert gate.arrived.wait(PROMPT)
    run = record.flow_run()
    cancel_flow(run.id, grace=60.0)
    until(lambda: (context := live.RUNS.get(run.id)) and context.halted)
    assert record.flow_run().state_name == "Cancelling"
    cancel_flow(run.id, grace=0.0)  # asked again, with less patience
    until(lambda: record.flow_run().state.is_final())
    assert details(record.flow_run())["confirmed"] is False
    gate.open()
    thread.join(PROMPT)
    until(lambda: details(record.flow_run())["confirmed"])
    assert names(record.flow_run()) == ["Pending", "Running", "Cancelling", "Cancelled"]


def test_cleaning_up_has_the_grace(record: Record) -> None:
    begun, cleaned = threading.Event(), threading.Event()

    @flow
    def main() -> None:
        try:
            doze(begun)
        finally:
            time.sleep(0.3)
            cleaned.set()

    thread, _ = in_a_thread(main)
    assert begun.wait(PROMPT)
    cancel_flow(record.flow_run().id)
    thread.join(PROMPT)
    assert cleaned.is_set()
    assert details(record.flow_run())["confirmed"] is True
    assert details(record.flow_run())["seconds_to_stop"] >= 0.3


def test_a_run_that_ended_is_not_cancelled(record: Record) -> None:
    @flow
    def main() -> None: ...

    main()
    with pytest.raises(TransitionRefused, match=r"was unable to be cancelled\. Reason: it already ended"):
        cancel_flow(record.flow_run().id)
    assert names(record.flow_run()) == ["Pending", "Running", "Completed"]


def test_a_flow_that_completes_while_it_is_being_cancelled_is_cancelled(record: Record, gate: Gate) -> None:
    """The person's decision stands, whatever the code does in its last moment."""

    @flow
    def main() -> str:
        try:
            gate.wait()
        except BaseException:
            pass
        return "done"

    thread, ending = in_a_thread(main)
    assert gate.arrived.wait(PROMPT)
    cancel_flow(record.flow_run().id)
    gate.open()
    thread.join(PROMPT)
    assert isinstance(ending[0], CancelledRun)
    assert record.flow_run().state_name == "Cancelled"
    assert record.flow_run().result is None


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_a_hook_that_hangs_is_stopped_and_said(record: Record) -> None:
    def hangs(*_: Any) -> None:
        time.sleep(20)

    @flow(on_completion=[hangs])
    def main() -> int:
        return 1

    with temporary_settings({"PENSTOCK_HOOKS_TIMEOUT_SECONDS": "0.1"}), taking_less_than(PROMPT):
        assert main() == 1
    assert record.flow_run().state_name == "Completed"
    (line,) = [message for message in record.messages() if message.startswith("Hook 'hangs' failed")]
    assert "took more than 0.1 second(s)" in line
    assert " in hangs)" in line


def test_a_hook_of_a_stopped_run_has_the_grace_at_most(record: Record) -> None:
    def hangs(*_: Any) -> None:
        time.sleep(20)

    @flow(timeout_seconds=0.1, on_failure=[hangs])
    def main() -> None:
        time.sleep(20)

    grace = temporary_settings({"PENSTOCK_STOP_GRACE_SECONDS": "0.2"})
    with grace, taking_less_than(PROMPT), pytest.raises(TimeoutError):
        main()
    assert any("took more than 0.2 second(s)" in message for message in record.messages())


def test_a_timed_out_task_is_an_error_of_its_own_kind(record: Record) -> None:
    @task(timeout_seconds=0.1)
    def slow() -> None:
        time.sleep(20)

    with pytest.raises(TaskRunTimeoutError):
        slow()
    assert details(record.task_run())["stopped"] == "raised"


# --- detached tasks --------------------------------------------------------------------------------------------------


def test_a_detached_task_goes_on_when_its_flow_run_is_cancelled(record: Record, gate: Gate) -> None:
    @task(detach=True)
    def report() -> int:
        gate.wait()
        return 5

    begun = threading.Event()
    futures: list[Any] = []

    @flow
    def main() -> None:
        futures.append(report.submit())
        doze(begun)

    thread, _ = in_a_thread(main)
    assert begun.wait(PROMPT)
    assert gate.arrived.wait(PROMPT)
    cancel_flow(record.flow_run().id)
    thread.join(PROMPT)
    assert record.flow_run().state_name == "Cancelled"
    assert record.task_run().state_name == "Running"
    gate.open()
    assert futures[0].result() == 5
    assert record.task_run().state_name == "Completed"


def test_a_detached_task_can_be_cancelled_by_itself_after_its_flow_run(record: Record) -> None:
    begun = threading.Event()

    @task(detach=True)
    def report() -> None:
        doze(begun)

    futures: list[Any] = []

    @flow
    def main() -> None:
        futures.append(report.submit())

    main()
    assert begun.wait(PROMPT)
    cancel_task(record.task_run().id)
    futures[0].wait(PROMPT)
    assert record.task_run().state_name == "Cancelled"


def test_the_program_ends_when_its_detached_tasks_have(record: Record, programs: Programs) -> None:
    done = programs.run("""
        import time
        from penstock import flow, task

        @task(detach=True, log_prints=True)
        def report():
            time.sleep(0.5)
            print("reported")

        @task
        def outside():
            time.sleep(0.5)

        @flow
        def main():
            report.submit()

        main()
        outside.submit()
    """)
    assert done.code == 0, done.stderr
    assert record.task_run("report").state_name == "Completed"
    assert record.task_run("outside").state_name == "Completed"
    assert "reported" in record.messages()


def test_a_detached_task_of_a_dead_program_is_not_called_running(record: Record, programs: Programs) -> None:
    process = programs.start("""
        import os, time
        from penstock import flow, task

        @task(detach=True)
        def report():
            print("begun", flush=True)
            time.sleep(30)

        @flow
        def main():
            report.submit()

        main()
        time.sleep(30)
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    until(lambda: record.flow_run().state.is_final())
    process.kill()
    process.wait()
    connect.open_store()
    until(lambda: (connect.disconnect(), connect.open_store(), record.task_run().state.is_crashed())[-1])


def test_a_function_that_is_asked_about_a_run_can_be_stopped_like_its_code(record: Record) -> None:
    @task(retries=2, retry_condition_fn=lambda *_: time.sleep(20) or True)
    def fails() -> None:
        raise ValueError("no")

    @flow(timeout_seconds=0.3)
    def main() -> None:
        fails()

    with taking_less_than(PROMPT):
        main(return_state=True)
    assert record.flow_run().state_name == "TimedOut"
    assert record.task_run().state_name == "Cancelled"


def test_a_longer_grace_that_is_asked_for_later_is_given(record: Record) -> None:
    begun, cleaning = threading.Event(), threading.Event()

    @flow
    def main() -> None:
        try:
            doze(begun)
        finally:
            cleaning.set()
            time.sleep(0.8)

    thread, _ = in_a_thread(main)
    assert begun.wait(PROMPT)
    id = record.flow_run().id
    cancel_flow(id, grace=0.5)
    assert cleaning.wait(PROMPT)
    cancel_flow(id, grace=60.0)
    thread.join(PROMPT)
    assert details(record.flow_run())["stopped"] == "raised"
    assert details(record.flow_run())["confirmed"] is True
