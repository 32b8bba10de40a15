"""With log_prints what a run prints is in its log, and with log_prints=False it is nowhere but in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from penstock import flow, task
from penstock.runtime import task_run

from .kit import Programs, Record


def business_logic(text: str = "from a function") -> None:
    print(text)


def printed(record: Record) -> list[str]:
    """The lines that are not the engine's own."""
    return [line.message for line in record.lines() if line.function is not None]


def test_prints_of_flows_tasks_and_functions_are_lines_of_their_runs(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    @task
    def work() -> None:
        print("from the task")
        business_logic()

    @flow(log_prints=True)
    def main() -> None:
        print("hello 👋")
        work()
        work.submit().wait()

    main()
    lines = [line for line in record.lines() if line.function is not None]
    first, second = (run.id for run in record.task_runs())
    assert [(line.message, line.task_run_id) for line in lines] == [
        ("hello 👋", None),
        ("from the task", first),
        ("from a function", first),
        ("from the task", second),
        ("from a function", second),
    ]
    assert {line.level for line in lines} == {20}
    terminal = capsys.readouterr()
    assert f"Flow run '{record.flow_run().name}' - hello 👋" in terminal.err
    assert "Task run 'work-0' - from a function" in terminal.err
    assert terminal.out == "", "a line is shown once"


def test_without_log_prints_the_terminal_shows_what_it_always_did(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    @flow
    def main() -> None:
        print("plain")
        sys.stderr.write("also plain\n")

    main()
    assert not printed(record)
    terminal = capsys.readouterr()
    assert terminal.out == "plain\n"
    assert "also plain\n" in terminal.err


# --- who inherits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow_says", [None, True, False])
@pytest.mark.parametrize("task_says", [None, True, False])
@pytest.mark.parametrize("setting", [True, False])
def test_the_innermost_run_that_says_something_decides(
    flow_says: bool | None, task_says: bool | None, setting: bool, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LOG_PRINTS", str(setting))

    @task(log_prints=task_says)
    def inner() -> None:
        print("inner")

    @task
    def outer() -> None:
        print("outer")
        inner()

    @flow
    def below() -> None:
        print("below")
        outer()

    @flow(log_prints=flow_says)
    def main() -> None:
        print("main")
        below()

    main()
    inherited = setting if flow_says is None else flow_says
    expected = [name for name in ("main", "below", "outer") if inherited]
    if inherited if task_says is None else task_says:
        expected.append("inner")
    found = [line.message for run in record.flow_runs() for line in record.lines(run) if line.function is not None]
    assert found == expected


def test_a_task_below_one_that_opted_out_is_opted_out_too(record: Record) -> None:
    @task
    def below() -> None:
        print("secret")

    @task(log_prints=False)
    def quiet() -> None:
        below()

    @flow(log_prints=True)
    def main() -> None:
        quiet()

    main()
    assert not printed(record)


OPTED_OUT = """
import sys, threading
from penstock import flow, task

def business_logic():
    print("SECRET" + "-business")

@task(log_prints=False)
def quiet():
    print("SECRET" + "-task")
    business_logic()
    sys.stdout.write("SECRET" + "-write\\n")
    thread = threading.Thread(target=business_logic)
    thread.start()
    thread.join()
    print("SECRET", end="")
    print("-pieces")

@flow(log_prints=True)
def main():
    print("hello")
    quiet()
    quiet.submit().wait()
    print("SECRET", file=sys.__stdout__)

main()
"""


def test_what_a_task_opted_out_is_in_no_table_and_no_file(
    programs: Programs, record: Record, penstock_home: Path
) -> None:
    done = programs.run(OPTED_OUT)
    assert done.code == 0, done.stderr
    assert done.stdout.count("SECRET-business\n") == 4
    assert done.stdout.count("SECRET-task\n") == done.stdout.count("SECRET-write\n") == 2
    assert done.stdout.count("SECRET-pieces\n") == 2
    assert printed(record) == ["hello"]
    found = [path for path in penstock_home.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert not found
    assert any(path.suffix == ".db" for path in penstock_home.rglob("*")), "the test must have looked at the record"


# --- threads ---------------------------------------------------------------------------------------------------------


def test_threads_and_pools_that_a_run_starts_print_to_its_log(record: Record) -> None:
    @task
    def work() -> None:
        thread = threading.Thread(target=business_logic, args=("thread",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(business_logic, ["pool 0", "pool 1"]))
            pool.submit(lambda: pool.submit(business_logic, "pool in pool").result()).result()

    @flow(log_prints=True)
    def main() -> None:
        work()

    main()
    id = record.task_run().id
    lines = [line for line in record.lines() if line.function is not None]
    assert {line.message for line in lines} == {"thread", "pool 0", "pool 1", "pool in pool"}
    assert {line.task_run_id for line in lines} == {id}


def test_what_is_said_of_a_thread_that_dies_is_in_the_log(record: Record) -> None:
    def dies() -> None:
        raise ValueError("in a thread")

    @flow(log_prints=True)
    def main() -> None:
        thread = threading.Thread(target=dies)
        thread.start()
        thread.join()

    with pytest.MonkeyPatch.context() as patch:  # pytest has a hook of its own
        patch.setattr(threading, "excepthook", threading.__excepthook__)
        main()
    assert "ValueError: in a thread" in "\n".join(record.messages())


def test_a_pool_that_is_older_than_the_run_prints_to_the_log_of_who_calls_it(record: Record) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(business_logic, "before").result()

        @task
        def work(text: str) -> None:
            pool.submit(business_logic, text).result()

        @flow(log_prints=True)
        def main() -> None:
            work("one")
            work("two")

        main()
        pool.submit(business_logic, "after").result()
    lines = [line for line in record.lines() if line.function is not None]
    assert [line.message for line in lines] == ["one", "two"]
    assert [line.task_run_id for line in lines] == [run.id for run in record.task_runs()]


def test_asyncio_threads_and_timers_print_to_the_log_of_their_run(record: Record) -> None:
    @flow(log_prints=True)
    async def main() -> None:
        await asyncio.to_thread(business_logic, "to_thread")
        await asyncio.get_running_loop().run_in_executor(None, business_logic, "executor")
        done = threading.Event()
        threading.Timer(0.01, lambda: (business_logic("timer"), done.set())).start()
        assert done.wait(10)

    asyncio.run(main())
    assert printed(record) == ["to_thread", "executor", "timer"]


def test_threads_work_as_they_did_before_when_the_run_has_ended(record: Record) -> None:
    before = threading.Thread.start, ThreadPoolExecutor.submit

    @flow(log_prints=True)
    def main() -> None: ...

    main()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before


def test_threads_may_be_in_a_print_when_the_run_ends(programs: Programs) -> None:
    done = programs.run("""
        import gc, threading, time
        from penstock import flow

        over = threading.Event()

        def dot():
            while not over.is_set():
                print(".", end="")

        @flow(log_prints=True)
        def main():
            threads = [threading.Thread(target=dot) for _ in range(8)]
            for thread in threads:
                thread.start()
            return threads

        for _ in range(5):
            over.clear()
            threads = main()
            gc.collect()
            over.set()
            for thread in threads:
                thread.join()
    """)
    assert done.code == 0, done.stderr[-2000:]


def test_prints_of_concurrent_tasks_are_each_their_own(record: Record) -> None:
    @task
    def thread(number: int) -> None:
        for _ in range(20):
            print(task_run.name, end=" ")
            print(number)

    @task
    async def coroutine(number: int) -> None:
        for _ in range(20):
            print(task_run.name, number)
            await asyncio.sleep(0)

    @flow(log_prints=True)
    async def main() -> None:
        futures = thread.map(range(8))
        await asyncio.gather(*(coroutine(number) for number in range(8)))
        futures.wait()

    asyncio.run(main())
    own = {run.id: f"{run.name} {run.parameters['number']}" for run in record.task_runs()}
    lines = [line for line in record.lines() if line.function is not None]
    assert len(lines) == 320
    assert all(line.message == own[line.task_run_id] for line in lines if line.task_run_id)


# --- what is a line --------------------------------------------------------------------------------------------------


def test_pieces_are_joined_and_what_has_no_end_is_a_line_at_the_end(record: Record) -> None:
    @task
    def work() -> None:
        print("a", end="")
        print("b", end="-")
        print("c", "d", sep="")
        print()
        sys.stdout.write("whole\n")
        sys.stdout.writelines(["one\n", "two\n"])
        print("open end", end="")

    @flow(log_prints=True)
    def main() -> None:
        work()
        print("flow's open end", end="", flush=True)

    main()
    messages = [line.message for line in record.lines() if "task run" not in line.message]
    for message in ("ab-cd", "", "whole", "one", "two", "open end", "flow's open end"):
        assert messages.count(message) == 1, message
    assert record.messages().index("open end") < record.messages().index("Finished in state Completed()")


def test_a_line_may_have_any_number_of_pieces(record: Record) -> None:
    pieces = 100_000

    @flow(log_prints=True)
    def main() -> float:
        begun = time.process_time()
        for _ in range(pieces):
            print(".", end="")
        print()
        return time.process_time() - begun

    assert main() < 5, "each piece takes the same time, however many came before"
    assert printed(record) == ["." * pieces]


def test_several_lines_printed_at_once_are_one_record(record: Record) -> None:
    @flow(log_prints=True)
    def main() -> None:
        print("first\nsecond\n\nthird")

    main()
    assert printed(record) == ["first\nsecond\n\nthird"]


@pytest.mark.parametrize(
    "text",
    [
        "ünï 🤗",
        "nul \0 inside",
        "lone \ud800 surrogate",
        "\033[31mred\033[0m",
        "%s %d {} {x}",
        "'; DROP TABLE log;--",
        " ",
    ],
    ids=ascii,
)
def test_whatever_is_printed_is_stored(text: str, record: Record) -> None:
    @flow(log_prints=True)
    def main() -> None:
        print(text)

    main()
    (message,) = printed(record)
    assert message == text.replace("\0", "\ufffd").replace("\ud800", "?")


def test_a_line_that_is_too_long_is_cut_and_says_so(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_MAX_LINE_BYTES", "1000")

    @flow(log_prints=True)
    def main() -> None:
        print("x" * 5000)

    main()
    (message,) = printed(record)
    assert message.startswith("x" * 1000)
    assert len(message) < 1100
    assert "4,000 more characters" in message


def test_what_is_written_to_stderr_is_captured_too(record: Record) -> None:
    @flow(log_prints=True)
    def main() -> None:
        print("to stderr", file=sys.stderr)
        sys.stderr.write("written\n")

    main()
    assert printed(record) == ["to stderr", "written"]
    assert {line.level for line in record.lines()} == {20}


def test_what_is_printed_to_a_buffer_passes_through(record: Record) -> None:
    buffer, redirected = io.StringIO(), io.StringIO()

    @flow(log_prints=True)
    def main() -> None:
        print("in the buffer", file=buffer)
        with contextlib.redirect_stdout(redirected):
            print("redirected")
        print("captured")

    main()
    assert buffer.getvalue() == "in the buffer\n"
    assert redirected.getvalue() == "redirected\n"
    assert printed(record) == ["captured"]


def test_a_line_knows_where_it_was_printed(record: Record) -> None:
    @flow(log_prints=True)
    def main() -> None:
        business_logic()

    main()
    (line,) = [line for line in record.lines() if line.message == "from a function"]
    assert (line.file, line.function) == (__file__, "business_logic")
    assert line.line == business_logic.__code__.co_firstlineno + 1


def test_a_line_of_a_library_that_writes_is_captured(record: Record) -> None:
    import logging

    @flow(log_prints=True)
    def main() -> None:
        logger = logging.getLogger("a.library")
        logger.addHandler(logging.StreamHandler())
        logger.warning("from a library")
        logger.handlers.clear()

    main()
    assert "from a library" in record.messages()


def test_lines_are_in_the_order_they_were_printed(record: Record) -> None:
    @flow(log_prints=True)
    def main() -> None:
        for number in range(5000):
            print(number)

    main()
    assert printed(record) == [str(number) for number in range(5000)]
    seqs = [line.seq for line in record.lines()]
    assert seqs == sorted(set(seqs))


# --- the streams -----------------------------------------------------------------------------------------------------


def test_the_streams_are_the_programs_own_again_after_the_run(record: Record) -> None:
    before = sys.stdout, sys.stderr

    @flow(log_prints=True)
    def main(fails: bool) -> None:
        assert sys.stdout is not before[0]
        if fails:
            raise ValueError

    main(False)
    assert (sys.stdout, sys.stderr) == before
    with pytest.raises(ValueError):  # noqa: PT011
        main(True)
    assert (sys.stdout, sys.stderr) == before


def test_a_stream_that_the_program_put_in_place_meanwhile_stays(record: Record) -> None:
    before, own = sys.stdout, io.StringIO()

    @flow(log_prints=True)
    def main() -> None:
        sys.stdout = own

    try:
        main()
        assert sys.stdout is own
    finally:
        sys.stdout = before


def test_who_kept_the_captured_stream_still_writes_through_it(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[Any] = []

    @flow(log_prints=True)
    def main() -> None:
        kept.append(sys.stdout)

    main()
    kept[0].write("later\n")
    assert capsys.readouterr().out == "later\n"


def test_the_captured_stream_is_still_a_stream(record: Record) -> None:
    original = sys.stdout

    @flow(log_prints=True)
    def main() -> None:
        assert sys.stdout.encoding == original.encoding
        assert sys.stdout.isatty() == original.isatty()
        assert sys.stdout.writable()
        assert sys.stdout.write("four\n") == 5
        with pytest.raises(TypeError):
            sys.stdout.write(5)  # type: ignore[arg-type]
        sys.stdout.flush()
        sys.stdout.buffer.flush()

    main()


def test_a_program_without_streams_runs(programs: Programs, record: Record) -> None:
    done = programs.run("""
        import sys
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None
        from penstock import flow, get_run_logger

        @flow(log_prints=True)
        def main():
            get_run_logger().info("logged")
            print("nowhere")

        main()
    """)
    assert done.code == 0, done.stderr
    assert "logged" in record.messages()


def test_a_terminal_with_few_letters_is_no_reason_to_fail(programs: Programs, record: Record) -> None:
    done = programs.run(
        """
        from penstock import flow

        @flow(log_prints=True)
        def main():
            print("hello \\N{WAVING HAND SIGN} \\udc80")

        main()
        """,
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
        LC_ALL="C",
    )
    assert done.code == 0, done.stderr
    assert "hello 👋 ?" in record.messages()


def test_terminal_lines_have_the_familiar_form(programs: Programs) -> None:
    done = programs.run("""
        from penstock import flow, task

        @task
        def my_task():
            pass

        @flow(log_prints=True, flow_run_name="gigantic-cockatoo")
        def my_flow():
            print("hello 👋")
            my_task()

        my_flow()
    """)
    clock, rest = zip(*(line.split(" ", 1) for line in done.stderr.splitlines()), strict=True)
    assert all(len(each) == 12 and each[2] == each[5] == ":" and each[8] == "." for each in clock)
    assert list(rest) == [
        "| INFO    | penstock.engine - Created flow run 'gigantic-cockatoo' for flow 'my-flow'",
        "| INFO    | Flow run 'gigantic-cockatoo' - hello 👋",
        "| INFO    | Flow run 'gigantic-cockatoo' - Created task run 'my_task-0' for task 'my_task'",
        "| INFO    | Task run 'my_task-0' - Finished in state Completed()",
        "| INFO    | Flow run 'gigantic-cockatoo' - Finished in state Completed('All states completed.')",
    ]


def test_prints_outside_of_captured_runs_come_in_their_place(programs: Programs) -> None:
    done = programs.run("""
        import sys
        from penstock import flow, task

        @task(log_prints=False)
        def quiet():
            print("quiet", file=sys.stderr)

        @flow(log_prints=True)
        def main():
            print("one")
            quiet()
            print("two")

        main()
        print("after", file=sys.stderr)
    """)
    order = [
        word for line in done.stderr.splitlines() for word in ("one", "quiet", "two", "after") if line.endswith(word)
    ]
    assert order == ["one", "quiet", "two", "after"]


def test_lines_may_be_kept_from_the_terminal(
    record: Record, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_TO_CONSOLE", "false")

    @flow(log_prints=True)
    def main() -> None:
        print("only in the log")

    main()
    assert capfd.readouterr() == ("", "")
    assert printed(record) == ["only in the log"]


def test_lines_below_the_level_are_nowhere(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "WARNING")

    @flow(log_prints=True)
    def main() -> None:
        print("info")
        raise ValueError("an error")

    with pytest.raises(ValueError, match="an error"):
        main()
    assert {line.level for line in record.lines()} == {40}


def test_the_seeds_examples_run_with_only_the_package_name_changed(programs: Programs, record: Record) -> None:
    hello = programs.run("""
        from penstock import flow

        @flow(log_prints=True)
        def hi():
            print("Hi from Prefect! 🤗")

        if __name__ == "__main__":
            hi()
    """)
    assert hello.code == 0, hello.stderr
    timeout = programs.run("""
        from penstock import task, flow
        import time

        @task(timeout_seconds=1)
        def show_timeouts():
            print("I will run")
            time.sleep(5)
            print("I will not run")

        @flow(log_prints=True)
        def main():
            show_timeouts()

        main()
    """)
    assert timeout.code == 1
    assert timeout.stderr.rstrip().endswith("Task run exceeded timeout of 1.0 second(s)")
    hi, timed = record.flow_runs()
    assert "Hi from Prefect! 🤗" in record.messages(hi)
    assert (hi.state_name, timed.state_name) == ("Completed", "Failed")
    assert "I will run" in record.messages(timed)
    assert "I will not run" not in record.messages(timed)
    assert record.task_run().state_name == "TimedOut"


def test_an_odd_end_of_the_stream_does_not_take_lines_with_it(record: Record) -> None:
    """Who closes stdout in a run closes the terminal's, not the log's."""

    @flow(log_prints=True)
    def main() -> None:
        print("before")
        with open(os.devnull, "w") as elsewhere, contextlib.redirect_stderr(elsewhere):
            print("while stderr is elsewhere")
        print("after")

    main()
    assert printed(record) == ["before", "while stderr is elsewhere", "after"]
