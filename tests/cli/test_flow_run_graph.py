"""`flow-run graph` and `flow-run watch`: the run as a tree, whatever its size, and as it happens."""

from __future__ import annotations

import json
import os
import re
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.cli import live
from penstock.cli.graph import DEEPEST
from penstock.domain.runs import FlowRun
from penstock.services import reading

from .conftest import Run
from .records import Records, penstock, program, wait_for


def tree(run: Run, id: str, *options: str) -> list[str]:
    result = run("flow-run", "graph", id, *options)
    assert result.exit_code == 0, result.output
    lines: list[str] = result.stdout.splitlines()
    return lines


def test_the_tree_has_tasks_subflows_and_what_ran_inside_them(run: Run, records: Records) -> None:
    made = records.flow_run("Pending", "Running", "Failed", name="mother", flow="nightly")
    first = records.task_run(made, task="extract")
    second = records.task_run(
        made, "Pending", "Running", "Failed", task="clean", run_count=3, upstream={"x": (first.id,)}
    )
    records.task_run(made, task="inner", parent_task_run_id=second.id)
    child = records.flow_run(
        name="child", flow="load", flow_run_id=made.id, parent_task_run_id=second.id, upstream={"y": (first.id,)}
    )
    records.task_run(child, "Cached", task="save")
    records.task_run(made, "Pending", task="later")
    assert tree(run, "mother") == [
        "✗ mother  (nightly)  Failed  1.00s",
        "├── ✓ extract-0  1.00s",
        "├── ✗ clean-0  Failed  1.00s  2 retries  ← extract-0",
        "│   ├── ✓ inner-0  1.00s",
        "│   └── ✓ child  (load)  1.00s  ← extract-0",
        "│       └── ✓ save-0  Cached",
        "└── ○ later-0  Pending",
    ]


def test_many_runs_of_one_task_are_folded(run: Run, records: Records) -> None:
    made = records.flow_run(name="wide")
    squares = records.mapped(made, 3020, failed=10)
    records.task_run(made, task="total", upstream={"numbers": tuple(each.id for each in squares)})
    lines = tree(run, "wide")
    assert len(lines) == 23
    assert lines[1] == "├── ✓ square-0"
    assert lines[21] == "├── ✓ total-0  1.00s  ← square-0, square-1, square-2 and 3,017 more"
    assert lines[22] == "└── … 3,000 more runs of 'square': 2,990 ✓ 10 ✗"
    everything = tree(run, "wide", "--all")
    assert len(everything) == 3022
    assert everything[-2] == "├── ✗ square-3019  Failed"


def test_what_is_inside_folded_runs_is_counted(run: Run, records: Records) -> None:
    made = records.flow_run(name="deep")
    for number, outer in enumerate(records.mapped(made, 25, task="outer")):
        records.task_run(made, "Completed", task="inner", number=number, parent_task_run_id=outer.id)
    lines = tree(run, "deep")
    assert len(lines) == 1 + 20 + 20 + 2
    assert lines[1:3] == ["├── ✓ outer-0", "│   └── ✓ inner-0"]
    assert lines[-2:] == ["├── … 5 more runs of 'outer': 5 ✓", "└── … 5 more runs of 'inner': 5 ✓"]


def test_subflows_are_folded_too(run: Run, records: Records) -> None:
    made = records.flow_run(name="many")
    for number in range(22):
        records.flow_run("Completed", name=f"child-{number}", flow="load", flow_run_id=made.id)
    lines = tree(run, "many")
    assert lines[20:] == ["├── ✓ child-19  (load)", "└── … 2 more runs of 'load': 2 ✓"]


def test_depth_is_no_danger(run: Run, records: Records) -> None:
    made = top = records.flow_run(name="top")
    for number in range(400):
        made = records.flow_run(name=f"sub-{number}", flow_run_id=made.id)
    assert len(tree(run, str(top.id))) == 401
    text = run("flow-run", "graph", "top", "-o", "json").stdout
    assert text.count('"kind": "flow-run"') == 401
    assert run("flow-run", "delete", "top").stdout == "Deleted 1 flow run and 400 subflow runs.\n"


def test_what_is_nested_deeper_than_anybody_reads_is_counted(run: Run, records: Records) -> None:
    made = top = records.flow_run(name="top")
    for number in range(1000):
        made = records.flow_run(name=f"sub-{number}", flow_run_id=made.id)
    deepest = reading.find_flow_run(records.store, f"sub-{DEEPEST - 1}")
    result = run("flow-run", "graph", str(top.id))
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == DEEPEST + 1
    assert result.stdout.endswith("  … 600 runs inside it\n")
    assert result.stderr == (
        "Only 400 levels are shown; 600 runs below them only counted."
        f" The graph goes on with `penstock flow-run graph {deepest.id}`.\n"
    )
    as_json = run("flow-run", "graph", "top", "-o", "json")
    assert (as_json.exit_code, as_json.stderr) == (0, result.stderr)
    assert as_json.stdout.count('"kind": "flow-run"') == DEEPEST + 1
    assert '"deeper": 600' in as_json.stdout
    assert run("flow-run", "graph", str(deepest.id)).stderr.startswith("Only 400 levels are shown; 200 runs")


def test_json_has_the_whole_tree(run: Run, records: Records) -> None:
    made = records.flow_run(name="wide")
    squares = records.mapped(made, 25)
    records.task_run(made, task="total", upstream={"numbers": tuple(each.id for each in squares)})
    document = json.loads(run("flow-run", "graph", "wide", "-o", "json").stdout)
    assert (document["kind"], document["name"], document["flow_name"]) == ("flow-run", "wide", "etl")
    assert len(document["children"]) == 21
    total = document["children"][-1]
    assert (total["task_name"], total["state_type"]) == ("total", "COMPLETED")
    assert total["upstream"]["numbers"] == [str(each.id) for each in squares]
    assert document["folded"] == [{"kind": "task-run", "of": "square", "count": 5, "state_types": {"COMPLETED": 5}}]


# --- watching --------------------------------------------------------------------------------------------------------


def test_a_change_is_seen_at_the_next_look(records: Records) -> None:
    made = records.flow_run("Pending", "Running")
    looks = live.watch(made.id)
    assert next(looks).state_name == "Running"
    other = Records()
    other.flow_run("Pending", "Running", "Completed", id=made.id)
    assert next(looks).state_name == "Completed"
    assert next(looks, None) is None
    other.store.close()


WAITING = """
import sys
from penstock import flow, task
@task
def step(number): return number
@flow(flow_run_name="slow-goose")
def wait():
    for line in sys.stdin:
        step(1)
        if "fail" in line: raise ValueError("asked to")
wait()
"""


def test_watching_what_has_ended_tells_how(run: Run, records: Records) -> None:
    records.flow_run(name="good")
    made = records.flow_run("Pending", "Running", "Cancelled", name="bad", message="no more")
    records.mapped(made, 30)
    assert run("flow-run", "watch", "good").exit_code == 0
    result = run("flow-run", "watch", "bad")
    assert result.exit_code == 1
    lines = [line.split(" | ", 1)[1] for line in result.stdout.splitlines()]
    assert lines[:2] == ["○ Flow run 'bad' - Pending", "▶ Flow run 'bad' - Running"]
    assert "⊘ Flow run 'bad' - Cancelled: no more" in lines
    assert lines.count("✓ Task run 'square-0' - Completed") == 1
    assert lines[-1] == "… 10 more runs of 'square': 10 ✓"
    assert json.loads(run("flow-run", "watch", "bad", "-o", "json").stdout)["state_name"] == "Cancelled"


@pytest.mark.parametrize(("word", "code", "state"), [("go", 0, "Completed"), ("fail", 1, "Failed")])
def test_watch_tells_states_as_they_come(run: Run, folder: Path, word: str, code: int, state: str) -> None:
    with program(folder / "wait.py", WAITING) as flow:
        wait_for(lambda: run("flow-run", "inspect", "slow-goose").exit_code == 0)
        with penstock("flow-run", "watch", "slow-goose") as watcher:
            assert flow.stdin is not None
            assert watcher.stdout is not None
            assert watcher.stdout.readline().endswith("Flow run 'slow-goose' - Pending\n")
            assert watcher.stdout.readline().endswith("Flow run 'slow-goose' - Running\n")
            flow.stdin.write("go\n")
            flow.stdin.flush()
            told = ""
            while "Task run 'step-0' - Completed" not in told:
                told = watcher.stdout.readline()
                assert told
            flow.stdin.write(word)
            flow.stdin.close()
            flow.stdin = None
            rest = watcher.stdout.read()
            assert f"Flow run 'slow-goose' - {state}" in rest
            assert watcher.wait(20) == code


def in_a_terminal(arguments: list[str], rows: int = 24, columns: int = 80, seen: Callable[[str], object] = len) -> str:
    """What a command writes to a terminal; `seen` is shown all of it each time there is more."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.environ.pop("NO_COLOR", None)
    with penstock(*arguments, stdout=theirs, stdin=theirs) as command:
        os.close(theirs)
        written = b""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # how Linux says that nobody has the other end any more
                    break
                if not piece:
                    break
                written += piece
                seen(written.decode(errors="replace"))
        command.kill()
    os.close(ours)
    return written.decode()


@pytest.fixture
def term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLUMNS", raising=False)  # it would win over the terminal's own
    monkeypatch.delenv("LINES", raising=False)


def test_in_a_terminal_the_tree_is_drawn_and_left_behind(term: Any, records: Records) -> None:
    made: FlowRun = records.flow_run(name="drawn")
    records.mapped(made, 60, failed=1)
    records.task_run(made, task="evil\x1b[2J", name="evil\x1b[2J")
    written = in_a_terminal(["flow-run", "watch", "drawn"], rows=10)
    assert "59/60" not in written
    assert "60/60  59 ✓ 1 ✗" in written
    assert "evil\\x1b[2J" in written
    assert "\x1b[2J" not in written
    left = written.rpartition("drawn  (etl)")[2]
    assert "square-0" in left  # all of it, though the terminal has ten lines
    assert "square-19" in left


def test_the_drawing_changes_with_the_run(term: Any, run: Run, folder: Path) -> None:
    with program(folder / "wait.py", WAITING) as flow:
        wait_for(lambda: run("flow-run", "inspect", "slow-goose").exit_code == 0)
        words = ["go\n" * 30, "fail\n"]

        def drive(written: str) -> None:
            """Goes on when the watcher has drawn what came before."""
            assert flow.stdin is not None
            if words and ("Running" if len(words) == 2 else "30/30") in written:
                flow.stdin.write(words.pop(0))
                flow.stdin.flush()

        written = in_a_terminal(["flow-run", "watch", "slow-goose"], rows=40, seen=drive)
    assert words == []
    assert "31/31" in written
    assert "✗ slow-goose  (wait)  Failed" in written


@pytest.mark.parametrize("columns", [30, 40, 80, 100, 200])
def test_a_list_in_a_terminal_has_whole_ids_on_one_line(term: Any, records: Records, columns: int) -> None:
    made = records.flow_run(name="a-rather-long-name-of-a-run-that-does-not-fit-into-the-terminal", flow="some-flow")
    records.task_run(made, name="n" * 60)
    for command in ("flow-run", "task-run"):
        written = in_a_terminal([command, "ls"], columns=columns)
        ids = listed_ids(command)
        lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in written.splitlines()]
        assert sum(ids[0] in line for line in lines) == 1
        assert [line for line in lines if len(line) > columns and line.strip() != ids[0]] == []
        assert not any("n" * 41 in line or "fit-into" in line for line in lines)


def listed_ids(command: str) -> list[str]:
    with penstock(command, "ls", "-o", "json") as process:
        return [each["id"] for each in json.loads(process.communicate()[0])]
