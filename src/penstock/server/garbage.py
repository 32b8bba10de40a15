"""Python's garbage collector in a server: what lives long is not looked at again and again.

Law: a full collection looks at everything that lives. With ten thousand open streams that is a third of a second in
which nobody is answered, every few seconds, for next to nothing. So what has outlived one is left out of the next ones
(frozen), but for one every ten minutes: what has become garbage in the meantime goes then.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

ALL_SECONDS = 600.0


@contextlib.contextmanager
def short_pauses() -> Iterator[None]:
    """Full collections are short in the meantime, in all of this process."""
    looked_at_all = time.monotonic()

    def collected(phase: str, info: dict[str, int]) -> None:
        nonlocal looked_at_all
        if info["generation"] < 2:
            return
        if phase == "stop":
            gc.freeze()
        elif time.monotonic() - looked_at_all > ALL_SECONDS:
            looked_at_all = time.monotonic()
            gc.unfreeze()

    gc.callbacks.append(collected)
    gc.freeze()
    try:
        yield
    finally:
        gc.callbacks.remove(collected)
        gc.unfreeze()
