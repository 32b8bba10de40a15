"""`penstock flow-run retry`: a run goes on from where it failed, and what it had finished is not done again.

Each program counts what really ran in the file that it is given, and fails while a file `broken` is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from penstock.domain.runs import FlowRun

from .kit import SOURCE, Finished, Programs, Record, names, until

HEAD = """
    import os, sys, time
    from dataclasses import dataclass
    from pathlib import Path
    from penstock import flow, task
    from penstock.task_runners import ProcessPoolTaskRunner

    FOLDER = Path(os.environ["FOLDER"])

    def ran(what):
        with open(FOLDER / "ran", "a") as file:
            file.write(f"{what}\\n")

    def broken():
        return (FOLDER / "broken").exists()
"""
ETL = """
    @task
    def extract(day):
        ran("extract")
        return [day, "rows"]

    @task
    def transform(rows):
        ran("transform")
        return {"rows": rows}

    @task
    def load(rows, dry=False):
        ran("load")
        if broken():
            raise ValueError("the database is down")
        return rows["rows"][0], dry

    @flow
    def etl(day, dry=False):
        return load(transform(extract(day)), dry)
"""
GUARD = """
    if __name__ == "__main__":
        ran("program")
        etl("monday")
"""


class Retries:
    """Runs programs, and `penstock flow-run retry`, in the folder of the test."""

    def __init__(self, programs: Programs, record: Record, folder: Path) -> None:
        self.programs, self.record, self.folder = programs, record, folder
        self.cli = programs.write("from penstock.cli.main import main\nmain()\n")
        (folder / "broken").touch()

    def run(self, text: str, *arguments: object, head: str = HEAD) -> Path:
        path = self.programs.write(_joined(head, text))
        self.programs.run(path, *arguments, FOLDER=str(self.folder))
        return path

    def python(self, *arguments: str) -> None:
        """A Python program in the folder of the test, which may fail."""
        path = os.pathsep.join(each for each in (str(SOURCE), os.environ.get("PYTHONPATH")) if each)
        environment = {**os.environ, "PYTHONPATH": path, "FOLDER": str(self.folder)}
        subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, timeout=60, check=False
        )

    def mend(self) -> None:
        (self.folder / "broken").unlink()

    def retry(self, run: FlowRun | None = None, *options: str) -> Finished:
        id = (run or self.record.flow_run()).id
        return self.programs.run(self.cli, "flow-run", "retry", id, *options, FOLDER=str(self.folder))

    def ran(self) -> Counter[str]:
        file = self.folder / "ran"
        return Counter(file.read_text().split() if file.exists() else [])


def _joined(*parts: str) -> str:
    import textwrap

    return "".join(textwrap.dedent(part) for part in parts)


@pytest.fixture
def retries(programs: Programs, record: Record, tmp_path: Path) -> Retries:
    return Retries(programs, record, tmp_path)


# --- what is done again ----------------------------------------------------------------------------------------------


def test_what_had_completed_is_not_run_again(retries: Retries, record: Record) -> None:
    retries.run(_joined(ETL, GUARD))
    before = record.flow_run()
    assert names(before) == ["Pending", "Running", "Failed"]
    assert (record.flow_run().run_count, before.epoch) == (1, 1)
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    run = record.flow_run()
    assert run.id == before.id
    assert names(run) == ["Pending", "Running", "Failed", "AwaitingRetry", "Retrying", "Completed"]
    assert run.states[3].message is not None
    assert run.states[3].message.startswith("Retry asked for by ")
    assert (run.epoch, run.run_count) == (2, 2)
    assert run.result is not None
    assert retries.ran() == {"program": 1, "extract": 1, "transform": 1, "load": 2}
    assert [(each.name, each.state_name) for each in record.task_runs()] == [
        ("extract-0", "Completed"),
        ("transform-0", "Completed"),
        ("load-0", "Failed"),
        ("load-0", "Completed"),
    ]
    messages = record.messages()
    for expected in (
        "Task run 'extract-0' was completed in attempt 1; its result is used",
        "Task run 'transform-0' was completed in attempt 1; its result is used",
        "Task run 'load-0' was Failed in attempt 1; it is run again",
    ):
        assert messages.count(expected) == 1
    assert messages[-1] == "Finished in state Completed()"
    assert "Task run 'extract-0' was completed in attempt 1; its result is used" in ended.stderr


def test_the_links_of_the_graph_go_to_the_runs_whose_values_are_used(retries: Retries, record: Record) -> None:
    retries.run(_joined(ETL, GUARD))
    retries.mend()
    retries.retry()

    made = record.task_run("transform")
    assert record.task_runs("load")[-1].upstream["rows"] == (made.id,)


def test_a_run_can_fail_and_be_retried_again_and_again(retries: Retries, record: Record) -> None:
    retries.run(_joined(ETL, GUARD))
    assert retries.retry().code == 1
    assert retries.retry().code == 1
    retries.mend()
    assert retries.retry().code == 0

    run = record.flow_run()
    assert (run.epoch, run.run_count, names(run).count("AwaitingRetry")) == (4, 4, 3)
    assert retries.ran() == {"program": 1, "extract": 1, "transform": 1, "load": 4}
    assert "Task run 'load-0' was Failed in attempt 3; it is run again" in record.messages()


def test_of_a_thousand_mapped_tasks_only_those_that_failed_are_run(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task
        def square(number):
            if number in (7, 500, 999) and broken():
                raise ValueError("bad number")
            ran(f"square")
            return number * number

        @task
        def add(numbers):
            return sum(numbers)

        @flow
        def squares(count):
            return add.submit(square.map(range(count))).result()

        if __name__ == "__main__":
            squares(1000)
        """
    )
    assert retries.ran()["square"] == 997
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr[-2000:]
    assert retries.ran()["square"] == 1000
    counts = Counter(run.state_name for run in record.task_runs("square"))
    assert counts == {"Completed": 1000, "Failed": 3}
    again = [run.name for run in record.task_runs("square")[-3:]]
    assert sorted(again) == ["square-500", "square-7", "square-999"]
    result = record.flow_run().result
    assert result is not None
    assert result.inline == str(sum(number * number for number in range(1000))).encode()


@pytest.mark.parametrize("runner", ["ThreadPoolTaskRunner()", "ProcessPoolTaskRunner(max_workers=2)"])
def test_a_stream_goes_on_where_it_failed(retries: Retries, record: Record, runner: str) -> None:
    retries.run(
        f"""
        from penstock.task_runners import ThreadPoolTaskRunner

        @task
        def square(number):
            if number in (7, 150) and broken():
                raise ValueError("bad number")
            ran("square")
            return number * number

        @flow(task_runner={runner})
        def squares(count):
            total, bad = 0, []
            for future in square.stream((number for number in range(count)), buffersize=40, chunk_size=10):
                try:
                    total += future.result()
                except ValueError as error:
                    bad.append(error)
            if bad:
                raise bad[0]
            return total

        if __name__ == "__main__":
            squares(200)
        """
    )
    assert retries.ran()["square"] == 198
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr[-2000:]
    assert retries.ran()["square"] == 200
    assert Counter(run.state_name for run in record.task_runs("square")) == {"Completed": 200, "Failed": 2}
    result = record.flow_run().result
    assert result is not None
    assert result.inline == str(sum(number * number for number in range(200))).encode()


def test_after_kill_9_the_run_goes_on(retries: Retries, record: Record) -> None:
    path = retries.programs.write(
        _joined(
            HEAD,
            """
            @task
            def first():
                ran("first")
                return 1

            @task
            def second(value):
                ran("second")
                if broken():
                    time.sleep(60)
                return value + 1

            @flow
            def two():
                return second(first())

            if __name__ == "__main__":
                two()
            """,
        )
    )
    process = retries.programs.start(path, FOLDER=str(retries.folder))
    until(lambda: retries.ran()["second"] == 1)
    until(lambda: [run.state_name for run in record.task_runs()] == ["Completed", "Running"])
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    run = record.flow_run()
    assert names(run) == ["Pending", "Running", "Crashed", "AwaitingRetry", "Retrying", "Completed"]
    assert retries.ran() == {"first": 1, "second": 2}
    lines = record.messages()
    crash = next(place for place, line in enumerate(lines) if line.startswith("Finished in state Crashed"))
    assert lines[crash + 1].startswith("Retrying flow run")
    assert lines[-1] == "Finished in state Completed()"


def test_after_a_cancellation_the_run_goes_on(retries: Retries, record: Record) -> None:
    path = retries.programs.write(
        _joined(
            HEAD,
            """
            @task
            def first():
                ran("first")

            @flow
            def waiting():
                first()
                (FOLDER / "arrived").touch()
                while broken():
                    time.sleep(0.01)
                return "done"

            if __name__ == "__main__":
                waiting()
            """,
        )
    )
    process = retries.programs.start(path, FOLDER=str(retries.folder))
    until((retries.folder / "arrived").exists)  # (a task that has not quite ended would be cancelled, too)
    process.send_signal(signal.SIGINT)
    retries.programs.finish(process)
    assert record.flow_run().state_name == "Cancelled"
    retries.mend()

    assert retries.retry().code == 0
    assert record.flow_run().state_name == "Completed"
    assert retries.ran() == {"first": 1}


def test_calls_of_several_attempts_of_one_process_keep_their_places(retries: Retries, record: Record) -> None:
    """The flow's own retries run everything again, and number on; what the last of them completed is found."""
    retries.run(
        """
        @task
        def shaky():
            ran("shaky")
            if (FOLDER / "ran").read_text().count("shaky") == 1:
                raise ValueError("the first time")
            return "steady"

        @task
        def last(value):
            ran("last")
            if broken():
                raise ValueError("down")
            return value

        @flow(retries=1)
        def twice():
            return last(shaky())

        if __name__ == "__main__":
            twice()
        """
    )
    assert retries.ran() == {"shaky": 2, "last": 1}

    assert retries.retry().code == 1  # with a retry of its own again
    assert retries.ran() == {"shaky": 2, "last": 3}
    retries.mend()
    assert retries.retry().code == 0
    assert retries.ran() == {"shaky": 2, "last": 4}
    assert "Task run 'shaky-1' was completed in attempt 2; its result is used" in record.messages()


def test_tasks_within_tasks_and_submitted_chains_keep_their_places(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task
        def part(name):
            ran(f"part-{name}")
            return name

        @task
        def whole(name, fails=False):
            value = part(name) + part(name.upper())
            if fails and broken():
                raise ValueError("no")
            return value

        @flow
        def nested():
            one = whole.submit("a")
            two = whole.submit("b", fails=True, wait_for=[one])
            three = part.submit("c")
            return [each.result() for each in (one, three, part.submit(three), two)]

        if __name__ == "__main__":
            nested()
        """
    )
    once = {"part-a": 1, "part-A": 1, "part-b": 1, "part-B": 1}
    assert retries.ran() == {**once, "part-c": 2}
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {**once, "part-c": 2}, "`whole` of b is run again, and its parts are there"


def test_an_asynchronous_flow_goes_on(retries: Retries, record: Record) -> None:
    retries.run(
        """
        import asyncio

        @task
        async def fetch(number):
            ran(f"fetch-{number}")
            if number == 1 and broken():
                raise ValueError("no")
            return number

        @flow
        async def gather():
            return sum(await asyncio.gather(*(fetch(number) for number in range(3))))

        if __name__ == "__main__":
            asyncio.run(gather())
        """
    )
    retries.mend()

    assert retries.retry().code == 0
    assert retries.ran() == {"fetch-0": 1, "fetch-1": 2, "fetch-2": 1}


def test_tasks_in_other_processes_are_not_run_again_either(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task
        def within(number):
            return number

        @task
        def work(number):
            ran(f"work-{number}")
            if number == 1 and broken():
                raise ValueError("no")
            return within(number)

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
        def processes():
            return sum(work.map(range(3)).result())

        if __name__ == "__main__":
            processes()
        """
    )
    retries.mend()

    ended = retries.retry()
    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"work-0": 1, "work-1": 2, "work-2": 1}
    assert [run.state_name for run in record.task_runs("within")] == ["Completed"] * 3
    assert len({run.name for run in record.task_runs("within")}) == 3


def test_values_that_look_the_same_are_told_apart_by_the_runs_they_came_from(retries: Retries, record: Record) -> None:
    """In the second attempt the values come in the other order; no result of one may be taken for the other's."""
    retries.run(
        """
        @dataclass
        class Table:
            rows: str

        @task
        def read(name):
            return Table(name)

        @task
        def write(table):
            if table.rows == "b" and broken():
                raise ValueError("no")
            ran(f"write-{table.rows}")
            return table.rows

        @flow
        def tables():
            futures = [read.submit("a"), read.submit("b")]
            if not broken():
                futures.reverse()
            return [write.submit(each) for each in futures]

        if __name__ == "__main__":
            tables()
        """
    )
    assert retries.ran() == {"write-a": 1}
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran()["write-b"] == 1
    assert "its argument 'table' was the value of another run" in "\n".join(record.messages())


# --- subflows --------------------------------------------------------------------------------------------------------

SUBFLOWS = """
    @task
    def step(name):
        ran(name)
        if name == "b2" and broken():
            raise ValueError("no")
        return name

    @flow
    def part(name):
        return step(f"{name}1") + step(f"{name}2")

    @flow
    def main():
        return part("a") + part("b")

    if __name__ == "__main__":
        main()
"""


def test_a_subflow_that_completed_is_skipped_and_one_that_failed_is_entered_again(
    retries: Retries, record: Record
) -> None:
    retries.run(SUBFLOWS)
    retries.mend()

    ended = retries.retry(record.flow_run("main"))

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"a1": 1, "a2": 1, "b1": 1, "b2": 2}
    one, two = record.flow_runs("part")
    assert (names(one), one.epoch) == (["Pending", "Running", "Completed"], 1)
    assert names(two) == ["Pending", "Running", "Failed", "AwaitingRetry", "Retrying", "Completed"]
    assert two.epoch == 2
    messages = record.messages(record.flow_run("main"))
    assert f"Subflow run '{one.name}' was completed in attempt 1; its result is used" in messages
    assert f"Subflow run '{two.name}' was Failed in attempt 1; it is run again" in messages


def test_a_subflow_that_is_a_generator_gives_its_values_again(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task
        def double(number):
            ran("double")
            return 2 * number

        @flow
        def numbers():
            for number in range(3):
                yield double(number)

        @flow
        def total():
            values = list(numbers())
            if broken():
                raise ValueError("no")
            return sum(values)

        if __name__ == "__main__":
            total()
        """
    )
    retries.mend()

    ended = retries.retry(record.flow_run("total"))

    assert ended.code == 0, ended.stderr
    result = record.flow_run("total").result
    assert result is not None
    assert result.inline == b"6"


def test_a_subflow_run_by_itself_is_refused(retries: Retries, record: Record) -> None:
    retries.run(SUBFLOWS)

    ended = retries.retry(record.flow_runs("part")[1])

    assert ended.code == 1
    assert str(record.flow_run("main").id) in ended.stderr
    assert "retry that one" in ended.stderr


# --- what cannot be used ---------------------------------------------------------------------------------------------


def test_a_task_whose_result_was_not_kept_is_run_again_and_that_is_said(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task(persist_result=False)
        def forgotten():
            ran("forgotten")

        @task
        def large():
            ran("large")
            return list(range(50_000))

        @task(persist_result=True)
        def kept():
            ran("kept")
            return list(range(50_000))

        @flow
        def results():
            forgotten(), large(), kept()
            if broken():
                raise ValueError("no")

        if __name__ == "__main__":
            results()
        """
    )
    retries.mend()

    assert retries.retry().code == 0
    assert retries.ran() == {"forgotten": 2, "large": 2, "kept": 1}
    said = [message for message in record.messages() if "was completed in attempt 1, and is run again" in message]
    assert len(said) == 2
    assert all("was not kept" in message and "persist_result=True" in message for message in said)


def test_other_arguments_or_another_version_are_run_again(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task
        def add(number):
            ran("add")
            return number

        @task(version="1" if broken() else "2")
        def versioned():
            ran("versioned")

        @flow
        def changing():
            add(1 if broken() else 2), versioned()
            if broken():
                raise ValueError("no")

        if __name__ == "__main__":
            changing()
        """
    )
    retries.mend()

    assert retries.retry().code == 0
    assert retries.ran() == {"add": 2, "versioned": 2}
    text = "\n".join(record.messages())
    assert "Task run 'add-0' was completed in attempt 1, and is run again: its argument 'number' was 1 and is 2" in text
    assert "Task run 'versioned-0' was completed in attempt 1, and is run again: its version was '1'" in text


def test_a_result_file_that_is_gone_means_that_the_task_is_run_again(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task(persist_result=True)
        def kept():
            ran("kept")
            return list(range(50_000))

        @flow
        def filed():
            kept()
            if broken():
                raise ValueError("no")

        if __name__ == "__main__":
            filed()
        """
    )
    ref = record.task_run("kept").result
    assert ref is not None
    (Path(ref.storage or "") / (ref.key or "")).unlink()
    retries.mend()

    assert retries.retry().code == 0
    assert retries.ran() == {"kept": 2}
    assert "is gone from its storage" in "\n".join(record.messages())


# --- programs --------------------------------------------------------------------------------------------------------


def test_arguments_of_classes_of_the_program_itself_are_kept(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @dataclass
        class Job:
            name: str
            rows: list

        @task
        def work(job):
            ran("work")
            assert type(job) is Job, type(job)
            return job

        @flow
        def jobs(job: Job, *more: Job, **named: Job):
            done = work(job)
            assert type(done) is Job and type(done).__module__ == "__main__"
            if broken():
                raise ValueError("no")
            return [done.name, [each.name for each in more], sorted(named)]

        if __name__ == "__main__":
            assert __name__ == "__main__"
            jobs(Job("a", [1]), Job("b", []), c=Job("c", []))
        """
    )
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"work": 1}
    assert "Task run 'work-0' was completed in attempt 1; its result is used" in record.messages()


def test_a_program_without_a_guard_is_loaded_without_being_run(retries: Retries, record: Record) -> None:
    retries.run(_joined(ETL, 'ran("top")\nvalue = etl("monday")\nprint(value[0])\nran("bottom")\n'))
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"top": 2, "extract": 1, "transform": 1, "load": 2}
    assert "flow 'etl' is called while its program is loaded: that call is left out" in ended.stderr
    assert "was not loaded to its end: TypeError" in ended.stderr
    assert len(record.flow_runs()) == 1


def test_code_that_has_changed_is_used_and_said(retries: Retries, record: Record) -> None:
    path = retries.run(_joined(ETL, GUARD))
    path.write_text(path.read_text().replace('raise ValueError("the database is down")', "return 'mended', dry"))

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    warning = next(line for line in record.lines() if "has changed since the last attempt" in line.message)
    assert warning.level == 30
    assert str(path) in warning.message
    assert "has changed since the last attempt" in ended.stderr
    assert retries.ran()["extract"] == 1


def test_the_program_sees_its_own_arguments_and_its_own_folder(retries: Retries, record: Record) -> None:
    (retries.folder / "beside.py").write_text("NAME = 'beside'\n")
    retries.run(
        """
        import beside

        @flow
        def looking():
            if broken():
                raise ValueError("no")
            return [sys.argv[1:], os.getcwd(), beside.NAME, os.path.basename(__file__), __name__]

        if __name__ == "__main__":
            looking()
        """,
        "--day",
        "monday",
    )
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    import pickle

    result = record.flow_run().result
    assert result is not None
    argv, directory, beside, file, name = pickle.loads(result.inline or b"")
    assert (argv, directory, beside, name) == (["--day", "monday"], os.getcwd(), "beside", "__main__")
    assert file.startswith("program")


def test_a_flow_of_an_importable_module_is_imported(retries: Retries, record: Record) -> None:
    (retries.folder / "pipeline.py").write_text(_joined(HEAD, ETL))
    retries.run(
        """
        from dataclasses import dataclass
        from pipeline import etl

        @dataclass
        class Day:
            name: str

        if __name__ == "__main__":
            etl(Day("monday"))
        """,
        head="",
    )
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"extract": 1, "transform": 1, "load": 2}


def test_moved_code_is_found_by_the_option(retries: Retries, record: Record) -> None:
    path = retries.run(_joined(ETL, GUARD))
    moved = path.with_name("moved.py")
    moved.write_text(path.read_text().replace("def etl(", "def renamed("))
    path.unlink()
    retries.mend()

    lost = retries.retry()
    assert lost.code == 1
    assert "--entrypoint" in lost.stderr
    assert record.flow_run().state_name == "Failed"

    ended = retries.retry(None, "--entrypoint", f"{moved}:renamed")
    assert ended.code == 0, ended.stderr
    assert retries.ran()["extract"] == 1


def test_a_program_that_cannot_be_loaded_leaves_the_run_as_it_was(retries: Retries, record: Record) -> None:
    path = retries.run(_joined(ETL, GUARD))
    path.write_text("import nothing_of_this_name\n" + path.read_text())

    ended = retries.retry()

    assert ended.code == 1
    assert "cannot be loaded (ModuleNotFoundError" in ended.stderr
    assert "nothing_of_this_name" in ended.stderr
    run = record.flow_run()
    assert (run.state_name, run.epoch) == ("Failed", 1)


def test_a_program_started_as_a_module_is_found_with_its_package(retries: Retries, record: Record) -> None:
    package = retries.folder / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "names.py").write_text("NAME = 'shop'\n")
    (package / "daily.py").write_text(_joined(HEAD, "from .names import NAME\n", ETL, GUARD))
    retries.python("-m", "shop.daily")
    assert record.flow_run().state_name == "Failed"
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"program": 1, "extract": 1, "transform": 1, "load": 2}


def test_a_flow_that_was_typed_in_is_refused(retries: Retries, record: Record) -> None:
    retries.python("-c", _joined(HEAD, ETL, GUARD))
    assert record.flow_run().state_name == "Failed"

    ended = retries.retry()

    assert ended.code == 1
    assert "in a notebook or typed in" in ended.stderr


def test_a_flow_with_tasks_in_processes_of_their_own_and_generators(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @task(isolation="process")
        def alone():
            ran("alone")
            return os.getpid()

        @task
        def pages():
            for number in range(3):
                ran("page")
                yield number

        @flow
        def mixed():
            alone()
            for page in pages():
                if page == 2 and broken():
                    raise ValueError("no")
                yield page

        if __name__ == "__main__":
            list(mixed())
        """
    )
    assert retries.ran() == {"alone": 1, "page": 3}
    retries.mend()

    ended = retries.retry()

    assert ended.code == 0, ended.stderr
    assert retries.ran() == {"alone": 1, "page": 6}


# --- refusals --------------------------------------------------------------------------------------------------------


def test_of_two_retries_at_once_exactly_one_wins(retries: Retries, record: Record) -> None:
    retries.run(_joined(ETL, GUARD))
    retries.mend()
    run = record.flow_run()
    ended: list[Finished] = []
    threads = [threading.Thread(target=lambda: ended.append(retries.retry(run))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.code for each in ended) == [0, 1, 1]
    refused = next(each for each in ended if each.code == 1)
    assert "Error: Flow run" in refused.stderr
    assert retries.ran()["load"] == 2
    assert names(record.flow_run()).count("AwaitingRetry") == 1


def test_a_completed_run_is_refused(retries: Retries, record: Record) -> None:
    retries.mend()
    retries.run(_joined(ETL, GUARD))

    ended = retries.retry()

    assert ended.code == 1
    assert "is Completed: there is nothing to retry" in ended.stderr
    assert names(record.flow_run()) == ["Pending", "Running", "Completed"]


def test_arguments_that_cannot_be_pickled_are_refused_by_their_name(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @flow
        def etl(name, connection):
            raise ValueError("no")

        if __name__ == "__main__":
            import threading
            etl("a", threading.Lock())
        """
    )

    ended = retries.retry()

    assert ended.code == 1
    assert "its argument 'connection' was not kept (a _thread.lock that cannot be pickled" in ended.stderr
    assert "give it something small" in ended.stderr


def test_arguments_that_are_too_large_are_refused_by_their_name(retries: Retries, record: Record) -> None:
    retries.run(
        """
        @flow
        def etl(name, rows):
            raise ValueError("no")

        if __name__ == "__main__":
            etl("a", list(range(100_000)))
        """
    )

    ended = retries.retry()

    assert ended.code == 1
    assert "its argument 'rows' was not kept (a list of more than 16,384 bytes" in ended.stderr


def test_a_flow_inside_a_function_is_refused(retries: Retries, record: Record) -> None:
    retries.run(
        """
        def make():
            @flow
            def inner():
                raise ValueError("no")
            return inner

        if __name__ == "__main__":
            make()()
        """
    )

    ended = retries.retry()

    assert ended.code == 1
    assert "a function inside another (make.<locals>.inner)" in ended.stderr
