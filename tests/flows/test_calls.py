"""Calling flows and tasks: what comes back, what is recorded, what is refused."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from penstock import State, flow, task
from penstock.exceptions import DefinitionError, FailedRun, ParameterBindError
from penstock.states import Completed

from .kit import Programs, Record, names


def test_a_flow_and_its_tasks_are_recorded_from_begin_to_end(record: Record) -> None:
    @task
    def double(number: int) -> int:
        return number * 2

    @flow
    def my_flow(number: int) -> int:
        return double(number) + double(number=1)

    assert my_flow(20) == 42
    run = record.flow_run()
    assert (run.flow_name, names(run), run.run_count) == ("my-flow", ["Pending", "Running", "Completed"], 1)
    assert run.parameters == {"number": "20"}
    assert run.start_time is not None
    assert run.end_time is not None
    assert run.created <= run.start_time <= run.end_time
    first, second = record.task_runs()
    assert [first.name, second.name] == ["double-0", "double-1"]
    for each in (first, second):
        assert names(each) == ["Pending", "Running", "Completed"]
        assert each.flow_run_id == run.id
        assert each.task_key.endswith("double")
    assert (first.parameters, second.parameters) == ({"number": "20"}, {"number": "1"})


def test_the_final_state_is_in_the_record_when_the_caller_has_it(programs: Programs, record: Record) -> None:
    """Even when the process ends in the next moment, without a chance to tidy up."""
    done = programs.run("""
        import os
        from penstock import flow, task

        @task
        def work():
            return 1

        @flow
        def main():
            return work()

        main()
        os._exit(3)
    """)
    assert done.code == 3
    assert record.flow_run().state_name == "Completed"
    assert record.task_run().state_name == "Completed"


def test_user_code_starts_after_the_record_says_running(record: Record) -> None:
    @flow
    def looks() -> str:
        return record.flow_run().state_name

    assert looks() == "Running"


def test_the_states_are_given_when_they_are_asked_for(record: Record) -> None:
    @task
    def good() -> int:
        return 1

    @task
    def bad() -> None:
        raise ValueError("boom")

    @flow
    def main() -> str:
        state = good(return_state=True)
        assert isinstance(state, State)
        assert (state.name, state.result()) == ("Completed", 1)
        failed = bad(return_state=True)
        assert failed.is_failed()
        with pytest.raises(ValueError, match="boom"):
            failed.result()
        return "value"

    state = main(return_state=True)
    assert (state.name, state.result()) == ("Completed", "value")


def test_a_failure_is_raised_as_it_is_and_recorded_in_words(record: Record) -> None:
    class OwnError(Exception): ...

    error = OwnError("boom")

    @task
    def bad() -> None:
        raise error

    @flow
    def main() -> None:
        bad()

    with pytest.raises(OwnError) as raised:
        main()
    assert raised.value is error
    assert record.task_run().state.message == "Task run encountered an exception: OwnError: boom"
    assert record.flow_run().state.message == "Flow run encountered an exception: OwnError: boom"
    tracebacks = [message for message in record.messages() if "Traceback" in message]
    assert len(tracebacks) == 1, "one failure has one traceback, however many runs it passes"
    assert "raise error" in tracebacks[0]
    assert "penstock/engine" not in tracebacks[0]


def test_the_traceback_of_a_failure_is_of_user_code(record: Record) -> None:
    @task
    def bad() -> None:
        raise ValueError

    @flow
    def main() -> None:
        bad()

    with pytest.raises(ValueError) as raised:  # noqa: PT011
        main()
    functions = [entry.name for entry in raised.traceback]
    assert functions[-2:] == ["main", "bad"], "nothing of the engine lies between a flow and its task"


def test_an_exception_whose_text_fails_is_named_all_the_same(record: Record) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    @flow
    def main() -> None:
        raise Mute

    with pytest.raises(Mute):
        main()
    assert "Mute" in (record.flow_run().state.message or "")


def test_a_task_outside_flows_is_recorded_by_itself(record: Record) -> None:
    @task
    def alone(x: int) -> int:
        print("not captured")
        return x

    assert alone(3) == 3
    run = record.task_run()
    assert run.flow_run_id is None
    assert run.holder is not None
    assert run.name.startswith("alone-")
    assert names(run) == ["Pending", "Running", "Completed"]
    assert record.messages(run)[-1] == "Finished in state Completed()"
    assert record.count("flow_run") == 0


def test_a_task_in_a_task_is_recorded_below_it(record: Record) -> None:
    @task
    def inner() -> int:
        return 1

    @task
    def outer() -> int:
        return inner() + inner.submit().result()

    @flow
    def main() -> int:
        return outer()

    assert main() == 2
    outer_run = record.task_run("outer")
    assert [run.parent_task_run_id for run in record.task_runs("inner")] == [outer_run.id] * 2
    assert outer_run.parent_task_run_id is None
    assert {run.flow_run_id for run in record.task_runs()} == {record.flow_run().id}


def test_runs_are_called_from_ordinary_threads_too(record: Record) -> None:
    from concurrent.futures import ThreadPoolExecutor

    @task
    def work(number: int) -> int:
        return number

    @flow
    def main() -> int:
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(work, range(8)))

    assert main() == 28
    assert {run.flow_run_id for run in record.task_runs()} == {record.flow_run().id}
    assert len({run.name for run in record.task_runs()}) == 8


def test_recursion_is_fine(record: Record) -> None:
    @task
    def factorial(number: int) -> int:
        return 1 if number < 2 else number * factorial(number - 1)

    @flow
    def main() -> int:
        return factorial(20)

    assert main() == 2432902008176640000
    assert record.count("task_run") == 20


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_run_is_named_by_a_template_over_its_parameters(record: Record) -> None:
    @task(task_run_name="load-{table}-on-{day:%A}")
    def load(table: str, day: date = date(2026, 1, 1)) -> None: ...

    @flow(flow_run_name="etl-{table}")
    def etl(table: str) -> None:
        load(table)
        load.submit("b", day=date(2026, 1, 2))

    etl("a")
    assert record.flow_run().name == "etl-a"
    assert [run.name for run in record.task_runs()] == ["load-a-on-Thursday", "load-b-on-Friday"]
    assert any(message.startswith("Created task run 'load-a-on-Thursday'") for message in record.messages())


def test_a_run_is_named_by_a_function(record: Record) -> None:
    @task(task_run_name=lambda: "by-function")
    def first() -> None: ...

    @task(task_run_name=lambda parameters: f"with-{parameters['x']}")
    def second(x: int) -> None: ...

    @flow(flow_run_name=lambda: "flow-by-function")
    def main() -> None:
        first()
        second(5)

    main()
    assert record.flow_run().name == "flow-by-function"
    assert [run.name for run in record.task_runs()] == ["by-function", "with-5"]


def test_a_name_over_a_future_is_made_when_its_value_is_known(record: Record) -> None:
    @task
    def first() -> str:
        return "value"

    @task(task_run_name="second-{x}")
    def second(x: str) -> None: ...

    @flow
    def main() -> None:
        second.submit(first.submit()).wait()

    main()
    assert record.task_run("second").name == "second-value"


def test_a_template_that_cannot_be_filled_names_itself_and_the_parameters(record: Record) -> None:
    @task(task_run_name="load-{nothing}")
    def load(table: str) -> None: ...

    @flow(flow_run_name="{0}")
    def main(x: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"load-\{nothing\}.*table"):
        load("a")
    with pytest.raises(DefinitionError, match="flow_run_name"):
        main(1)


def test_a_task_whose_name_cannot_be_made_does_not_leave_a_run_that_never_ends(record: Record) -> None:
    @task
    def first() -> str:
        return "value"

    @task(task_run_name="second-{nothing}")
    def second(x: str) -> None: ...

    @flow
    def main() -> None:
        second.submit(first.submit()).result(timeout=10)

    with pytest.raises(DefinitionError, match="nothing"):
        main()
    assert record.flow_run().state_name == "Failed"
    assert record.task_run("second").state.is_final()


def test_a_flow_run_without_a_name_is_given_two_words(record: Record) -> None:
    @flow
    def main() -> None: ...

    main()
    assert len(record.flow_run().name.split("-")) == 2


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [((), {}, "a"), ((1, 2, 3), {}, "3"), ((1,), {"c": 2}, "c"), ((1,), {"a": 2}, "a")],
)
def test_arguments_that_do_not_fit_are_named_and_nothing_is_recorded(
    args: tuple[int, ...], kwargs: dict[str, int], named: str, record: Record
) -> None:
    def add(a: int, b: int = 1) -> int:
        return a + b

    for call in (flow(add), task(add), task(add).submit):
        with pytest.raises(ParameterBindError) as raised:
            call(*args, **kwargs)
        assert isinstance(raised.value, TypeError)
        assert "add" in str(raised.value)
        assert named in str(raised.value)
    assert record.count("flow_run") == record.count("task_run") == 0


def test_every_kind_of_parameter_is_handed_on(record: Record) -> None:
    def takes(a: int, /, b: int, *rest: int, c: int, d: int = 4, **more: int) -> Any:
        return a, b, rest, c, d, more

    expected = (1, 2, (3, 3), 5, 4, {"e": 6})
    assert task(takes)(1, 2, 3, 3, c=5, e=6) == expected
    assert flow(takes)(1, 2, 3, 3, c=5, e=6) == expected
    assert task(takes).submit(1, 2, 3, 3, c=5, e=6).result() == expected
    assert flow(validate_parameters=False)(takes)(1, 2, 3, 3, c=5, e=6) == expected


def test_parameters_with_awkward_names_are_handed_on(record: Record) -> None:
    @task
    def takes(self: int, name: int, fn: int, task: int, args: int, kwargs: int, parameters: int) -> int:
        return self + name + fn + task + args + kwargs + parameters

    @flow
    def main(self: int, flow: int, context: int) -> int:
        return takes(self=self, name=flow, fn=context, task=1, args=1, kwargs=1, parameters=1)

    assert main(self=1, flow=1, context=1) == 7


def test_a_mutable_argument_is_the_callers_own(record: Record) -> None:
    @task
    def appends(items: list[int]) -> None:
        items.append(1)

    @flow
    def main(items: Any) -> None:
        appends(items)

    mine: list[int] = []
    main(mine)
    assert mine == [1]


def test_large_arguments_are_recorded_by_kind_and_size(record: Record) -> None:
    @flow
    def main(text: str, numbers: list[int], thing: object) -> None: ...

    main("x" * 10**6, list(range(10**5)), object())
    parameters = record.flow_run().parameters
    assert all(len(each) < 400 for each in parameters.values())
    assert "100,000 items" in parameters["numbers"]


def test_an_argument_whose_repr_fails_is_no_reason_not_to_run(record: Record) -> None:
    class Awkward:
        def __repr__(self) -> str:
            raise RuntimeError("do not look at me")

        __str__ = __repr__

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("do not compare me")

        __hash__ = None  # type: ignore[assignment]

    @task
    def takes(thing: Any) -> Any:
        return thing

    @flow
    def main(thing: Any, *, default: Any = None) -> Any:
        return takes.submit(takes(thing)).result()

    thing = Awkward()
    assert main(thing) is thing


# --- colours ---------------------------------------------------------------------------------------------------------


def test_an_asynchronous_flow_calls_tasks_of_both_colours(record: Record) -> None:
    @task
    async def waits(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @task
    def works(x: int) -> int:
        return x

    @flow
    async def main() -> int:
        one, two = await asyncio.gather(waits(1), waits(2))
        return one + two + works(3) + works.submit(4).result() + waits.submit(5).result()

    assert asyncio.run(main()) == 15
    assert [run.state_name for run in record.task_runs()] == ["Completed"] * 5
    assert record.flow_run().state_name == "Completed"


def test_an_asynchronous_task_is_run_by_a_flow_that_is_not(record: Record) -> None:
    @task
    async def waits() -> int:
        await asyncio.sleep(0)
        return 1

    @flow
    def main() -> int:
        return asyncio.run(waits()) + waits.submit().result()

    assert main() == 2
    assert {run.flow_run_id for run in record.task_runs()} == {record.flow_run().id}


def test_a_synchronous_flow_is_called_in_an_asynchronous_one(record: Record) -> None:
    @flow
    def below() -> int:
        return 1

    @flow
    async def above() -> int:
        return below() + await asyncio.to_thread(below)

    assert asyncio.run(above()) == 2
    parent = record.flow_run("above")
    assert [run.parent_flow_run_id for run in record.flow_runs("below")] == [parent.id] * 2


def test_an_asynchronous_flow_gives_states_too(record: Record) -> None:
    @flow
    async def main() -> int:
        return 1

    state = asyncio.run(main(return_state=True))
    assert state.result() == 1


def test_concurrent_coroutines_each_know_their_own_run(record: Record) -> None:
    from penstock.runtime import task_run

    @task
    async def who(number: int) -> tuple[int, Any]:
        before = task_run.id
        await asyncio.sleep(0.001)
        assert task_run.id == before
        return number, task_run.parameters["number"]

    @flow
    async def main() -> list[tuple[int, Any]]:
        return await asyncio.gather(*(who(number) for number in range(20)))

    assert asyncio.run(main()) == [(number, number) for number in range(20)]


def test_a_coroutine_task_that_is_cancelled_from_outside_is_cancelled_in_the_record(record: Record) -> None:
    @task
    async def waits() -> None:
        await asyncio.sleep(30)

    @flow
    async def main() -> str:
        waiting = asyncio.ensure_future(waits())
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return "went on"

    assert asyncio.run(main()) == "went on"
    assert record.task_run().state_name == "Cancelled"


def test_a_flow_whose_asyncio_task_is_cancelled_is_cancelled_in_the_record(record: Record) -> None:
    @flow
    async def main() -> None:
        await asyncio.sleep(30)

    async def program() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(main(), 0.1)

    asyncio.run(program())
    assert record.flow_run().state_name == "Cancelled"


# --- odd values ------------------------------------------------------------------------------------------------------


def test_a_task_may_return_a_state_of_its_own(record: Record) -> None:
    from penstock.states import Failed

    @task
    def named() -> Any:
        return Completed(name="Loaded", message="3 rows", data=3)

    @task
    def failed() -> Any:
        return Failed(message="no rows")

    @flow
    def main() -> Any:
        assert failed(return_state=True).is_failed()
        with pytest.raises(FailedRun, match="no rows"):
            failed()
        return named()

    assert main() == 3
    run = record.task_run("named")
    assert (run.state_name, run.state.message) == ("Loaded", "3 rows")


def test_a_flow_may_not_be_started_twice_at_the_same_time_by_accident(record: Record) -> None:
    """Each call is a run of its own, also when the calls are concurrent."""

    @flow
    async def main(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    async def program() -> list[int]:
        return await asyncio.gather(*(main(number) for number in range(10)))

    assert asyncio.run(program()) == list(range(10))
    assert len({run.id for run in record.flow_runs()}) == 10


def test_a_program_without_a_main_guard_in_a_pipe_runs(record: Record) -> None:
    done = subprocess.run(
        [sys.executable, "-"],
        input="from penstock import flow\n@flow\ndef main():\n    return 1\nassert main() == 1\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert record.flow_run().state_name == "Completed"
