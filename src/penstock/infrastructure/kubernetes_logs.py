"""The lines of a pod, though the stream of them breaks off.

Law: no line is given twice and none is lost, whatever the clocks say: a cluster gives lines again from a second on, and
those of them that were given are counted off, and not told by their times. (Lines that are written at once have one and
the same time with some runtimes, and a clock may be set back.)
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from ..domain.errors import InfrastructureNotAvailable, InfrastructureNotFound, InfrastructureRefused
from .kubernetes_pods import Pod

_AT = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d) ?")
# How long the next attempt waits, at first and at most; of how many seconds with lines the number of them is known.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
SECONDS_KNOWN = 1000
# A stream begins anew so much before its last line: clocks are set back.
MARGIN_SECONDS = 60

# Opens the log of a pod, from a time on (None: from its beginning).
Open = Callable[[Pod, str | None], AbstractContextManager[Any]]


def follow(look: Callable[[], Pod | None], open: Open) -> Iterator[bytes]:
    """What a pod writes, in whole lines, to its end. `look` says how the pod is. Empty pieces say that nothing came."""
    given, pause = _Given(), FIRST_PAUSE
    while True:
        some = False
        try:
            pod = look()
            if pod is None:
                return
            if pod.has_begun:
                for piece in _stream(pod, open, given):
                    some = True
                    yield piece
            if pod.has_ended:
                return
        except (InfrastructureNotAvailable, InfrastructureNotFound):  # it may be back; the look says what became of it
            pass
        except InfrastructureRefused as error:
            yield f"(Its lines cannot be read: {error})\n".encode()
            return
        pause = FIRST_PAUSE if some else min(2 * pause, LONGEST_PAUSE)
        yield b""
        time.sleep(pause)


def _stream(pod: Pod, open: Open, given: _Given) -> Iterator[bytes]:
    rest = b""
    given.again()
    with open(pod, given.since) as answer:
        for piece in answer.stream(1 << 16):
            *lines, rest = (rest + piece).split(b"\n")
            for each in lines:
                yield from given.new(each, b"\n")
    # Half a line is given whole by the next stream, if there is one.
    if rest and pod.has_ended:
        yield from given.new(rest, b"")


class _Given:
    """How many lines were given of each second."""

    def __init__(self) -> None:
        self._seconds: Counter[bytes] = Counter()
        self._skip = 0
        self.since: str | None = None

    def again(self) -> None:
        """A stream begins at `since`."""
        first = b"" if self.since is None else self.since[:19].encode()
        self._skip = sum(number for second, number in self._seconds.items() if second >= first)

    def new(self, line: bytes, end: bytes) -> Iterator[bytes]:
        """The line without its time, if it was not given."""
        at = _AT.match(line)
        if at is None:  # no line of the program's
            yield line + end
            return
        if self._skip > 0:
            self._skip -= 1
            return
        self._seconds[at[1]] += 1
        if len(self._seconds) > SECONDS_KNOWN:
            del self._seconds[min(self._seconds)]
        first = datetime.fromisoformat(at[1].decode()) - timedelta(seconds=MARGIN_SECONDS)
        self.since = f"{first.isoformat()}{at[2].decode()}"
        yield line[at.end() :] + end
