"""What an attack on the stopping machinery found: each of these was broken once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from penstock import flow, task

from .kit import Programs, Record, until

START = """
import asyncio, os, signal, sys, threading, time
from penstock import connect, flow, task
from penstock.engine import live
from penstock.settings import current

def say(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
"""


def await_line(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == wanted + "\n":
            return
    raise AssertionError(f"the program never said {wanted!r}")


# --- generators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flow", "task"])
def test_a_program_is_not_killed_because_a_generator_of_its_waits_for_its_consumer(
    programs: Programs, kind: str
) -> None:
    """Between two items no code of the run is at work: there is nothing that would not stop."""
    done = programs.run(
        START
        + f"""
@{kind}(timeout_seconds=0.3)
def numbers():
    yield 1
    yield 2

given = numbers()
next(given)
until(lambda: False, 2.0)
say("the consumer lives")
try:
    next(given)
except TimeoutError:
    say("timed out")
""",
        PENSTOCK_STOP_GRACE_SECONDS="0.5",
    )
    assert done.code == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["the consumer lives", "timed out"]


def test_a_generator_that_is_stopped_between_two_items_runs_its_finally_before_its_run_ends(
    programs: Programs, record: Record
) -> None:
    done = programs.run(
        START
        + """
from penstock.context import get_run_context
from penstock.flows.cancelling import cancel_flow_run

ids, cleaned = [], []

@flow
def numbers():
    ids.append(get_run_context().flow_run.id)
    try:
        yield 1
        yield 2
    finally:
        cleaned.append(True)

given = numbers()
next(given)
cancel_flow_run(ids[0])
try:
    next(given)
except Exception as error:  # it is kept, and with it all that its traceback holds on to
    say(f"{type(error).__name__} {cleaned}")
"""
    )
    assert done.stdout == "CancelledRun [True]\n", done.stderr


def test_a_generator_that_will_not_stop_is_cancelled_all_the_same(programs: Programs, record: Record) -> None:
    """What is at work cannot be closed: its run ends without that."""
    process = programs.start(
        START
        + """
@flow
def refuses():
    while True:
        try:
            say("at work")
            time.sleep(30)
            yield 1
        except BaseException:
            pass

for _ in refuses(): ...
"""
    )
    await_line(process, "at work")
    process.send_signal(signal.SIGINT)
    await_line(process, "at work")
    assert programs.tell(process, signal.SIGINT).code == 130
    assert record.flow_run().state.name == "Cancelled"


# --- signals ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_is_not_lost_while_the_record_takes_the_end_of_a_run(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
main_thread = threading.main_thread().ident
locked = threading.Event()

def in_user_code():
    frame = sys._current_frames()[main_thread]
    while frame is not None:
        if frame.f_code.co_name == "last_line":
            return True
        frame = frame.f_back
    return False

def interrupt():
    writing = connect._ledgers[current().database_path].store._writing  # the record takes nothing meanwhile
    writing.acquire()
    context, = live.RUNS.values()
    locked.set()
    until(lambda: not in_user_code())
    os.kill(os.getpid(), signal.SIGINT)
    until(lambda: context.halted is not None, 5)
    writing.release()

@flow
def short():
    def last_line():
        helper.start()
        locked.wait()
    last_line()

helper = threading.Thread(target=interrupt)
try:
    short()
except KeyboardInterrupt:
    say("interrupted")
helper.join()
"""
    )
    assert "interrupted" in done.stdout, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGURG])
def test_a_signal_handler_that_a_flow_installs_stays(programs: Programs, record: Record, number: int) -> None:
    done = programs.run(
        START
        + f"""
def mine(number, frame): ...

@flow
def installs():
    signal.signal({int(number)}, mine)

installs()
say(str(signal.getsignal({int(number)}) is mine))
"""
    )
    assert done.stdout == "True\n", done.stderr


def test_sigterm_lets_all_flows_of_an_event_loop_clean_up(programs: Programs, record: Record) -> None:
    process = programs.start(
        START
        + """
@flow
async def waits(number):
    begun.append(number)
    if len(begun) == 3:
        say("ready")
    try:
        await asyncio.sleep(30)
    finally:
        say(f"finally {number}")

async def main():
    await asyncio.gather(*(waits(number) for number in range(3)))

begun = []
asyncio.run(main())
"""
    )
    await_line(process, "ready")
    done = programs.tell(process, signal.SIGTERM)
    assert sorted(done.stdout.split("\n")[:-1]) == ["finally 0", "finally 1", "finally 2"]


def test_a_flow_that_outlives_another_of_its_loop_is_still_stopped_in_blocking_code(programs: Programs) -> None:
    """The one that began first took its signal handlers with it."""
    done = programs.run(
        START
        + """
@task(timeout_seconds=0.3)
def blocks():
    time.sleep(5)

@flow
async def first():
    await second_begun.wait()

@flow
async def second():
    second_begun.set()
    await first_task
    began = time.monotonic()
    try:
        blocks()
    except TimeoutError:
        say("prompt" if time.monotonic() - began < 3 else "late")

async def main():
    global first_task, second_begun
    second_begun = asyncio.Event()
    first_task = asyncio.create_task(first())
    await asyncio.sleep(0)
    await second()

asyncio.run(main())
"""
    )
    assert done.stdout.split("\n")[0] == "prompt", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_forked_in_a_run_ends_by_sigterm_as_it_would_without_us(programs: Programs, record: Record) -> None:
    done = programs.run(
        START
        + """
import multiprocessing

def sleeps(begun):
    begun.set()
    time.sleep(30)

@flow
def forks():
    forking = multiprocessing.get_context("fork")
    begun = forking.Event()
    child = forking.Process(target=sleeps, args=(begun,))
    child.start()
    begun.wait()
    child.terminate()
    child.join(10)
    return child.exitcode

say(str(forks()))
"""
    )
    assert done.stdout == f"{-signal.SIGTERM}\n", done.stderr


def test_code_that_was_abandoned_is_confirmed_gone_when_sigterm_has_ended_its_program(
    programs: Programs, record: Record
) -> None:
    process = programs.start(
        START
        + """
@task
def blocks():
    say("ready")
    time.sleep(30)

@flow
def main():
    blocks.submit().result()

main()
"""
    )
    await_line(process, "ready")
    process.send_signal(signal.SIGTERM)
    assert programs.finish(process, timeout=20).code == -signal.SIGTERM
    assert until(lambda: (record.task_run("blocks").state.details or {}).get("confirmed"), 5)


# --- locks and leftovers ---------------------------------------------------------------------------------------------


def try_it(condition: threading.Condition, free: list[bool]) -> None:
    free.append(condition.acquire(timeout=1))
    if free[0]:
        condition.release()


@pytest.mark.parametrize("how", ["main thread", "pool"])
def test_a_stop_leaves_no_lock_of_the_standard_library_locked(record: Record, how: str) -> None:
    @task(timeout_seconds=0.005)
    def notifies() -> None:
        while True:
            with condition:
                condition.notify_all()

    @flow
    def repeats() -> None:
        if how == "pool":
            notifies.submit().wait()
        else:
            notifies(return_state=True)

    for _ in range(40):
        condition = threading.Condition()
        repeats()
        free: list[bool] = []
        other = threading.Thread(target=try_it, args=(condition, free))
        other.start()
        other.join()
        assert free == [True]


def test_who_awaits_a_flow_that_was_stopped_with_its_parent_sees_no_exception_of_the_engines_own(
    programs: Programs, record: Record
) -> None:
    done = programs.run(
        START
        + """
@flow
async def left_behind():
    begun.set()
    await asyncio.sleep(5)

@flow
async def ends():
    kept.append(asyncio.create_task(left_behind()))
    await begun.wait()

async def main():
    global begun
    begun = asyncio.Event()
    await ends()
    await asyncio.wait(kept)
    say("cancelled" if kept[0].cancelled() else type(kept[0].exception()).__name__)

kept = []
asyncio.run(main())
"""
    )
    assert done.stdout in ("cancelled\n", "CancelledRun\n", "NoneType\n"), done.stderr
