"""What people who come from elsewhere expect, and find."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from penstock import allow_failure, flow, quote, task
from penstock.cache_policies import INPUTS
from penstock.domain.errors import HashError
from penstock.domain.states import EndedState, State
from penstock.settings import PENSTOCK_FLOWS_RETURN_STATES, temporary_settings

from .kit import Record


class Adder:
    def __init__(self, more: Any) -> None:
        self.more = more

    @task(cache_policy=INPUTS, persist_result=True)
    def add(self, number: int) -> Any:
        return number + self.more

    @task(cache_key_fn=lambda context, parameters: f"{parameters.pop('self').more}-{parameters}", persist_result=True)
    def keyed(self, number: int) -> Any:
        return number + self.more


def test_a_cached_method_is_cached_for_its_instance(record: Record) -> None:
    assert [Adder(1).add(5), Adder(100).add(5), Adder(1).add(5)] == [6, 105, 6]
    assert [Adder(1).keyed(5), Adder(100).keyed(5)] == [6, 105]
    assert [run.state.name for run in record.task_runs()].count("Cached") == 1


def test_an_instance_that_cannot_be_hashed_is_named(record: Record) -> None:
    class Connection:
        def __reduce__(self) -> Any:
            raise TypeError("cannot be pickled")

    with pytest.raises(HashError, match="'self'"):
        Adder(Connection()).add(5)


def test_hooks_are_given_the_parameters_themselves(record: Record) -> None:
    seen: list[Any] = []

    @task(on_completion=[lambda task, run, state: seen.append(run.parameters)])
    def work(x: int) -> None: ...

    @flow(on_completion=[lambda flow, run, state: seen.append(run.parameters)])
    def main(x: int, y: Any = (1,)) -> None:
        work(x)

    main(1, [2])

    assert seen == [{"x": 1}, {"x": 1, "y": [2]}]
    assert record.task_runs()[0].parameters == {"x": "1"}


def test_map_spreads_what_a_state_holds_and_passes_failures_that_are_allowed(record: Record) -> None:
    @task
    def bad() -> None:
        raise ValueError("no")

    @task
    def pair(x: int, y: Any = None) -> tuple[int, str]:
        return x, type(y).__name__

    @flow
    def numbers() -> list[int]:
        return [1, 2]

    @flow
    def main() -> Any:
        return [
            pair.map(numbers(return_state=True)).result(),
            pair.map([3], allow_failure(bad.submit())).result(),
            pair.map(quote([4])).result(),
        ]

    assert main() == [[(1, "NoneType"), (2, "NoneType")], [(3, "ValueError")], [(4, "NoneType")]]


def test_a_mock_is_a_function_like_any_other(record: Record) -> None:
    with pytest.raises(RuntimeError):
        task(MagicMock(side_effect=RuntimeError))()


def test_a_docstring_is_a_description_without_its_indentation() -> None:
    @task
    def documented() -> None:
        """Hello.

        More:
            deep
        """

    assert documented.description == "Hello.\n\nMore:\n    deep"


def test_a_state_that_is_returned_says_whose_it_is(record: Record) -> None:
    @task
    def work() -> int:
        return 1

    @flow
    def main() -> Any:
        return work(return_state=True)

    state = work(return_state=True)
    assert isinstance(state, EndedState)
    assert state.task_run_id == record.task_runs()[0].id
    ended = main(return_state=True)
    assert isinstance(ended, EndedState)
    assert ended.flow_run_id == record.flow_runs()[0].id
    assert ended.result() == 1


def test_flows_give_states_where_that_is_wanted(record: Record) -> None:
    @task
    def work() -> int:
        return 1

    @flow
    def main() -> Any:
        return [work.submit()]

    assert main() == [1]
    with temporary_settings({PENSTOCK_FLOWS_RETURN_STATES: True}):
        (state,) = main()
    assert isinstance(state, State)
    assert state.result() == 1
