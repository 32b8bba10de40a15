"""SQL of answers that were given to what must be done once, by the asker's key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from . import codec
from .contract import Tx
from .lists import MOST, pieces


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


def get_all(tx: Tx, keys: Iterable[str]) -> dict[str, Given]:
    """Those that were given, by their keys."""
    found = {}
    for marks, some in pieces(keys):
        sql = f"SELECT key, digest, status, body FROM answered WHERE key IN {marks} LIMIT {MOST}"
        for key, digest, status, body in tx.rows(sql, some):
            found[str(key)] = Given(bytes(digest), int(status), bytes(body))
    return found


def put_all(tx: Tx, given: Mapping[str, Given], now: datetime) -> None:
    """`put` of many, which costs few statements."""
    at = codec.exact_micros(now)
    rows = [(key, at, each.digest, each.status, each.body) for key, each in given.items()]
    tx.insert("answered", ("key", "at", "digest", "status", "body"), rows, "ON CONFLICT (key) DO NOTHING")


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
