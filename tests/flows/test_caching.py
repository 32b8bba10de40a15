"""A cached task takes the value of an earlier run with the same key: in this flow, the next one, or another process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock import flow, task
from penstock.cache_policies import DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, NONE, RUN_ID, TASK_SOURCE, CachePolicy
from penstock.exceptions import HashError
from penstock.tasks import task_input_hash

from .kit import Programs, Record, names, until


def counted(**options: Any) -> tuple[Any, list[Any]]:
    """A task, and the arguments of the calls that really ran."""
    calls: list[Any] = []

    @task(**options)
    def work(x: Any = None, y: Any = None) -> Any:
        calls.append((x, y))
        return [x, y]

    return work, calls


def in_a_flow(code: Callable[..., Any], *args: Any) -> Any:
    return flow(name="main", validate_parameters=False)(code)(*args)


def test_nothing_is_cached_unless_that_is_asked_for(record: Record) -> None:
    work, calls = counted()
    in_a_flow(lambda: (work(1), work(1)))
    assert len(calls) == 2
    assert record.count("cache") == 0


def test_the_same_inputs_give_the_earlier_value(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS)

    def main() -> list[Any]:
        return [work(1), work(1), work(x=1), work.submit(1).result(), work(2), work(1, y=1)]

    assert in_a_flow(main) == [[1, None]] * 4 + [[2, None], [1, 1]]
    assert calls == [(1, None), (2, None), (1, 1)]
    first, second, *_ = record.task_runs()
    assert names(first) == ["Pending", "Running", "Completed"]
    assert names(second) == ["Pending", "Cached"]
    assert second.state.is_completed()
    assert (second.state.details or {})["cached_from"] == str(first.id)
    assert first.cache_key == second.cache_key
    assert second.result == first.result


def test_a_cached_value_is_there_for_the_next_run_and_outside_flows(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS)
    in_a_flow(lambda: work(1))
    in_a_flow(lambda: work(1))
    assert work(1) == [1, None]
    assert len(calls) == 1


def test_a_cached_value_is_there_for_the_next_process(programs: Programs, record: Record) -> None:
    program = programs.write("""
        from penstock import flow, task
        from penstock.cache_policies import INPUTS, TASK_SOURCE

        @task(cache_policy=INPUTS + TASK_SOURCE)
        def work(x, names, more):
            return {"x": x}

        @flow
        def main():
            return work(1, {"b", "a", "c"}, more={"k": {1, 2, 3}, "a": None})

        print(main())
    """)
    runs = [programs.run(program, PYTHONHASHSEED=str(seed)) for seed in (1, 2)]
    assert [run.stdout for run in runs] == ["{'x': 1}\n"] * 2, runs[1].stderr
    assert [run.state_name for run in record.task_runs()] == ["Completed", "Cached"]


def test_a_key_function_of_the_users_own_decides(record: Record) -> None:
    seen: list[Any] = []

    def key(context: Any, parameters: dict[str, Any]) -> str | None:
        seen.append((context.task.name, context.task_run.name, dict(parameters)))
        return None if parameters["x"] is None else f"key-{parameters['x'] % 2}"

    work, calls = counted(cache_key_fn=key)

    def main() -> Any:
        return work(1), work(3), work(2), work(), work()

    assert in_a_flow(main) == ([1, None], [1, None], [2, None], [None, None], [None, None])
    assert calls == [(1, None), (2, None), (None, None), (None, None)]
    assert seen[0] == ("work", "work-0", {"x": 1, "y": None})
    assert record.task_runs()[0].cache_key == "key-1"


def test_a_key_that_is_no_text_fails_the_task_and_says_so(record: Record) -> None:
    work, calls = counted(cache_key_fn=lambda *_: 5)
    with pytest.raises(HashError, match=r"cache_key_fn of task 'work'.*int"):
        work(1)
    assert not calls
    assert record.task_run().state_name == "Failed"


def test_a_key_function_that_fails_fails_the_task(record: Record) -> None:
    work, calls = counted(cache_key_fn=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_a_flow(lambda: work.submit(1).result())
    assert not calls
    assert record.task_run().state_name == "Failed"


def test_the_older_key_function_of_the_field_is_there(record: Record) -> None:
    work, calls = counted(cache_key_fn=task_input_hash)
    other = task(name="other", cache_key_fn=task_input_hash)(lambda x=None, y=None: "other")
    assert in_a_flow(lambda: (work(1), work(1), other(1))) == ([1, None], [1, None], "other")
    assert len(calls) == 1


def test_a_value_is_taken_until_it_expires(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS, cache_expiration=timedelta(seconds=0.3))
    work(1)
    work(1)
    assert len(calls) == 1
    until(lambda: (work(1), len(calls) == 2)[1], 5)


def test_a_refresh_runs_the_task_and_renews_the_value(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS)
    refreshed = work.with_options(refresh_cache=True)
    work(1)
    refreshed(1)
    work(1)
    assert len(calls) == 2
    first, second, third = record.task_runs()
    assert (third.state.details or {})["cached_from"] == str(second.id) != str(first.id)


def test_settings_refresh_and_disable(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    work, calls = counted(cache_policy=INPUTS)
    never = work.with_options(refresh_cache=False)
    work(1)
    monkeypatch.setenv("PENSTOCK_TASKS_REFRESH_CACHE", "true")
    work(1)
    assert len(calls) == 2
    never(1)
    assert len(calls) == 2
    monkeypatch.setenv("PENSTOCK_TASKS_DISABLE_CACHING", "true")
    never(1)
    assert len(calls) == 3
    assert record.task_runs()[-1].cache_key is None


def test_an_input_that_cannot_be_hashed_is_named_with_what_to_do(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS)
    with pytest.raises(HashError) as raised:
        work(1, y=threading.Lock())
    for part in ("'y'", "'work'", "lock", "INPUTS - 'y'", "cache_key_fn"):
        assert part in str(raised.value)
    assert not calls
    assert record.task_run().state_name == "Failed"


def test_what_is_left_out_of_the_key_need_not_be_hashed(record: Record) -> None:
    @task(cache_policy=INPUTS - "lock")
    def work(x: int, lock: Any) -> int:
        return x

    assert work(1, threading.Lock()) == work(1, threading.Lock()) == 1
    assert [run.state_name for run in record.task_runs()] == ["Completed", "Cached"]


def test_inputs_may_be_left_out(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS - "y")
    in_a_flow(lambda: (work(1, 1), work(1, 2), work(2, 1)))
    assert calls == [(1, 1), (2, 1)]
    work, calls = counted(name="both", cache_policy=(TASK_SOURCE + INPUTS) - ["x", "y"])
    in_a_flow(lambda: (work(1, 1), work(2, 2)))
    assert len(calls) == 1


def test_the_source_is_a_part_of_the_key_where_that_is_asked_for(record: Record) -> None:
    one = task(name="same", cache_policy=TASK_SOURCE + INPUTS)(lambda x: ("one", x))

    @task(name="same", cache_policy=TASK_SOURCE + INPUTS)
    def two(x: int) -> Any:
        return "two", x

    in_a_flow(lambda: (one(1), two(1)))
    assert [run.state_name for run in record.task_runs()] == ["Completed", "Completed"]


def test_by_the_run_id_values_stay_in_their_run(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS + RUN_ID)
    for _ in range(2):
        in_a_flow(lambda: (work(1), work(1)))
    assert len(calls) == 2
    default, calls = counted(name="default", cache_policy=DEFAULT)
    for _ in range(2):
        in_a_flow(lambda: (default(1), default(1)))
    assert len(calls) == 2


def test_by_the_flows_parameters_values_are_shared_by_runs_with_the_same(record: Record) -> None:
    work, calls = counted(cache_policy=FLOW_PARAMETERS)

    def main(parameter: int) -> Any:
        return work(object())

    for parameter in (1, 1, 2):
        in_a_flow(main, parameter)
    assert len(calls) == 2


@pytest.mark.parametrize("policy", [NO_CACHE, NONE])
def test_no_cache_is_no_cache(policy: CachePolicy, record: Record) -> None:
    work, calls = counted(cache_policy=policy)
    in_a_flow(lambda: (work(1), work(1)))
    assert len(calls) == 2


def test_policies_of_ones_own_can_be_added(record: Record) -> None:
    class Always(CachePolicy):
        def compute_key(self, context: Any, inputs: dict[str, Any]) -> str | None:
            return "always"

    work, calls = counted(cache_policy=Always() + NO_CACHE)
    in_a_flow(lambda: (work(1), work(2)))
    assert calls == [(1, None)]
    with pytest.raises(TypeError):
        INPUTS + "text"  # type: ignore[operator]


def test_a_failed_run_leaves_nothing_in_the_cache(record: Record) -> None:
    attempts: list[int] = []

    @task(cache_policy=INPUTS)
    def flaky(x: int) -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError
        return x

    flaky(1, return_state=True)
    assert flaky(1) == 1
    assert flaky(1) == 1
    assert len(attempts) == 2


def test_a_lost_file_is_a_cache_miss_and_said(record: Record, penstock_home: Path) -> None:
    work, calls = counted(cache_policy=INPUTS, persist_result=True)
    value = "x" * 100_000
    assert work(value)[0] == value
    (file,) = [each for each in (penstock_home / "storage").rglob("*") if each.is_file()]
    file.unlink()
    assert work(value)[0] == value
    assert len(calls) == 2
    assert any("cannot be used" in message for message in record.messages(record.task_runs()[-1]))


def test_a_large_value_is_cached_in_a_file(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS)
    value = "x" * 100_000
    work(value)
    assert work(value) == [value, None]
    assert len(calls) == 1


def test_values_that_only_look_alike_have_keys_of_their_own(record: Record) -> None:
    work, calls = counted(cache_policy=INPUTS)
    values = [
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        "None",
        [1],
        (1,),
        {1},
        {1: 1},
        [[1]],
        "",
        [],
        {},
        [1, 2],
        ["1", 2],
        "1, 2",
    ]

    def main() -> None:
        for value in values:
            assert work(value)[0] == value
            assert type(work(value)[0]) is type(value)

    in_a_flow(main)
    assert len(calls) == len(values)


def test_a_cached_none_is_a_value(record: Record) -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS)
    def nothing() -> None:
        calls.append(1)

    nothing()
    assert nothing() is None
    assert len(calls) == 1
