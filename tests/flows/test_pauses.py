"""A flow run waits for a person: in its process, until somebody resumes it, its time is over, or it is stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pydantic
import pytest

from penstock import (
    apause_flow_run,
    aresume_flow_run,
    cancel_flow_run,
    connect,
    flow,
    get_run_logger,
    pause_flow_run,
    resume_flow_run,
    task,
)
from penstock.domain.pauses import Pause
from penstock.domain.runs import FlowRun
from penstock.exceptions import (
    CancelledRun,
    FlowPauseTimeout,
    FlowRunTimeoutError,
    InputRefused,
    MissingContextError,
    NotPausedError,
    TransitionRefused,
)
from penstock.flow_runs import sleep_until
from penstock.input import RunInput
from penstock.protocol.flow_runs import PAUSE_FLOW_RUN, PauseRun
from penstock.store import pauses

from .kit import Gate, Record, names, until


class Flows:
    """Flows that run in a thread of their own, as another program's would, until the test has looked at them."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, call: Callable[..., Any], *args: Any) -> list[Any]:
        """What the call gives, or raises, is in the list when it has ended."""
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append(call(*args))
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=work, name="flow")
        self._threads.append(thread)
        thread.start()
        return outcome

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def flows() -> Any:
    made = Flows()
    yield made
    made.join()


def paused(record: Record, flow: str | None = None) -> FlowRun:
    """The run, as soon as it waits."""

    def look() -> FlowRun | None:
        found = record.flow_runs(flow)
        return found[-1] if found and found[-1].state.is_paused() else None

    found = until(look)
    assert found is not None
    return found


def pause_of(record: Record, run: FlowRun) -> Pause:
    found = record.read(lambda tx: pauses.latest(tx, run.id))
    assert found is not None
    return found


@task
def work(value: int = 0) -> int:
    return value


# --- waiting and going on --------------------------------------------------------------------------------------------


def test_a_paused_run_goes_on_where_it_was_when_it_is_resumed(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> int:
        work(1)
        pause_flow_run(timeout=60)
        return work(2)

    outcome = flows.start(waits)
    run = paused(record)
    assert outcome == []
    assert len(record.task_runs()) == 1
    on_its_way = resume_flow_run(run.id, comment="looks good")
    assert on_its_way.state.name in ("Resuming", "Running")
    until(lambda: outcome)
    assert outcome == [2]
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Paused", "Resuming", "Running", "Completed"]
    assert run.run_count == 1
    answer = pause_of(record, run).answer
    assert answer is not None
    assert (answer.outcome, answer.comment) == ("resumed", "looks good")
    assert answer.who is not None
    assert answer.who.endswith("via Python")
    assert run.states[4].message == f"Resumed by {answer.who}."


def test_a_coroutine_that_waits_does_not_hold_up_its_loop(record: Record) -> None:
    turns = 0

    @flow
    async def waits() -> list[int]:
        found: list[int] = await pause_flow_run(wait_for_input=list[int], timeout=60)
        return found

    async def main() -> list[int]:
        nonlocal turns
        call = asyncio.create_task(waits())
        while not (found := record.flow_runs()) or not found[-1].state.is_paused():
            turns += 1
            await asyncio.sleep(0.005)
        await aresume_flow_run(found[-1].id, [1, 2])
        return await call

    assert asyncio.run(main()) == [1, 2]
    assert turns > 0


def test_the_twin_to_be_awaited_waits_as_well(record: Record, flows: Flows) -> None:
    @flow
    async def waits() -> str:
        await apause_flow_run(timeout=60)
        return "on"

    outcome = flows.start(lambda: asyncio.run(waits()))
    resume_flow_run(paused(record).id)
    until(lambda: outcome)
    assert outcome == ["on"]


def test_tasks_that_have_begun_end_and_others_wait(record: Record, flows: Flows) -> None:
    gate = Gate()

    @task
    def slow() -> str:
        gate.wait()
        return "slow"

    @task
    def other() -> str:
        return "other"

    @task
    def asks() -> str:
        pause_flow_run(timeout=60)
        return "asked"

    @flow
    def waits() -> list[str]:
        begun = slow.submit()
        gate.arrived.wait(20)
        asking = asks.submit()
        until(lambda: record.flow_run().state.is_paused())
        late = other.submit()
        return [begun.result(), asking.result(), late.result()]

    outcome = flows.start(waits)
    run = paused(record)
    gate.open()
    until(lambda: record.task_run("slow").state.is_completed())
    until(lambda: len(record.task_runs()) == 3)
    assert record.task_run("other").state.is_pending()
    resume_flow_run(run.id)
    until(lambda: outcome)
    assert outcome == [["slow", "asked", "other"]]


def test_a_subflow_waits_and_its_parent_with_it(record: Record, flows: Flows) -> None:
    @flow
    def inner() -> int:
        pause_flow_run(timeout=60)
        return 3

    @flow
    def outer() -> int:
        return inner() + 1

    outcome = flows.start(outer)
    run = paused(record, "inner")
    assert record.flow_run("outer").state.is_running()
    resume_flow_run(run.id)
    until(lambda: outcome)
    assert outcome == [4]


def test_two_tasks_pause_one_after_the_other(record: Record, flows: Flows) -> None:
    @task
    def asks(key: str) -> str:
        return f"{key}:{pause_flow_run(wait_for_input=int, key=key, timeout=60)}"

    @flow
    def waits() -> list[str]:
        return asks.map(["a", "b"]).result()

    outcome = flows.start(waits)
    given = {}
    for number in (1, 2):
        run = until(lambda: paused(record))
        key = pause_of(record, run).key
        given[key] = number
        resume_flow_run(run.id, number)
        until(lambda: pause_of(record, record.flow_run()).key != key or outcome)  # noqa: B023 - called at once
    until(lambda: outcome)
    assert outcome == [[f"a:{given['a']}", f"b:{given['b']}"]]


def test_time_that_is_spent_waiting_counts_for_no_limit(record: Record, flows: Flows) -> None:
    @task(timeout_seconds=0.3)
    def asks() -> None:
        pause_flow_run(timeout=60)

    @flow(timeout_seconds=0.4)
    def waits() -> str:
        asks()
        return "in time"

    outcome = flows.start(waits)
    run = paused(record)
    assert run.deadline is None
    time.sleep(0.5)  # longer than both limits
    resume_flow_run(run.id)
    until(lambda: outcome)
    assert outcome == ["in time"]


def test_what_is_left_of_a_limit_counts_again_afterwards(record: Record, flows: Flows) -> None:
    @flow(timeout_seconds=0.4)
    def waits() -> None:
        pause_flow_run(timeout=60)
        while True:
            time.sleep(0.01)

    outcome = flows.start(waits)
    resume_flow_run(paused(record).id)
    until(lambda: outcome)
    assert isinstance(outcome[0], FlowRunTimeoutError)
    assert record.flow_run().state.name == "TimedOut"
    assert record.flow_run().state.message == "Flow run exceeded timeout of 0.4 second(s)"


# --- its time is over ------------------------------------------------------------------------------------------------


def test_a_pause_that_nobody_answers_fails_at_its_deadline_once(record: Record) -> None:
    @flow
    def waits() -> None:
        pause_flow_run(timeout=0.3)

    began = time.monotonic()
    with pytest.raises(FlowPauseTimeout, match=r"^The flow was paused and never resumed\.$"):
        waits()
    assert time.monotonic() - began < 5  # the tool's own patience; the pause's is in the record
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Paused", "Running", "Failed"]
    assert str(run.state) == "Failed('The flow was paused and never resumed.')"
    waited = (run.state.timestamp - run.states[2].timestamp).total_seconds()
    assert 0.3 <= waited < 2
    with pytest.raises(NotPausedError):
        resume_flow_run(run.id)


def test_who_catches_the_timeout_goes_on(record: Record) -> None:
    @flow
    def waits() -> str:
        try:
            pause_flow_run(timeout=0.05)
        except FlowPauseTimeout:
            return f"nobody came, {work(1)}"
        return "?"

    assert waits() == "nobody came, 1"
    assert record.flow_run().state.is_completed()


def test_a_default_input_is_what_it_goes_on_with(record: Record) -> None:
    @flow
    def waits() -> str:
        answer: str = pause_flow_run(wait_for_input=str, timeout=0.05, on_timeout="resume", default="no")
        return answer

    assert waits() == "no"
    assert names(record.flow_run()) == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_a_retry_waits_anew_unless_the_pause_was_resumed(record: Record, flows: Flows) -> None:
    calls = []

    @flow(retries=1)
    def waits() -> int:
        calls.append(pause_flow_run(wait_for_input=int, key="once", timeout=60))
        if len(calls) == 1:
            raise ValueError("again")
        return len(calls)

    outcome = flows.start(waits)
    resume_flow_run(paused(record).id, 5)
    until(lambda: outcome)
    assert outcome == [2]
    assert calls == [5, 5]
    assert names(record.flow_run()).count("Paused") == 1


# --- what a person gives ---------------------------------------------------------------------------------------------


class Review(RunInput):
    approved: bool
    reason: str = "none"

    @pydantic.field_validator("reason")
    @classmethod
    def polite(cls, value: str) -> str:
        if value == "bah":
            raise ValueError("say it nicely")
        return value


def test_what_does_not_fit_is_refused_and_the_run_waits_on(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> Review:
        review: Review = pause_flow_run(wait_for_input=Review, timeout=60)
        return review

    outcome = flows.start(waits)
    run = paused(record)
    for wrong in (None, {}, {"approved": "perhaps"}, {"approved": True, "reason": 7}, "yes", [True]):
        with pytest.raises(InputRefused):
            resume_flow_run(run.id, wrong)
    assert record.flow_run().state.is_paused()
    resume_flow_run(run.id, Review(approved=True, reason="well"))
    until(lambda: outcome)
    assert outcome == [Review(approved=True, reason="well")]


def test_what_only_the_authors_code_can_refuse_is_given_back_with_the_reason(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> str:
        review: Review = pause_flow_run(wait_for_input=Review, timeout=60)
        return review.reason

    outcome = flows.start(waits)
    resume_flow_run(paused(record).id, {"approved": True, "reason": "bah"})
    until(lambda: pause_of(record, record.flow_run()).problem)
    run = paused(record)
    assert "say it nicely" in (run.state.message or "")
    assert pause_of(record, run).answer is None
    resume_flow_run(run.id, {"approved": True, "reason": "well"})
    until(lambda: outcome)
    assert outcome == ["well"]


def test_initial_data_and_a_description_are_for_the_form(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> str:
        wanted = Review.with_initial_data(description="**Ready?**", reason="as always")
        review: Review = pause_flow_run(wait_for_input=wanted, timeout=60)
        return review.reason

    outcome = flows.start(waits)
    run = paused(record)
    pause = pause_of(record, run)
    assert (pause.text, pause.initial) == ("**Ready?**", {"reason": "as always"})
    assert pause.schema is not None
    assert pause.schema["properties"]["approved"]["type"] == "boolean"
    resume_flow_run(run.id, {"approved": False})
    until(lambda: outcome)
    assert outcome == ["as always"]


def test_what_a_person_typed_is_never_a_template(record: Record, flows: Flows) -> None:
    odd = "{{ 7 * 7 }} {flow_run.name} %(x)s ${HOME} <b>\x00"

    @flow
    def waits() -> str:
        typed: str = pause_flow_run(wait_for_input=str, timeout=60, description=odd)
        get_run_logger().info(typed)
        return typed

    outcome = flows.start(waits)
    resume_flow_run(paused(record).id, odd, comment=odd)
    until(lambda: outcome)
    assert outcome == [odd]


def test_a_run_that_asks_for_nothing_takes_no_input(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> None:
        pause_flow_run(timeout=60)

    flows.start(waits)
    run = paused(record)
    with pytest.raises(InputRefused, match="takes no input"):
        resume_flow_run(run.id, {"approved": True})
    resume_flow_run(run.id)


# --- others ----------------------------------------------------------------------------------------------------------


def test_of_two_who_resume_exactly_one_does(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> int:
        got: int = pause_flow_run(wait_for_input=int, timeout=60)
        return got

    outcome = flows.start(waits)
    run = paused(record)
    begin = threading.Barrier(4)
    answers: list[Any] = []

    def resume(number: int) -> None:
        begin.wait()
        try:
            resume_flow_run(run.id, number)
            answers.append(number)
        except NotPausedError as error:
            answers.append(error)

    threads = [threading.Thread(target=resume, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    won = [each for each in answers if isinstance(each, int)]
    assert (len(won), len(answers)) == (1, 4)
    until(lambda: outcome)
    assert outcome == won


def test_a_paused_run_is_cancelled_at_once(record: Record, flows: Flows) -> None:
    @flow
    def waits() -> None:
        pause_flow_run(timeout=60)

    outcome = flows.start(waits)
    run = paused(record)
    cancel_flow_run(run.id)
    until(lambda: outcome)
    assert isinstance(outcome[0], CancelledRun)
    assert record.flow_run().state.is_cancelled()
    answer = pause_of(record, run).answer
    assert answer is not None
    assert answer.outcome == "withdrawn"
    with pytest.raises(NotPausedError, match=r"^Cannot resume a run that isn't paused!"):
        resume_flow_run(run.id)


def test_a_run_is_paused_from_outside_before_its_next_task(record: Record, flows: Flows) -> None:
    gate = Gate()

    @task
    def first() -> None:
        gate.wait()

    @flow
    def runs() -> int:
        first()
        return work(2)

    outcome = flows.start(runs)
    gate.arrived.wait(20)
    run = connect.call(PAUSE_FLOW_RUN, PauseRun(id=record.flow_run().id, timeout=60))
    assert run.state.is_running()
    until(lambda: record.count("request") == 1)
    time.sleep(0.1)  # the process looks for requests every 0.05 s
    gate.open()
    waiting = paused(record)
    assert [each.task_name for each in record.task_runs() if each.state.is_completed()] == ["first"]
    assert (waiting.state.message or "").startswith("Paused by ")
    resume_flow_run(waiting.id)
    until(lambda: outcome)
    assert outcome == [2]
    assert record.count("request") == 0


def test_a_task_that_is_stopped_while_it_waits_lets_its_flow_go_on(record: Record) -> None:
    @task
    def asks() -> None:
        pause_flow_run(timeout=60)

    @flow
    def waits() -> int:
        future = asks.submit()
        until(lambda: record.flow_run().state.is_paused())
        from penstock import cancel_task_run

        cancel_task_run(future.task_run_id)
        future.wait()
        return work(4)

    assert waits() == 4
    assert names(record.flow_run()) == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert record.task_run("asks").state.is_cancelled()


# --- bad input -------------------------------------------------------------------------------------------------------


def test_only_a_run_that_waits_is_resumed(record: Record) -> None:
    @flow
    def done() -> None:
        pass

    done()
    with pytest.raises(NotPausedError, match=r"^Cannot resume a run that isn't paused! Flow run .* is Completed\.$"):
        resume_flow_run(record.flow_run().id)
    with pytest.raises(TransitionRefused, match="only a run that is Running can be paused"):
        pause_flow_run(flow_run_id=record.flow_run().id)
    with pytest.raises(LookupError, match="not found"):
        resume_flow_run(UUID(int=7))
    with pytest.raises(ValueError, match="id"):
        resume_flow_run("no-id-at-all")


def test_outside_of_flows_nothing_is_paused() -> None:
    with pytest.raises(MissingContextError, match="no flow run here"):
        pause_flow_run()

    @task
    def alone() -> None:
        pause_flow_run()

    with pytest.raises(MissingContextError):
        alone()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"on_timeout": "explode"}, "on_timeout"),
        ({"key": ""}, "key"),
        ({"key": 7}, "key"),
        ({"description": 7}, "description"),
        ({"wait_for_input": "nonsense"}, "wait_for_input"),
        ({"wait_for_input": Review, "on_timeout": "resume"}, "default"),
        ({"wait_for_input": int, "on_timeout": "resume", "default": "x"}, "default"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(record: Record, options: Any, said: str) -> None:
    @flow
    def waits() -> None:
        pause_flow_run(**options)

    with pytest.raises(ValueError, match=said):
        waits()
    assert names(record.flow_run()) == ["Pending", "Running", "Failed"]


# --- a moment --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", [0.2, timedelta(seconds=0.2), "moment"])
def test_a_flow_sleeps_until_a_moment(record: Record, span: Any) -> None:
    @flow
    def sleeps() -> int:
        sleep_until(datetime.now(UTC) + timedelta(seconds=0.2) if span == "moment" else span)
        return work(3)

    assert sleeps() == 3
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert 0.1 < (run.states[3].timestamp - run.states[2].timestamp).total_seconds() < 5


def test_a_moment_that_has_passed_is_not_waited_for(record: Record) -> None:
    @flow
    def sleeps() -> str:
        sleep_until(datetime(2000, 1, 1, tzinfo=UTC))
        sleep_until(-5)
        return "at once"

    assert sleeps() == "at once"


def test_who_sleeps_is_woken_early(record: Record, flows: Flows) -> None:
    @flow
    async def sleeps() -> str:
        await sleep_until(600)
        return "awake"

    outcome = flows.start(lambda: asyncio.run(sleeps()))
    resume_flow_run(paused(record).id)
    until(lambda: outcome)
    assert outcome == ["awake"]


@pytest.mark.parametrize(
    "moment", ["soon", None, True, float("nan"), float("inf"), 10**9, datetime(2999, 1, 1, tzinfo=UTC)]
)
def test_what_is_no_moment_is_refused(record: Record, moment: Any) -> None:
    @flow
    def sleeps() -> None:
        sleep_until(moment)

    with pytest.raises(ValueError, match="sleep_until"):
        sleeps()
