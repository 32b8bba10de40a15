"""SQL of answers that were given to what must be done once, by the asker's key."""

from __future__ import annotations

from datetime import datetime

import msgspec

from . import codec
from .contract import Tx


class Given(msgspec.Struct, frozen=True):
    """An answer as it was given; `digest` is of what was asked."""

    digest: bytes
    status: int
    body: bytes


def get(tx: Tx, key: str) -> Given | None:
    row = tx.row("SELECT digest, status, body FROM answered WHERE key = ?", (key,))
    return None if row is None else Given(bytes(row[0]), int(row[1]), bytes(row[2]))


def put(tx: Tx, key: str, given: Given, now: datetime) -> None:
    """In the transaction that does what was asked."""
    tx.run(
        "INSERT INTO answered (key, at, digest, status, body) VALUES (?, ?, ?, ?, ?)",
        (key, codec.exact_micros(now), given.digest, given.status, given.body),
    )


def prune(tx: Tx, before: datetime, limit: int) -> int:
    """Forgets at most `limit` answers that are older; how many."""
    return tx.run(
        "DELETE FROM answered WHERE key IN (SELECT key FROM answered WHERE at < ? ORDER BY at LIMIT ?)",
        (codec.exact_micros(before), limit),
    )


def fill(tx: Tx, key: str, given: Given) -> None:
    """Puts the answer to a key that was taken without one."""
    tx.run("UPDATE answered SET status = ?, body = ? WHERE key = ?", (given.status, given.body, key))


def forget(tx: Tx, key: str) -> None:
    """Nothing was answered after all."""
    tx.run("DELETE FROM answered WHERE key = ?", (key,))
