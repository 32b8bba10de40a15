"""Where hosts on a cluster reach the flow's process: a port of it, for the time of a flow run.

Law: who does not know the token is not heard beyond his first 48 bytes; what comes after them is messages of known
form. Nothing is unpickled here.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import threading
from itertools import count
from typing import Protocol

from ..channel import Channel
from .orders import HELLO, MAGIC, UNKNOWN, WELCOME

# How long somebody who dials may take to say who he is.
HELLO_SECONDS = 10.0
# A machine that is gone without a word (no power, no network) is noticed after so many seconds of silence.
SILENT_SECONDS = 10


class Guest(Protocol):
    """Who waits for a host."""

    def attach(self, line: Channel) -> None:
        """It has come."""


class Home:
    """Listens at an address of this machine that the cluster reaches; `peer` is a host of the cluster."""

    def __init__(self, peer: str) -> None:
        self.token = secrets.token_bytes(32)
        self._numbers = count(1)
        self._waiting: dict[int, Guest] = {}
        self._lock = threading.Lock()
        self._socket = socket.create_server((_address_towards(peer), 0), backlog=256)
        name = self._socket.getsockname()
        self.address: tuple[str, int] = (name[0], name[1])
        threading.Thread(target=self._listen, name="penstock-cluster-home", daemon=True).start()

    def expect(self, guest: Guest) -> int:
        """The number by which a host will come for this one."""
        number = next(self._numbers)
        with self._lock:
            self._waiting[number] = guest
        return number

    def forget(self, number: int) -> None:
        """No host is wanted any more: one that comes is sent away."""
        with self._lock:
            self._waiting.pop(number, None)

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
        try:
            line.settimeout(HELLO_SECONDS)
            magic, token, number = HELLO.unpack(_exactly(line, HELLO.size))
            if magic != MAGIC or not hmac.compare_digest(token, self.token):
                line.close()
                return
            with self._lock:
                guest = self._waiting.pop(number, None)
            line.sendall(UNKNOWN if guest is None else WELCOME)
        except (OSError, EOFError):
            line.close()
            return
        if guest is None:
            line.close()
        else:
            prepare(line)
            guest.attach(Channel(line.detach()))


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
