"""SQL of concurrency limits, and of the claims on their slots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from ..domain.concurrency import MOST_NAMES, TAG, Claim, ConcurrencyLimit, Queued
from ..domain.runs import Holder
from . import codec
from .contract import Row, Tx, Value

_LIMIT = "id, name, slots, active, decay_per_second, used, used_at, created, updated"
_CLAIM = (
    "id", "limit_name", "occupy", "place", "waiter", "run_id", "flow_run_id", "holder", "asked", "taken", "expires",
)  # fmt: skip
_SELECT_CLAIMS = f"SELECT {', '.join(_CLAIM)} FROM concurrency_claim"
# Rows of claims that are read at once; one claim has MOST_NAMES at most.
PIECE = 2 * MOST_NAMES
_decode_holder = msgspec.json.Decoder(Holder).decode


# --- limits ----------------------------------------------------------------------------------------------------------


def put(tx: Tx, limit: ConcurrencyLimit) -> None:
    """Records it, in place of one with this id."""
    tx.run(
        f"""INSERT INTO concurrency_limit ({_LIMIT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, slots = excluded.slots, active = excluded.active,
        decay_per_second = excluded.decay_per_second, used = excluded.used, used_at = excluded.used_at,
        updated = excluded.updated""",
        (
            limit.id.bytes,
            limit.name,
            limit.limit,
            int(limit.active),
            limit.slot_decay_per_second,
            limit.used,
            codec.exact_micros(limit.used_at),
            codec.exact_micros(limit.created),
            codec.exact_micros(limit.updated),
        ),
    )


def get(tx: Tx, name: str) -> ConcurrencyLimit | None:
    row = tx.row(f"SELECT {_LIMIT} FROM concurrency_limit WHERE name = ?", (name,))
    return None if row is None else _limit(row)


def by_id(tx: Tx, id: UUID) -> ConcurrencyLimit | None:
    row = tx.row(f"SELECT {_LIMIT} FROM concurrency_limit WHERE id = ?", (id.bytes,))
    return None if row is None else _limit(row)


def named(tx: Tx, names: Iterable[str]) -> dict[str, ConcurrencyLimit]:
    """The limits that there are, of these names."""
    return {name: limit for name in names if (limit := get(tx, name)) is not None}


def select(tx: Tx, limit: int, after: str = "") -> list[ConcurrencyLimit]:
    """By name; with `after`, those that come after that name."""
    rows = tx.rows(f"SELECT {_LIMIT} FROM concurrency_limit WHERE name > ? ORDER BY name LIMIT ?", (after, limit))
    return [_limit(row) for row in rows]


def limited_tags(tx: Tx) -> list[str]:
    """The tags that limits are on."""
    rows = tx.rows(
        "SELECT name FROM concurrency_limit WHERE name >= ? AND name < ? AND active = 1 ORDER BY name",
        (TAG, TAG[:-1] + chr(ord(TAG[-1]) + 1)),
    )
    return [name.removeprefix(TAG) for (name,) in rows]


def names(tx: Tx) -> list[str]:
    return [str(name) for (name,) in tx.rows("SELECT name FROM concurrency_limit ORDER BY name")]


def delete(tx: Tx, name: str) -> bool:
    """Whether there was one. Claims on it are claims on nothing."""
    tx.run("DELETE FROM concurrency_claim WHERE limit_name = ?", (name,))
    return tx.run("DELETE FROM concurrency_limit WHERE name = ?", (name,)) > 0


def _limit(row: Row) -> ConcurrencyLimit:
    id, name, slots, active, decay, used, used_at, created, updated = row
    return ConcurrencyLimit(
        id=UUID(bytes=bytes(id)),
        name=name,
        limit=slots,
        active=bool(active),
        slot_decay_per_second=float(decay),
        used=float(used),
        used_at=codec.exact_moment(used_at),
        created=codec.exact_moment(created),
        updated=codec.exact_moment(updated),
    )


# --- claims ----------------------------------------------------------------------------------------------------------


def any_claims(tx: Tx) -> bool:
    """Whether anybody holds or wants a slot: nearly always nobody does."""
    return tx.row("SELECT 1 FROM concurrency_claim LIMIT 1") is not None


def waiting_of_flow_run(tx: Tx, flow_run_id: UUID) -> Claim | None:
    """The first of the claims that a flow run, or a task run of it, waits for."""
    sql = "SELECT id FROM concurrency_claim WHERE flow_run_id = ? AND taken IS NULL ORDER BY place LIMIT 1"
    row = tx.row(sql, (flow_run_id.bytes,))
    return None if row is None else claim(tx, UUID(bytes=bytes(row[0])))


def add(tx: Tx, claim: Claim) -> None:
    """Records a claim that is new."""
    rows: list[tuple[Value, ...]] = [
        (
            claim.id.bytes,
            name,
            claim.occupy,
            claim.place,
            codec.blob(claim.waiter),
            codec.blob(claim.run_id),
            codec.blob(claim.flow_run_id),
            codec.text(claim.holder),
            codec.exact_micros(claim.asked),
            codec.micros(claim.taken),
            codec.micros(claim.expires),
        )
        for name in claim.names
    ]
    tx.insert("concurrency_claim", _CLAIM, rows, "ON CONFLICT DO NOTHING")


def next_place(tx: Tx) -> int:
    row = tx.row("SELECT coalesce(max(place), 0) + 1 FROM concurrency_claim")
    assert row is not None
    return int(row[0])


def claim(tx: Tx, id: UUID) -> Claim | None:
    return next(iter(_claims(tx.rows(f"{_SELECT_CLAIMS} WHERE id = ? ORDER BY limit_name", (id.bytes,)))), None)


def claims_on(tx: Tx, name: str) -> list[Claim]:
    """Those on a limit, in the order in which they came."""
    rows = tx.rows(f"{_SELECT_CLAIMS} WHERE limit_name = ? ORDER BY place, id", (name,))
    return list(_claims(rows))


def held(tx: Tx) -> dict[str, int]:
    """How many slots are taken, by limit."""
    rows = tx.rows("SELECT limit_name, sum(occupy) FROM concurrency_claim WHERE taken IS NOT NULL GROUP BY limit_name")
    return {str(name): int(slots) for name, slots in rows}


def wanted(tx: Tx) -> dict[str, int]:
    """How many slots are waited for, by limit."""
    rows = tx.rows("SELECT limit_name, sum(occupy) FROM concurrency_claim WHERE taken IS NULL GROUP BY limit_name")
    return {str(name): int(slots) for name, slots in rows}


def awaited(tx: Tx) -> set[str]:
    """The limits that somebody waits for."""
    rows = tx.rows("SELECT DISTINCT limit_name FROM concurrency_claim WHERE taken IS NULL")
    return {str(name) for (name,) in rows}


def waiting(tx: Tx) -> Iterator[Queued]:
    """Claims that wait, in the order in which they came; read a few at a time, for mostly only the first are looked
    at."""
    last = -1
    while True:
        rows = list(
            tx.rows(
                """SELECT place, id, limit_name, occupy FROM concurrency_claim WHERE taken IS NULL AND place > ?
                ORDER BY place LIMIT ?""",
                (last, PIECE),
            )
        )
        found: dict[int, list[Row]] = {}
        for row in rows:
            found.setdefault(int(row[0]), []).append(row)
        if len(rows) == PIECE:  # the last one may be on more limits than were read
            found.popitem()
        for place, each in found.items():
            last = place
            yield Queued(UUID(bytes=bytes(each[0][1])), tuple(row[2] for row in each), each[0][3])
        if len(rows) < PIECE:
            return


def behind(tx: Tx, name: str, place: int) -> int:
    """How many wait for a limit before this place."""
    row = tx.row(
        "SELECT count(*) FROM concurrency_claim WHERE limit_name = ? AND taken IS NULL AND place < ?", (name, place)
    )
    assert row is not None
    return int(row[0])


def waiting_of(tx: Tx, waiter: UUID) -> set[UUID]:
    """The claims of a waiter that wait."""
    rows = tx.rows("SELECT id FROM concurrency_claim WHERE waiter = ? AND taken IS NULL", (waiter.bytes,))
    return {UUID(bytes=bytes(id)) for (id,) in rows}


def take(tx: Tx, id: UUID, now: datetime) -> None:
    tx.run("UPDATE concurrency_claim SET taken = ? WHERE id = ?", (codec.exact_micros(now), id.bytes))


def extend(tx: Tx, id: UUID, expires: datetime) -> None:
    tx.run("UPDATE concurrency_claim SET expires = ? WHERE id = ?", (codec.exact_micros(expires), id.bytes))


def free(tx: Tx, id: UUID) -> bool:
    """Whether there was such a claim."""
    return tx.run("DELETE FROM concurrency_claim WHERE id = ?", (id.bytes,)) > 0


def free_of_runs(tx: Tx, run_ids: Iterable[UUID]) -> int:
    """Claims that end with these runs; how many rows there were."""
    count = 0
    for id in run_ids:
        count += tx.run("DELETE FROM concurrency_claim WHERE run_id = ?", (id.bytes,))
        count += tx.run("DELETE FROM concurrency_claim WHERE flow_run_id = ?", (id.bytes,))
    return count


def free_all(tx: Tx, name: str) -> int:
    """Claims that hold slots of a limit; how many there were."""
    return tx.run("DELETE FROM concurrency_claim WHERE limit_name = ? AND taken IS NOT NULL", (name,))


def free_of_holder(tx: Tx, holder: Holder) -> int:
    return tx.run("DELETE FROM concurrency_claim WHERE holder = ?", (codec.text(holder),))


def free_expired(tx: Tx, now: datetime) -> int:
    return tx.run("DELETE FROM concurrency_claim WHERE expires < ?", (codec.exact_micros(now),))


def has_expired(tx: Tx, now: datetime) -> bool:
    return tx.row("SELECT 1 FROM concurrency_claim WHERE expires < ? LIMIT 1", (codec.exact_micros(now),)) is not None


def holders(tx: Tx) -> list[Holder]:
    """The processes that have claims."""
    rows = tx.rows("SELECT DISTINCT holder FROM concurrency_claim WHERE holder IS NOT NULL")
    return [_decode_holder(holder) for (holder,) in rows]


def _claims(rows: Iterable[Row]) -> Iterator[Claim]:
    """The rows of a claim come together."""
    found: dict[UUID, tuple[Row, list[str]]] = {}
    for row in rows:
        found.setdefault(UUID(bytes=bytes(row[0])), (row, []))[1].append(row[1])
    for id, (row, names) in found.items():
        occupy, place, waiter, run_id, flow_run_id, holder, asked, taken, expires = row[2:]
        yield Claim(
            id=id,
            names=tuple(names),
            occupy=occupy,
            place=place,
            waiter=codec.unblob(waiter),
            run_id=codec.unblob(run_id),
            flow_run_id=codec.unblob(flow_run_id),
            holder=None if holder is None else _decode_holder(holder),
            asked=codec.exact_moment(asked),
            taken=codec.moment(taken),
            expires=codec.moment(expires),
        )
