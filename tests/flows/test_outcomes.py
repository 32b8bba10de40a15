"""Which state a flow ends in: what it returned decides, and what its tasks came to is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock import connect, flow, task
from penstock.exceptions import CancelledRun, FailedRun, MissingResult
from penstock.states import Cancelled, Completed, Failed, Running

from .kit import Record


@task
def good() -> int:
    return 1


@task
def bad() -> int:
    raise ValueError("boom")


def ending(record: Record) -> tuple[str, str | None]:
    state = record.flow_runs()[0].state
    return state.name, state.message


def test_a_flow_that_returns_nothing_says_that_all_states_completed(record: Record) -> None:
    @flow
    def main() -> None:
        good()
        good.submit()

    main()
    assert ending(record) == ("Completed", "All states completed.")
    assert record.messages()[-1] == "Finished in state Completed('All states completed.')"


def test_a_flow_without_tasks_says_so_too(record: Record) -> None:
    @flow
    def main() -> None: ...

    main()
    assert ending(record) == ("Completed", "All states completed.")


def test_a_flow_that_returns_a_value_is_completed_whatever_its_tasks_came_to(record: Record) -> None:
    @flow
    def main() -> int:
        bad.submit()
        return 5

    assert main() == 5
    assert ending(record) == ("Completed", None)


def test_a_failed_task_whose_error_nobody_raised_is_counted(record: Record) -> None:
    @flow
    def main() -> None:
        bad.submit()
        good.submit()

    main()
    assert ending(record) == ("Completed", "1/2 states failed.")


def test_by_the_rule_of_the_2_line_such_a_flow_is_failed(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_FLOWS_FAIL_ON_FAILED_TASKS", "true")

    @flow
    def main() -> None:
        bad.submit()
        good.submit()

    with pytest.raises(FailedRun, match="1/2 states failed"):
        main()
    assert ending(record) == ("Failed", "1/2 states failed.")


def test_a_flow_that_catches_its_tasks_failure_is_completed(record: Record) -> None:
    @flow
    def main() -> str:
        try:
            bad()
        except ValueError:
            return "caught"
        return "not raised"

    assert main() == "caught"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_flow_that_returns_futures_is_as_they_are(asynchronous: bool, record: Record) -> None:
    def give() -> Any:
        return [good.submit(), bad.submit()]

    async def give_async() -> Any:
        return give()

    main: Any = flow(name="main")(give_async if asynchronous else give)
    with pytest.raises(ValueError, match="boom"):
        asyncio.run(main()) if asynchronous else main()
    assert ending(record) == ("Failed", "1/2 states failed.")


def test_a_flow_that_returns_good_futures_gives_their_values(record: Record) -> None:
    @flow
    def one() -> Any:
        return good.submit()

    @flow
    def several() -> Any:
        return good.submit(), good.submit()

    assert one() == 1
    assert several() == [1, 1]
    assert record.flow_runs()[1].state.message == "All states completed."


def test_a_flow_that_returns_states_is_as_they_are(record: Record) -> None:
    @flow
    def main() -> Any:
        return [good(return_state=True), bad(return_state=True), bad(return_state=True)]

    state = main(return_state=True)
    assert (state.name, state.message) == ("Failed", "2/3 states failed.")
    assert isinstance(state.result(raise_on_failure=False), ValueError)


def test_a_flow_that_returns_a_state_of_its_own_is_in_it(record: Record) -> None:
    @flow
    def main(which: str) -> Any:
        return {"good": Completed(message="fine", name="Loaded", data=7), "bad": Failed(message="not fine")}[which]

    state = main("good", return_state=True)
    assert (state.name, state.type.value, state.message, state.result()) == ("Loaded", "COMPLETED", "fine", 7)
    with pytest.raises(FailedRun, match="not fine"):
        main("bad")
    assert [run.state_name for run in record.flow_runs()] == ["Loaded", "Failed"]


def test_a_flow_that_says_it_is_cancelled_is(record: Record) -> None:
    @flow
    def main() -> Any:
        return Cancelled(message="enough")

    with pytest.raises(CancelledRun, match="enough"):
        main()
    assert ending(record) == ("Cancelled", "enough")


def test_a_cancelled_state_among_several_cancels_the_flow(record: Record) -> None:
    @flow
    def main() -> Any:
        return [Completed(), Cancelled(), Failed()]

    with pytest.raises(CancelledRun):
        main()
    assert ending(record) == ("Cancelled", "1/3 states cancelled.")


def test_a_returned_state_that_is_not_final_fails_the_flow(record: Record) -> None:
    @task
    def after(_: Any) -> None: ...

    @flow
    def main() -> Any:
        return [good.submit(), after.submit(bad.submit())]

    state = main(return_state=True)
    assert (state.name, state.message) == ("Failed", "1/2 states are not final.")


@pytest.mark.timeout(5)
def test_a_single_returned_state_that_is_not_final_does_not_leave_the_run_open(record: Record) -> None:
    @task
    def after(_: Any) -> None: ...

    @flow
    def main() -> Any:
        return after(bad.submit(), return_state=True)

    main(return_state=True)
    assert record.flow_run().state.is_final()


@pytest.mark.timeout(5)
@pytest.mark.parametrize("decorator", [flow, task])
def test_code_that_says_it_is_still_running_is_not_run_again_and_again(decorator: Any, record: Record) -> None:
    calls: list[int] = []

    @decorator
    def main() -> Any:
        calls.append(1)
        if len(calls) > 5:
            raise RuntimeError("called again and again")
        return Running()

    main(return_state=True)
    assert len(calls) == 1
    (run,) = record.flow_runs() or record.task_runs()
    assert run.state.is_final()


def test_subflows_count_as_tasks_do(record: Record) -> None:
    @flow
    def below() -> None:
        raise ValueError

    @flow
    def above() -> None:
        below(return_state=True)
        good()

    above()
    assert ending(record) == ("Completed", "1/2 states failed.")


def test_only_lists_of_nothing_but_states_are_states(record: Record) -> None:
    @flow
    def mixed() -> Any:
        return [bad(return_state=True), 1]

    @flow
    def empty() -> Any:
        return []

    value = mixed()
    assert value[1] == 1
    assert empty() == []
    assert [run.state_name for run in record.flow_runs()] == ["Completed", "Completed"]


def test_a_value_that_was_not_kept_is_said_to_be_missing(record: Record) -> None:
    from penstock.engine.results import StoredResult
    from penstock.states import State

    @task(persist_result=False)
    def secret() -> str:
        return "value"

    assert secret() == "value"
    run = record.task_run()
    assert run.result is None
    state: State[Any] = Completed(data=StoredResult(run.result, "task run 'secret'", connect.vault()))
    with pytest.raises(MissingResult, match=r"secret.*persist_result"):
        state.result()


@pytest.mark.parametrize("submitted", [False, True])
def test_a_task_that_returns_a_failed_state_is_tried_again(submitted: bool, record: Record) -> None:
    calls: list[int] = []

    @task(retries=2)
    def work() -> Any:
        calls.append(1)
        return Failed(message=f"not fine {len(calls)}")

    @flow
    def main() -> int:
        state = work.submit(return_state=True) if submitted else work(return_state=True)
        assert (state.name, state.message) == ("Failed", "not fine 3")
        return 1

    assert main() == 1
    assert len(calls) == 3
    assert record.task_run().run_count == 3
    assert record.task_run().state_name == "Failed"
