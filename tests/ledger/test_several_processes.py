"""Any number of processes write one record at once: every row is there, and nobody hears of a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..flows.kit import Programs, Record, until

PROGRAM = """
import sys
from penstock import flow, task

@task
def count(number):
    return number

@flow
def counting(many):
    for number in range(many):
        count(number)

counting(int(sys.argv[1]))
"""


def together(programs: Programs, record: Record, processes: int, tasks: int) -> None:
    program = programs.write(PROGRAM)
    quiet = {"PENSTOCK_LOGGING_TO_CONSOLE": "false"}
    started = [programs.start(program, tasks, **quiet) for _ in range(processes)]
    for process in started:
        done = programs.finish(process, timeout=200)
        assert done.code == 0, done.stderr
        assert "lock" not in done.stderr.lower()
        assert done.stderr == ""
    assert [run.state_name for run in record.flow_runs()] == ["Completed"] * processes
    states = dict(record.read(lambda tx: list(tx.rows("SELECT state_type, count(*) FROM task_run GROUP BY 1"))))
    assert states == {"COMPLETED": processes * tasks}
    counted = "SELECT count(*), count(DISTINCT name) FROM task_run GROUP BY flow_run_id"
    per_run = record.read(lambda tx: list(tx.rows(counted)))
    assert per_run == [(tasks, tasks)] * processes


def test_processes_that_start_at_once_on_a_home_that_is_not_there_yet_all_run(
    programs: Programs, record: Record
) -> None:
    together(programs, record, processes=6, tasks=200)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_eight_processes_with_five_thousand_tasks_each_leave_forty_thousand_rows(
    programs: Programs, record: Record
) -> None:
    together(programs, record, processes=8, tasks=5000)


def test_a_reader_sees_a_flow_of_another_process_while_it_runs(
    programs: Programs, record: Record, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    process = programs.start(
        """
        import os, sys, time
        from penstock import flow, task

        @task
        def quick(): ...

        @flow
        def waits():
            quick()
            while not os.path.exists(sys.argv[1]):
                time.sleep(0.01)

        waits()
        """,
        go_on,
    )
    until(lambda: record.count("task_run") if (tmp_path / "penstock-home" / "penstock.db").exists() else 0)
    until(lambda: [run.state_name for run in record.task_runs()] == ["Completed"])
    assert record.flow_run().state_name == "Running"
    go_on.touch()
    done = programs.finish(process)
    assert done.code == 0, done.stderr
    assert record.flow_run().state_name == "Completed"
