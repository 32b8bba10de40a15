"""Whether code of runs is at work in this process, or all of it waits.

Law: this only looks. It knows the waits of the engine exactly; those of the standard library by the line at which a
thread stands, which says that it waits, but not that it was not woken a moment ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import sys
import threading
from types import FrameType
from typing import Any, NamedTuple

from ..engine import live
from ..engine.context import FlowRunContext
from ..engine.stopping import Post, posts
from ..flows.runners import pool
from ..ledger import journal

# For how long (really) nothing must have happened until it is certain that nothing will: where the engine knows that a
# thread waits; where an event loop stands in its selector; where a thread stands in a wait of the standard library's,
# from which another may have woken it; and where something is at work, which has to be given up some time.
WAITS, SELECTS, STANDS, AT_WORK = 0.0, 0.005, 0.02, 2.0

# Where the standard library waits for other threads.
_LIBRARY = os.path.dirname(threading.__file__)
_WAITING = frozenset(
    os.path.join(_LIBRARY, *each) for each in (("threading.py",), ("queue.py",), ("concurrent", "futures", "_base.py"))
)
# Where a pool's thread waits for work.
_POOL = os.path.join(_LIBRARY, "concurrent", "futures", "thread.py")
_SELECTORS = selectors.__file__


class Look(NamedTuple):
    """`needs`: WAITS, SELECTS, STANDS or AT_WORK; `mark` differs from that of the look before when something happened
    between; `what` is at work."""

    needs: float
    mark: Any
    what: str = ""


class Quiet:
    """Looks at the threads and event loops that runs are in."""

    def __init__(self) -> None:
        self._loops: list[asyncio.AbstractEventLoop] = []
        # threads that code of runs has started itself
        self._threads: list[threading.Thread] = []

    def add_thread(self, thread: threading.Thread) -> None:
        self._threads = [each for each in self._threads if each.is_alive() or each.ident is None]
        self._threads.append(thread)

    def add(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it was new."""
        if loop in self._loops or not hasattr(loop, "_ready"):  # another's loop keeps its own time
            return False
        self._loops = [each for each in self._loops if not each.is_closed()]
        self._loops.append(loop)
        return True

    def loops(self) -> list[asyncio.AbstractEventLoop]:
        return [loop for loop in self._loops if not loop.is_closed()]

    def due(self) -> list[float]:
        """When each loop's next timer is due, by its own clock."""
        found = []
        for loop in self.loops():
            timers = [each.when() for each in list(getattr(loop, "_scheduled", ())) if not each.cancelled()]
            if timers and _thread_of(loop) is not None:
                found.append(min(timers))
        return found

    def wake(self) -> None:
        """Has loops look at the clock."""
        for loop in self.loops():
            with contextlib.suppress(RuntimeError):  # closed a moment ago
                loop.call_soon_threadsafe(_nothing)

    def look(self, but: int | None = None) -> Look:
        """How it stands; `but`: a thread that does not count."""
        frames = sys._current_frames()
        needs = WAITS
        mark: list[Any] = []
        here = _copy(posts)
        serving = {thread for loop in self.loops() if (thread := _thread_of(loop)) is not None}
        for post in here:
            frame = frames.get(post.ident)
            if frame is None or post.ident == but or (post.place is not None and _is_lost(post)):
                continue
            mark.append((post.ident, id(post.waiter), post.inside))
            if post.waiter is not None:
                if post.waiter.told:
                    return Look(AT_WORK, mark, _place(frame))
            elif post.ident not in serving and (post.inside or post.frames):
                if not _stands(frame):
                    return Look(AT_WORK, mark, _place(frame))
                needs = STANDS
                mark.append((id(frame), frame.f_lasti))
        waiting_for = {post.ident for post in here if post.waiter is not None}
        for started in list(self._threads):
            frame = frames.get(started.ident or 0)
            if frame is None or started.ident in waiting_for or started.ident in serving:
                continue
            if not _stands(frame) and frame.f_code.co_filename != _POOL:
                return Look(AT_WORK, mark, _place(frame))
            needs = max(needs, STANDS)
            mark.append((id(frame), frame.f_lasti))
        for loop in self.loops():
            found = _look_at(loop, frames, here, but)
            mark.append(found.mark)
            if found.needs == AT_WORK:
                return Look(AT_WORK, mark, found.what)
            needs = max(needs, found.needs)
        if journal.are_asked():
            return Look(AT_WORK, mark, "the record is asked")
        for each in _copy(pool._open):
            waiting = sum(_waits_in(post, each) for post in here)
            if each.comes_for_work() or each.at_work() > waiting + (but is not None and _has(each, here, but)):
                return Look(AT_WORK, mark, "a thread of the task runner begins")
        if needs < STANDS and _something_begins():
            needs = STANDS
        return Look(needs, mark)


def _copy(members: Any) -> list[Any]:
    """What is in a weak set, to which other threads add meanwhile."""
    while True:
        try:
            return list(members)
        except RuntimeError:
            continue


def _thread_of(loop: asyncio.AbstractEventLoop) -> int | None:
    return getattr(loop, "_thread_id", None)


def _look_at(loop: Any, frames: dict[int, FrameType], here: list[Post], but: int | None) -> Look:
    """An event loop waits where it stands in its selector and nothing is ready; or with the code that blocks it."""
    thread = _thread_of(loop)
    if thread is None or thread == but:
        return Look(WAITS, None)
    frame = frames.get(thread)
    mine = next((post for post in here if post.ident == thread), None)
    if mine is not None and mine.waiter is not None:
        return Look(AT_WORK if mine.waiter.told else WAITS, None)
    if frame is None or loop._ready:
        return Look(AT_WORK, None, "" if frame is None else _place(frame))
    above = frame.f_back
    if frame.f_code.co_filename != _SELECTORS or above is None or above.f_code.co_name != "_run_once":
        return Look(STANDS, (id(frame), frame.f_lasti)) if _stands(frame) else Look(AT_WORK, None, _place(frame))
    if _hears_the_world(loop):
        return Look(AT_WORK, None, "an event loop waits for a socket or a process")
    return Look(SELECTS, (id(frame), frame.f_lasti))


def _hears_the_world(loop: Any) -> bool:
    """Whether a loop waits for more than to be woken by other threads."""
    try:
        own = loop._ssock.fileno()
        return any(key.fd != own for key in list(loop._selector.get_map().values()))
    except (AttributeError, RuntimeError):
        return False


def _stands(frame: FrameType) -> bool:
    return frame.f_code.co_filename in _WAITING


def _is_lost(post: Post) -> bool:
    return bool(getattr(post.place, "lost", False))


def _waits_in(post: Post, each: pool.Pool) -> bool:
    return _has(each, [post], post.ident) and post.waiter is not None and not post.waiter.told and not _is_lost(post)


def _has(each: pool.Pool, here: list[Post], ident: int) -> bool:
    """Whether the thread is the pool's."""
    return any(post.ident == ident and getattr(post.place, "pool", None) is each for post in here)


def _something_begins() -> bool:
    """A task was submitted that has not begun: a thread for it may be about to."""
    for context in list(live.RUNS.values()):
        if isinstance(context, FlowRunContext):
            for future in list(context.outstanding):
                if future.task_run.state.is_pending():
                    return True
    return False


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def _nothing() -> None:
    pass
