"""SQL of holders: processes that execute runs, each with one lease that it renews while it lives."""

from __future__ import annotations

from datetime import datetime

from ..domain.runs import Holder
from . import codec
from .contract import Tx


def put(tx: Tx, holder: Holder, lease_expires: datetime, may_be_killed: bool) -> None:
    """Records a process, or renews its lease."""
    tx.run(
        """INSERT INTO holder (holder, lease_expires, may_be_killed) VALUES (?, ?, ?) ON CONFLICT (holder) DO UPDATE SET
        lease_expires = excluded.lease_expires, may_be_killed = excluded.may_be_killed""",
        (codec.text(holder), codec.exact_micros(lease_expires), int(may_be_killed)),
    )


def lease_of(tx: Tx, holder: Holder) -> datetime | None:
    """When the process's lease ends; None when it has none."""
    row = tx.row("SELECT lease_expires FROM holder WHERE holder = ?", (codec.text(holder),))
    return None if row is None else codec.moment(row[0])


def may_be_killed(tx: Tx, holder: Holder) -> bool:
    """Whether the process is a script's, which may be ended when a run in it does not stop."""
    row = tx.row("SELECT may_be_killed FROM holder WHERE holder = ?", (codec.text(holder),))
    return row is not None and bool(row[0])


def delete(tx: Tx, holder: Holder) -> None:
    """The process is gone, or has nothing to do with the record any more."""
    tx.run("DELETE FROM holder WHERE holder = ?", (codec.text(holder),))


def extend(tx: Tx, until: datetime) -> int:
    """Makes all leases good until then at least; how many were not."""
    moment = codec.exact_micros(until)
    return tx.run("UPDATE holder SET lease_expires = ? WHERE lease_expires < ?", (moment, moment))


def prune(tx: Tx, before: datetime, limit: int) -> int:
    """Forgets at most `limit` leases that ended before; how many. (No lease, or one that has ended, is the same.)"""
    return tx.run(
        "DELETE FROM holder WHERE holder IN (SELECT holder FROM holder WHERE lease_expires < ? LIMIT ?)",
        (codec.exact_micros(before), limit),
    )
