"""How long threads take turns.

A thread that computes gives the interpreter's lock back only when its turn is over, 5 ms by Python's default. What
must happen soon, a stop or a commit, needs several turns of several threads; while it is under way, turns are shorter.
Whoever asks first notes what was set, and whoever is last puts it back, unless the program has set something of its
own meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

SHORT_SECONDS = 0.001


# A lock that its own thread may take twice: a signal's handler may come in between.
_lock = threading.RLock()
_asked = 0
_before = _ours = 0.0


def _begin() -> None:
    """In a forked child: whoever asked is not in it."""
    global _lock, _asked, _before, _ours
    _lock = threading.RLock()
    _asked, _before, _ours = 0, 0.0, 0.0


def shorten() -> None:
    """From now on turns are short, until `restore` has been called as often as this."""
    global _asked, _before, _ours
    with _lock:
        _asked += 1
        if _asked == 1:
            _before = sys.getswitchinterval()
            if _before > SHORT_SECONDS:
                sys.setswitchinterval(SHORT_SECONDS)
            _ours = sys.getswitchinterval()


def restore() -> None:
    """What was asked for by `shorten` is done."""
    global _asked
    with _lock:
        _asked -= 1
        if _asked == 0 and sys.getswitchinterval() == _ours != _before:
            sys.setswitchinterval(_before)


@contextlib.contextmanager
def short() -> Iterator[None]:
    """Turns are short in the meantime."""
    shorten()
    try:
        yield
    finally:
        restore()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin)
