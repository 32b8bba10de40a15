"""A process that forks in the middle of a flow: the record is the parent's, and the child's runs are the child's."""

from __future__ import annotations

from penstock.engine import identity
from penstock.engine.clock import SYSTEM
from penstock.services.rescue import rescue
from penstock.settings import current
from penstock.store.sqlite import SqliteStore

from ..flows.kit import Programs, Record, names

START = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from penstock import flow, task, get_run_logger

def checked(pid):
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code

"""


def run(programs: Programs, text: str) -> None:
    done = programs.run(START + text, timeout=20)
    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_what_the_parent_has_written_is_recorded_once(programs: Programs, record: Record) -> None:
    run(
        programs,
        """
@task
def quick(): ...

@flow(log_prints=True)
def forks():
    for number in range(20):
        print("before", number)
        quick()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        checked(pid)
    print("after")

forks()
""",
    )
    assert names(record.flow_run()) == ["Pending", "Running", "Completed"]
    assert record.count("task_run") == 20
    messages = record.messages()
    assert [each for each in messages if each.startswith("before")] == [f"before {number}" for number in range(20)]
    assert messages.count("after") == 1


def test_a_child_that_ends_as_programs_do_takes_nothing_of_the_parents_with_it(
    programs: Programs, record: Record
) -> None:
    """At its exit a child runs what the parent registered; that must not close the parent's record."""
    run(
        programs,
        """
def work():
    pass

@task
def quick(): ...

@flow(log_prints=True)
def forks():
    print("before")
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(10)
    assert child.exitcode == 0, child.exitcode
    quick()
    print("after")

forks()
""",
    )
    messages = record.messages()
    assert (messages.count("before"), messages.count("after")) == (1, 1)
    assert record.task_run().state_name == "Completed"
    assert record.flow_run().state_name == "Completed"


def test_a_flow_in_a_child_that_was_forked_outside_of_runs_is_recorded(programs: Programs, record: Record) -> None:
    run(
        programs,
        """
@task
def quick(): ...

@flow
def works():
    quick()

works()
pid = os.fork()
if pid == 0:
    works()
    from penstock import connect
    connect.disconnect()
    os._exit(0)
checked(pid)
works()
""",
    )
    assert [each.state_name for each in record.flow_runs()] == ["Completed"] * 3
    assert len({each.id for each in record.flow_runs()}) == 3
    assert len({each.holder.pid for each in record.flow_runs() if each.holder}) == 2
    assert [each.state_name for each in record.task_runs()] == ["Completed"] * 3


def test_prints_of_a_child_forked_in_a_flow_do_not_hold_it_up(programs: Programs, record: Record) -> None:
    run(
        programs,
        """
def work():
    for number in range(100):
        print("in the child", number)

@flow(log_prints=True)
def forks():
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(10)
    assert child.exitcode == 0, child.exitcode

forks()
""",
    )
    assert record.flow_run().state_name == "Completed"
    seqs = [line.seq for line in record.lines()]
    assert len(set(seqs)) == len(seqs)


def test_a_child_that_is_forked_while_threads_print_records_what_it_prints(programs: Programs, record: Record) -> None:
    done = programs.run(
        """
        import os, threading
        from penstock import flow

        over = threading.Event()

        def chatter():
            while not over.is_set():
                print("chatter" * 100)

        @flow(log_prints=True)
        def main():
            threads = [threading.Thread(target=chatter) for _ in range(8)]
            for thread in threads:
                thread.start()
            for child in range(8):
                pid = os.fork()
                if pid == 0:
                    for line in range(3000):
                        print(f"child {child} line {line}")
                    os._exit(0)
                os.waitpid(pid, 0)
            over.set()
            for thread in threads:
                thread.join()

        main()
        """,
        timeout=30,
    )
    assert done.code == 0, done.stderr
    store = SqliteStore(current().database_path)
    rescue(store, identity.lives, SYSTEM.now)
    store.close()
    assert sum(message.startswith("child") for message in record.messages()) == 8 * 3000


def test_tasks_and_flows_in_a_child_forked_in_a_flow_are_recorded(programs: Programs, record: Record) -> None:
    run(
        programs,
        """
@task
def quick(number):
    return number * 2

@flow
def below(number):
    return quick(number)

def work(number):
    return below(number)

@flow
def forks():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        waiting = [pool.submit(work, number) for number in range(3)]
        assert [each.result(timeout=10) for each in waiting] == [0, 2, 4]

forks()
""",
    )
    assert [each.state_name for each in record.flow_runs("below")] == ["Completed"] * 3
    assert [each.state_name for each in record.task_runs("quick")] == ["Completed"] * 3
    assert record.flow_run("forks").state_name == "Completed"


def test_ids_of_parent_and_child_differ(programs: Programs) -> None:
    run(
        programs,
        """
from penstock.engine.clock import SYSTEM
SYSTEM.new_id()
read, write = os.pipe()
pid = os.fork()
made = b"".join((SYSTEM.new_id().int & 0x3FFFFFFFFFFFFFFF).to_bytes(8, "big") for _ in range(100))
if pid == 0:
    os.write(write, made)
    os._exit(0)
checked(pid)
others = os.read(read, 800)
split = lambda data: {data[place:place + 8] for place in range(0, len(data), 8)}
assert len(split(made)) == len(split(others)) == 100
assert not split(made) & split(others)
""",
    )
