"""What reviews found and no other file is about: names made by functions, pools that outlive a task, a lost home."""

from __future__ import annotations

from typing import Any

from penstock import flow, task
from penstock.runtime import flow_run, task_run

from .kit import Programs, Record


def test_a_name_function_may_have_a_variable_that_is_called_parameters(record: Record) -> None:
    def name() -> str:
        parameters = ["na", "med"]
        return "".join(parameters)

    @task(task_run_name=name)
    def work() -> None: ...

    @flow(flow_run_name=name)
    def main() -> None:
        work()
        work.submit().wait()

    main()
    assert [run.name for run in (record.flow_run(), *record.task_runs())] == ["named"] * 3


def test_a_name_function_may_ask_for_the_parameters_of_the_run_that_it_names(record: Record) -> None:
    @task(task_run_name=lambda: f"work-{task_run.parameters['number']}-of-{flow_run.parameters['number']}")
    def work(number: int) -> None: ...

    @flow(flow_run_name=lambda: f"main-{flow_run.parameters['number']}")
    def main(number: int, deeper: bool) -> None:
        work(number + 1)
        work.submit(number + 2).wait()
        if deeper:
            main(number + 10, False)

    main(1, True)
    assert sorted(run.name for run in record.flow_runs()) == ["main-1", "main-11"]
    assert sorted(run.name for run in record.task_runs()) == [
        "work-12-of-11",
        "work-13-of-11",
        "work-2-of-1",
        "work-3-of-1",
    ]


def test_prints_in_a_pool_that_an_earlier_task_made_belong_to_the_task_that_submits_them(
    programs: Programs, record: Record
) -> None:
    done = programs.run("""
        import sys
        from penstock import flow, task

        @task
        def first():
            global pool
            from concurrent.futures import ThreadPoolExecutor
            pool = ThreadPoolExecutor(1)
            pool.submit(print, "from the first").result()

        @task
        def second():
            pool.submit(print, "from the second").result()

        @flow(log_prints=True)
        def main():
            assert "concurrent.futures.thread" not in sys.modules
            first()
            second()

        main()
    """)
    assert done.code == 0, done.stderr
    said: dict[str, Any] = {
        line.message: line.task_run_id for line in record.lines() if line.message.startswith("from the")
    }
    assert said == {"from the first": record.task_run("first").id, "from the second": record.task_run("second").id}


def test_a_flow_after_the_home_was_deleted_is_in_a_new_record(programs: Programs, record: Record) -> None:
    done = programs.run("""
        import os, shutil
        from penstock import flow, task

        @task
        def work(): ...

        @flow
        def main(number):
            work()

        main(1)
        shutil.rmtree(os.environ["PENSTOCK_HOME"])
        main(2)
        main(3)
    """)
    assert done.code == 0, done.stderr
    assert [(run.parameters, run.state_name) for run in record.flow_runs()] == [
        ({"number": "2"}, "Completed"),
        ({"number": "3"}, "Completed"),
    ]
    assert [run.flow_run_id for run in record.task_runs()] == [run.id for run in record.flow_runs()]
