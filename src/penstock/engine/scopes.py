"""Scopes: what can be stopped, as a tree; and frames: user code at work for a scope.

Law: a stop goes down the tree of scopes, each attempt of each run having one, and is delivered to the frame of each.
Code that does not yield in time loses its run: the script goes on in another thread (`Frame.abandon`), and whatever
the code returns later is discarded. A scope keeps what is known of how its code ended: that is the run's proof.

This file does not know how a stop reaches code (`stopping`, `asynchronous`), what a run is, or what is recorded of it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..domain.stops import ABANDONED, IDLE, INTERRUPT, PARENT, Proof, Stop
from ..infrastructure.process import Process, find, kill_tree
from ..ledger import turns
from .clock import SYSTEM, Clock
from .timers import TIMERS, Timer

# How long code may take to yield before its run goes on without it. Long enough for `finally` blocks of a few
# statements on a busy machine, short enough that the record is right within 0.1 s of a deadline.
GENTLE_SECONDS = 0.05


class Guard(Protocol):
    """Somebody outside this process who sees to it that a limit holds, should the process not be able to."""

    def recorded(self) -> None:
        """The run has ended in the record; only its code remains."""

    def release(self) -> None:
        """Nothing remains."""


class Where(NamedTuple):
    """The line of the user's that was at work, and the lines that led there, outermost first."""

    line: str | None = None
    stack: tuple[str, ...] = ()


NOWHERE = Where()


class Scope:
    """Something that can be stopped: one attempt of one run, with the scopes of what it called below it.

    Its times are those of `clock`; but code that is to yield has real time for that, whatever the clock says.
    `ended`, `ended_at`: how its code ended (`RAISED`, `RETURNED`, … of `domain.stops`), and when. `late` is called with
    these when code that the run went on without has come to its end.
    """

    __slots__ = (
        "children", "clock", "closed", "deadline", "ended", "ended_at", "frame", "guards", "holds_program", "late",
        "limiting", "parent", "patience", "requested_at", "stack", "stop", "suspended", "timer", "where",
    )  # fmt: skip

    def __init__(self, parent: Scope | None = None, clock: Clock = SYSTEM) -> None:
        self.parent = parent
        self.clock = clock
        self.children: set[Scope] = set()
        self.stop: Stop | None = None
        self.frame: Frame | None = None
        self.timer: Timer | None = None
        self.patience: Timer | None = None
        self.deadline: float | None = None
        self.guards: tuple[Guard, ...] = ()
        # code of it goes on that the program cannot go on without
        self.holds_program = False
        self.closed = False
        # a generator between two items, whose consumer has the floor
        self.suspended = False
        self.ended: str | None = None
        self.late: Callable[[str, float], None] | None = None
        self.where: str | None = None
        if parent is not None:
            # First known to the parent, then asked: a stop that comes in between reaches us by one way or the other.
            parent.children.add(self)
            if parent.stop is not None:
                self._begin_to_stop(_below(parent.stop))

    def _begin_to_stop(self, stop: Stop) -> None:
        self.requested_at = self.clock.monotonic()
        self.stack: tuple[str, ...] = ()
        self.stop = stop

    def request(self, stop: Stop) -> bool:
        """Stops this scope and all below it; False when it was being stopped already."""
        if self.stop is not None:
            return False
        self._begin_to_stop(stop)
        for child in list(self.children):
            child.request(_below(stop))
        frame = self.frame
        if frame is not None:
            self.where, self.stack = frame.where()
            frame.deliver()
        return True

    def limit(self, seconds: float, stop: Stop) -> None:
        """Requests `stop` in so many seconds unless `close` comes first, and sees to it that the run ends then."""
        self.limiting = stop
        self.deadline = self.clock.monotonic() + seconds
        self.timer = self.clock.after(seconds, self._passed)

    def lift_limit(self) -> Stop | None:
        """There is no limit for now; gives the stop that it would have been, None when there was none."""
        if self.timer is None:
            return None
        self.timer.cancel()
        self.deadline = None
        self.release_guards()
        return self.limiting

    def guarded_by(self, guard: Guard | None) -> None:
        """What is done here is guarded until it has ended."""
        if guard is not None:
            self.guards = (*self.guards, guard)
            # Asked after the guard is known: an end that comes in between finds the one or is found by the other.
            if self.closed and not self.holds_program:
                self.release_guards()

    def unguard(self, guard: Guard) -> None:
        """One guard is not needed any more."""
        self.guards = tuple(each for each in self.guards if each is not guard)
        guard.release()

    def release_guards(self) -> None:
        guards, self.guards = self.guards, ()
        for guard in guards:
            guard.release()

    def _passed(self) -> None:
        deadline = self.deadline
        if self.request(self.limiting):
            if deadline is not None:  # that is when the code was to end, whenever somebody came to say so
                self.requested_at = min(deadline, self.requested_at)
            _hurry()
            TIMERS.after(GENTLE_SECONDS / 2, self.remind)
            TIMERS.after(GENTLE_SECONDS, self.abandon)

    def check_limits(self) -> None:
        """A limit that has passed counts, also when no other thread could say so in time because the code kept them
        all from running. Called when code has ended, and when it was interrupted on behalf of the watchdog."""
        scope: Scope | None = self
        while scope is not None:
            if scope.deadline is not None and scope.stop is None and scope.clock.monotonic() >= scope.deadline:
                scope._passed()
            scope = scope.parent

    def wind_up(self, stop: Stop, grace: float) -> None:
        """Requests `stop`; code that it reaches has `grace` seconds to clean up, code that it cannot reach has none.
        (On the main thread it has: the program could not go on without it.)

        Asked again, the new grace counts, from then on.
        """
        if self.request(stop):
            _hurry()
            TIMERS.after(GENTLE_SECONDS / 2, self.remind)
            TIMERS.after(GENTLE_SECONDS, lambda: self.abandon(only_stuck=True))
        if self.patience is not None:
            self.patience.cancel()
        self.patience = self.clock.after(grace, self.abandon)

    def remind(self) -> None:
        """Sends the stop again where it has not arrived: both ways of sending can miss (see `stopping.Post`)."""
        for child in list(self.children):
            child.remind()
        frame = self.frame
        if frame is not None and frame.stuck():
            frame.unblock()
            frame.deliver()

    def abandon(self, only_stuck: bool = False) -> None:
        """Lets the runs of this scope and below go on without the code that will not stop; the innermost first.

        `only_stuck`: only where the stop has not arrived, because the code is in a call that cannot be interrupted,
        and where the program can go on without that code.
        """
        above = self.parent.stop if self.parent is not None else None
        if above is not None:  # who stops them from above may be on its way to this one
            self.request(_below(above))
        for child in list(self.children):
            child.abandon(only_stuck)
        frame = self.frame
        if frame is not None and not (only_stuck and (frame.ends_with_program() or not frame.stuck())):
            frame.abandon()

    def finish(self, how: str) -> None:
        """The code has come to its end after a stop was requested. Who says it first knows it best."""
        if self.ended is None:
            self.ended, self.ended_at = how, self.clock.monotonic()

    def proof(self) -> Proof:
        """What became of the code."""
        self.finish(IDLE)  # unless there was code
        return Proof(self.ended or IDLE, max(self.ended_at - self.requested_at, 0.0), self.where, self.stack)

    def close(self) -> None:
        """The scope is over: no stop can come any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.deadline = None
        if self.patience is not None:
            self.patience.cancel()
        self.closed = True
        if not self.holds_program:
            self.release_guards()
        if self.parent is not None:
            self.parent.children.discard(self)


def _hurry() -> None:
    """Until code has had its time to yield, threads take short turns: a stop needs some of several."""
    turns.shorten()
    TIMERS.after(2 * GENTLE_SECONDS, turns.restore)


def _below(stop: Stop) -> Stop:
    """What a stop is to the runs below. Ctrl-C stays what it is: user code everywhere sees `KeyboardInterrupt`."""
    if stop.reason in (PARENT, INTERRUPT):
        return stop
    message = stop.message.rstrip(".")
    return Stop(PARENT, f"Stopped with its parent: {message}.", stop.who, stop.grace)


_handing_over = threading.Lock()
_forks = 0  # how often this process was forked off another


def _forked() -> None:
    global _forks, _handing_over
    _forks += 1
    _handing_over = threading.Lock()
    _abandoned.clear()


def _leave() -> None:
    raise SystemExit("penstock: a process that was forked inside a run must end by itself (os._exit); the run goes on.")


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)


class Frame:
    """User code in progress for a scope, and the right to go on with its script.

    That right is claimed once: by the driver when the code returns, or by `abandon`. `take_over` goes on with the
    script elsewhere and returns a function that waits for how it ended.
    """

    __slots__ = ("__weakref__", "_children", "_forks", "_take_over", "_token", "ending", "scope")
    # user code is at work in this process
    here = True

    def __init__(self, scope: Scope, take_over: Callable[[], Callable[[], Any]]) -> None:
        self.scope = scope
        self._forks = _forks
        self._token = [None]
        self._take_over = take_over
        self._children: list[Process] = []
        self.ending: Callable[[], Any] | None = None

    def claim(self) -> bool:
        """True for exactly one caller. (`list.pop` is atomic.)

        In a process that was forked inside the user code, never: the run is the parent's.
        """
        if self._forks != _forks:
            self.ending = _leave
            return False
        try:
            self._token.pop()
        except IndexError:
            return False
        return True

    @property
    def claimed(self) -> bool:
        return not self._token

    def abandon(self) -> None:
        with _handing_over:
            if self.claim():
                scope = self.scope
                scope.frame = None
                scope.finish(ABANDONED)
                _abandoned.add(self)
                scope.holds_program = self.ends_with_program()
                if not scope.holds_program:
                    scope.release_guards()
                for guard in scope.guards:
                    guard.recorded()
                self.ending = self._take_over()

    def lost(self) -> Callable[[], Any]:
        """For the driver that could not claim: waits for how the script ended elsewhere."""
        with _handing_over:
            assert self.ending is not None
            return self.ending

    def stilled(self, how: str) -> None:
        """Code that the run went on without has come to its end."""
        scope = self.scope
        if self not in _abandoned:
            return
        _abandoned.discard(self)
        scope.holds_program = False
        scope.release_guards()
        if scope.late is not None:
            scope.late(how, scope.clock.monotonic() - scope.requested_at)

    def deliver(self) -> None:
        raise NotImplementedError

    def stuck(self) -> bool:
        """Whether a stop that was sent has not arrived."""
        raise NotImplementedError

    def note_child(self, pid: int) -> None:
        """The code has started a program."""
        child = find(pid)
        if child is not None:
            self._children.append(child)

    def children(self) -> list[Process]:
        """The programs that the code has started; asked for once."""
        children, self._children = self._children, []
        return children

    def unblock(self) -> None:
        """The code waits in a call that cannot be interrupted: programs that it started are ended, for it waits for
        one of them, or nobody is left who will."""
        children = self.children()
        if children:
            thread = threading.Thread(target=_end_all, args=(children,), name="penstock-end-children", daemon=True)
            _ending.add(thread)
            thread.start()

    def where(self) -> Where:
        raise NotImplementedError

    def ends_with_program(self) -> bool:
        """Whether the program cannot go on while this code does: it is on the main thread."""
        return False


_ending: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _finish_children() -> None:
    """Programs that are being ended are gone. Who ends first would leave them stopped for ever."""
    for thread in list(_ending):
        thread.join(5.0)


def _end_all(children: list[Process]) -> None:
    for child in children:
        kill_tree(child)


# Frames whose code still runs, though its run went on without it.
_abandoned: weakref.WeakSet[Frame] = weakref.WeakSet()


def still_all(how: str) -> None:
    """The program ends, and with it all code that would not stop, and programs that this code has started."""
    _finish_children()
    for frame in list(_abandoned):
        _end_all(frame.children())
        frame.stilled(how)
