"""Programs that cannot do it themselves: they hold the interpreter's lock, are frozen, or are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from penstock.domain.runs import FlowRun, TaskRun

from ..flows.kit import Programs, Record, names, taking_less_than, until
from .kit import await_gone, is_gone, said, start


def details(run: FlowRun | TaskRun) -> dict[str, object]:
    return run.state.details or {}


def kill(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(process.pid, number)


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_record_is_closed_at_the_limit_while_the_code_holds_the_interpreters_lock(
    programs: Programs, record: Record
) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=False)
        run = begin("stuck")
        begin_task("inside", run.id)
        watchdog.attend(where_is(path))
        guard(watchdog, run, 0.5)
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    run = until(lambda: record.flow_run() if record.flow_run().state.is_final() else None)
    assert names(run) == ["Pending", "Running", "TimedOut"]
    assert run.state.message == "Flow run exceeded timeout of 0.5 second(s)"
    assert details(run) == {
        "reason": "timeout",
        "stopped": "abandoned",
        "confirmed": False,
        "seconds_to_stop": details(run)["seconds_to_stop"],
        "who": "timeout_seconds=0.5 of flow run 'stuck'",
    }
    assert 0 <= float(str(details(run)["seconds_to_stop"])) < 2
    assert run.epoch == 2, "the process cannot write any more, should it come to itself"
    assert record.task_run().state_name == "Cancelled"
    assert "TimedOut" in record.messages()[-1]
    assert process.poll() is None


def test_a_task_run_alone_is_closed_and_its_flow_goes_on(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=False)
        run = begin("above")
        watchdog.attend(where_is(path))
        guard(watchdog, begin_task("stuck", run.id), 0.3)
        begin_task("other", run.id)
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    until(lambda: record.task_run("stuck").state_name == "TimedOut")
    assert record.task_run("stuck").state.message == "Task run exceeded timeout of 0.3 second(s)"
    assert record.task_run("other").state_name == "Running"
    assert record.flow_run().state_name == "Running"


def test_other_reasons_end_cancelled_and_a_cancelled_run_does_not_time_out(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        from penstock.domain.rules import Facts

        watchdog = Watchdog(may_be_killed=False)
        first, second = begin("cancelled"), begin("asked")
        with store.write() as tx:
            details = {"reason": "cancel", "who": "somebody"}
            orchestrate.enter(tx, second.id, make("Cancelling", SYSTEM.now(), details=details), Facts())
        guard(watchdog, first, record_in=0.2, stop=Stop(CANCEL, "Cancelled by me.", "me"))
        guard(watchdog, second, 0.2)
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    until(lambda: all(run.state.is_final() for run in record.flow_runs()))
    first, second = record.flow_runs()
    assert (first.state_name, second.state_name) == ("Cancelled", "Cancelled")
    assert first.state.message == "Cancelled by me."
    assert (details(first)["reason"], details(first)["who"]) == ("cancel", "me")


def test_what_the_engine_has_recorded_or_released_is_left_alone(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=False)
        watchdog.attend(where_is(path))
        guard(watchdog, begin("recorded"), 0.2).recorded()
        released = guard(watchdog, begin("released"), 0.2)
        released.release()
        released.release()
        guard(watchdog, begin("late"), 0.4)
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    until(lambda: record.flow_run("late").state_name == "TimedOut")
    assert record.flow_run("recorded").state_name == "Running"
    assert record.flow_run("released").state_name == "Running"


def test_a_run_that_is_reported_late_is_closed_when_it_is_there(programs: Programs, record: Record) -> None:
    """A task's report is on its way when its code takes the interpreter's lock."""
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=False)
        above = begin("above")
        late = TaskRun(id=SYSTEM.new_id(), name="late", created=SYSTEM.now(), task_name="late", task_key="late")
        late.flow_run_id = above.id
        late.enter(make("Running", SYSTEM.now()))
        guard(watchdog, late, 0.01)
        second = begin("second")
        guard(watchdog, second, 0.02)
        while not has_ended(second):
            time.sleep(0.01)
        with store.write() as tx:
            task_runs.report(tx, [late])
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    until(lambda: record.task_run().state_name == "TimedOut")


def test_a_program_that_is_stuck_keeps_its_lease(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        with store.write() as tx:
            holders.put(tx, identity.me(), SYSTEM.now() + timedelta(seconds=5), True)
        watchdog = Watchdog(may_be_killed=True)
        begin("stuck")
        watchdog.attend(where_is(path))
        watchdog.launch()
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    os.kill(process.pid, signal.SIGSTOP)

    def left() -> float:
        (expires,) = record.read(lambda tx: tx.row("SELECT lease_expires FROM holder"))
        return float(expires) / 1e6 - time.time()

    assert left() < 6
    until(lambda: left() > 40)


# --- the end ---------------------------------------------------------------------------------------------------------

FAMILY = """
watchdog = Watchdog(may_be_killed=True)
other, above = begin("other"), begin("above")
stuck = begin("stuck", above.id)
below = begin("below", stuck.id)
begin_task("inside", stuck.id)
watchdog.attend(where_is(path))
child = '''
import subprocess, sys, threading
grandchild = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
print(grandchild.pid, flush=True)
threading.Event().wait()
'''
started = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
print(started.pid, started.stdout.readline().strip(), flush=True)
guard(watchdog, stuck, 0.3, kill_in=2.3)
hold_the_interpreter()
"""


def test_the_program_is_ended_with_all_below_it_and_all_is_told(programs: Programs, record: Record) -> None:
    process = start(programs, FAMILY)
    children = [int(pid) for pid in said(process).split()]
    assert said(process) == "ready"
    until(lambda: record.flow_run("stuck").state_name == "TimedOut")
    assert details(record.flow_run("stuck"))["confirmed"] is False
    assert process.poll() is None, "the record is closed first, the process is ended later"
    done = programs.finish(process)
    assert done.code == -signal.SIGKILL
    assert done.stderr.splitlines()[-1] == (
        "penstock: flow run 'stuck' did not stop within 2 s of: Flow run exceeded timeout of 0.3 second(s); "
        f"its process ({process.pid}) was ended"
    )
    assert [is_gone(pid) for pid in children] == [True, True]

    until(lambda: details(record.flow_run("stuck"))["confirmed"] is True)
    until(lambda: all(run.state.is_final() for run in record.flow_runs()))
    stuck = record.flow_run("stuck")
    assert names(stuck) == ["Pending", "Running", "TimedOut"]
    assert details(stuck)["stopped"] == "killed"
    assert 2 <= float(str(details(stuck)["seconds_to_stop"])) < 10
    assert record.task_run().state_name == "Cancelled"
    assert record.flow_run("below").state_name == "Cancelled"
    for name in ("other", "above"):
        run = record.flow_run(name)
        assert run.state_name == "Crashed"
        assert "because flow run 'stuck' did not stop" in (run.state.message or "")
        assert details(run)["stopped"] == "killed"
    assert record.count("holder") == 0


def test_a_run_is_closed_though_its_frozen_program_holds_the_record_locked(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=True)
        run = begin("stuck")
        watchdog.attend(where_is(path))
        guard(watchdog, run, 0.2, kill_in=0.4)
        with store.write() as tx:
            tx.run("UPDATE flow_run SET name = 'never seen'")
            hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    assert programs.finish(process).code == -signal.SIGKILL
    until(lambda: record.flow_run().state.is_final())
    assert names(record.flow_run()) == ["Pending", "Running", "TimedOut"]
    assert details(record.flow_run())["stopped"] == "killed"
    assert record.flow_run().name == "stuck"


def test_nothing_is_ended_where_nothing_may_be(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=False)
        first, second = begin("first"), begin("second")
        watchdog.attend(where_is(path))
        guard(watchdog, first, 0.1, kill_in=0.3)
        guard(watchdog, second, record_in=1000, kill_in=0.4, stop=Stop(CANCEL, "Cancelled by me."))
        hold_the_interpreter()
        """,
    )
    assert said(process) == "ready"
    until(lambda: [run.state_name for run in record.flow_runs()] == ["TimedOut", "Cancelled"])
    assert [details(run)["confirmed"] for run in record.flow_runs()] == [False, False]
    assert process.poll() is None


# --- the program is gone ---------------------------------------------------------------------------------------------

BEGUN = """
watchdog = Watchdog(may_be_killed=True)
run = begin("begun")
watchdog.attend(where_is(path))
watchdog.launch()
print(watcher(watchdog), flush=True)
"""


@pytest.mark.parametrize("end", ["kill -9", "os._exit"])
def test_a_run_whose_process_is_killed_has_crashed_before_anybody_looks(
    programs: Programs, record: Record, end: str
) -> None:
    process = start(programs, BEGUN + ("wait()" if end == "kill -9" else "print('ready', flush=True); os._exit(3)"))
    pid = int(said(process))
    assert said(process) == "ready"
    if end == "kill -9":
        kill(process)
    with taking_less_than(5):
        until(lambda: record.flow_run().state_name == "Crashed")
    assert names(record.flow_run()) == ["Pending", "Running", "Crashed"]
    assert str(process.pid) in (record.flow_run().state.message or "")
    await_gone(pid)


def test_code_that_was_abandoned_is_confirmed_to_be_gone_with_its_process(programs: Programs, record: Record) -> None:
    process = start(programs, BEGUN + "guard(watchdog, run, 0.2); wait()")
    pid = int(said(process))
    until(lambda: record.flow_run().state_name == "TimedOut")
    assert details(record.flow_run())["confirmed"] is False
    kill(process)
    until(lambda: details(record.flow_run())["confirmed"] is True)
    assert details(record.flow_run())["stopped"] == "gone"
    await_gone(pid)


def test_a_program_that_ends_leaves_no_watchdog_and_nothing_is_written(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=True)
        run = begin("short")
        watchdog.attend(where_is(path))
        held = guard(watchdog, run, 100, kill_in=130)
        print(watcher(watchdog), flush=True)
        held.release()
        watchdog.leave()
        """,
    )
    pid = int(said(process))
    done = programs.finish(process)
    assert (done.code, done.stderr) == (0, "")
    await_gone(pid, 5)
    # (A real engine has closed the run by then; here it shows that nobody else did.)
    assert names(record.flow_run()) == ["Pending", "Running"]
    assert record.flow_run().epoch == 1


def test_what_ends_the_program_does_not_end_the_watchdog(programs: Programs, record: Record) -> None:
    process = start(programs, BEGUN + "wait()")
    pid = int(said(process))
    assert said(process) == "ready"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C, and a closed terminal
    os.killpg(process.pid, signal.SIGHUP)
    process.wait()
    until(lambda: record.flow_run().state_name == "Crashed")
    await_gone(pid)


def test_a_forked_child_that_lives_on_does_not_hide_its_parents_end(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        BEGUN
        + """
child = os.fork()
if not child:
    guard(watchdog, run, 1000).release()  # its own, with a table of its own
    print("child", watcher(watchdog), flush=True)
    threading.Event().wait()
wait()
""",
    )
    pid = int(said(process))
    lines = [said(process), said(process)]
    childs = next(int(line.split()[1]) for line in lines if line.startswith("child"))
    assert childs != pid
    kill(process)
    until(lambda: record.flow_run().state_name == "Crashed")
    await_gone(pid)
    assert not is_gone(childs)
    os.killpg(process.pid, signal.SIGKILL)
    await_gone(childs)


# --- the watchdog itself ---------------------------------------------------------------------------------------------


def test_a_watchdog_that_was_killed_is_started_again(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        # As many programs that are used in pipes do; it must not be what ends this one.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        watchdog = Watchdog(may_be_killed=False)
        stuck = begin("stuck")
        watchdog.attend(where_is(path))
        guard(watchdog, stuck, 1.0)
        first = watcher(watchdog)
        print(first, flush=True)
        os.kill(first, signal.SIGKILL)
        while identity.started(first):
            time.sleep(0.001)
        second = begin("second")
        guard(watchdog, second, 0.001)
        print(watcher(watchdog), flush=True)
        hold_the_interpreter()
        """,
    )
    first, second = int(said(process)), int(said(process))
    assert is_gone(first)
    assert not is_gone(second)
    until(lambda: {run.state_name for run in record.flow_runs()} == {"TimedOut"})


def test_a_program_may_wait_for_all_its_children(programs: Programs) -> None:
    """The watchdog is none of them; else both would wait for each other without end."""
    process = start(
        programs,
        BEGUN
        + """
waited = []
while True:
    try:
        waited.append(os.wait())
    except ChildProcessError:
        break
watchdog.leave()
print("waited", flush=True)
""",
    )
    said(process)
    assert said(process) == "waited"
    assert programs.finish(process).code == 0


def test_where_no_watchdog_can_be_started_the_program_runs_on_and_is_told_once(
    programs: Programs, record: Record
) -> None:
    done = programs.finish(
        start(
            programs,
            """
            sys.executable = "/usr/bin/an application"
            watchdog = Watchdog(may_be_killed=True)
            watchdog.attend(where_is(path))
            for _ in range(3):
                held = guard(watchdog, begin("unguarded"), 0.1, kill_in=0.2)
                held.recorded()
                held.release()
            watchdog.launch()
            watchdog.leave()
            watchdog.close()
            """,
        )
    )
    assert done.code == 0
    assert done.stderr.splitlines() == [
        "penstock: no watchdog stands beside this program (/usr/bin/an application is not a Python interpreter)"
    ]


def test_a_closed_watchdog_goes_and_can_be_started_again(programs: Programs, record: Record) -> None:
    process = start(
        programs,
        """
        watchdog = Watchdog(may_be_killed=False)
        run = begin("run")
        watchdog.attend(where_is(path))
        held = guard(watchdog, run, 5)
        print(watcher(watchdog), flush=True)
        watchdog.close()
        held.recorded()
        held.release()
        guard(watchdog, begin("later"), 0.2)
        print(watcher(watchdog), flush=True)
        hold_the_interpreter()
        """,
    )
    first, second = int(said(process)), int(said(process))
    assert first != second
    await_gone(first)
    until(lambda: record.flow_run("later").state_name == "TimedOut")
    assert record.flow_run("run").state_name == "Running"


def test_guarding_does_not_wait_for_the_watchdog(programs: Programs) -> None:
    """A frozen watchdog, whose connection is full, holds nobody up."""
    process = start(
        programs,
        BEGUN
        + """
os.kill(watcher(watchdog), signal.SIGSTOP)
for _ in range(20_000):
    guard(watchdog, run, 0.5).release()
print("done", flush=True)
os.kill(watcher(watchdog), signal.SIGKILL)
""",
    )
    said(process)
    assert said(process) == "done"
    began = time.monotonic()
    assert programs.finish(process).code == 0
    assert time.monotonic() - began < 30
