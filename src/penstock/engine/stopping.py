"""Stopping: how a stop reaches the code that runs in a thread.

Law: a stop is raised only inside user code, never in the engine's. Each thread has a `Post` that says whether user
code has the floor (`armed`); the engine takes the floor away when it is entered and gives it back when it leaves.
The main thread is reached by a signal, which also ends a blocking call; other threads by an asynchronous exception,
which does not; coroutines (`asynchronous`) by cancelling their task.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..domain.stops import INTERRUPT, Stop
from .delicate import AGAIN_SECONDS, TRIES, is_delicate
from .scopes import NOWHERE, Frame, Scope, Where
from .timers import TIMERS

# Where our own code is: a worker's has another name.
OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

SLICE_SECONDS = 0.25

# Sent to the main thread: SIGURG, as Go's runtime does for the same purpose, because programs rarely handle it and
# its default is to be ignored, so that one which arrives late, when our handler is gone, harms nobody.
STOP_SIGNAL = getattr(signal, "SIGURG", None)


class StopDelivered(BaseException):
    """Raised inside user code whose run is to stop. Not an `Exception`, so that `except Exception` does not eat it."""

    def __init__(self) -> None:
        # An exception sent to a thread is made there, before any handler of it runs: so this is how we learn that it
        # arrived. (Several sent at once may not: the first that is taken up clears a flag of the interpreter's.)
        post = my_post()
        post.unheard = False
        post._put_off = 0


class Abandoned(BaseException):
    """Raised in a thread whose run went on without it, to end it at its next contact with the engine."""


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

    __slots__ = (
        "__weakref__", "_injected", "_lock", "_put_off", "armed", "frames", "ident", "inside", "is_main", "place",
        "unheard", "waiter",
    )  # fmt: skip

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.is_main = threading.current_thread() is threading.main_thread()
        self.armed = False
        self.frames: list[Frame] = []
        self._injected = False
        self._put_off = 0  # how often the present stop was
        self._lock = threading.Lock()
        self.waiter: Ready | None = None
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
            if frame.claimed:
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

    def wait(self, ready: Ready, seconds: float | None, scope: Scope | None) -> bool:
        """Waits in the engine until `ready` is told, at most so long; a stop of `scope` ends the wait, too."""
        self.waiter = ready
        try:
            # Asked after the waiter is known: a stop that comes in between finds the one or is found by the other.
            if scope is not None and scope.stop is not None:
                return False
            if not self.is_main:
                return ready.wait(-1 if seconds is None else max(seconds, 0.0))
            return _wait_in_slices(ready, seconds)
        finally:
            self.waiter = None

    def deliver(self) -> None:
        """Called by other threads, or by this one in a signal handler: raises in user code, if that has the floor."""
        waiter = self.waiter
        if waiter is not None:
            waiter.tell()
            return
        if self.is_main and STOP_SIGNAL is not None:
            if not self.armed:
                return
            if signal.getsignal(STOP_SIGNAL) is on_stop_signal:
                self.unheard = True
                signal.pthread_kill(self.ident, STOP_SIGNAL)
                return
        with self._lock:
            # While the floor is the user's, the innermost frame stays what it is; it may be another than was meant.
            if self.armed and self.frames and self.frames[-1].scope.stop is not None:
                self.unheard = True
                if is_delicate(sys._current_frames().get(self.ident)) and self.may_wait():
                    TIMERS.after(AGAIN_SECONDS, self.deliver)
                    return
                self._injected = True
                _inject(self.ident, StopDelivered)

    def may_wait(self) -> bool:
        """Whether a stop may be put off once more."""
        self._put_off += 1
        return self._put_off <= TRIES


def _wait_in_slices(ready: Ready, seconds: float | None) -> bool:
    """Waits, and looks up now and then: that is when signals are taken notice of."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        left = SLICE_SECONDS if deadline is None else min(deadline - time.monotonic(), SLICE_SECONDS)
        if ready.wait(max(left, 0.0)):
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

    def where(self) -> Where:
        return place_of(self.post.ident)

    def ends_with_program(self) -> bool:
        return self.post.is_main


class WaitFrame(Frame):
    """The engine waiting on behalf of a scope, in a thread; there is no user code to lose."""

    __slots__ = ("post",)
    here = False

    def __init__(self, scope: Scope, post: Post) -> None:
        super().__init__(scope, lambda: lambda: None)
        self.post = post

    def deliver(self) -> None:
        self.post.deliver()

    def abandon(self) -> None:
        pass

    def stuck(self) -> bool:
        return False

    def where(self) -> Where:
        return NOWHERE


class Ready:
    """What one thread waits for and another says. `told`: it was said, though who waits may not know it yet."""

    __slots__ = ("_lock", "told")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.told = False

    def tell(self) -> None:
        """That it was said before is no matter."""
        self.told = True
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def again(self) -> None:
        """It is waited for once more."""
        self._lock.acquire(blocking=False)
        self.told = False

    def wait(self, seconds: float) -> bool:
        """Whether it was said within so many seconds (-1: at any time)."""
        return self._lock.acquire(timeout=seconds)


Returned = TypeVar("Returned")
_posts = threading.local()
# Those of all threads that the engine was in.
posts: weakref.WeakSet[Post] = weakref.WeakSet()


def my_post() -> Post:
    """This thread's post."""
    try:
        return _posts.mine  # type: ignore[no-any-return]
    except AttributeError:
        _posts.mine = post = Post()
        posts.add(post)
        return post


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


def unbroken(fn: Callable[..., Any], *args: Any) -> Any:
    """Calls a function in which no stop is raised; one that came meanwhile is raised after it.

    (`stopping.shielded` raises before it, too: code that cleans up after a stop could not say a word.)
    """
    post = my_post()
    if not post.armed:
        return fn(*args)
    cleaning_up = _handles_stop(sys.exception())
    post.disarm()
    try:
        return fn(*args)
    finally:
        if cleaning_up:
            post.armed = True
        else:
            post.arm()


def _handles_stop(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, StopDelivered | KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _inject(ident: int, kind: type[BaseException] | None) -> None:
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind) if kind else None)


# How much of a stack is told, counted from where the code was.
MOST_LINES = 30


def place_of(ident: int) -> Where:
    """Where a thread is: its innermost line of code that is neither ours nor the standard library's."""
    frame: Any = sys._current_frames().get(ident)
    lines: list[str] = []
    while frame is not None and len(lines) < MOST_LINES:
        line = line_of(frame)
        if line is not None:
            lines.append(line)
        frame = frame.f_back
    return Where(lines[0], tuple(reversed(lines))) if lines else NOWHERE


def line_of(frame: Any) -> str | None:
    """`etl.py:42 in extract`, for a frame of code that is neither ours nor the standard library's; else None."""
    name = frame.f_globals.get("__name__", "")
    file = frame.f_code.co_filename
    if name.startswith("penstock.") or file.startswith(OURS) or name.partition(".")[0] in sys.stdlib_module_names:
        return None
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def _delivery(stop: Stop) -> BaseException:
    """What user code sees. For Ctrl-C that is what it would see without us."""
    my_post().unheard = False
    return KeyboardInterrupt() if stop.reason == INTERRUPT else StopDelivered()


# What raises a stop in a coroutine that blocks its loop: known when there are coroutines (`asynchronous`).
in_coroutine: Callable[[Any], None] | None = None


def on_stop_signal(number: int, frame: Any) -> None:
    """The handler of our own signal. It comes from this process, or from the watchdog when code lets no other thread
    run: then nobody has said yet that a limit has passed. A stop is raised once: code that cleans up is left alone."""
    post = my_post()
    if not post.frames:
        if in_coroutine is not None:
            in_coroutine(frame)
    elif post.armed:
        scope = post.frames[-1].scope
        stopped = scope.stop is not None
        undisturbed(scope.check_limits)
        if scope.stop is not None and (post.unheard or not stopped):
            if is_delicate(frame) and post.may_wait():
                post.unheard = True
                TIMERS.after(AGAIN_SECONDS, post.deliver)
                return
            raise _delivery(scope.stop)


def undisturbed(tell: Callable[[], None]) -> None:
    """Calls what delivers stops, also to this very thread: a stop that is raised in the midst of it would keep it from
    going on to the others."""
    post = my_post()
    armed, post.armed = post.armed, False
    try:
        tell()
    finally:
        post.armed = armed
