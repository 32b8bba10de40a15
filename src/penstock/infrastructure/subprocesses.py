"""The driver of processes on this machine: each run in a session of its own, its output in a file of its own.

Law: what was launched depends on nobody: the worker may end, and another goes on with it. So its output is no pipe, and
what is needed to find it again is in a file before anybody is told. A process is known by its pid and the moment it
started (`process`); what is below it, by its session and by a mark in its environment, so nothing of it can hide.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ..domain.errors import InfrastructureError, InfrastructureRefused
from ..domain.launches import Place
from ..domain.stops import GONE, KILLED, RETURNED
from . import process as processes
from .contract import Ended, Job, Stopped
from .process import Process
from .template_fields import common, shown, template

Json = dict[str, Any]

MARK = "PENSTOCK__LAUNCH_KEY"
# A run's watchdog is below it as well; it records the end of the run, and ends then by itself.
_WATCHDOG = b"# penstock.watchdog"
# How often a file of output is looked at; how long what is left of a run has to end by itself, when the run has ended.
TAIL_SECONDS = 0.1
LEFT_SECONDS = 3.0
KILL_PATIENCE = 5.0
LAST_LINES = 20
LARGEST_READ = 1 << 20


class _Note(msgspec.Struct):
    """What is known of a launch, in a file beside its output. Without a pid: it was about to be launched."""

    key: str
    pid: int | None = None
    started: str | None = None
    seconds: float = 0.0


class ProcessDriver:
    """Launches runs as processes of this machine. `folder` is where their output and notes are kept."""

    type = "process"
    base_job_template = template(
        {
            **common(env="the process", labels="Labels of what is launched."),
            "working_dir": {"type": "string", "description": "The folder that the process begins in."},
            "user": {"type": "string", "description": "The system's user that the process is; needs root."},
            "stream_output": shown("the process writes"),
        }
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._read: dict[str, int] = {}

    def scope(self) -> str:
        boot = _text("/proc/sys/kernel/random/boot_id") or "boot"
        with contextlib.suppress(OSError):
            return f"{socket.gethostname()}:{boot}:{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
        return f"{socket.gethostname()}:{boot}"

    def launch(self, job: Job) -> Place:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        note = self._note(job.key)
        there = None if note is None else self._found(note)
        if there is not None:
            return self._place(there)
        self._write(_Note(job.key, seconds=time.time()))
        child = self._start(job)
        found = processes.find(child.pid)
        # (One that has ended already is a zombie until it is waited for; it has its pid until then.)
        launched = found or Process(child.pid, "ended")
        self._write(_Note(job.key, launched.pid, launched.started, time.time()))
        place = self._place(launched)
        self._children[place.id] = child
        return place

    def _start(self, job: Job) -> subprocess.Popen[bytes]:
        configuration = job.configuration
        folder = configuration.get("working_dir") or None
        env = {**os.environ, **(configuration.get("env") or {}), **job.env, MARK: job.key}
        if folder is not None and not os.path.isdir(folder):
            raise InfrastructureRefused(
                f"working_dir {folder!r} is no folder of this machine ({socket.gethostname()})."
            )
        with open(self._path(job.key, ".log"), "ab") as output:
            try:
                return subprocess.Popen(
                    list(job.command), cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True, user=configuration.get("user") or None,
                )  # fmt: skip
            except FileNotFoundError:
                raise InfrastructureRefused(f"There is no command {job.command[0]!r} on this machine.") from None
            except PermissionError as error:
                what = f"as user {configuration['user']!r} " if configuration.get("user") else ""
                raise InfrastructureRefused(f"{job.command[0]!r} may not be run {what}({error.strerror}).") from None
            except (ValueError, TypeError, LookupError) as error:
                raise InfrastructureRefused(f"{job.command[0]!r} cannot be run so: {error}.") from None
            except OSError as error:
                raise InfrastructureError(f"{job.command[0]!r} could not be started: {error.strerror}.") from None

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        process, key = self._process(place), self._key_of(place)
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            gone = self._wait(place, process, max(0.0, min(left, TAIL_SECONDS if line else left)))
            if line is not None and key is not None:
                self._tail(key, line)
            if gone:
                break
            if left <= 0:
                return None
        if key is not None:
            self._end_left(process, key, LEFT_SECONDS)
        child = self._children.get(place.id)
        lines = () if key is None else self._last_lines(key)
        if child is None:
            return Ended(None, "its exit code is not known: the worker that launched it had ended before", lines)
        code = child.wait()
        return Ended(code, explained(code), lines)

    def started(self, place: Place) -> datetime | None:
        note = self._noted(place)
        return None if note is None else datetime.fromtimestamp(note.seconds, UTC)

    def problem(self, place: Place) -> str | None:
        return None

    def stop(self, place: Place, grace: float) -> Stopped:
        began = time.monotonic()
        process, key = self._process(place), self._key_of(place)
        was_there = processes.lives(process)
        how = GONE
        if was_there:
            self._signal_session(process, signal.SIGTERM)
            how = RETURNED if self._wait(place, process, grace) else KILLED
            if how == KILLED and not processes.kill_tree(process, patience=KILL_PATIENCE):
                raise InfrastructureError(f"Process {process.pid} could not be killed: it does not end by SIGKILL.")
        left = self._end_left(process, key, 0.0 if how == KILLED else min(grace, LEFT_SECONDS))
        if left:
            named = ", ".join(str(each.pid) for each in left)
            raise InfrastructureError(f"Processes of the run could not be killed: {named}.")
        child = self._children.get(place.id)
        code = None if child is None else child.wait()
        if how == GONE and code == -signal.SIGKILL:  # by others: its watchdog has the same grace
            how = KILLED
        return Stopped(how, Ended(code, None if code is None else explained(code)), time.monotonic() - began)

    def by_hand(self, place: Place) -> str:
        pid = place.id.partition(":")[0]
        return (
            f"kill -TERM -{pid}  # on {place.scope.partition(':')[0]}; and when that does not help: kill -KILL -{pid}"
        )

    def forget(self, place: Place) -> None:
        key = self._key_of(place)
        self._read.pop(place.id, None)
        self._children.pop(place.id, None)
        if key is not None:
            for ending in (".json", ".log"):
                with contextlib.suppress(OSError):
                    self._path(key, ending).unlink()

    # --- processes ---------------------------------------------------------------------------------------------------

    def _wait(self, place: Place, process: Process, seconds: float) -> bool:
        """Whether it has ended, within so many seconds."""
        child = self._children.get(place.id)
        if child is not None and child.poll() is not None:
            return True
        if not processes.lives(process):
            return True
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return True
        except (AttributeError, OSError):
            return _poll(lambda: not processes.lives(process), seconds)
        try:
            import select

            poller = select.poll()
            poller.register(handle, select.POLLIN)
            poller.poll(seconds * 1000)
        finally:
            os.close(handle)
        return not processes.lives(process)

    def _signal_session(self, process: Process, number: signal.Signals) -> None:
        """To all of its group, which it leads: one that has its pid leads it, as long as it lives."""
        try:
            os.killpg(process.pid, number)
        except OSError:  # it made itself a group of another
            processes.send(process, number)

    def _end_left(self, process: Process, key: str | None, patience: float) -> list[Process]:
        """Ends what a run that has ended left behind; what is there still."""
        if key is None:
            return []
        _poll(lambda: not list(_marked(key)), patience)
        deadline = time.monotonic() + KILL_PATIENCE
        while left := list(_marked(key)):
            if time.monotonic() > deadline:
                return left
            for each in left:
                processes.kill_tree(each, patience=KILL_PATIENCE)
        return []

    def _found(self, note: _Note) -> Process | None:
        """What was launched already; None when there is nothing to be found of it."""
        if note.pid is not None and note.started is not None:
            return Process(note.pid, note.started)
        # Whoever launched it died before it could note the pid, or before it launched it.
        marked = list(_marked(note.key))
        leaders = [each for each in marked if _session(each.pid) == each.pid]
        return next(iter(leaders or marked), None)

    # --- files -------------------------------------------------------------------------------------------------------

    def _path(self, key: str, ending: str) -> Path:
        if not key or not all(letter.isalnum() or letter in "-_" for letter in key):
            raise InfrastructureRefused(f"{key!r} is no key of a launch.")
        return self._folder / f"{key}{ending}"

    def _note(self, key: str) -> _Note | None:
        try:
            return msgspec.json.decode(self._path(key, ".json").read_bytes(), type=_Note)
        except (OSError, msgspec.MsgspecError):
            return None

    def _write(self, note: _Note) -> None:
        path = self._path(note.key, ".json")
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(note))
        new.replace(path)

    def _place(self, process: Process) -> Place:
        return Place(self.type, self.scope(), f"{process.pid}:{process.started}")

    def _process(self, place: Place) -> Process:
        pid, _, started = place.id.partition(":")
        if not pid.isdigit():
            raise InfrastructureError(f"{place.id!r} names no process.")
        return Process(int(pid), started)

    def _noted(self, place: Place) -> _Note | None:
        process = self._process(place)
        for path in self._folder.glob("*.json"):
            note = self._note(path.stem)
            if note is not None and (note.pid, note.started) == process:
                return note
        return None

    def _key_of(self, place: Place) -> str | None:
        note = self._noted(place)
        return None if note is None else note.key

    def _tail(self, key: str, line: Callable[[str], None]) -> None:
        """Gives the lines that were not given before."""
        try:
            with open(self._path(key, ".log"), "rb") as file:
                file.seek(self._read.get(key, 0))
                data = file.read(LARGEST_READ)
        except OSError:
            return
        whole, newline, _ = data.rpartition(b"\n")
        if not newline and len(data) < LARGEST_READ:
            return
        taken = whole if newline else data
        self._read[key] = self._read.get(key, 0) + len(taken) + len(newline)
        for each in taken.split(b"\n"):
            line(each.decode("utf-8", "replace").rstrip("\r"))

    def _last_lines(self, key: str) -> tuple[str, ...]:
        try:
            with open(self._path(key, ".log"), "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 16_384))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(text.splitlines()[-LAST_LINES:])


def explained(code: int) -> str | None:
    """What an exit code says, where it says anything."""
    number = -code if code < 0 else code - 128 if 128 < code < 160 else 0
    if number:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = ": the kernel does that when memory runs out" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"
    return {126: "the command cannot be executed", 127: "the command was not found"}.get(code)


def _marked(key: str) -> Iterator[Process]:
    """All processes that have a launch's mark in their environment, but for watchdogs."""
    mark = f"{MARK}={key}".encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if _WATCHDOG in file.read():
                    continue
        except OSError:
            continue
        found = processes.find(int(name))
        if found is not None:
            yield found


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _poll(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
