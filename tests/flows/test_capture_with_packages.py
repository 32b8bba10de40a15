"""Bars, tables, prompts and debuggers work under capture as without it, and the log has what can be read of them."""

from __future__ import annotations

import re

import pytest

from .kit import Programs, Record
from .terminals import on_terminal

BOTH = pytest.mark.parametrize("how", ["log_prints=True", "capture='all'"])
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} \| (?:INFO   |WARNING|ERROR  ) \| ")


def written(record: Record, task: str | None = None) -> list[str]:
    """The lines that are not the engine's own, of a task's run or of all, without colours."""
    ids = None if task is None else {run.id for run in record.task_runs(task)}
    return [
        re.sub(r"\x1b\[[0-9;]*m", "", line.message)
        for line in record.lines()
        if not line.message.startswith(("Created task run", "Created flow run", "Finished in state"))
        and (ids is None or line.task_run_id in ids)
    ]


# --- tqdm ------------------------------------------------------------------------------------------------------------

BARS = """
import threading
from tqdm import tqdm, trange
from penstock import flow, task

@task
def one():
    for _ in tqdm(range(500), desc="one", mininterval=0): pass

@task
def nested():
    for _ in trange(3, desc="outer", mininterval=0):
        for _ in trange(40, desc="inner", mininterval=0, leave=False): pass

@task
def gone():
    for _ in trange(50, desc="gone", mininterval=0, leave=False): pass

@task
def talking():
    for number in trange(30, desc="talking", mininterval=0): tqdm.write(f"said {number}")

@task
def threads():
    def draw(number):
        for _ in trange(100, desc=f"thread {number}", position=number, mininterval=0): pass
    started = [threading.Thread(target=draw, args=(number,)) for number in range(2)]
    for thread in started: thread.start()
    for thread in started: thread.join()

@flow(HOW)
def main():
    one(); nested(); gone(); talking(); threads()

main()
"""


def look_at_bars(record: Record) -> None:
    (one,) = written(record, "one")
    assert re.fullmatch(r"one: 100%.* 500/500 .*", one)
    (nested,) = written(record, "nested")
    assert re.match(r"outer: 100%.* 3/3 ", nested)
    assert nested.count("\n") == 1
    (gone,) = written(record, "gone")
    assert gone.startswith("gone: 100%")
    *said, bar = written(record, "talking")
    assert said == [f"said {number}" for number in range(30)]
    assert bar.startswith("talking: 100%")
    text = "\n".join(written(record, "threads"))
    assert re.search(r"thread 0: 100%.* 100/100 ", text)
    assert re.search(r"thread 1: 100%.* 100/100 ", text)
    assert text.count("\n") <= 3


@BOTH
def test_bars_of_tqdm_are_their_last_state_in_the_log(how: str, programs: Programs, record: Record) -> None:
    done = programs.run(BARS.replace("HOW", how))
    assert done.code == 0, done.stderr
    look_at_bars(record)
    assert done.stderr.count("500/500") == 1, "nobody watches a pipe: there the bar is once"
    assert "\r" not in done.stderr


@BOTH
def test_bars_of_tqdm_are_drawn_on_a_terminal_as_they_are_without_us(
    how: str, programs: Programs, record: Record
) -> None:
    program = BARS.replace("HOW", how)
    drawn = on_terminal(programs.write(program))
    plain = on_terminal(programs.write(re.sub(r"@(flow|task).*\n", "", program)))
    assert drawn.code == plain.code == 0, drawn.text
    for bar in ("one", "outer", "inner", "gone"):
        counts = [len(re.findall(rf"\r{bar}: +\d+%", each.text)) for each in (drawn, plain)]
        assert counts[0] == counts[1] > 3, bar
    look_at_bars(record)


@BOTH
def test_run_lines_stand_above_a_bar_that_is_being_drawn(how: str, programs: Programs, record: Record) -> None:
    program = f"""
        from tqdm import tqdm
        from penstock import flow, task

        @task
        def step(number):
            print("step", number)

        @flow({how})
        def main():
            for number in tqdm(range(5), desc="all", mininterval=0):
                step(number)

        main()
    """
    drawn = on_terminal(programs.write(program))
    assert drawn.code == 0, drawn.text
    *lines, bar, end = drawn.screen()
    assert re.match(r"all: 100%.* 5/5 ", bar)
    assert all(LINE.match(line) for line in (*lines, end)), "\n".join(lines)
    assert len(lines) == 1 + 3 * 5
    assert [line for line in written(record) if "%" in line] == [bar]
    assert [line.message for line in record.lines() if "%" in line.message and line.task_run_id is not None] == []


# --- rich ------------------------------------------------------------------------------------------------------------

RICH = """
import time
from rich.console import Console
from rich.live import Live
from rich.progress import Progress, track
from rich.table import Table
from rich.text import Text
from penstock import flow, task

@task
def styles():
    console = Console()
    console.print("[bold red]red[/] and plain")
    table = Table("name", "value")
    table.add_row("a", "1")
    console.print(table)
    Console(stderr=True).print("[green]to stderr[/]")

@task
def progress():
    with Progress() as bars:  # with a thread that draws, too
        one, two = bars.add_task("one", total=100), bars.add_task("two", total=100)
        for _ in range(100):
            bars.update(one, advance=1)
            bars.update(two, advance=1, refresh=True)
            time.sleep(0.003)

@task
def talking():
    for number in track(range(100), "track"):
        print("said", number)

@task
def status():
    with Console().status("working"):
        time.sleep(0.3)
    print("done")

@task
def several():
    with Live(Text(""), auto_refresh=False) as live:
        for number in range(50):
            live.update(Text(f"first {number}\\nsecond {number}\\nthird {number}"), refresh=True)
    print()

@task
def error():
    try:
        1 / 0
    except ZeroDivisionError:
        Console(stderr=True).print_exception()

@flow(HOW)
def main():
    styles(); progress(); talking(); status(); several(); error()

main()
"""


def look_at_rich(record: Record) -> None:
    red, table, error = written(record, "styles")
    assert (red, error) == ("red and plain", "to stderr")
    assert [line.count("│") + line.count("┃") for line in table.splitlines()] == [0, 3, 0, 3, 0]
    (bars,) = written(record, "progress")
    assert [line.split()[0] for line in bars.splitlines()] == ["one", "two"]
    assert bars.count("100%") == 2
    said = "\n".join(written(record, "talking")).splitlines()
    assert said[:-1] == [f"said {number}" for number in range(100)]
    assert re.match(r"track .* 100% ", said[-1])
    assert written(record, "status") == ["done"]
    assert "\n".join(written(record, "several")).strip() == "first 49\nsecond 49\nthird 49"
    (traceback,) = written(record, "error")
    assert traceback.startswith("╭")
    assert traceback.endswith("ZeroDivisionError: division by zero")


@BOTH
def test_what_rich_draws_is_its_last_state_in_the_log(how: str, programs: Programs, record: Record) -> None:
    done = programs.run(RICH.replace("HOW", how))
    assert done.code == 0, done.stderr
    look_at_rich(record)
    assert "\x1b" not in done.stderr + done.stdout
    assert not any("\x1b" in line.message for line in record.lines())


@BOTH
def test_what_rich_draws_on_a_terminal_is_live_and_coloured(how: str, programs: Programs, record: Record) -> None:
    drawn = on_terminal(programs.write(RICH.replace("HOW", how)))
    assert drawn.code == 0, drawn.text
    look_at_rich(record)
    assert "\x1b[1;31mred\x1b[0m and plain" in drawn.text
    assert len(set(re.findall(r"first \d+", drawn.text))) == 50
    assert drawn.text.count("\x1b[2K") > 100
    assert any(line.message == "\x1b[1;31mred\x1b[0m and plain" for line in record.lines()), "colours are kept"


@BOTH
def test_run_lines_stand_above_what_rich_draws(how: str, programs: Programs, record: Record) -> None:
    program = f"""
        from rich.progress import Progress
        from penstock import flow, task

        @task
        def step(number):
            print("step", number)

        @flow({how})
        def main():
            with Progress() as bars:
                one, two = bars.add_task("one", total=5), bars.add_task("two", total=5)
                for number in range(5):
                    step(number)
                    bars.update(one, advance=1)
                    bars.update(two, advance=1, refresh=True)

        main()
    """
    drawn = on_terminal(programs.write(program))
    assert drawn.code == 0, drawn.text
    *lines, one, two, end = drawn.screen()
    assert re.match(r"one .* 100% ", one)
    assert re.match(r"two .* 100% ", two)
    assert LINE.match(end)
    assert len([line for line in lines if LINE.match(line)]) == 1 + 2 * 5
    assert [line for line in lines if not LINE.match(line)] == [f"step {number}" for number in range(5)]


# --- click, logging, warnings, pprint --------------------------------------------------------------------------------


@BOTH
def test_what_is_printed_by_ways_of_its_own_is_captured_once(how: str, programs: Programs, record: Record) -> None:
    done = programs.run(f"""
        import atexit, logging, pprint, sys, textwrap, warnings
        import click
        from penstock import flow, task

        logging.getLogger("early").addHandler(logging.StreamHandler())
        atexit.register(print, "at exit")

        @task
        def work():
            click.echo("echoed")
            click.secho("styled", fg="red")
            click.echo(b"bytes")
            click.echo("to stderr", err=True)
            with click.progressbar(range(100), label="bar") as bar:
                for _ in bar: pass
            pprint.pprint({{"key" * 10: "value" * 5, "other" * 10: "value" * 5}})
            print(textwrap.dedent('''
                several
                  lines'''))
            sys.stdout.write("no end")
            sys.stdout.flush()
            print(", but now", flush=True)
            logging.getLogger("late").addHandler(logging.StreamHandler())
            logging.getLogger("late").warning("handler made in the run")
            logging.getLogger("none").warning("no handler")
            warnings.warn("deprecated")
            logging.getLogger("early").warning("handler made before the run")

        @flow({how})
        def main():
            work()

        main()
        print("after")
    """)
    assert done.code == 0, done.stderr
    *lines, last = written(record)
    expected = [
        "echoed", "styled", "bytes", "to stderr", "bar",
        f"{{'{'key' * 10}': '{'value' * 5}',", f" '{'other' * 10}': '{'value' * 5}'}}",
        "\nseveral\n  lines", "no end, but now", "handler made in the run", "no handler",
    ]  # fmt: skip
    assert lines[: len(expected)] == expected
    (warning,) = lines[len(expected) : len(expected) + 1] if "capture" in how else [last]
    assert "UserWarning: deprecated" in warning
    if "capture" in how:  # the handler kept the stream of before, which only the descriptor leads to
        assert last == "handler made before the run"
    assert done.stderr.count("handler made before the run") == 1
    assert done.stdout.endswith("after\nat exit\n")


# --- who asks --------------------------------------------------------------------------------------------------------


@BOTH
def test_prompts_and_debuggers_talk_to_the_terminal(how: str, programs: Programs, record: Record) -> None:
    program = f"""
        import getpass, sys
        import click
        from penstock import flow, task

        @task
        def work():
            print("hello", input("name? "))
            print("length", len(getpass.getpass("password? ")))
            print("age", click.prompt("age", type=int))
            value = 41
            breakpoint()
            print("value", value)

        @flow({how})
        def main():
            work()

        streams = sys.stdin, sys.stdout, sys.stderr
        main()
        assert streams == (sys.stdin, sys.stdout, sys.stderr)
    """
    typed = [
        ("name? ", "Ada\n"), ("password? ", "secret\n"), ("age: ", "36\n"), ("(Pdb) ", "p 'value', value\n"),
        ("(Pdb) ", "value = 42\n"), ("(Pdb) ", "c\n"),
    ]  # fmt: skip
    drawn = on_terminal(programs.write(program), typed=typed)
    assert drawn.code == 0, drawn.text
    lines = written(record)
    assert [line for line in lines if line.split()[0] in ("hello", "length", "age", "value")] == [
        "hello Ada", "length 6", "age 36", "value 42",
    ]  # fmt: skip
    assert any("('value', 41)" in line for line in lines), "what the debugger says is in the log"
    assert not any("secret" in line for line in lines)


# --- processes -------------------------------------------------------------------------------------------------------

CHILDREN = """
import multiprocessing, os, subprocess, asyncio
from concurrent.futures import ProcessPoolExecutor
from joblib import Parallel, delayed
from penstock import flow, task

def child(text):
    # In one write: of two processes that print at once, without buffers, one may come between text and line end.
    print(f"{text}\\n", end="", flush=True)

def in_process(method):
    print("begun ", end="")
    process = multiprocessing.get_context(method).Process(target=child, args=(f"{method} process",))
    process.start()
    process.join()
    print("ended", process.exitcode)

@task
def forks():
    in_process("fork")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        pool.submit(child, "fork pool").result()
    if os.fork() == 0:
        child("os.fork")
        os._exit(0)
    os.wait()

@task
def spawns():
    in_process("spawn")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        pool.submit(child, "forkserver pool").result()
    Parallel(n_jobs=2)(delayed(child)(f"joblib {number}") for number in range(2))

@task
def threads():
    Parallel(n_jobs=2, backend="threading")(delayed(child)(f"thread {number}") for number in range(2))

@flow(HOW)
def main():
    forks(); spawns(); threads()

if __name__ == "__main__":
    main()
"""


@BOTH
def test_prints_of_processes_that_python_starts_are_where_the_table_says(
    how: str, programs: Programs, record: Record
) -> None:
    done = programs.run(CHILDREN.replace("HOW", how))
    assert done.code == 0, done.stderr
    rescued = programs.run("""
        import sys
        from penstock.cli.main import main

        sys.argv[1:] = ["flow-run", "ls"]
        main()
    """)
    assert rescued.code == 0, rescued.stderr
    forked, spawned = (
        ["fork process", "fork pool", "os.fork"],
        ["spawn process", "forkserver pool", "joblib 0", "joblib 1"],
    )
    lines = written(record, "forks")
    assert sorted(line for line in lines if line != "begun ended 0") == sorted(forked)
    assert lines.count("begun ended 0") == 1, "what a parent had begun is not its child's"
    assert sorted(written(record, "threads")) == ["thread 0", "thread 1"]
    found = sorted(line for line in written(record, "spawns") if line != "begun ended 0")
    assert found == (sorted(spawned) if "capture" in how else [])
    for line in (*forked, *spawned):
        assert (done.stdout + done.stderr).count(line) == 1, "the terminal has it in any case"


def test_programs_of_asyncio_and_pipelines_are_captured_and_late_ones_are_only_shown(
    programs: Programs, record: Record
) -> None:
    done = programs.run(
        """
        import asyncio, os, subprocess, sys
        from penstock import flow, task

        @task
        async def asynchronous():
            process = await asyncio.create_subprocess_exec("echo", "asyncio")
            await process.wait()

        @task
        def work():
            subprocess.run("echo c a b | tr ' ' '\\\\n' | sort", shell=True, check=True)
            subprocess.run(["echo", "on sys.stdout"], stdout=sys.stdout, check=True)
            os.system("echo system")
            print("taken:", subprocess.check_output(["echo", "taken"], text=True).strip())
            subprocess.Popen(["sh", "-c", f"cat {sys.argv[1]}; echo late; echo late error >&2"])

        @flow(capture="all")
        async def main():
            await asynchronous()
            work()

        gate = sys.argv[1]
        os.mkfifo(gate)
        asyncio.run(main())
        print("the run has ended", flush=True)
        with open(gate, "w"): pass  # the program that outlives the run goes on
    """,
        record_gate(programs),
    )
    assert done.code == 0, done.stderr
    assert written(record) == ["asyncio", "a", "b", "c", "on sys.stdout", "system", "taken: taken"]
    assert done.stdout.endswith("the run has ended\nlate\n")
    assert done.stderr.endswith("late error\n")


def record_gate(programs: Programs) -> str:
    return str(programs.write("").with_suffix(".gate"))
