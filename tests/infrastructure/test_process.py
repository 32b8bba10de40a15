"""Processes below one, and ending them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from penstock.engine import identity
from penstock.infrastructure import process
from penstock.infrastructure.process import Process, descendants, find, kill_tree, lives

from ..flows.kit import until

# Starts a child, which starts one of its own; each says its pid and waits.
FAMILY = """
import os, subprocess, sys, threading
depth = int(sys.argv[2])
print(os.getpid(), flush=True)
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1], str(depth - 1)])
threading.Event().wait()
"""
# Forks as fast as it can, and so do its children.
BOMB = """
import os, time
print(os.getpid(), flush=True)
for _ in range(300):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
while True:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    time.sleep(0.001)
"""
Start = list[subprocess.Popen[str]]


@pytest.fixture
def started() -> Iterator[Start]:
    made: Start = []
    yield made
    for each in made:
        if each.poll() is None:
            os.killpg(each.pid, signal.SIGKILL)
        each.communicate()


def start(started: Start, code: str, *arguments: str, count: int = 1) -> list[Process]:
    """A program, and the first processes of it that say their pid."""
    made = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    started.append(made)
    assert made.stdout is not None
    found = [find(int(made.stdout.readline())) for _ in range(count)]
    assert None not in found
    return [each for each in found if each is not None]


def test_a_process_is_known_as_its_runs_holder_knows_it(started: Start) -> None:
    (made,) = start(started, FAMILY, FAMILY, "0")
    assert made == (made.pid, identity.started(made.pid))
    assert lives(made)
    assert not lives(Process(made.pid, "1"))


def test_descendants_are_found_however_deep(started: Start) -> None:
    family = start(started, FAMILY, FAMILY, "2", count=3)
    assert descendants(family[0].pid) == family[1:]
    assert descendants(family[2].pid) == []


def test_a_zombie_is_gone(started: Start) -> None:
    (made,) = start(started, FAMILY, FAMILY, "0")
    os.kill(made.pid, signal.SIGKILL)
    os.waitid(os.P_PID, made.pid, os.WEXITED | os.WNOWAIT)
    assert find(made.pid) is None
    assert not lives(made)
    assert made not in descendants(os.getpid())


def test_a_whole_tree_is_ended(started: Start) -> None:
    family = start(started, FAMILY, FAMILY, "2", count=3)
    os.kill(family[1].pid, signal.SIGSTOP)  # one that is frozen, too
    assert kill_tree(family[0])
    assert [lives(each) for each in family] == [False, False, False]


def test_nothing_escapes_by_forking(started: Start) -> None:
    (bomb,) = start(started, BOMB)
    until(lambda: len(descendants(bomb.pid)) > 100)
    seen = set(descendants(bomb.pid))
    assert kill_tree(bomb, patience=20)
    assert not any(lives(each) for each in seen)
    # All of its session, which nothing but its tree has.
    left = [each for each in process._all() if not each.is_dead and _session(each.process.pid) == bomb.pid]
    assert left == []


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def test_a_pid_that_was_given_to_another_process_is_left_alone(started: Start) -> None:
    (made,) = start(started, FAMILY, FAMILY, "0")
    assert kill_tree(Process(made.pid, "1"))  # the one that is meant is gone
    process.send(Process(made.pid, "1"), signal.SIGKILL)
    assert lives(made)


def test_what_is_gone_already_is_no_error() -> None:
    assert kill_tree(Process(2**22 - 1, "1"))


def test_the_caller_is_never_touched(started: Start) -> None:
    me = find(os.getpid())
    assert me is not None
    assert not kill_tree(me)
    family = start(started, FAMILY, FAMILY, "1", count=2)
    assert kill_tree(family[0], spare=[family[1].pid])
    assert lives(family[1])
    os.kill(family[1].pid, signal.SIGKILL)


def test_a_containers_first_process_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    first = find(1)
    assert first is not None
    monkeypatch.setattr(process, "send", lambda *_: pytest.fail("nothing may be signalled"))
    assert not kill_tree(first)


def test_processes_are_found_where_there_is_no_proc(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = enumerate(["1  0 S", "20  1 S+ ", "21 20 Z"])
    listed = "".join(f" {line} Sat Nov 22 16:00:0{number} 2025\n" for number, line in lines)
    monkeypatch.setattr(process, "_PROC", "/nowhere")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=listed))
    assert descendants(1) == [Process(20, "Sat Nov 22 16:00:01 2025")]
    assert find(1) == Process(1, "Sat Nov 22 16:00:00 2025")
