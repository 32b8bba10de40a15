"""`task-run`: the right runs, and one of them whole."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run
from .records import Records, penstock, program, wait_for


def names(run: Run, *options: str) -> list[str]:
    result = run("task-run", "ls", *options, "--output", "json")
    assert result.exit_code == 0, result.output
    return [each["name"] for each in json.loads(result.stdout)]


def test_task_runs_are_chosen_by_flow_run_task_and_state(run: Run, records: Records) -> None:
    one, two = records.flow_run(name="one"), records.flow_run(name="two")
    records.task_run(one, task="load")
    records.task_run(one, "Running", task="save")
    records.task_run(two, "Failed", task="load", number=1)
    records.task_run(None, "Failed", task="alone", number=2)
    assert names(run) == ["alone-2", "load-1", "save-0", "load-0"]
    assert names(run, "--flow-run", "one") == ["save-0", "load-0"]
    assert names(run, "--flow-run", str(two.id), "--state", "failed") == ["load-1"]
    assert names(run, "--task-name", "load", "--task-name", "save") == ["load-1", "save-0", "load-0"]
    assert names(run, "--state", "Running") == ["save-0"]
    assert names(run, "--state-type", "running", "--state-type", "pending") == ["save-0"]
    assert names(run, "--state-type", "failed", "--state-type", "running") == ["alone-2", "load-1", "save-0"]
    assert names(run, "--limit", "1") == ["alone-2"]
    assert run("task-run", "ls", "--flow-run", "three").stderr == "Error: Flow run 'three' not found!\n"


def test_the_table_names_the_flow_run(run: Run, records: Records) -> None:
    made = records.task_run(records.flow_run(name="one"), task="load")
    head, line = run("task-run", "ls").stdout.splitlines()
    assert head.split() == ["ID", "Flow", "run", "Name", "State", "When", "Duration"]
    assert line.split()[:5] == [str(made.id), "one", "load-0", "✓", "Completed"]


def test_a_task_with_many_runs_is_one_line_that_a_filter_opens(run: Run, records: Records) -> None:
    one = records.flow_run(name="one")
    records.task_run(one, task="load")
    for number in range(30):
        records.task_run(one, "Failed" if number < 4 else "Completed", task="parse", number=number)
    _, first, second = run("task-run", "ls", "--flow-run", "one").stdout.splitlines()
    assert first.split()[3:5] == ["✓", "Completed"]
    assert second.split() == ["--task-name", "parse", "one", "parse", "×", "30", "26", "Completed,", "4", "Failed"]
    assert len(names(run, "--flow-run", "one", "--task-name", "parse", "--limit", "100")) == 30
    assert len(names(run, "--flow-run", "one", "--limit", "100")) == 31  # a program is given each
    assert len(run("task-run", "ls", "--flow-run", "one", "--state", "Failed").stdout.splitlines()) == 5


def test_inspect_shows_a_task_run_by_part_of_its_id(run: Run, records: Records) -> None:
    above = records.task_run(None, task="above")
    flow_run = records.flow_run(name="one")
    made = records.task_run(
        flow_run, task="load", parameters={"x": "1"}, upstream={"x": (above.id,)}, cache_key="k", tags=("t",)
    )
    text = run("task-run", "inspect", made.id.hex[-8:]).stdout
    for expected in ("Task run:", "load-0", "etl.load", f"one (etl) {flow_run.id}", f"{above.id}", "Cache key", "Tags"):
        assert expected in text
    document = json.loads(run("task-run", "inspect", str(made.id), "-o", "json").stdout)
    assert document["upstream"] == {"x": [str(above.id)]}
    assert document["task_key"] == "etl.load"


def test_logs_of_a_task_run_are_its_own(run: Run, records: Records) -> None:
    flow_run = records.flow_run()
    first, second = (records.task_run(flow_run, task="load", number=number) for number in range(2))
    alone = records.task_run(None, task="alone")
    records.lines(first, "from the first")
    records.lines(second, "from the second", start=1)
    records.lines(alone, "from the one outside")
    lines = run("task-run", "logs", str(first.id)).stdout.splitlines()
    assert [line.split(" | ", 2)[2] for line in lines] == ["Task run 'load-0' - from the first"]
    assert "Task run 'alone-0' - from the one outside" in run("task-run", "logs", str(alone.id)).stdout


TALKING = """
import sys
from penstock import flow, task
@task
def talk():
    for line in sys.stdin:
        if "end" in line:
            return
        print("heard", line.strip())
@flow(log_prints=True)
def main():
    print("of the flow")
    talk()
    print("of the flow")
    sys.stdin.read()
main()
"""


def test_follow_shows_the_lines_of_a_task_run_until_it_ends(run: Run, folder: Path) -> None:
    with program(folder / "talk.py", TALKING) as flow:
        assert flow.stdin is not None
        made = wait_for(lambda: json.loads(run("task-run", "ls", "--state", "Running", "-o", "json").stdout))[0]
        with penstock("task-run", "logs", made["id"], "--follow", "--grep", "heard") as reader:
            assert reader.stdout is not None
            for word in ("one", "two"):
                flow.stdin.write(f"{word}\n")
                flow.stdin.flush()
                assert reader.stdout.readline().endswith(f" | INFO    | Task run 'talk-0' - heard {word}\n")
            flow.stdin.write("end\n")
            flow.stdin.flush()
            assert reader.stdout.read() == ""
            assert reader.wait(20) == 0
        assert flow.poll() is None, "the flow goes on"
