"""capture="all": what is written to the output by whoever is in the log, and the terminal stays what it was."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock import flow, task
from penstock.exceptions import PenstockError
from penstock.flows import descriptors as descriptors_of_the_flow

from .kit import SOURCE, Programs, Record, until

libc = ctypes.CDLL(None)


def written(record: Record) -> list[str]:
    """The lines that are not the engine's own."""
    own = ("Created ", "Finished in state", "Running hook", "Hook ")
    return [line.message for line in record.lines() if not line.message.startswith(own)]


def of(record: Record, message: str) -> object:
    """The name of the task run that a line belongs to; None for the flow's."""
    names = {run.id: run.name for run in record.task_runs()}
    (line,) = [line for line in record.lines() if line.message == message]
    return None if line.task_run_id is None else names[line.task_run_id]


def shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True)


# --- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "lines"),
    [
        (lambda: shell("echo child; echo 'error of child' >&2"), ["child", "error of child"]),
        (lambda: os.system("echo system"), ["system"]),
        (lambda: os.write(1, b"os.write\n"), ["os.write"]),
        (lambda: os.write(2, b"to 2\n"), ["to 2"]),
        (lambda: libc.printf(b"native code\n"), ["native code"]),
        (lambda: print("the original stream", file=sys.__stdout__), ["the original stream"]),
        (lambda: subprocess.run(["echo", "handed on"], stdout=1, check=True), ["handed on"]),
        (lambda: os.write(1, b"not \xff utf-8 \xe2\x82\xac\n"), ["not \ufffd utf-8 €"]),
        (lambda: [os.write(1, each.to_bytes(1, "big")) for each in "ünï 🤗\n".encode()], ["ünï 🤗"]),
        (lambda: os.write(1, b"one\ntwo\n\nthree"), ["one", "two", "", "three"]),
        (lambda: os.write(1, b"\r 1%\r 50%\r100%\nnext\n"), ["100%", "next"]),
        (lambda: os.write(1, b"windows\r\n"), ["windows"]),
    ],
    ids=[
        "program", "system", "stdout", "stderr", "printf", "dunder", "given", "bytes", "split", "lines", "bar", "crlf",
    ],
)  # fmt: skip
def test_what_is_written_by_whoever_is_a_line_of_the_run(
    write: Callable[[], object], lines: list[str], record: Record, capfd: pytest.CaptureFixture[str]
) -> None:
    @task
    def work() -> None:
        write()

    @flow(capture="all")
    def main() -> None:
        work()

    main()
    assert written(record) == lines
    assert {of(record, line) for line in lines if line} == {"work-0"}
    assert {line.level for line in record.lines()} == {20}


def test_without_it_such_lines_are_in_the_terminal_only(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    @flow(log_prints=True)
    def main() -> None:
        shell("echo child")
        os.write(1, b"os.write\n")

    main()
    assert written(record) == []
    assert capfd.readouterr().out == "child\nos.write\n"


def test_the_terminal_shows_them_as_they_were_written(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    @flow(capture="all")
    def main() -> None:
        shell("printf '\\033[31mred\\033[0m \\377 no end'; echo error >&2")

    main()
    captured = capfd.readouterr()
    assert captured.out.startswith("\033[31mred\033[0m")
    assert "error\n" in captured.err


def test_prints_and_what_others_write_are_in_the_order_they_were_written(record: Record) -> None:
    @task
    def work() -> None:
        for number in range(30):
            print(f"print {number}")
            if number % 2:
                shell(f"echo child {number}")
            else:
                os.write(1, b"direct %d\n" % number)

    @flow(capture="all")
    def main() -> None:
        work()

    main()
    expected = []
    for number in range(30):
        expected += [f"print {number}", f"child {number}" if number % 2 else f"direct {number}"]
    assert written(record) == expected
    messages = record.messages()
    assert messages.index(expected[-1]) < messages.index("Finished in state Completed()"), "before its end is said"


def test_a_large_output_is_whole(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    @flow(capture="all")
    def main() -> None:
        shell("seq 1 50000")

    main()
    numbers = "\n".join(map(str, range(1, 50001)))
    assert "\n".join(written(record)) == numbers
    assert capfd.readouterr().out == numbers + "\n"


def test_native_code_that_keeps_the_interpreter_may_write_more_than_a_pipe_takes(
    record: Record, capfd: pytest.CaptureFixture[str]
) -> None:
    keeping = ctypes.PyDLL(None)  # its calls keep the interpreter's lock
    line = b"x" * 99 + b"\n"

    @flow(capture="all")
    def main() -> None:
        left = 30_000 * line
        while left:
            left = left[keeping.write(1, left, len(left)) :]

    main()
    assert len(written(record)) == 30_000


def test_levels_of_stderr_as_the_setting_says(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_STDERR_LEVEL", "WARNING")

    @flow(capture="all")
    def main() -> None:
        shell("echo out; echo err >&2")
        print("print to stderr", file=sys.stderr)
        print("print")

    main()
    levels = {line.message: line.level for line in record.lines()}
    assert levels["out"] == levels["print"] == 20
    assert levels["err"] == levels["print to stderr"] == 30


# --- whose -----------------------------------------------------------------------------------------------------------


def test_a_line_is_the_task_runs_when_one_is_at_work_and_else_the_flow_runs(record: Record) -> None:
    together = threading.Barrier(2)

    @task
    def alone() -> None:
        shell("echo of the task")

    @task
    def one_of_two(number: int) -> None:
        together.wait(20)
        shell(f"echo of two {number}")
        together.wait(20)

    @flow
    def below() -> None:
        shell("echo of the subflow")

    @flow(capture="all")
    def main() -> None:
        shell("echo of the flow")
        alone()
        one_of_two.map([1, 2]).wait()
        below()
        shell("echo of the flow again")

    main()
    run = record.flow_run("main")
    by_task = {line.message: line.task_run_id for line in record.lines(run)}
    assert by_task["of the task"] == record.task_run("alone").id
    assert {by_task[f"of {which}"] for which in ("the flow", "the flow again", "two 1", "two 2")} == {None}
    assert "of the subflow" in record.messages(record.flow_run("below"))


def test_isolated_tasks_capture_their_own(record: Record, programs: Programs) -> None:
    done = programs.run("""
        import os, subprocess
        from penstock import flow, task

        @task(isolation="process")
        def work(number):
            print("print", number)
            subprocess.run(["echo", f"child {number}"])
            os.write(2, b"direct %d\\n" % number)

        @flow(capture="all")
        def main():
            work(0)
            work.map([1, 2]).wait()

        main()
    """)
    assert done.code == 0, done.stderr
    names = {run.id: run.name for run in record.task_runs()}
    said = [(names[line.task_run_id], line.message) for line in record.lines() if line.task_run_id]
    for number in range(3):
        own = [message for name, message in said if name == f"work-{number}"]
        number = int(own[0].removeprefix("print "))  # which of the two got its number first is open
        assert own[:3] == [f"print {number}", f"child {number}", f"direct {number}"]
    assert done.stdout.count("child") == 3


QUIET = """
import ctypes, os, subprocess, sys
from penstock import flow, task

SECRET = "SE" + "CRET"

@task(log_prints=False)
def quiet():
    print(SECRET + " print")
    print(SECRET + " dunder", file=sys.__stdout__)
    subprocess.run(["echo", SECRET + " child"])
    os.write(1, SECRET.encode() + b" direct\\n")
    os.write(2, SECRET.encode() + b" open end")
    ctypes.CDLL(None).printf(SECRET.encode() + b" native\\n")

@task
def loud(number):
    subprocess.run(["echo", f"loud {number}"])

@flow(capture="all")
def main():
    loud(1)
    quiet()
    loud(2)
    quiet.submit().wait()
    quiet.with_options(isolation="process")()
    loud(3)

main()
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_task_opted_out_is_in_the_terminal_and_nowhere_else(
    form: str, programs: Programs, record: Record, penstock_home: Path
) -> None:
    done = programs.run(QUIET, PENSTOCK_LOGGING_CONSOLE_FORMAT=form)
    assert done.code == 0, done.stderr
    assert written(record) == ["loud 1", "loud 2", "loud 3"]
    for what in ("print", "dunder", "child", "direct", "native"):
        assert done.stdout.count(f"SECRET {what}\n") == 3, what
    assert done.stderr.count("SECRET open end") == 3
    files = [path for path in penstock_home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"SECRET" in path.read_bytes()]


# Gives the pid of a child to wait for, where there is one.
LEAVE_BEHIND: dict[str, Callable[[str], int | None]] = {
    "a program": lambda command: subprocess.Popen(["sh", "-c", command]).pid,
    "a program's own": lambda command: shell(f"({command}) &"),
    "system": lambda command: os.system(f"({command}) &") or None,
    "spawn": lambda command: os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ),
    "fork": lambda command: os.fork() or os.execv("/bin/sh", ["sh", "-c", command]),
}


@pytest.mark.needs("sh")
@pytest.mark.parametrize("how", LEAVE_BEHIND)
def test_what_an_opted_out_task_left_behind_is_not_stored_either(
    how: str, record: Record, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gate, said = tmp_path / "gate", tmp_path / "said"
    os.mkfifo(gate)
    left: list[int | None] = []

    @task(log_prints=False)
    def quiet() -> None:
        left.append(LEAVE_BEHIND[how](f"read go < {gate}; echo secret; : > {said}"))

    @flow(capture="all")
    def main() -> None:
        quiet()
        shell("echo while it lives")
        gate.write_text("go\n")
        until(said.exists)  # (what pytest has captured is not read meanwhile: it would lose what comes just then)
        shell("echo afterwards")

    main()
    assert "secret" in capfd.readouterr().out
    assert written(record) == ["while it lives", "afterwards"]
    for pid in left:
        if pid is not None:
            with contextlib.suppress(ChildProcessError):  # `subprocess` may have done it
                os.waitpid(pid, 0)


def test_what_a_loud_flow_below_an_opted_out_task_starts_is_stored(record: Record) -> None:
    @flow(log_prints=True)
    def loud() -> None:
        shell("echo loud")

    @task(log_prints=False)
    def quiet() -> None:
        shell("echo secret before")
        loud()
        shell("echo secret after")

    @flow(capture="all")
    def main() -> None:
        quiet()
        shell("echo end")

    main()
    of_main, of_loud = (record.messages(record.flow_run(name)) for name in ("main", "loud"))
    assert [line for line in (*of_main, *of_loud) if "secret" in line] == []
    assert "end" in of_main
    assert "loud" in of_loud


def test_an_opted_out_task_leaves_alone_where_the_program_led_its_output(record: Record, tmp_path: Path) -> None:
    @task(log_prints=False)
    def quiet() -> None:
        shell("echo to the file")

    @flow(capture="all")
    def main() -> None:
        before, file = os.dup(1), os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        quiet()
        os.dup2(before, 1)
        os.close(before)
        os.close(file)
        shell("echo back")

    main()
    assert (tmp_path / "file").read_text() == "to the file\n"
    assert written(record) == ["back"]


# --- its end, and what it leaves alone -------------------------------------------------------------------------------


def descriptors() -> dict[str, str]:
    folder = Path("/proc/self/fd")
    found = {}
    for entry in folder.iterdir():
        try:
            found[entry.name] = os.readlink(entry)
        except OSError:  # of the listing itself
            continue
    return found


@pytest.mark.needs("sh")
def test_it_is_undone_exactly_at_the_end(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    @flow(capture="all")
    def main() -> None:
        shell("echo in")
        print("in")

    main()  # opens the record
    before, streams = descriptors(), (sys.stdout, sys.stderr)
    for _ in range(3):
        main()
    assert descriptors() == before
    assert (sys.stdout, sys.stderr) == streams
    capfd.readouterr()
    shell("echo after")
    print("after", flush=True)
    assert capfd.readouterr().out == "after\nafter\n"
    assert "after" not in [line.message for run in record.flow_runs() for line in record.lines(run)]


def test_it_is_undone_when_the_run_fails(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    before = os.readlink("/proc/self/fd/1"), os.readlink("/proc/self/fd/2")

    @flow(capture="all")
    def main() -> None:
        os.write(1, b"last words\n")
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        main()
    assert (os.readlink("/proc/self/fd/1"), os.readlink("/proc/self/fd/2")) == before
    assert "last words" in record.messages()


def test_a_program_that_outlives_the_run_can_go_on_writing(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    left: list[subprocess.Popen[bytes]] = []

    @flow(capture="all")
    def main() -> None:
        left.append(subprocess.Popen(["sh", "-c", "read go; echo late && exit 7"], stdin=subprocess.PIPE))
        shell("echo in")

    main()
    left[0].communicate(b"go\n")
    assert left[0].returncode == 7, "its output was not broken"
    until(lambda: "late\n" in capfd.readouterr().out)
    assert written(record) == ["in"]


def test_children_that_are_forked_write_to_the_log_too(record: Record, programs: Programs) -> None:
    done = programs.run("""
        import multiprocessing, os, sys
        from penstock import flow

        def child(how):
            os.write(1, f"direct of {how}\\n".encode())

        @flow(capture="all")
        def main():
            for how in ("fork", "spawn"):
                process = multiprocessing.get_context(how).Process(target=child, args=(how,))
                process.start()
                process.join()
                print("joined", how)
            if os.fork() == 0:
                os.write(1, b"bare fork\\n")
                os._exit(0)
            os.wait()

        if __name__ == "__main__":
            main()
    """)
    assert done.code == 0, done.stderr
    assert written(record) == ["direct of fork", "joined fork", "direct of spawn", "joined spawn", "bare fork"]


def test_two_flow_runs_at_once_end_it_when_both_have_ended(record: Record, capfd: pytest.CaptureFixture[str]) -> None:
    before = os.readlink("/proc/self/fd/1")
    first_ended = threading.Event()

    @flow(capture="all")
    def longer() -> None:
        assert first_ended.wait(20)
        os.write(1, b"of the longer\n")

    @flow(capture="all")
    def shorter() -> None:
        os.write(1, b"of one of them\n")

    thread = threading.Thread(target=longer)
    thread.start()
    until(lambda: record.flow_runs("longer") or None)
    shorter()
    first_ended.set()
    thread.join(20)
    assert os.readlink("/proc/self/fd/1") == before
    assert "of the longer" in record.messages(record.flow_run("longer"))


def test_it_goes_on_when_somebody_ends_its_pump(record: Record, programs: Programs) -> None:
    done = programs.run("""
        import os, signal, subprocess
        from penstock import flow

        @flow(capture="all")
        def main():
            subprocess.run(["echo", "before"])
            print("print")
            listed = subprocess.run(["pgrep", "-f", "pump.py"], stdout=subprocess.PIPE)
            home = os.environ["PENSTOCK_HOME"].encode()
            (pump,) = [pid for pid in listed.stdout.split() if home in open(f"/proc/{int(pid)}/environ", "rb").read()]
            os.kill(int(pump), signal.SIGKILL)
            subprocess.run(["seq", "1", "20000"])
            print("after")

        main()
    """)
    assert done.code == 0, done.stderr
    lines = written(record)
    assert lines[:2] == ["before", "print"]
    assert lines[-1] == "after"
    assert "20000" in lines


def test_a_pump_that_does_not_answer_is_waited_for_once(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors_of_the_flow, "PATIENCE", 1.0)

    @task
    def work() -> None:
        print("goes on")

    @flow(capture="all")
    def main() -> float:
        listed = subprocess.run(["pgrep", "-f", "pump.py"], stdout=subprocess.PIPE, check=True)
        mine = os.readlink("/proc/self/fd/1")
        (pump,) = [pid for pid in map(int, listed.stdout.split()) if mine in held_by(pid)]
        os.kill(pump, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            for _ in range(10):
                os.write(1, b"held up\n")
                work()
            return time.monotonic() - begun
        finally:
            os.kill(pump, signal.SIGCONT)

    assert main() < 5
    assert written(record).count("goes on") == 10
    assert written(record).count("held up") == 10


def held_by(pid: int) -> list[str]:
    """What a process has open."""
    try:
        return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it has ended
        return []


def test_stdout_may_be_configured_anew_in_a_run(record: Record, programs: Programs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = programs.run(
        """
        import os, sys
        from penstock import flow, task

        @task(log_prints=False)
        def quiet():
            print("\u20ac quiet")

        @flow(capture="all")
        def main():
            os.system("echo child")
            sys.stdout.reconfigure(encoding="ascii", errors="backslashreplace")
            print("\u20ac printed")
            quiet()

        file = os.open("OUT", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)
        main()
        print("\u20ac after")
        sys.stdout.flush()
    """.replace("OUT", str(out))
    )
    assert done.code == 0, done.stderr
    assert written(record) == ["child", "\u20ac printed"]
    assert out.read_text() == "child\n\\u20ac quiet\n\\u20ac after\n"


def test_code_may_wait_for_all_its_children(record: Record, programs: Programs) -> None:
    done = programs.run("""
        import os
        from penstock import flow

        @flow(capture="all")
        def main():
            for number in range(3):
                if os.fork() == 0:
                    os._exit(number)
            waited = 0
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    break
                waited += 1
            print("waited for", waited)

        main()
    """)
    assert done.code == 0, done.stderr
    assert written(record) == ["waited for 3"]


def test_where_it_cannot_begin_nothing_is_changed_and_the_run_says_so(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name == "penstock-capture":
            raise RuntimeError("can't start new thread")
        start(self)

    @flow(capture="all")
    def main() -> dict[str, str]:
        print("goes on")
        gc.collect()
        return descriptors()

    @flow(log_prints=True)
    def plain() -> dict[str, str]:
        return descriptors()

    before = plain()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert main() == before
    messages = record.messages(record.flow_run("main"))
    assert "can't start new thread" in messages[0]
    assert "goes on" in messages


def test_ctrl_c_ends_it_and_what_was_written_is_kept(record: Record, programs: Programs) -> None:
    process = programs.start("""
        import subprocess, time
        from penstock import flow

        @flow(capture="all")
        def main():
            subprocess.run(["echo", "before"])
            print("waiting", flush=True)
            time.sleep(60)

        main()
    """)
    assert process.stderr is not None
    until(lambda: "waiting" in process.stderr.readline())  # type: ignore[union-attr]
    done = programs.tell(process, signal.SIGINT)
    assert done.code != 0
    assert "before" in written(record)
    assert record.flow_run().state_name == "Cancelled" if hasattr(record.flow_run(), "state_name") else True


# --- a terminal ------------------------------------------------------------------------------------------------------


def in_terminal(program: Path, size: tuple[int, int] = (101, 33)) -> str:
    """What a program writes to a terminal."""
    import fcntl
    import struct
    import termios

    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(SOURCE)
        os.execv(sys.executable, [sys.executable, str(program)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    seen = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # nobody has the other end open any more
            break
        seen += data
    os.waitpid(pid, 0)
    os.close(terminal)
    return seen.decode()


def test_a_terminal_stays_a_terminal(record: Record, programs: Programs) -> None:
    seen = in_terminal(
        programs.write("""
            import os, subprocess, sys, time
            from penstock import flow

            CHILD = '''
            import os, sys
            for number in range(5):
                sys.stdout.write(f"\\\\r{number * 25}%")
                sys.stdout.flush()
            print()
            print("terminal" if os.isatty(1) and os.isatty(2) else "no terminal", os.get_terminal_size(1).columns)
            '''.replace("\\n            ", "\\n").strip()

            @flow(capture="all")
            def main():
                time.sleep(0.2)
                print(os.isatty(1), sys.stdout.isatty(), sys.stdout.fileno())
                subprocess.run([sys.executable, "-c", CHILD])
                subprocess.run(["sh", "-c", "printf 'a\\\\nb\\\\n'"])

            main()
        """)
    )
    assert written(record) == ["True True 1", "100%", "terminal 101", "a", "b"]
    assert "\r0%\r25%\r50%\r75%\r100%\r\n" in seen, "a bar is drawn as it is without us"
    assert "a\r\nb\r\n" in seen


# --- who may ask for it ----------------------------------------------------------------------------------------------


def test_the_setting_asks_for_it_where_prints_are_logged(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LOGGING_CAPTURE", "all")

    @flow
    def silent() -> None:
        os.write(1, b"silent\n")

    @flow(log_prints=True)
    def logged() -> None:
        os.write(1, b"logged\n")

    @flow(log_prints=True, capture="prints")
    def prints() -> None:
        os.write(1, b"not captured\n")

    @task(log_prints=True)
    def alone() -> None:
        os.write(1, b"alone\n")

    for each in (silent, logged, prints, alone):
        each()
    assert "logged" in record.messages(record.flow_run("logged"))
    assert "alone" in record.messages(record.task_run("alone"))
    assert not {"silent", "not captured"} & {line for run in record.flow_runs() for line in record.messages(run)}


def test_a_subflow_may_ask_for_it(record: Record) -> None:
    @flow(capture="all")
    def below() -> None:
        os.write(1, b"below\n")

    @flow(log_prints=True)
    def main() -> None:
        os.write(1, b"main\n")
        below()
        os.write(1, b"main\n")

    main()
    assert "below" in record.messages(record.flow_run("below"))
    assert "main" not in record.messages(record.flow_run("main"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"capture": "some"}, r"capture of flow 'main' must be \"prints\" or \"all\"; it is 'some'"),
        ({"capture": True}, "it is True"),
        ({"capture": "all", "log_prints": False}, "leave one of them out"),
    ],
)
def test_what_it_cannot_be_is_an_error_where_it_is_written(options: dict[str, object], sentence: str) -> None:
    def main() -> None: ...

    with pytest.raises(PenstockError, match=sentence):
        flow(**options)(main)  # type: ignore[call-overload]
