"""SQL of holders: processes that execute runs, each with one lease that it renews while it lives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from ..domain.runs import Holder
from . import codec
from .contract import Tx
from .lists import MOST, pieces

_decode = msgspec.json.Decoder(Holder).decode


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


def renew(tx: Tx, may_be_killed: Mapping[Holder, bool], lease_expires: datetime) -> None:
    """As `put`, many at once: of each, whether it may be killed."""
    until = codec.exact_micros(lease_expires)
    tx.insert(
        "holder",
        ("holder", "lease_expires", "may_be_killed"),
        [(codec.text(holder), until, int(may_be)) for holder, may_be in may_be_killed.items()],
        """ON CONFLICT (holder) DO UPDATE SET
        lease_expires = excluded.lease_expires, may_be_killed = excluded.may_be_killed""",
    )


def leases_of(tx: Tx, some: Iterable[Holder]) -> dict[Holder, datetime]:
    """When the leases of these processes end; of one that has none, nothing."""
    texts = {codec.text(holder): holder for holder in some}
    found: dict[Holder, datetime] = {}
    for marks, piece in pieces(texts):
        sql = f"SELECT holder, lease_expires FROM holder WHERE holder IN {marks} LIMIT {MOST}"
        for text, expires in tx.rows(sql, piece):
            moment = codec.moment(expires)
            assert moment is not None
            found[texts[str(text)]] = moment
    return found


def of_open_runs(tx: Tx) -> list[tuple[Holder, datetime | None]]:
    """Processes that execute runs which have not ended, by the record; and when the lease of each ends."""
    rows = tx.rows(
        f"""SELECT open.holder, h.lease_expires FROM (
            SELECT holder FROM flow_run WHERE state_type IN {codec.UNFINISHED_TYPES} AND holder IS NOT NULL
            UNION SELECT holder FROM task_run WHERE state_type IN {codec.UNFINISHED_TYPES} AND holder IS NOT NULL
        ) AS open LEFT JOIN holder h ON h.holder = open.holder"""
    )
    return [(_decode(str(holder)), codec.moment(expires)) for holder, expires in rows]


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
