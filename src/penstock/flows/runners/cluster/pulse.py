"""Whether a cluster's head is there, asked for the time of a flow run.

Law: Ray ends a program, with all that it does, when its head does not answer for 60 s. Here the head is given up
before, so that the program goes on, and each run of it has an end that says why.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

# How often it is asked, how long it may take to answer, and how long it may be away.
ASK_SECONDS = 5.0
ANSWER_SECONDS = 5.0
AWAY_SECONDS = 40.0


class Pulse:
    """Asks whether anybody listens at an address; calls `lost` once, when nobody did for AWAY_SECONDS."""

    def __init__(self, address: tuple[str, int], lost: Callable[[], None]) -> None:
        self._address = address
        self._lost = lost
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="penstock-cluster-pulse", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._stopped.wait(ASK_SECONDS):
            with contextlib.suppress(OSError):
                knock(self._address, ANSWER_SECONDS)
                answered = time.monotonic()
            if time.monotonic() - answered > AWAY_SECONDS and not self._stopped.is_set():
                self._lost()
                return


def knock(address: tuple[str, int], seconds: float) -> None:
    """Raises OSError where nobody listens, within so many seconds."""
    socket.create_connection(address, timeout=seconds).close()


def split(address: str) -> tuple[str, int] | None:
    """Host and port of `host:port`, also after `ray://`; None: it is another kind of address."""
    host, found, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), int(port)) if found and port.isdigit() else None
