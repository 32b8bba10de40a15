"""What a decorator takes, and what it refuses where it is written, by a sentence that names the option."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from penstock import Flow, Task, flow, task
from penstock.exceptions import DefinitionError, ReservedArgumentError
from penstock.task_runners import SequentialTaskRunner, ThreadPoolTaskRunner

from .kit import Programs, Record

BOTH = pytest.mark.parametrize("decorator", [flow, task])


def test_the_decorators_make_flows_and_tasks_with_and_without_options() -> None:
    @flow
    def one() -> None: ...

    @flow()
    def two() -> None: ...

    @task
    def three() -> None: ...

    @task(retries=1)
    def four() -> None: ...

    assert isinstance(one, Flow)
    assert isinstance(two, Flow)
    assert isinstance(three, Task)
    assert isinstance(four, Task)


def test_a_flow_is_named_with_dashes_and_a_task_as_its_function() -> None:
    @flow
    def my_flow() -> None:
        """What it does."""

    @task
    def my_task() -> None: ...

    assert (my_flow.name, my_task.name) == ("my-flow", "my_task")
    assert my_flow.description == "What it does."
    assert flow(name="Own name", description="mine", version="2")(my_flow.fn).name == "Own name"
    assert my_flow.__name__ == "my_flow"
    assert my_flow.__doc__ == "What it does."


@BOTH
def test_the_function_itself_is_at_hand_and_is_not_recorded(decorator: Any, record: Record) -> None:
    @decorator
    def add(a: int, b: int = 1) -> int:
        return a + b

    assert add.fn(1, b=2) == 3
    assert record.count("flow_run") == record.count("task_run") == 0


@BOTH
@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "  "},
        {"name": 5},
        {"version": 2},
        {"tags": "nightly"},
        {"tags": [1]},
        {"tags": [""]},
        {"log_prints": "yes"},
        {"persist_result": 1},
        {"retries": -1},
        {"retry_delay_seconds": -1},
        {"timeout_seconds": -1},
        {"on_completion": print},
        {"on_failure": ["print"]},
        {"on_running": 5},
    ],
)
def test_an_option_that_cannot_be_so_is_refused_by_name(decorator: Any, options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=next(iter(options))) as raised:
        decorator(**options)(lambda: None)
    assert isinstance(raised.value, ValueError)


@BOTH
def test_an_unknown_option_is_refused_and_the_known_ones_are_named(decorator: Any) -> None:
    with pytest.raises(TypeError, match="retires") as raised:
        decorator(retires=3)(lambda: None)
    assert "retries" in str(raised.value)


@pytest.mark.parametrize("options", [{"flow_run_name": 5}, {"task_runner": "threads"}, {"task_runner": object()}])
def test_an_option_of_a_flow_that_cannot_be_so_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=next(iter(options))):
        flow(**options)(lambda: None)


@pytest.mark.parametrize(
    "options",
    [
        {"task_run_name": 5},
        {"cache_policy": "INPUTS"},
        {"cache_key_fn": "key"},
        {"retry_condition_fn": "always"},
        {"refresh_cache": "no"},
        {"cache_expiration": 60},
        {"cache_expiration": "1h"},
    ],
)
def test_an_option_of_a_task_that_cannot_be_so_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=next(iter(options))):
        task(**options)(lambda: None)


@BOTH
@pytest.mark.parametrize("name", ["return_state", "wait_for"])
def test_a_parameter_with_the_name_of_a_calls_option_is_refused(decorator: Any, name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def positional({name}): ...\ndef keyword(*, {name}=None): ...", namespace)
    for function in (namespace["positional"], namespace["keyword"]):
        with pytest.raises(ReservedArgumentError, match=name) as raised:
            decorator(function)
        assert function.__name__ in str(raised.value)
        assert isinstance(raised.value, TypeError)


@BOTH
@pytest.mark.parametrize("value", [5, "text", [], staticmethod(print), classmethod(print)])
def test_only_functions_can_be_decorated(decorator: Any, value: Any) -> None:
    with pytest.raises(DefinitionError, match=r"decorat|Put @"):
        decorator(value)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "many"])
def test_a_pool_has_at_least_one_worker(workers: Any) -> None:
    with pytest.raises(DefinitionError, match="max_workers"):
        ThreadPoolTaskRunner(max_workers=workers)


def test_a_runner_may_be_given_as_its_class() -> None:
    @flow(task_runner=SequentialTaskRunner)
    def runs() -> None: ...

    assert isinstance(runs.task_runner, SequentialTaskRunner)


# --- copies ----------------------------------------------------------------------------------------------------------


def test_with_options_changes_what_is_named_and_leaves_the_original() -> None:
    @task(retries=2, tags=["a"], timeout_seconds=5, log_prints=True, name="first")
    def work() -> None: ...

    other = work.with_options(name="second", retries=0, timeout_seconds=0)
    assert (other.name, other.retries, other.timeout_seconds) == ("second", 0, None)
    assert (other.tags, other.log_prints, other.fn) == (work.tags, True, work.fn)
    assert (work.name, work.retries, work.timeout_seconds) == ("first", 2, 5.0)


def test_with_options_of_a_flow(record: Record) -> None:
    @flow(retries=1, validate_parameters=False)
    def work() -> int:
        return 1

    other = work.with_options(name="other", flow_run_name="own", retries=0)
    assert (other.validate_parameters, other.retries) == (False, 0)
    assert other() == 1
    assert (record.flow_run().flow_name, record.flow_run().name) == ("other", "own")


@BOTH
def test_with_options_refuses_what_the_decorator_refuses(decorator: Any) -> None:
    work = decorator(lambda: None)
    with pytest.raises(DefinitionError, match="retries"):
        work.with_options(retries=-1)
    with pytest.raises(TypeError, match="retires"):
        work.with_options(retires=1)


def test_hooks_added_to_a_flow_are_kept_by_its_copies(record: Record) -> None:
    called: list[str] = []

    @flow
    def work() -> None: ...

    @work.on_completion
    def hook(*_: Any) -> None:
        called.append("hook")

    work.with_options(name="copy")()
    assert called == ["hook"]


def test_hooks_added_to_a_task_are_kept_by_its_copies(record: Record) -> None:
    called: list[str] = []

    @task
    def work() -> None: ...

    @work.on_completion
    def hook(*_: Any) -> None:
        called.append("hook")

    work.with_options(retries=1)()
    assert called == ["hook"]


# --- whose function --------------------------------------------------------------------------------------------------


def test_methods_know_their_instance(record: Record) -> None:
    class Account:
        def __init__(self, balance: int) -> None:
            self.balance = balance

        @task
        def add(self, amount: int) -> int:
            return self.balance + amount

        @flow
        def total(self, amount: int = 1) -> int:
            return self.add(amount) + self.add.submit(amount).result()

        @staticmethod
        @task
        def fee() -> int:
            return 3

    assert Account(10).total(5) == 30
    assert Account.fee() == 3
    assert {run.task_name for run in record.task_runs()} == {"add", "fee"}
    assert record.flow_run().flow_name == "total"


def test_partials_and_callable_objects_can_be_decorated(record: Record) -> None:
    class Adder:
        def __call__(self, a: int) -> int:
            return a + 1

    def add(a: int, b: int) -> int:
        return a + b

    assert task(functools.partial(add, 5))(3) == 8
    assert task(Adder())(1) == 2
    assert {run.task_name for run in record.task_runs()} == {"partial", "Adder"}


def test_what_a_function_is_decides_what_a_call_gives() -> None:
    async def coroutine() -> None: ...
    def generator() -> Iterator[int]:
        yield 1

    async def both() -> Any:
        yield 1

    kinds = [(task(fn).isasync, task(fn).isgenerator) for fn in (lambda: 1, coroutine, generator, both)]
    assert kinds == [(False, False), (True, False), (False, True), (True, True)]
    assert flow(functools.partial(coroutine)).isasync


def test_two_tasks_of_one_name_in_one_module_are_said_once_with_both_places(programs: Programs) -> None:
    done = programs.run("""
        from penstock import task

        @task
        def load(): ...

        @task(name="load")
        def other(): ...
    """)
    assert done.code == 0
    assert done.stderr.count("UserWarning: Task 'load'") == 1
    assert "program0.py:4" in done.stderr
    assert "program0.py:7" in done.stderr


def test_defining_one_task_twice_is_not_worth_a_warning() -> None:
    def define() -> Task[Any, Any]:
        @task
        def again() -> None: ...

        return again

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        define()
        define().with_options(retries=1)
