"""SQL of sessions (whoever signed in by password) and of attempts to sign in."""

from __future__ import annotations

from datetime import datetime

from . import codec
from .contract import Tx


def add(tx: Tx, digest: bytes, account: str, now: datetime) -> None:
    at = codec.micros(now)
    tx.run("INSERT INTO login_session (digest, account, created, seen) VALUES (?, ?, ?, ?)", (digest, account, at, at))


def get(tx: Tx, digest: bytes) -> tuple[bytes, str, datetime, datetime] | None:
    """(digest as it is stored, user's name, created, last seen)."""
    row = tx.row("SELECT digest, account, created, seen FROM login_session WHERE digest = ?", (digest,))
    return None if row is None else (bytes(row[0]), row[1], codec.exact_moment(row[2]), codec.exact_moment(row[3]))


def note_seen(tx: Tx, digest: bytes, now: datetime) -> None:
    tx.run("UPDATE login_session SET seen = ? WHERE digest = ?", (codec.micros(now), digest))


def end(tx: Tx, digest: bytes) -> None:
    tx.run("DELETE FROM login_session WHERE digest = ?", (digest,))


def end_all_of(tx: Tx, account: str) -> int:
    """How many there were."""
    return tx.run("DELETE FROM login_session WHERE account = ?", (account,))


def forget_old(tx: Tx, seen_before: datetime, created_before: datetime) -> None:
    tx.run(
        "DELETE FROM login_session WHERE seen < ? OR created < ?",
        (codec.micros(seen_before), codec.micros(created_before)),
    )


# --- attempts --------------------------------------------------------------------------------------------------------


def note_attempt(tx: Tx, name: bytes, address: str, now: datetime) -> None:
    tx.run("INSERT INTO login_attempt (name, address, at) VALUES (?, ?, ?)", (name, address, codec.micros(now)))


def attempts(tx: Tx, name: bytes, address: str, since: datetime) -> list[tuple[bool, bool, datetime]]:
    """Those after `since` that share the name or the address, the oldest first: (same name, same address, when)."""
    rows = tx.rows(
        "SELECT name, address, at FROM login_attempt WHERE at > ? AND (name = ? OR address = ?) ORDER BY at, n",
        (codec.micros(since), name, address),
    )
    return [(bytes(its) == name, where == address, codec.exact_moment(at)) for its, where, at in rows]


def forgive(tx: Tx, name: bytes, address: str) -> None:
    """Whoever got in from there had only mistyped."""
    tx.run("DELETE FROM login_attempt WHERE name = ? AND address = ?", (name, address))


def forget_attempts(tx: Tx, before: datetime) -> None:
    tx.run("DELETE FROM login_attempt WHERE at <= ?", (codec.micros(before),))
