"""`flow-run ls`, `flow ls`: the right runs, the newest first, whole ids."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from penstock.domain.states import NAMES

from .conftest import Run
from .records import Records


def names(run: Run, *options: str) -> list[str]:
    result = run("flow-run", "ls", *options, "--output", "json")
    assert result.exit_code == 0, result.output
    return [each["name"] for each in json.loads(result.stdout)]


def test_an_empty_record_says_in_one_line_how_to_begin(run: Run) -> None:
    for command in ("flow-run", "task-run", "flow"):
        result = run(command, "ls")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.count("\n") == 1
        assert "@penstock.flow" in result.stderr
        assert json.loads(run(command, "ls", "-o", "json").stdout) == []


def test_runs_are_listed_newest_first_with_whole_ids(run: Run, records: Records) -> None:
    old = records.flow_run(ago=timedelta(minutes=3, seconds=5), name="old")
    new = records.flow_run("Pending", "Running", "Failed", name="new")
    head, first, second = run("flow-run", "ls").stdout.splitlines()
    assert head.split() == ["ID", "Flow", "Name", "State", "When", "Duration"]
    assert first.split()[:5] == [str(new.id), "etl", "new", "✗", "Failed"]
    assert second.split() == [str(old.id), "etl", "old", "✓", "Completed", "3", "minutes", "ago", "1.00s"]


def test_json_carries_everything_in_utc(run: Run, records: Records) -> None:
    made = records.flow_run(tags=("a",), parameters={"x": "1"}, message="well done")
    (document,) = json.loads(run("flow-run", "ls", "-o", "json").stdout)
    assert document["id"] == str(made.id)
    assert (document["parameters"], document["tags"]) == ({"x": "1"}, ["a"])
    assert document["state"]["message"] == "well done"
    assert document["state_name"] == "Completed"
    assert [state["name"] for state in document["states"]] == ["Pending", "Running", "Completed"]
    assert document["total_run_time"] == 1.0
    assert document["start_time"].endswith("Z")
    assert datetime.fromisoformat(document["created"]) == made.created


def test_filters_narrow_together_and_widen_when_repeated(run: Run, records: Records) -> None:
    records.flow_run(name="a", flow="one", tags=("x", "y"))
    records.flow_run("Pending", "Running", "TimedOut", name="b", flow="one", tags=("x",))
    records.flow_run("Pending", "Running", name="c", flow="two")
    records.flow_run("Crashed", name="d%", flow="three")
    assert names(run, "--flow-name", "one") == ["b", "a"]
    assert names(run, "--flow-name", "one", "--flow-name", "two") == ["c", "b", "a"]
    assert names(run, "--state", "timedout") == ["b"]
    assert names(run, "--state", "CRASHED", "--state", "running") == ["d%", "c"]
    assert names(run, "--state-type", "failed", "--state-type", "Completed") == ["b", "a"]
    assert names(run, "--state-type", "FAILED", "--state", "Crashed") == []
    assert names(run, "--flow-name", "one", "--state-type", "FAILED") == ["b"]
    assert names(run, "--flow-name", "one", "--flow-name", "three", "--state-type", "CRASHED") == ["d%"]
    assert names(run, "--tag", "x") == ["b", "a"]
    assert names(run, "--tag", "x", "--tag", "y") == ["a"]
    assert names(run, "--tag", "X") == []
    assert names(run, "--name", "D%") == ["d%"]
    assert names(run, "--name", "%a") == []
    assert names(run, "--limit", "2") == ["d%", "c"]


def test_runs_are_found_by_when_they_were_created(run: Run, records: Records) -> None:
    records.flow_run(name="old", ago=timedelta(hours=3))
    middle = records.flow_run(name="middle", ago=timedelta(minutes=90))
    records.flow_run(name="new")
    assert names(run, "--after", "2h") == ["new", "middle"]
    assert names(run, "--before", "1h30m") == ["middle", "old"]
    assert names(run, "--after", "2h", "--before", "60m") == ["middle"]
    assert names(run, "--after", middle.created.isoformat(), "--before", "1h") == ["middle"]
    wall = (middle.created.astimezone().replace(tzinfo=None) + timedelta(seconds=1)).isoformat(" ")
    assert names(run, "--before", wall) == ["middle", "old"]
    assert names(run, "--after", (datetime.now(UTC) + timedelta(days=2)).date().isoformat()) == []


def test_times_and_states_that_do_not_exist_are_errors_that_name_those_that_do(run: Run) -> None:
    result = run("flow-run", "ls", "--state", "finished")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert all(name in result.stderr for name in ("'finished'", *NAMES))
    result = run("flow-run", "ls", "--state-type", "done")
    assert result.exit_code == 1
    assert "'done'" in result.stderr
    assert "CANCELLING" in result.stderr
    result = run("flow-run", "ls", "--after", "yesterday")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "'yesterday' is not a time" in result.stderr


@pytest.mark.parametrize("time", ["999999999999w", "0001-01-01T00:00:00+23:00", "99999-01-01", "-1d", ""])
def test_a_time_nobody_can_mean_is_an_error_too(run: Run, time: str) -> None:
    result = run("flow-run", "ls", "--before", time)
    assert result.exit_code == 1
    assert "is not a time" in result.stderr


def test_nothing_that_fits_is_not_an_empty_record(run: Run, records: Records) -> None:
    records.flow_run()
    result = run("flow-run", "ls", "--state", "Paused")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No flow runs fit.\n")


def test_flows_are_listed_with_their_runs(run: Run, records: Records) -> None:
    records.flow_run(flow="quiet", ago=timedelta(days=2))
    records.flow_run("Failed", flow="busy")
    records.flow_run("Crashed", flow="busy")
    records.flow_run(flow="busy")
    head, first, second = run("flow", "ls").stdout.splitlines()
    assert head.split() == ["Name", "Runs", "Failed", "Last", "run"]
    assert first.split()[:3] == ["busy", "3", "2"]
    assert second.split() == ["quiet", "1", "0", "2", "days", "ago"]
    assert [each["name"] for each in json.loads(run("flow", "ls", "-o", "json", "--limit", "1").stdout)] == ["busy"]


def test_a_name_cannot_drive_the_terminal(run: Run, records: Records) -> None:
    records.flow_run(name="evil\x1b]0;title\x07", flow="f\x9b2J")
    made = records.flow_run("Failed", name="evil\x1b[2J", message="\x1b[31mred\x1b[0m \x1b[1A\rup", tags=("\x1b[1A",))
    records.task_run(made, name="t\x1b[2J", parameters={"\x1bc": "\x1bc"})
    outputs = [
        run("flow-run", "ls"),
        run("task-run", "ls"),
        run("flow", "ls"),
        run("flow-run", "inspect", str(made.id)),
        run("flow-run", "graph", str(made.id)),
        run("flow-run", "watch", str(made.id)),
        run("flow-run", "inspect", "\x1b[2J"),
    ]
    for result in outputs:
        assert not set(result.output) & {"\x1b", "\x9b", "\x07", "\r"}, result.output
    assert "red \\x1b[1A\\x0dup" in outputs[3].output
