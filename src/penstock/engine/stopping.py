"""Stopping: one `Stop`, delivered down a tree of scopes to whatever is running user code.

Law: a stop is raised only inside user code, never in the engine's. Each thread has a `Post` that says whether user
code has the floor (`armed`); the engine takes the floor away when it is entered and gives it back when it leaves.
The main thread is reached by a signal, which also ends a blocking call; other threads by an asynchronous exception,
which does not; coroutines by cancelling their task. Code that does not yield in time loses its run: the script goes
on in another thread (`Frame.claim`), and whatever the code returns later is discarded.

This file does not know what a run is, or what is recorded about it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from .timers import TIMERS, Timer

# How long code may take to yield before its run goes on without it. Long enough for `finally` blocks of a few
# statements on a busy machine, short enough that the record is right within 0.1 s of a deadline.
GENTLE_SECONDS = 0.05

SLICE_SECONDS = 0.25

# Sent to the main thread: SIGURG, as Go's runtime does for the same purpose, because programs rarely handle it and
# its default is to be ignored, so that one which arrives late, when our handler is gone, harms nobody.
STOP_SIGNAL = getattr(signal, "SIGURG", None)


class StopDelivered(BaseException):
    """Raised inside user code whose run is to stop. Not an `Exception`, so that `except Exception` does not eat it."""

    def __init__(self) -> None:
        # An exception sent to a thread is made there, before any handler of it runs: so this is how we learn that it
        # arrived. (Several sent at once may not: the first that is taken up clears a flag of the interpreter's.)
        my_post().unheard = False


class Abandoned(BaseException):
    """Raised in a thread whose run went on without it, to end it at its next contact with the engine."""


class Stop(msgspec.Struct, frozen=True):
    """Why a run is stopped. `reason` is timeout, parent, interrupt or cancel; `message` is for the record."""

    reason: str
    message: str
    who: str | None = None


class Scope:
    """Something that can be stopped: one attempt of one run, with the scopes of what it called below it."""

    __slots__ = ("parent", "children", "stop", "frame", "timer", "where")

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self.children: set[Scope] = set()
        self.stop: Stop | None = None
        self.frame: Frame | None = None
        self.timer: Timer | None = None
        self.where: str | None = None
        if parent is not None:
            # First known to the parent, then asked: a stop that comes in between reaches us by one way or the other.
            parent.children.add(self)
            if parent.stop is not None:
                self.stop = _below(parent.stop)

    def request(self, stop: Stop) -> bool:
        """Stops this scope and all below it; False when it was being stopped already."""
        if self.stop is not None:
            return False
        self.stop = stop
        for child in list(self.children):
            child.request(_below(stop))
        frame = self.frame
        if frame is not None:
            self.where = frame.where()
            frame.deliver()
        return True

    def limit(self, seconds: float, stop: Stop) -> None:
        """Requests `stop` in so many seconds unless `close` comes first, and sees to it that the run ends then."""

        def passed() -> None:
            if self.request(stop):
                TIMERS.after(GENTLE_SECONDS / 2, self.remind)
                TIMERS.after(GENTLE_SECONDS, self.abandon)

        self.timer = TIMERS.after(seconds, passed)

    def wind_up(self, stop: Stop, grace: float) -> None:
        """Requests `stop`; code that it reaches has `grace` seconds to clean up, code that it cannot reach has none."""
        if self.request(stop):
            TIMERS.after(GENTLE_SECONDS / 2, self.remind)
            TIMERS.after(GENTLE_SECONDS, lambda: self.abandon(only_stuck=True))
            TIMERS.after(grace, self.abandon)

    def remind(self) -> None:
        """Sends the stop again where it has not arrived: both ways of sending can miss (see `Post`)."""
        for child in list(self.children):
            child.remind()
        frame = self.frame
        if frame is not None and frame.stuck():
            frame.deliver()

    def abandon(self, only_stuck: bool = False) -> None:
        """Lets the runs of this scope and below go on without the code that will not stop; the innermost first.

        `only_stuck`: only where the stop has not arrived, because the code is in a call that cannot be interrupted.
        """
        for child in list(self.children):
            child.abandon(only_stuck)
        frame = self.frame
        if frame is not None and not (only_stuck and not frame.stuck()):
            frame.abandon()

    def close(self) -> None:
        """The scope is over: no stop can come any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.parent is not None:
            self.parent.children.discard(self)


def _below(stop: Stop) -> Stop:
    return stop if stop.reason in ("parent", "interrupt", "cancel") else Stop("parent", stop.message, stop.who)


_handing_over = threading.Lock()
_forks = 0  # how often this process was forked off another


def _forked() -> None:
    global _forks, _handing_over
    _forks += 1
    _handing_over = threading.Lock()


def _leave() -> None:
    raise SystemExit("penstock: a process that was forked inside a run must end by itself (os._exit); the run goes on.")


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forked)


class Frame:
    """User code in progress for a scope, and the right to go on with its script.

    That right is claimed once: by the driver when the code returns, or by `abandon`. `take_over` goes on with the
    script elsewhere and returns a function that waits for how it ended.
    """

    __slots__ = ("_forks", "scope", "_token", "_take_over", "ending")

    def __init__(self, scope: Scope, take_over: Callable[[], Callable[[], Any]]) -> None:
        self.scope = scope
        self._forks = _forks
        self._token = [None]
        self._take_over = take_over
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

    def abandon(self) -> None:
        with _handing_over:
            if self.claim():
                self.scope.frame = None
                self.ending = self._take_over()

    def lost(self) -> Callable[[], Any]:
        """For the driver that could not claim: waits for how the script ended elsewhere."""
        with _handing_over:
            assert self.ending is not None
            return self.ending

    def deliver(self) -> None:
        raise NotImplementedError

    def stuck(self) -> bool:
        """Whether a stop that was sent has not arrived."""
        raise NotImplementedError

    def where(self) -> str | None:
        raise NotImplementedError


class Place(Protocol):
    """A thread's place in a pool."""

    def lend(self) -> None:
        """The thread only waits; another may work."""

    def take_back(self) -> None:
        """It works again."""

    def lose(self) -> None:
        """Its code will not stop: another thread takes its place for good."""


class Post:
    """Where stops for one thread arrive.

    Neither way of sending is sure to arrive at once. A signal that comes just before a blocking call begins does not
    end that call (the interpreter looks for signals between instructions, and the call was the next one). Of several
    asynchronous exceptions sent at once, the first to be taken up clears the interpreter's flag for all. So waits of
    our own are cut into slices on the main thread, and stops are sent a second time.
    """

    __slots__ = ("ident", "is_main", "armed", "frames", "_injected", "_lock", "_waiter", "inside", "place", "unheard")

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.is_main = threading.current_thread() is threading.main_thread()
        self.armed = False
        self.frames: list[Frame] = []
        self._injected = False
        self._lock = threading.Lock()
        self._waiter: threading.Lock | None = None
        # how deep in the engine this thread is; 0 between the items of a generator, when its consumer has the floor
        self.inside = 0
        self.unheard = False
        # this thread's place in a pool, which it lends to another while it waits for other runs
        self.place: Place | None = None

    def arm(self) -> None:
        """User code of the innermost frame takes the floor; a stop that waits for it is raised here."""
        with self._lock:
            self.armed = True
        self.check()

    def check(self) -> None:
        """Raises what the innermost frame must be told."""
        frames = self.frames
        if frames:
            frame = frames[-1]
            if not frame._token:
                raise Abandoned
            if frame.scope.stop is not None:
                raise _delivery(frame.scope.stop)

    def disarm(self) -> None:
        """The engine takes the floor. An exception on its way to this thread is called back, or absorbed here."""
        while True:
            try:
                with self._lock:
                    self.armed = False
                    if self._injected:
                        self._injected = False
                        _inject(self.ident, None)
                return
            except (StopDelivered, KeyboardInterrupt):
                continue

    def wait(self, ready: threading.Lock, seconds: float | None, scope: Scope | None) -> bool:
        """Waits in the engine for `ready` to be released, at most so long; a stop of `scope` ends the wait, too."""
        self._waiter = ready
        try:
            # Asked after the waiter is known: a stop that comes in between finds the one or is found by the other.
            if scope is not None and scope.stop is not None:
                return False
            if not self.is_main:
                return ready.acquire(timeout=-1 if seconds is None else max(seconds, 0.0))
            return _acquire_in_slices(ready, seconds)
        finally:
            self._waiter = None

    def deliver(self) -> None:
        """Called by other threads, or by this one in a signal handler: raises in user code, if that has the floor."""
        waiter = self._waiter
        if waiter is not None:
            release(waiter)
            return
        if self.is_main and STOP_SIGNAL is not None:
            if not self.armed:
                return
            if signal.getsignal(STOP_SIGNAL) is _on_stop_signal:
                self.unheard = True
                signal.pthread_kill(self.ident, STOP_SIGNAL)
                return
        with self._lock:
            # While the floor is the user's, the innermost frame stays what it is; it may be another than was meant.
            if self.armed and self.frames and self.frames[-1].scope.stop is not None:
                self._injected = self.unheard = True
                _inject(self.ident, StopDelivered)


def _acquire_in_slices(lock: threading.Lock, seconds: float | None) -> bool:
    """Waits for a lock, and looks up now and then: that is when signals are taken notice of."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        left = SLICE_SECONDS if deadline is None else min(deadline - time.monotonic(), SLICE_SECONDS)
        if lock.acquire(timeout=max(left, 0.0)):
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False


class ThreadFrame(Frame):
    """User code called in a thread."""

    __slots__ = ("post",)

    def __init__(self, scope: Scope, post: Post, take_over: Callable[[], Callable[[], Any]]) -> None:
        super().__init__(scope, take_over)
        self.post = post

    def deliver(self) -> None:
        self.post.deliver()

    def stuck(self) -> bool:
        return self.post.unheard

    def abandon(self) -> None:
        super().abandon()
        if self.ending is not None and self.post.place is not None:
            self.post.place.lose()

    def where(self) -> str | None:
        return place_of(self.post.ident)


class WaitFrame(Frame):
    """The engine waiting on behalf of a scope, in a thread; there is no user code to lose."""

    __slots__ = ("post",)

    def __init__(self, scope: Scope, post: Post) -> None:
        super().__init__(scope, lambda: lambda: None)
        self.post = post

    def deliver(self) -> None:
        self.post.deliver()

    def abandon(self) -> None:
        pass

    def stuck(self) -> bool:
        return False

    def where(self) -> str | None:
        return None


def release(lock: threading.Lock) -> None:
    """Releases a lock that somebody waits for; that it was released already is no matter."""
    with contextlib.suppress(RuntimeError):
        lock.release()


Returned = TypeVar("Returned")
_posts = threading.local()


def my_post() -> Post:
    """This thread's post."""
    try:
        return _posts.mine  # type: ignore[no-any-return]
    except AttributeError:
        _posts.mine = Post()
        return _posts.mine  # type: ignore[no-any-return]


def shielded(fn: Callable[..., Returned], *args: Any) -> Returned:
    """Runs engine code that user code has called: no stop is raised inside it, but before and after it."""
    post = my_post()
    if not post.armed:
        post.inside += 1
        try:
            return fn(*args)
        finally:
            post.inside -= 1
    post.disarm()
    try:
        post.check()
        return fn(*args)
    finally:
        post.arm()


def _inject(ident: int, kind: type[BaseException] | None) -> None:
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind) if kind else None)


def place_of(ident: int) -> str | None:
    """Where a thread is: its innermost line of code that is neither ours nor the standard library's."""
    frame: Any = sys._current_frames().get(ident)
    while frame is not None:
        line = line_of(frame)
        if line is not None:
            return line
        frame = frame.f_back
    return None


def line_of(frame: Any) -> str | None:
    """`etl.py:42 in extract`, for a frame of code that is neither ours nor the standard library's; else None."""
    name = frame.f_globals.get("__name__", "")
    if name.startswith("penstock.") or name.partition(".")[0] in sys.stdlib_module_names:
        return None
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def _delivery(stop: Stop) -> BaseException:
    """What user code sees. For Ctrl-C that is what it would see without us."""
    my_post().unheard = False
    return KeyboardInterrupt() if stop.reason == "interrupt" else StopDelivered()


def _on_stop_signal(number: int, frame: Any) -> None:
    post = my_post()
    if post.armed and post.frames:
        stop = post.frames[-1].scope.stop
        if stop is not None:
            raise _delivery(stop)


class Signals:
    """Installs the handlers that stop code on the main thread, for as long as a run is on it, and puts back what was.

    Ctrl-C is handled only where Python's own handler is in place: a program that handles it itself keeps its way.
    `interrupted()` is called at Ctrl-C; user code then sees `KeyboardInterrupt`, as it would without us.
    """

    __slots__ = ("_interrupted", "_before")

    def __init__(self, interrupted: Callable[[], None]) -> None:
        self._interrupted = interrupted
        self._before: list[tuple[int, Any]] = []

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            if STOP_SIGNAL is not None and signal.getsignal(STOP_SIGNAL) in (signal.SIG_DFL, signal.SIG_IGN):
                self._before.append((STOP_SIGNAL, signal.signal(STOP_SIGNAL, _on_stop_signal)))
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before.append((signal.SIGINT, signal.signal(signal.SIGINT, self._on_interrupt)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def _on_interrupt(self, number: int, frame: Any) -> None:
        self._interrupted()
        post = my_post()
        post.unheard = False
        if post.armed or not post.inside:
            raise KeyboardInterrupt
