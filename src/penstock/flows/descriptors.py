"""Capture of all that is written to the program's output: by programs it starts, by native code, by `os.write(1)`.

While a flow run with `capture="all"` is under way, the file descriptors 1 and 2 lead to a pump (`pump`), which passes
on to the terminal what is written, and tells this process. Where the output is a terminal, what is written to is one.

Law: a line belongs to the run whose code is at work, when there is only one; else to the flow run above all that are.
While code of a run that does not log its prints is at work, nobody can tell who wrote a line, and it is not stored; the
descriptors lead past the pump, so that what such code starts writes to the terminal for as long as it lives.
What was written before a run begins or ends is taken before (`settle`), so the answer is right. Lines come in the order
in which they were written, also between those of prints.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from ..domain.stops import ABANDONED
from ..engine import console, live
from ..engine.attempts import WARNING
from ..engine.context import FlowRunContext, RunContext
from ..engine.runlog import say
from ..engine.stopping import shielded
from .outputs import Output, flush_buffers, open_outputs, same_file
from .pump_process import HEAD, PumpProcess

# How long the pump may take to answer. It waits for the terminal, which somebody may have stopped.
PATIENCE = 5.0
MOST_REVIVALS = 10

_lock = threading.RLock()
_installed: Descriptors | None = None


@contextlib.contextmanager
def capturing(context: RunContext[Any]) -> Iterator[None]:
    """All that is written while this run is under way is captured; undone exactly at its end."""
    global _installed
    with _lock:
        descriptors: Descriptors | None = _installed
        try:
            if descriptors is None:
                descriptors = _installed = Descriptors(context)
            descriptors.users.append(context)
        except (OSError, RuntimeError) as error:  # no more processes, file descriptors, or threads
            say(context, WARNING, f"What programs write cannot be captured, and is in the terminal only: {error}.")
            descriptors = None
    try:
        yield
    finally:
        with _lock:
            if descriptors is not None and _installed is descriptors:
                if len(descriptors.users) == 1:
                    _installed = None
                    descriptors.close()
                descriptors.users.remove(context)


def outputs() -> tuple[int | None, int | None]:
    """The process's real stdout and stderr, for programs of our own that it starts; None where they are as ever."""
    descriptors = _installed
    if descriptors is None:
        return None, None
    terminals = descriptors.terminals()
    return terminals.get(1), terminals.get(2)


class Descriptors:
    """The descriptors as long as they are captured. `context`: the run that asked first, whose settings hold."""

    def __init__(self, context: RunContext[Any]) -> None:
        self.users: list[RunContext[Any]] = []
        settings = context.runtime.settings
        self._shows = settings.logging_to_console and settings.logging_console_format == "text"
        self._taking = threading.RLock()
        self._taker = 0  # the thread that is at it
        self._ending: RunContext[Any] | None = None
        self._buffer = bytearray()
        self._asked = self._answered = 0
        self._doubtful = False
        self._closing = False
        self._revivals = 0
        self._spent: list[PumpProcess] = []
        # Where both lead to the same place and are treated alike, one captures both: what comes first is shown first.
        both = same_file(1, 2) and settings.logging_stderr_level == "INFO"
        self._outputs = open_outputs(((1, 2),) if both else ((1,), (2,)), self._shows)
        self._unread = [output.reading for output in self._outputs.values()]
        self._past = False  # the descriptors lead past the pump
        self._thread = threading.Thread(target=self._work, name="penstock-capture", daemon=True)
        try:
            for output in self._outputs.values():
                output.prepare()
            self._pump = PumpProcess(list(self._outputs.values()), self._shows)
            try:
                self._thread.start()
            except RuntimeError:
                self._pump.close()
                raise
        except (OSError, RuntimeError):
            for output in self._outputs.values():
                output.close()
            raise
        flush_buffers()
        console.flush()
        for output in self._outputs.values():
            output.redirect()
        live.begins, live.ends, live.catches_up = self.begin, self.end, self.catch_up
        with self._taking:
            self._lead()

    def _revive(self) -> None:
        """Somebody has ended the pump: without one, who writes would wait for ever."""
        self._revivals += 1
        self._spent.append(self._pump)  # not closed yet: the other thread may be waiting for it to say something
        self._buffer.clear()
        self._answered = self._asked
        try:
            if self._revivals > MOST_REVIVALS:
                raise OSError("it was ended again and again")
            self._pump = PumpProcess(list(self._outputs.values()), self._shows)
        except OSError as error:
            print(f"penstock: output of programs is not captured any more: {error}", file=sys.__stderr__)
            self._closing = True
            for output in self._outputs.values():
                output.restore()

    def terminals(self) -> dict[int, int]:
        return {number: saved for output in self._outputs.values() for number, saved in output.led.items()}

    # --- taking what was written ---

    def begin(self, run: RunContext[Any]) -> None:
        """An attempt of a run begins: what was written so far is of those at work until now."""
        shielded(self._settle, run, None)

    def end(self, run: RunContext[Any]) -> None:
        """An attempt of a run ends: what was written so far may be its own."""
        shielded(self._settle, None, run)

    def _settle(self, begins: RunContext[Any] | None, ends: RunContext[Any] | None) -> None:
        flush_buffers()
        if self._is_behind():
            self._sync(ends)
        if ends is not None:
            self._finish(ends)
            scope = ends.scope
            if not _is_captured(ends) and scope is not None and scope.ended == ABANDONED:
                self._doubtful = True  # it may write whenever it likes
        above = None if ends is None else ends.parent
        if self._past or not all(run is None or _is_captured(run) for run in (begins, above)):
            with self._taking:
                self._lead(begins, ends)

    def _lead(self, begins: RunContext[Any] | None = None, ends: RunContext[Any] | None = None) -> None:
        """Past the pump while any code at work is not to be captured, also what it writes, or what it started does,
        when this process knows no more of it."""
        at_work = _at_work(begins, ends)
        past = self._doubtful or not all(_is_captured(run) for run in at_work)
        if past != self._past and not self._closing:
            self._past = past
            for output in self._outputs.values():
                output.lead(past)

    def catch_up(self) -> None:
        """What was written by others comes before the line that is about to be said."""
        if self._taker == threading.get_ident():
            return
        if self._is_behind():
            shielded(self._sync, None)
        elif any(output.lines.has_ended() for output in self._outputs.values()):
            shielded(self._release)

    def _release(self) -> None:
        """Displays that are done come before what is said next."""
        with self._taking:
            self._taker = threading.get_ident()
            for output in self._outputs.values():
                if output.lines.has_ended():
                    output.lines.finish(None)
            self._taker = 0

    def _is_behind(self) -> bool:
        """Whether something was written and is not taken. It is looked for in the direction in which it moves: what has
        left one place is found at the next."""
        return (
            _readable(self._unread, 0.0) or self._pump.is_busy() or _readable([self._pump.fd], 0.0) or self._taker != 0
        )

    def _sync(self, ending: RunContext[Any] | None) -> None:
        with self._taking:
            self._ending = ending
            self._asked += 1
            # Who has waited in vain waits no more, until it says something again.
            patience = PATIENCE if self._answered == self._asked - 1 else 0.0
            asked, deadline = self._asked, time.monotonic() + patience
            self._pump.ask(asked & 0xFFFFFFFF)
            while self._answered < asked and (left := deadline - time.monotonic()) > 0:
                _readable([self._pump.fd], left)
                if not self._take():
                    if self._closing:  # nobody writes any more, and all that was written is taken
                        break
                    self._revive()
            self._ending = None
        if any(output.lines.has_ended() for output in self._outputs.values()):
            self._release()

    def _work(self) -> None:
        while not self._closing:
            _readable([self._pump.fd], None)
            with self._taking:
                if not self._closing and not self._take():  # type: ignore[redundant-expr]  # closed meanwhile
                    self._revive()

    def _take(self) -> bool:
        """Takes what the pump has told; False when it will not tell more."""
        self._taker = threading.get_ident()  # before it is read: what is not there to be read any more is in its hands
        try:
            data = self._pump.read()
            if data:
                self._buffer += data
                self._handle()
        finally:
            self._taker = 0
        return data is not None

    def _handle(self) -> None:
        buffer, place = self._buffer, 0
        while len(buffer) - place >= HEAD.size:
            kind, number = HEAD.unpack_from(buffer, place)
            if kind == b"S":
                self._answered = self._asked if number == self._asked & 0xFFFFFFFF else self._answered
                place += HEAD.size
                continue
            end = place + HEAD.size + number
            if len(buffer) < end:
                break
            self._write(self._outputs[int(kind)], bytes(buffer[place + HEAD.size : end]))
            place = end
        del buffer[:place]

    def _write(self, output: Output, data: bytes) -> None:
        owner = self._owner()
        if owner is None and not self._shows:
            output.show(data)
        output.lines.write(owner, data)

    def _owner(self) -> RunContext[Any] | None:
        """Whose the text is that is there; None when it may be of somebody whose text is not to be stored."""
        at_work = _at_work(self._ending) or self.users[-1:]
        if self._doubtful or not all(_is_captured(run) for run in at_work):
            return None
        return at_work[0] if len(at_work) == 1 else _common_flow(at_work) or self.users[0]

    def _finish(self, run: RunContext[Any] | None) -> None:
        """What a run (None: any) wrote without an end of line is a line now."""
        with self._taking:
            self._taker = threading.get_ident()
            for output in self._outputs.values():
                output.lines.finish(run)
            self._taker = 0

    # --- the end ---

    def close(self) -> None:
        flush_buffers()
        with self._taking:
            self._closing = True  # the pump goes when nobody writes any more, which is no reason for another
            for output in self._outputs.values():
                output.restore()
            self._answered = self._asked  # it is waited for once more, whatever was before
        self._sync(None)
        live.begins = live.ends = live.catches_up = None
        self._finish(None)
        self._pump.hang_up()
        self._thread.join()
        for pump in (*self._spent, self._pump):
            pump.close()
        for output in self._outputs.values():
            output.close()

    def forsake(self) -> None:
        """In a forked child: what it writes goes where its parent's goes; the parent takes it."""
        for pump in (*self._spent, self._pump):
            pump.forsake()
        for output in self._outputs.values():
            output.forsake()


def _is_captured(run: RunContext[Any]) -> bool:
    return bool(run.log_prints and run.captures_all)


def _at_work(also: RunContext[Any] | None, but: RunContext[Any] | None = None) -> list[RunContext[Any]]:
    """The runs of this process whose code is at work, without those that only wait for what they called."""
    found = [run for run in list(live.RUNS.values()) if run is not but and (run is also or _is_at_work(run))]
    callers = {run.parent for run in found}
    return [run for run in found if run not in callers]


def _is_at_work(run: RunContext[Any]) -> bool:
    """A task from the beginning of an attempt until its end was said, unless it waits or its code is elsewhere."""
    if isinstance(run, FlowRunContext):
        return True
    scope = run.scope
    return scope is not None and not scope.closed and (scope.frame is None or scope.frame.here)


def _common_flow(runs: list[RunContext[Any]]) -> FlowRunContext | None:
    """The innermost flow run that all of these are in."""
    lines = []
    for run in runs:
        each: RunContext[Any] | None = run
        above: list[RunContext[Any]] = []
        while each is not None:
            above.append(each)
            each = each.parent
        lines.append(above)
    for candidate in lines[0]:
        if isinstance(candidate, FlowRunContext) and all(candidate in above for above in lines):
            return candidate
    return None


def _readable(fds: list[int], seconds: float | None) -> bool:
    """Waits at most so long for something to read. (Each call has its own `poll`: one cannot be shared by threads.)"""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _forget() -> None:
    global _installed, _lock
    descriptors, _installed = _installed, None
    _lock = threading.RLock()
    live.begins = live.ends = live.catches_up = None
    if descriptors is not None:
        descriptors.forsake()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
