"""Moments at which code must not be interrupted: it is taking or giving back a lock of the standard library.

The lock would stay locked, and with it whoever needs it next, a logging handler for instance. Such a moment is over at
once, so a stop that meets one is sent again a moment later. On the main thread a stop is raised exactly where it was
seen that this is no such moment. In another thread it is raised a step later: where that step was into giving a lock
back, this is done afterwards.
"""

from __future__ import annotations

import logging
import threading
from types import CodeType, FrameType, TracebackType
from typing import Any

# How long until it is looked at again, and how often at most: code that waits for a lock there may wait for ever.
AGAIN_SECONDS = 0.001
TRIES = 20

_TAKING = (
    threading.Condition.__enter__,
    threading.Semaphore.acquire,
    logging.Handler.acquire,
    getattr(logging, "_acquireLock", None),
)
_GIVING = (
    threading.Condition.__exit__,
    threading.Semaphore.release,
    threading.Semaphore.__exit__,
    logging.Handler.release,
    getattr(logging, "_releaseLock", None),
)
# Those of the interpreter's own import system, by name: they are in no module that can be imported.
_IMPORTING = frozenset({"acquire", "release", "__enter__", "__exit__", "_get_module_lock", "cb"})


def _codes(functions: Any) -> dict[CodeType, Any]:
    return {function.__code__: function for function in functions if function is not None}


_TAKES, _GIVES = _codes(_TAKING), _codes(_GIVING)


def is_delicate(frame: FrameType | None) -> bool:
    """Whether code that stands there is taking or giving back a lock."""
    if frame is None:
        return False
    code = frame.f_code
    if code in _TAKES or code in _GIVES:
        return True
    return code.co_name in _IMPORTING and code.co_filename.startswith("<frozen importlib")


def give_back(error: BaseException) -> None:
    """A stop was raised at the very beginning of giving a lock back: it is given back now."""
    entry: TracebackType | None = error.__traceback__
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    if entry is None:
        return
    if entry.tb_frame.f_code is threading.Condition.__enter__.__code__:
        # The lock was taken, and nobody is left who would give it back: the `with` had not begun.
        taken = entry.tb_frame.f_locals["self"]
        if entry.tb_lasti > _first_step(entry.tb_frame.f_code) and taken._is_owned():
            taken._lock.release()
        return
    function = _GIVES.get(entry.tb_frame.f_code)
    if function is None or entry.tb_lasti > _first_step(entry.tb_frame.f_code):
        return
    owner: Any = entry.tb_frame.f_locals.get("self")
    try:
        if function is threading.Condition.__exit__:
            owner._lock.release()
        elif owner is not None:
            function(owner)
        else:
            function()
    except RuntimeError:  # it was given back after all
        return


def _first_step(code: CodeType) -> int:
    """How far a function is that has done nothing yet: Python looks for stops when it begins."""
    import dis

    for instruction in dis.get_instructions(code):
        if instruction.opname == "RESUME":
            return instruction.offset
    return 0
