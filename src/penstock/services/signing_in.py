"""Signing in by password, and the sessions that this opens.

Law: of a name that there is not, of a wrong password and of a disabled user the answer is the same, and comes as late.
Attempts are counted in the record, before they are made: so that many at once, and at several servers, are counted.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from ..domain.accounts import SEEN_AGAIN, SESSION_IDLE, SESSION_MOST, Asker, User
from ..domain.errors import NotSignedIn, TooMuch
from ..store import accounts, sessions
from ..store.contract import Store
from . import passwords
from .api_keys import digest_of

# How many may fail within `WINDOW`: for one name from one address; from one address; for one name from anywhere. The
# last is the largest, for it locks its user out: somebody elsewhere could do that to them.
WINDOW = timedelta(minutes=5)
SAME_BOTH, SAME_ADDRESS, SAME_NAME = 5, 20, 100


def prove(store: Store, name: str, password: str, *, address: str, now: datetime) -> User:
    """The user whose name and password these are. Raises `NotSignedIn` or `TooMuch`."""
    tried = digest_of(name)
    with passwords.turn():
        attempt(store, tried, address, now)
        with store.read() as tx:
            user, kept = accounts.get_user(tx, name), accounts.get_password(tx, name)
        fits = passwords.fits(password, kept)
    if not fits or user is None or user.disabled:
        raise NotSignedIn("The name or the password is wrong.")
    with store.write() as tx:
        sessions.forgive(tx, tried, address)
    return user


def attempt(store: Store, tried: bytes, address: str, now: datetime) -> None:
    """Counts an attempt that may fail. Raises `TooMuch` when there were too many."""
    with store.write() as tx:
        before = sessions.attempts(tx, tried, address, now - WINDOW)
        _check(before, now)
        sessions.forget_attempts(tx, now - WINDOW)
        sessions.note_attempt(tx, tried, address, now)


def check_attempts(store: Store, tried: bytes, address: str, now: datetime) -> None:
    """Raises `TooMuch` when too many have failed; counts nothing."""
    with store.read() as tx:
        _check(sessions.attempts(tx, tried, address, now - WINDOW), now)


def _check(before: list[tuple[bool, bool, datetime]], now: datetime) -> None:
    both = [at for name, address, at in before if name and address]
    for most, times in (
        (SAME_BOTH, both),
        (SAME_ADDRESS, [at for _, address, at in before if address]),
        (SAME_NAME, [at for name, _, at in before if name]),
    ):
        if len(times) >= most:
            # When the one goes out of the window that makes it too many.
            wait = max(1.0, (times[-most] + WINDOW - now).total_seconds())
            error = TooMuch(f"There were too many attempts to sign in. Try again in {wait:.0f} seconds.")
            error.retry_after = wait
            raise error


# --- sessions --------------------------------------------------------------------------------------------------------


def open_session(store: Store, user: User, now: datetime) -> tuple[str, bytes]:
    """(token, its digest). The token is the cookie's; the record has the digest only."""
    token = secrets.token_urlsafe(32)
    digest = digest_of(token)
    with store.write() as tx:
        sessions.forget_old(tx, now - SESSION_IDLE, now - SESSION_MOST)
        sessions.add(tx, digest, user.name, now)
    return token, digest


def end_session(store: Store, digest: bytes) -> None:
    with store.write() as tx:
        sessions.end(tx, digest)


def asker_of(store: Store, token: str, now: datetime) -> Asker:
    """Whoever has this session; notes that it is used, now and then. Raises `NotSignedIn`."""
    digest = digest_of(token)
    with store.read() as tx:
        found = sessions.get(tx, digest)
        user = None if found is None else accounts.get_user(tx, found[1])
    if found is None or not hmac.compare_digest(found[0], digest) or user is None or user.disabled:
        raise NotSignedIn("You are not signed in any more. Sign in again.")
    _, _, created, seen = found
    if now - seen >= SESSION_IDLE or now - created >= SESSION_MOST:
        raise NotSignedIn("You are signed out after some time. Sign in again.")
    if now - seen >= SEEN_AGAIN:
        with store.write() as tx:
            sessions.note_seen(tx, digest, now)
    return Asker(who=f"user {user.name}", role=user.role, user=user.name, session=digest)


def csrf_token(session: bytes) -> str:
    """What a page of the session's own must send with every change: it follows from what only the cookie's holder and
    the server know, so that nothing more is kept."""
    return hashlib.sha256(b"penstock csrf\0" + session).hexdigest()
