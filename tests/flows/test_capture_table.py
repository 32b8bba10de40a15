"""The table of docs/prints-and-logs.md, row by row: what is captured, of which run, and what is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.flows.kit import Programs, Record

PAGE = Path(__file__).parents[2] / "docs" / "prints-and-logs.md"

PROGRAM = """
import asyncio, contextlib, ctypes, io, logging, multiprocessing, os, subprocess, sys, threading, warnings
from concurrent.futures import ThreadPoolExecutor

from penstock import flow, get_run_logger, task
from penstock.logging import get_logger
from penstock.task_runners import ProcessPoolTaskRunner

say = print


def called(text):
    say(text)


def child(text):
    os.write(1, f"{{text}}\\n".encode())


{tasks}


@flow({options})
def main():
{code}


if __name__ == "__main__":
    main()
{after}
"""


class Row(NamedTuple):
    """What a program does in the row's way, and the lines that its runs then have: (run, level, message)."""

    tasks: str
    code: str
    lines: set[tuple[str, int, str]]
    options: str = "log_prints=True"
    after: str = ""
    environment: dict[str, str] = {}
    terminal: tuple[str, ...] = ()


def task(*statements: str, options: str = "") -> str:
    return "\n".join([f"@task({options})", "def work():", *(f"    {each}" for each in statements)])


ROWS = {
    "`print`, also aliased and in functions that are called": Row(
        task("print('plain')", "say('aliased')", "called('called')"),
        "print('of the flow'); work()",
        {("main", 20, "of the flow"), *(("work-0", 20, text) for text in ("plain", "aliased", "called"))},
    ),
    "`sys.stdout.write`, `sys.stderr.write`, their `.buffer`, libraries that write to them (rich, tqdm, click)": Row(
        task(
            "sys.stdout.write('out\\n')", "sys.stderr.write('err\\n')", "sys.stdout.buffer.write(b'bytes \\xff\\n')",
            "import click; click.echo('click')", "from rich.console import Console; Console().print('rich')",
            "from tqdm import tqdm; [None for _ in tqdm(range(3), ncols=40, bar_format='{n}/{total}')]",
        ),
        "work()",
        {("work-0", 20, text) for text in ("out", "err", "bytes \ufffd", "click", "rich", "3/3")},
    ),
    "the same in threads, thread pools and timers that the run starts, and in asyncio tasks": Row(
        task(
            "thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()",
            "with ThreadPoolExecutor(1) as pool: pool.submit(print, 'pool').result()",
            "timer = threading.Timer(0, print, ['timer']); timer.start(); timer.join()",
            "async def coroutine(): await asyncio.gather(asyncio.to_thread(print, 'to_thread'), other())",
            "async def other(): print('coroutine')",
            "asyncio.run(coroutine())",
        ),
        "work()",
        {("work-0", 20, text) for text in ("thread", "pool", "timer", "to_thread", "coroutine")},
    ),
    "`warnings.warn`": Row(
        task("warnings.warn('careful')"),
        "work()",
        {("work-0", 30, "UserWarning: careful")},
    ),
    "a handler of `logging` that writes to the captured stdout or stderr": Row(
        task(
            "logger = logging.getLogger('of.a.library'); logger.addHandler(logging.StreamHandler())",
            "logger.handlers[0].setFormatter(logging.Formatter('FORM %(message)s')); logger.error('said')",
        ),
        "work()",
        {("work-0", 40, "said")},
        terminal=("FORM said\n",),
    ),
    'tasks in worker processes (`isolation="process"`, the process task runner)': Row(
        task("print('in a worker')", "sys.stdout.write('written there\\n')"),
        "work.with_options(isolation='process')(); work.submit().wait()",
        {(run, 20, text) for run in ("work-0", "work-1") for text in ("in a worker", "written there")},
        options="log_prints=True, task_runner=ProcessPoolTaskRunner(max_workers=1)",
    ),
    "`get_run_logger()`": Row(
        task("get_run_logger().warning('told')", "print('not told')"),
        "work()",
        {("work-0", 30, "told")},
        options="",
    ),
    "`penstock.logging.get_logger(name)`": Row(
        task("get_logger('mine').info('in a run')"),
        "work()",
        {("work-0", 20, "in a run")},
        options="",
        after="    get_logger('mine').info('elsewhere')",
        terminal=("elsewhere\n",),
    ),
    "other loggers of `logging`": Row(
        task("logging.getLogger('named.below').info('named')", "logging.getLogger('stranger').info('not named')"),
        "work()",
        {("work-0", 20, "named")},
        options="",
        environment={"PENSTOCK_LOGGING_EXTRA_LOGGERS": "named"},
    ),
    "programs that are started (`subprocess`, `os.system`), native code (`printf` in C), `os.write(1, …)`, "
    "`sys.__stdout__`, processes that are forked or spawned": Row(
        task(
            "subprocess.run(['echo', 'program'])", "os.system('echo system')", "os.write(1, b'direct\\n')",
            "ctypes.CDLL(None).printf(b'native\\n')", "print('dunder', file=sys.__stdout__)",
            "for how in ('fork', 'spawn'):",
            "    process = multiprocessing.get_context(how).Process(target=child, args=(how,))",
            "    process.start(); process.join()",
        ),
        "work(); os.write(1, b'of the flow\\n')",
        {
            ("main", 20, "of the flow"),
            *(("work-0", 20, text) for text in ("program", "system", "direct", "native", "dunder", "fork", "spawn")),
        },
        options='capture="all"',
        terminal=("program\n", "of the flow\n"),
    ),
    "`print(file=...)` to another file, `contextlib.redirect_stdout`": Row(
        task(
            "print('elsewhere', file=io.StringIO())",
            "with contextlib.redirect_stdout(io.StringIO()): print('redirected')",
        ),
        "work()",
        set(),
    ),
    "what a task with `log_prints=False` writes, in whatever way": Row(
        task(
            "print('quiet print')", "subprocess.run(['echo', 'quiet program'])", "os.write(2, b'quiet direct\\n')",
            "warnings.warn('quiet warning')", options="log_prints=False",
        ),
        "work(); print('loud')",
        {("main", 20, "loud")},
        options='capture="all"',
        terminal=("quiet print\n", "quiet program\n", "quiet direct\n", "quiet warning"),
    ),
    "what is written outside of runs": Row(
        "print('before'); os.write(1, b'before\\n')",
        "pass",
        set(),
        options='capture="all"',
        after="    print('after'); os.write(1, b'after\\n')",
        terminal=("before\n", "after\n"),
    ),
    "what a program goes on to write when the run has ended": Row(
        "started = []",
        "started.append(subprocess.Popen(['sh', '-c', 'echo early; read go; echo late'], stdin=subprocess.PIPE))\n"
        "    import time; time.sleep(0.3)",
        {("main", 20, "early")},
        options='capture="all"',
        after="    started[0].communicate(b'go\\n')\n    import time; time.sleep(0.3)",
        terminal=("late\n",),
    ),
}  # fmt: skip


def documented() -> list[str]:
    """The first cell of each row of the page's table."""
    _, _, page = PAGE.read_text().partition("| what is written | in the log | of which run |\n|---|---|---|\n")
    rows = page.partition("\n\n")[0].splitlines()
    return [re.split(r" \| ", row.removeprefix("| "))[0] for row in rows]


def test_the_page_and_the_tests_have_the_same_rows() -> None:
    assert documented() == list(ROWS)


@pytest.mark.parametrize("row", ROWS.values(), ids=[re.sub(r"\W+", "-", name)[:40] for name in ROWS])
def test_a_row_is_as_it_is_written(row: Row, programs: Programs, record: Record) -> None:
    program = PROGRAM.format(tasks=row.tasks, options=row.options, code=f"    {row.code}", after=row.after)
    done = programs.run(programs.write(program), **row.environment)
    assert done.code == 0, done.stderr
    names = {run.id: run.name for run in record.task_runs()}
    lines = [line for line in record.lines() if not re.match(r"Created |Finished in state", line.message)]
    found = {
        (
            "main" if line.task_run_id is None else names[line.task_run_id],
            line.level,
            # the place that Python writes before a warning, and the line of code after it
            re.sub(r"(?s)^\S+\.py:\d+: |\n.*", "", line.message),
        )
        for line in lines
    }
    assert found == row.lines
    for text in row.terminal:
        assert text in done.stdout + done.stderr
