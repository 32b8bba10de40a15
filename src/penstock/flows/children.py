"""Programs that a run starts: the code that started one is known, so that it can be ended with its run.

Only `subprocess` is followed, which all else that waits for a program goes through. A program that a run started ends
when the run's code is stopped and waits in a call that cannot be interrupted: it is most likely what is waited for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..engine import live
from ..engine.context import current


def follow() -> Callable[[], None] | None:
    """Notes what is started from now on; gives what undoes that. None in a program that starts no programs."""
    subprocess = sys.modules.get("subprocess")
    if subprocess is None:
        return None
    popen = subprocess.Popen
    original = popen.__init__

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        if live.catches_up is not None:
            live.catches_up()  # what was written before is not its own
        original(self, *args, **kwargs)
        context = current.get()
        scope = None if context is None else context.scope
        frame = None if scope is None else scope.frame
        if frame is not None:
            frame.note_child(self.pid)

    popen.__init__ = start

    def undo() -> None:
        if popen.__init__ is start:
            popen.__init__ = original

    return undo
