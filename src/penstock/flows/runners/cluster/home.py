"""Where hosts on a cluster reach the flow's process: a port of it, for the time of a flow run.

Law: who does not know the token is not heard beyond his first 49 bytes; what comes after them is messages of known
form. Nothing is unpickled here.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import threading
from collections.abc import Callable

from ..channel import Channel
from .orders import HELLO, MAGIC, UNKNOWN, WELCOME

# How long somebody who dials may take to say who he is.
HELLO_SECONDS = 10.0
# A machine that is gone without a word (no power, no network) is noticed after so many seconds of silence.
SILENT_SECONDS = 10

# What takes the line of a host that was let in.
Taker = Callable[[Channel], None]


class Home:
    """Listens at an address of this machine that the cluster reaches; `peer` is a host of the cluster.

    `known(number, near)` says who takes the line of the host that has this lease; None: it is not wanted (any more).
    """

    def __init__(self, peer: str, known: Callable[[int, bool], Taker | None]) -> None:
        self.token = secrets.token_bytes(32)
        self._known = known
        self._socket = socket.create_server((_address_towards(peer), 0), backlog=256)
        name = self._socket.getsockname()
        self.address: tuple[str, int] = (name[0], name[1])
        threading.Thread(target=self._listen, name="penstock-cluster-home", daemon=True).start()

    def close(self) -> None:
        # (`close` alone would not wake the thread that accepts.)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=(line,), name="penstock-cluster-hello", daemon=True).start()

    def _welcome(self, line: socket.socket) -> None:
        take: Taker | None = None
        try:
            line.settimeout(HELLO_SECONDS)
            magic, token, number, near = HELLO.unpack(_exactly(line, HELLO.size))
            if magic == MAGIC and hmac.compare_digest(token, self.token):
                take = self._known(number, near)
                if take is None:
                    line.sendall(UNKNOWN)
                else:
                    # One that is gone meanwhile is found to be so by who takes its line.
                    with contextlib.suppress(OSError):
                        line.sendall(WELCOME)
                        prepare(line)
        except (OSError, EOFError):
            pass
        if take is None:
            line.close()
        else:
            take(Channel(line.detach()))


def prepare(line: socket.socket) -> None:
    """Small messages go at once, and the other end's silence is noticed."""
    line.settimeout(None)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", SILENT_SECONDS), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # not on every system
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _address_towards(peer: str) -> str:
    """The address of this machine by which it would talk to `peer`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
