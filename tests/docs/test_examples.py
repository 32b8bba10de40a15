"""Each example runs alone, shows what its first lines promise, and is in the record as it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Ended

EXAMPLES = ROOT / "examples"
Run = Callable[..., Ended]
Penstock = Callable[..., Any]

# example -> lines that must be seen in this order (others may stand between), lines that must not be, and the flow runs
# and task runs of the record with their states.
Expected = tuple[list[str], list[str], dict[str, str], dict[str, str]]
EXPECTED: dict[str, Expected] = {
    "hello.py": (
        [
            "TIME | INFO | penstock.engine - Created flow run 'RUN1' for flow 'hello'",
            "TIME | INFO | Flow run 'RUN1' - Hello, world!",
            "TIME | INFO | Flow run 'RUN1' - Hello, Ada! Hello, Grace! Hello, Edsger!",
            "TIME | INFO | Flow run 'RUN1' - Finished in state Completed('All states completed.')",
        ],
        [],
        {"hello": "Completed"},
        {f"greet-{number}": "Completed" for number in range(4)},
    ),
    "timeouts.py": (
        [
            "TIME | INFO | Task run 'too_slow-0' - going to sleep",
            "TIME | ERROR | Task run 'too_slow-0' - Task run exceeded timeout of 1.0 second(s)",
            "TIME | INFO | Flow run 'RUN1' - the task is TimedOut after 1 s",
            "TIME | INFO | Flow run 'RUN1' - its error is a TimeoutError: True",
            "TIME | INFO | Flow run 'RUN1' - Finished in state Completed('1/1 states failed.')",
        ],
        ["woke up"],
        {"impatient": "Completed"},
        {"too_slow-0": "TimedOut"},
    ),
    "approval.py": (
        [
            "TIME | INFO | Flow run 'release' - waiting for somebody to look at model-7",
            "TIME | INFO | Flow run 'release' - Pausing flow, execution will continue when this flow run is resumed.",
            "TIME | INFO | Flow run 'release' - decided: approved=True reason='better than model-6'",
            "TIME | INFO | Task run 'publish-0' - published model-7",
        ],
        [],
        {"release": "Completed"},
        {"train-0": "Completed", "publish-0": "Completed"},
    ),
    "client.py": (
        [
            "TIME | ERROR | Flow run 'etl-2' - Finished in state Failed("
            "'Flow run encountered an exception: ValueError: there is no day 2')",
            "etl-2 Failed {'Completed': 2, 'Failed': 1}",
            "its last line: loading day 2",
        ],
        ["etl-1 Completed"],
        {"etl": "Completed"},  # the first of its two
        {"load-0": "Completed", "load-1": "Completed", "load-2": "Failed"},
    ),
    "log_prints.py": (
        [
            "TIME | INFO | Flow run 'RUN1' - the flow",
            "TIME | INFO | Task run 'work-0' - the task",
            "TIME | INFO | Task run 'work-0' - a function that the task calls",
            "TIME | INFO | Task run 'work-0' - a thread that the task starts",
            "the password is ...",  # the bare line: on stdout, which comes after stderr here
        ],
        ["- the password is"],
        {"printing": "Completed"},
        {"work-0": "Completed", "sensitive-0": "Completed"},
    ),
    "programs_and_loggers.py": (
        [
            "TIME | INFO | Task run 'unpack-0' - unpacking orders",
            "TIME | WARNING | Task run 'unpack-0' (warehouse.loader) - an empty file is left out",
            "TIME | INFO | Flow run 'RUN1' (warehouse.loader) - 10 rows",
            "3 files",  # on stdout, which comes after stderr here
        ],
        ["- one is empty", "- 3 files"],
        {"load": "Completed"},
        {"unpack-0": "Completed"},
    ),
    "retries.py": (
        [
            "TIME | ERROR | Task run 'fetch-0' - Task run failed with exception: ConnectionError('the line is down') - "
            "Retry 1/3 will start 0.1 second(s) from now",
            "TIME | ERROR | Task run 'fetch-0' - Task run failed with exception: ConnectionError('the line is down') - "
            "Retry 2/3 will start 0.2 second(s) from now",
            "TIME | INFO | Flow run 'RUN1' - fetched at attempt 3",
            "TIME | INFO | Flow run 'RUN1' - Failed('Task run encountered an exception: ValueError: this will not get "
            "better')",
        ],
        ["Retry 3/3", "Retry 1/3 will start 0 second(s)"],
        {"persistent": "Completed"},
        {"fetch-0": "Completed", "parse-0": "Failed"},
    ),
    "blocks.py": (
        [
            "TIME | INFO | Task run 'sign_in-0' - db.example.org: signing in with ********",
            "TIME | INFO | Flow run 'RUN1' - the key has 11 characters",
            "TIME | INFO | Flow run 'RUN1' - 500 rows at a time",
        ],
        ["correct horse", "k-83hf-20xk"],
        {"load": "Completed"},
        {"sign_in-0": "Completed"},
    ),
    "mapping.py": (
        [
            "TIME | INFO | Flow run 'RUN1' - the sum of the squares is 285",
            "TIME | INFO | Flow run 'RUN1' - all at once: True",
        ],
        [],
        {"mapping": "Completed"},
        {f"power-{number}": "Completed" for number in range(13)} | {"total-0": "Completed"},
    ),
    "async_flow.py": (
        [
            "TIME | INFO | Flow run 'RUN1' - waited 1.5 s together: True",
            "TIME | INFO | Flow run 'RUN1' - the fourth is TimedOut",
        ],
        [],
        {"concurrent": "Completed"},
        {**{f"wait_for-{number}": "Completed" for number in range(3)}, "wait_for-3": "TimedOut"},
    ),
    "subflows.py": (
        [
            "TIME | INFO | penstock.engine - Created subflow run 'RUN2' for flow 'load'",
            "TIME | INFO | penstock.engine - Created subflow run 'RUN3' for flow 'load'",
            "TIME | INFO | Flow run 'RUN1' - loaded 15 rows",
        ],
        [],
        {"nightly": "Completed", "load": "Completed"},
        {"count-0": "Completed"},
    ),
    "caching.py": (
        [
            "TIME | INFO | Task run 'compute-0' - computing 2",
            "TIME | INFO | Task run 'compute-1' - Finished in state Cached()",
            "TIME | INFO | Task run 'compute-2' - computing 3",
            "TIME | INFO | Flow run 'RUN1' - 42, then 42 (Cached), then 63",
        ],
        ["Task run 'compute-1' - computing"],
        {"thrifty": "Completed"},
        {"compute-0": "Completed", "compute-1": "Cached", "compute-2": "Completed"},
    ),
    "generators.py": (
        [
            "TIME | INFO | Task run 'pages-0' - fetching page 1",
            "TIME | INFO | Flow run 'RUN1' - reading page 1",
            "TIME | INFO | Task run 'pages-0' - fetching page 2",
            "TIME | INFO | Flow run 'RUN1' - reading page 2",
            "TIME | INFO | Task run 'pages-0' - closing the connection",
            "TIME | INFO | Task run 'pages-0' - Finished in state Completed()",
            "TIME | INFO | Flow run 'RUN1' - submitted, the items come as a list: [1, 2]",
        ],
        ["fetching page 3"],
        {"reading": "Completed"},
        {"pages-0": "Completed", "pages-1": "Completed"},
    ),
    "cancelling.py": (
        [
            "TIME | INFO | Task run 'copy-0' - copying orders",
            "TIME | INFO | Task run 'copy-0' - closing the connection",
            "TIME | ERROR | Flow run 'nightly' - Finished in state Cancelled('Cancelled by SOMEBODY via Python.')",
            "TIME | INFO | Flow run 'nightly' - nightly is Cancelled: its code has raised",
        ],
        ["never printed"],
        {"load": "Cancelled"},
        {"copy-0": "Cancelled"},
    ),
    "isolation.py": (
        [
            "TIME | ERROR | Task run 'largest-0' - Task run exceeded timeout of 0.5 second(s)",
            "TIME | INFO | Flow run 'RUN1' - ten billion: TimedOut",
            "TIME | INFO | Flow run 'RUN1' - ten: 9",
        ],
        [],
        {"isolated": "Completed"},
        {"largest-0": "TimedOut", "largest-1": "Completed"},
    ),
    "concurrency_limits.py": (
        [
            "TIME | INFO | Flow run 'RUN1' - queries: [0, 1, 2, 3, 4]",
            "TIME | INFO | Flow run 'RUN1' - four calls took their time: True",
        ],
        ["three at once"],
        {"limited": "Completed"},
        {f"{name}-{number}": "Completed" for name, count in (("query", 5), ("call_api", 4)) for number in range(count)},
    ),
    "artifacts.py": (
        ["TIME | INFO | Flow run 'RUN1' - see `penstock artifact ls`"],
        [],
        {"sales": "Completed"},
        {},
    ),
    "serving.py": (
        [
            "TIME | INFO | Flow run 'RUN1' - 3 pages about monday",
            "TIME | INFO | Flow run 'RUN1' - Finished in state Completed('All states completed.')",
            "RUN1 is Completed",
        ],
        [],
        {"report": "Completed"},
        {},
    ),
    "results_and_states.py": (
        [
            "the task is Failed: ValueError('no luck')",
            "Failed('Task run encountered an exception: ValueError: no luck')",
            "Skipped('nothing to do today')",
        ],
        [],
        {"goes-on": "Completed", "returns-the-state": "Failed", "says-so-itself": "Skipped"},
        {"fails-0": "Failed"},
    ),
}


def test_every_example_is_expected() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


def in_order(wanted: list[str], lines: list[str]) -> list[str]:
    """The wanted lines that are not among `lines` in their order."""
    rest = iter(lines)
    return [line for line in wanted if line not in rest]


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, run: Run, penstock: Penstock) -> None:
    wanted, unwanted, flow_runs, task_runs = EXPECTED[name]

    ended = run(EXAMPLES / name)

    assert ended.code == 0, ended.err
    assert in_order(wanted, ended.lines()) == [], ended.err + ended.out
    assert [text for text in unwanted if text in ended.err + ended.out] == []
    recorded = penstock("flow-run", "ls", "--limit", "100")
    assert {run["flow_name"]: run["state_name"] for run in recorded} == flow_runs
    recorded = penstock("task-run", "ls", "--limit", "100")
    assert {run["name"]: run["state_name"] for run in recorded} == task_runs


def test_the_password_is_not_in_the_record(run: Run, penstock_home: Path) -> None:
    run(EXAMPLES / "log_prints.py")

    assert not [path for path in penstock_home.rglob("*") if path.is_file() and b"the password" in path.read_bytes()]


def test_the_lines_of_a_program_are_in_the_record(run: Run, penstock: Penstock) -> None:
    ended = run(EXAMPLES / "programs_and_loggers.py")

    assert "one is empty" in ended.err.splitlines()
    (task_run,) = penstock("task-run", "ls")
    written = run("-m", "penstock", "task-run", "logs", task_run["id"], "--output", "json").out
    first, second, third, fourth, _ = [json.loads(line)["message"] for line in written.splitlines()]
    assert (first, fourth) == ("unpacking orders", "an empty file is left out")
    assert {second, third} == {"3 files", "one is empty"}


def test_a_cached_value_serves_the_next_process_too(run: Run) -> None:
    run(EXAMPLES / "caching.py")

    second = run(EXAMPLES / "caching.py")

    assert "computing" not in second.err
    assert "42, then 42 (Cached), then 63" in second.err
