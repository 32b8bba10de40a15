"""A trace says of runs what the record says, and the user's own spans are where his code is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace

from penstock import cancel_flow_run, connect, flow, get_run_context, pause_flow_run, resume_flow_run, task
from penstock.concurrency import concurrency
from penstock.domain.errors import CancelledRun, FlowRunTimeoutError
from penstock.domain.trace_context import trace_id_of
from penstock.logging import mask_secret
from penstock.protocol.concurrency_limits import CREATE_LIMIT, CreateLimit
from penstock.runtime import flow_run
from penstock.task_runners import ThreadPoolTaskRunner

from ..flows.kit import Gate, Record, until
from .kit import Span, Trace

Traced = Callable[[], Trace]
OURS = trace.get_tracer("a program")


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """What the call gives, or raises, is in the list when the thread has ended."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, outcome


def seconds(span: Span) -> float:
    return (span.end - span.start) / 1e9


# --- where code is ---------------------------------------------------------------------------------------------------


def test_a_flow_with_its_tasks_is_one_trace_and_spans_of_the_code_are_below_its_run(traced: Traced) -> None:
    @task
    def plain() -> None:
        with OURS.start_as_current_span("inside"):
            pass

    @task
    async def awaited() -> None:
        with OURS.start_as_current_span("inside a coroutine"):
            await asyncio.sleep(0)

    @flow
    def sub() -> None:
        plain.submit().result()

    @flow
    def main() -> None:
        with OURS.start_as_current_span("part"):
            plain()
        awaited.submit().result()
        sub()

    main()
    found = traced()
    top = found.one("flow main")
    assert top.parent is None
    assert {span.trace for span in found.spans} == {top.trace}
    assert top.names() == ["part", "task awaited", "flow sub"]
    assert top.child("part").child("task plain").names() == ["inside"]
    assert top.child("task awaited").names() == ["inside a coroutine"]
    assert top.child("flow sub").child("task plain").names() == ["inside"]


def test_threads_and_coroutines_side_by_side_each_have_their_own(traced: Traced) -> None:
    @task
    def numbered(number: int) -> None:
        barrier.wait(10)
        with OURS.start_as_current_span(f"thread {number}"):
            barrier.wait(10)

    @task
    async def counted(number: int) -> None:
        await asyncio.sleep(0.001)
        with OURS.start_as_current_span(f"coroutine {number}"):
            await asyncio.sleep(0.001)

    @flow(task_runner=ThreadPoolTaskRunner(4))
    def threads() -> None:
        for future in [numbered.submit(number) for number in range(4)]:
            future.result()

    @flow
    async def coroutines() -> None:
        await asyncio.gather(*(counted(number) for number in range(4)))

    barrier = threading.Barrier(4)
    threads()
    asyncio.run(coroutines())
    found = traced()
    for name, kind, of in (("threads", "thread", "numbered"), ("coroutines", "coroutine", "counted")):
        tasks = found.one(f"flow {name}").below
        assert [span.name for span in tasks] == [f"task {of}"] * 4
        assert sorted(span.names()[0] for span in tasks) == [f"{kind} {number}" for number in range(4)]
        assert all(len(span.below) == 1 for span in tasks)


def test_steps_of_a_generator_and_hooks_are_in_their_run_and_who_consumes_is_not(traced: Traced) -> None:
    def hook(*_: object) -> None:
        with OURS.start_as_current_span("hook"):
            pass

    @task(on_completion=[hook])
    def items() -> Any:
        for number in range(2):
            with OURS.start_as_current_span(f"step {number}"):
                pass
            yield number

    @flow
    def main() -> None:
        for number in items():
            with OURS.start_as_current_span(f"consumer {number}"):
                pass

    main()
    top = traced().one("flow main")
    assert sorted(top.names()) == ["consumer 0", "consumer 1", "task items"]
    assert sorted(top.child("task items").names()) == ["hook", "step 0", "step 1"]


def test_a_run_in_a_span_of_the_program_is_a_part_of_that(traced: Traced) -> None:
    @flow
    def main() -> str | None:
        return flow_run.trace_id

    with OURS.start_as_current_span("request") as span:
        seen = main()
    assert seen == f"{span.get_span_context().trace_id:032x}"
    assert traced().one("request").names() == ["flow main"]


def test_the_run_names_its_trace_and_one_that_is_not_traced_names_none(traced: Traced, record: Record) -> None:
    @flow
    def main() -> str | None:
        return flow_run.trace_id

    seen = main()
    assert seen == traced().one("flow main").trace == trace_id_of(record.flow_run().labels)


def test_where_it_is_off_there_are_no_spans_and_nothing_in_the_record(
    traced: Traced, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_TELEMETRY_TRACES")

    @flow
    def main() -> Any:
        context = get_run_context()
        return context.trace, context.runtime.tracer, flow_run.trace_id

    assert main() == (None, None, None)
    assert traced().spans == []
    assert record.flow_run().labels == {}


# --- what became of runs ---------------------------------------------------------------------------------------------


def test_spans_say_which_run_it_was_and_have_the_times_of_the_record(traced: Traced, record: Record) -> None:
    @task(tags=["b", "a"])
    def step(password: str) -> str:
        return password

    @flow(version="7")
    def main(password: str) -> str:
        return step(password)

    main("not-to-be-told")
    found, run, task_run = traced(), record.flow_run(), record.task_run()
    top, below = found.one("flow main"), found.one("task step")
    assert (top["flow.name"], top["flow.version"], top["flow_run.id"]) == ("main", "7", str(run.id))
    assert (top["state.name"], top["state.type"], top["run_count"]) == ("Completed", "COMPLETED", 1)
    assert (below["task.name"], below["task_run.id"], below["flow_run.id"]) == ("step", str(task_run.id), str(run.id))
    assert (top["flow_run.name"], below["task_run.name"], list(below["tags"])) == (run.name, "step-0", ["a", "b"])
    assert run.end_time is not None
    for span, recorded in ((top, run), (below, task_run)):
        assert span.start == round(recorded.created.timestamp() * 1e6) * 1000
        assert span.end == round(recorded.states[-1].timestamp.timestamp() * 1e6) * 1000
    assert "not-to-be-told" not in repr(found.spans)


def test_attempts_of_a_task_that_may_be_tried_again_are_spans_with_the_wait_between(traced: Traced) -> None:
    tries: list[int] = []

    @task(retries=2, retry_delay_seconds=0.05)
    def fragile() -> int:
        tries.append(1)
        with OURS.start_as_current_span(f"try {len(tries)}"):
            if len(tries) < 3:
                raise ValueError(f"try {len(tries)}")
        return 1

    @flow
    def main() -> int:
        return fragile()

    main()
    span = traced().one("task fragile")
    assert span.names() == ["attempt", "wait for retry", "attempt", "wait for retry", "attempt"]
    attempts = [each for each in span.below if each.name == "attempt"]
    assert [each["attempt"] for each in attempts] == [1, 2, 3]
    assert [each.status for each in attempts] == ["ERROR", "ERROR", "UNSET"]
    assert [each.names() for each in attempts] == [["try 1"], ["try 2"], ["try 3"]]
    assert attempts[1].events[0][1]["exception.message"] == "try 2"
    assert all(seconds(each) >= 0.05 for each in span.below if each.name == "wait for retry")
    assert (span.status, span["run_count"], span["state.name"]) == ("UNSET", 3, "Completed")


def test_attempts_of_a_flow_are_spans_too(traced: Traced) -> None:
    tries: list[int] = []

    @task
    def step() -> None: ...

    @flow(retries=1)
    def main() -> None:
        tries.append(1)
        step()
        if len(tries) == 1:
            raise ValueError("once")

    main()
    span = traced().one("flow main")
    assert span.names() == ["attempt", "wait for retry", "attempt"]
    assert [each.names() for each in span.below] == [["task step"], [], ["task step"]]


def test_a_run_that_failed_has_status_error_and_the_exception_masked_and_without_frames_of_ours(
    traced: Traced,
) -> None:
    mask_secret("hunter22")

    @task
    def bad() -> None:
        raise LookupError("the password is hunter22")

    @flow
    def main() -> None:
        bad()

    with pytest.raises(LookupError):
        main()
    found = traced()
    for span in (found.one("task bad"), found.one("flow main")):
        ((name, said),) = [event for event in span.events if event[0] == "exception"]
        assert (span.status, span["state.type"]) == ("ERROR", "FAILED")
        assert "the password is" in span.says
        assert (name, said["exception.type"]) == ("exception", "LookupError")
        assert "in bad" in said["exception.stacktrace"]
        assert "task_run.py" not in said["exception.stacktrace"]
    assert "hunter22" not in repr(found.spans)


def test_a_time_limit_and_a_cancellation_say_why_and_how_the_code_ended(traced: Traced, record: Record) -> None:
    @flow(timeout_seconds=0.1)
    def late() -> None:
        time.sleep(20)

    @task
    def nap() -> None:
        for _ in range(2000):
            time.sleep(0.01)

    @flow
    def cancelled() -> None:
        nap()

    with pytest.raises(FlowRunTimeoutError):
        late()
    thread, outcome = in_thread(cancelled)
    run = until(lambda: next((each for each in record.task_runs("nap") if each.state.is_running()), None))
    assert run is not None
    cancel_flow_run(record.flow_run("cancelled").id)
    thread.join(20)
    assert isinstance(outcome[0], CancelledRun)
    found = traced()
    over = found.one("flow late")
    assert (over.status, over["state.name"], over["stop.reason"]) == ("ERROR", "TimedOut", "timeout")
    assert over["stop.how"] == "raised"
    assert "test_spans.py" in over["stop.where"]
    stop = over.child("stop")
    assert abs(seconds(stop) - over["stop.seconds"]) < 0.001
    ended = found.one("flow cancelled")
    assert (ended.status, ended["state.type"], ended["stop.reason"]) == ("UNSET", "CANCELLED", "cancel")
    assert found.one("task nap")["stop.how"] == "raised"
    assert not [event for event in ended.events if event[0] == "exception"]


def test_a_cached_task_says_whose_value_it_took(traced: Traced, record: Record) -> None:
    from penstock.cache_policies import INPUTS

    @task(cache_policy=INPUTS)
    def known(x: int) -> int:
        return x

    @flow
    def main() -> int:
        return known(1) + known(1)

    main()
    first, second = traced().all("task known")
    assert (second["state.name"], second["cached_from"]) == ("Cached", first["task_run.id"])


# --- waits -----------------------------------------------------------------------------------------------------------


def test_a_pause_is_a_span_and_the_code_goes_on_in_its_run(traced: Traced, record: Record) -> None:
    @flow
    def main() -> None:
        pause_flow_run(timeout=60)
        with OURS.start_as_current_span("after"):
            pass

    thread, outcome = in_thread(main)
    until(lambda: any(run.state.is_paused() for run in record.flow_runs()))
    time.sleep(0.05)
    resume_flow_run(record.flow_run().id)
    thread.join(20)
    assert outcome == [None]
    top = traced().one("flow main")
    assert top.names() == ["wait for pause", "after"]
    wait = top.child("wait for pause")
    assert seconds(wait) >= 0.05
    assert wait["state.name"] == "Paused"


def test_waits_for_slots_are_spans_of_a_tag_and_of_a_block(traced: Traced) -> None:
    gate = Gate()

    for name in ("tag:db", "api"):
        connect.call(CREATE_LIMIT, CreateLimit(name=name, limit=1))

    @task(tags=["db"])
    def tagged(first: bool) -> None:
        if first:
            gate.wait()

    @task
    def block(first: bool) -> None:
        with concurrency("api"):
            if first:
                gate.wait()

    @flow
    def main(of: Any) -> None:
        before = of.submit(True)
        until(gate.arrived.is_set)
        after = of.submit(False)
        time.sleep(0.2)
        gate.open()
        before.result()
        after.result()

    main(tagged)
    gate = Gate()
    main(block)
    waits = [(span, below) for span in traced().spans for below in span.below if below.name == "wait for slot"]
    assert [(span.name, below["wait.for"]) for span, below in waits] == [("task tagged", "db"), ("task block", "api")]
    assert all(seconds(below) > 0.1 for _, below in waits)
