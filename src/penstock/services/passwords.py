"""Passwords: what is kept of one, and whether one fits.

Law: slow on purpose, about 0.2 s, so that a stolen record does not give them away; so two are looked at at once, two
more may wait, and whoever comes then is told to come again: strangers cannot keep a server from its work.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from unicodedata import normalize

from ..domain.accounts import LONGEST_PASSWORD, SHORTEST_PASSWORD
from ..domain.errors import TooMuch, UnstorableValue

# 16 MiB each; as strong as the larger tables that OWASP gives (N=2^17, p=1), in less memory.
N, R, P = 2**14, 8, 5
_SIZE = 32
_turns = threading.BoundedSemaphore(2)
_places = threading.BoundedSemaphore(4)


@contextmanager
def turn() -> Iterator[None]:
    """One's turn to look at a password. Raises `TooMuch` when too many wait for theirs."""
    if not _places.acquire(blocking=False):
        raise TooMuch("Others are just signing in. Try again in a second.")
    try:
        with _turns:
            yield
    finally:
        _places.release()


def check(password: str, name: str) -> None:
    """Raises `UnstorableValue` for one that nobody should have."""
    if len(password) < SHORTEST_PASSWORD or len(password.encode("utf-8", "replace")) > LONGEST_PASSWORD:
        raise UnstorableValue(
            f"A password has {SHORTEST_PASSWORD} characters at least, and {LONGEST_PASSWORD:,} bytes at most."
        )
    if password.lower() == name or len(set(password)) < 3:
        raise UnstorableValue("This password would be guessed at once. Choose another one.")


def kept(password: str) -> str:
    """What is kept of a password, with all that it takes to compare: `scrypt$n$r$p$salt$digest`."""
    salt = secrets.token_bytes(16)
    with turn():
        digest = _scrypt(password, salt, N, R, P)
    return f"scrypt${N}${R}${P}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def fits(password: str, stored: str | None) -> bool:
    """Whether it is the one that is kept, for whoever has the `turn`. Where nothing is kept it takes as long, and does
    not fit."""
    if stored is None:
        _scrypt(password, b"\0" * 16, N, R, P)
        return False
    _, n, r, p, salt, digest = stored.split("$")
    return hmac.compare_digest(_scrypt(password, b64decode(salt), int(n), int(r), int(p)), b64decode(digest))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # However a keyboard makes an é, it is the same one.
    text = normalize("NFC", password).encode("utf-8", "replace")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, dklen=_SIZE, maxmem=128 * r * (n + p + 2) + 2**20)
