"""Concurrency limits: making and changing them; taking, waiting for and freeing slots.

Law: whoever frees a slot, or makes room in another way, hands it to whoever is next in the same transaction
(`_settle`): a slot is never free while somebody waits for it, and nobody has to be there to take it. A slot is a lease
of the process that holds it: when the process is gone, so is its claim, whether it held the slot or waited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ..domain import concurrency as rules
from ..domain import names as spelling
from ..domain.concurrency import Claim, Claimed, ConcurrencyLimit, Reserved
from ..domain.errors import ConcurrencyError, ConcurrencySlotAcquisitionError, NameTaken, ObjectNotFound
from ..domain.runs import Holder
from ..store import answered
from ..store import concurrency as kept
from ..store.answered import Given
from ..store.contract import Store, Tx

Lost = Callable[[Tx, Holder], bool]


# --- limits ----------------------------------------------------------------------------------------------------------


def create(
    store: Store, id: UUID, name: str, limit: int, *, slot_decay_per_second: float, active: bool, now: datetime
) -> ConcurrencyLimit:
    """Raises `InvalidName`, `NameTaken`, `ConcurrencyError`."""
    made = ConcurrencyLimit(
        id=id,
        name=rules.check_name(name),
        limit=rules.check_limit(name, limit),
        active=active,
        slot_decay_per_second=rules.check_decay(name, slot_decay_per_second),
        created=now,
        updated=now,
        used_at=now,
    )
    with store.write() as tx:
        if kept.get(tx, name) is not None:
            raise NameTaken(
                f"Concurrency limit {name!r} already exists; `penstock concurrency-limit update` changes it."
            )
        kept.put(tx, made)
        _settle(tx, now)
    return made


def list_limits(store: Store, limit: int, after: str = "") -> list[ConcurrencyLimit]:
    """By name."""
    with store.read() as tx:
        return kept.select(tx, limit, after)


def get(store: Store, id_or_name: str) -> tuple[ConcurrencyLimit, list[Claim]]:
    """A limit, and the claims on it in the order in which they came. Raises `ObjectNotFound`."""
    with store.read() as tx:
        limit = _find(tx, id_or_name)
        return limit, kept.claims_on(tx, limit.name)


def used(store: Store, limits: Sequence[ConcurrencyLimit], now: datetime) -> dict[str, float]:
    """How many slots of each limit are taken."""
    with store.read() as tx:
        held = kept.held(tx)
    return {limit.name: limit.used_now(now) if limit.is_rate else held.get(limit.name, 0) for limit in limits}


def update(
    store: Store,
    id_or_name: str,
    *,
    limit: int | None,
    slot_decay_per_second: float | None,
    active: bool | None,
    now: datetime,
) -> ConcurrencyLimit:
    """What is None stays. Raises `ObjectNotFound`, `ConcurrencyError`."""
    with store.write() as tx:
        found = _find(tx, id_or_name)
        changed = msgspec.structs.replace(found, used=found.used_now(now), used_at=now, updated=now)
        if limit is not None:
            changed = msgspec.structs.replace(changed, limit=rules.check_limit(found.name, limit))
        if slot_decay_per_second is not None:
            decay = rules.check_decay(found.name, slot_decay_per_second)
            changed = msgspec.structs.replace(changed, slot_decay_per_second=decay)
        if active is not None:
            changed = msgspec.structs.replace(changed, active=active)
        kept.put(tx, changed)
        _settle(tx, now)
    return changed


def reset(store: Store, id_or_name: str, now: datetime) -> int:
    """Frees all slots of a limit, whoever holds them, for those who wait; how many claims held some. Raises
    `ObjectNotFound`."""
    with store.write() as tx:
        found = _find(tx, id_or_name)
        count = kept.free_all(tx, found.name)
        kept.put(tx, msgspec.structs.replace(found, used=0.0, used_at=now))
        _settle(tx, now)
    return count


def delete(store: Store, id_or_name: str, now: datetime) -> None:
    """Whoever waited for it goes on. Raises `ObjectNotFound`."""
    with store.write() as tx:
        kept.delete(tx, _find(tx, id_or_name).name)
        _settle(tx, now)


def limited_tags(store: Store) -> list[str]:
    """The tags that limits are on."""
    with store.read() as tx:
        return kept.limited_tags(tx)


def _find(tx: Tx, id_or_name: str) -> ConcurrencyLimit:
    found = kept.get(tx, id_or_name)
    if found is None:
        try:
            found = kept.by_id(tx, UUID(id_or_name))
        except ValueError:
            found = None
    if found is None:
        near = spelling.suggestion(id_or_name, kept.names(tx))
        raise ObjectNotFound(f"Concurrency limit {spelling.shown(id_or_name)} not found!{near}")
    return found


# --- slots -----------------------------------------------------------------------------------------------------------


def claim(
    store: Store, wanted: Claim, *, strict: bool, wait: bool, lease_seconds: float | None, lost: Lost, now: datetime
) -> Claimed:
    """Takes slots of all limits that are wanted, or, with `wait`, queues for them. Asked again, it says how things
    stand (and, with `lease_seconds`, renews the claim's lease).

    Raises `ConcurrencySlotAcquisitionError` (strict, and a limit is missing), `ConcurrencyError` (more than there is,
    or a claim of this id was given back).
    """
    expires = None if lease_seconds is None else now + timedelta(seconds=lease_seconds)
    with store.write() as tx:
        limits = kept.named(tx, dict.fromkeys(wanted.names))
        missing = _missing(limits, wanted.names, strict)
        rates = tuple(name for name, limit in limits.items() if limit.is_rate and limit.active)
        names = tuple(name for name, limit in limits.items() if not limit.is_rate and limit.active)
        for name in (*names, *rates):
            rules.check_occupy(limits[name], wanted.occupy)
        there = kept.claim(tx, wanted.id)
        if there is None and answered.get(tx, _given_back(wanted.id)) is not None:
            raise ConcurrencyError("This claim was given back; every claim has an id of its own.")
        if there is not None:
            if expires is not None:
                kept.extend(tx, wanted.id, expires)
        elif names:
            place = kept.next_place(tx)
            kept.add(tx, msgspec.structs.replace(wanted, names=names, place=place, expires=expires, taken=None))
        else:
            return Claimed(taken=True, rates=rates, missing=missing)
        _settle(tx, now)
        answer = _standing(tx, wanted.id)
        if not answer.taken and _free_lost(tx, now, lost):
            _settle(tx, now)
            answer = _standing(tx, wanted.id)
        if not answer.taken and not wait:
            kept.free(tx, wanted.id)
        return msgspec.structs.replace(answer, rates=rates, missing=missing)


def _missing(limits: dict[str, ConcurrencyLimit], names: Iterable[str], strict: bool) -> tuple[str, ...]:
    missing = tuple(name for name in dict.fromkeys(names) if name not in limits)
    if missing and strict:
        raise ConcurrencySlotAcquisitionError(
            f"There is no concurrency limit {' or '.join(map(spelling.shown, missing))}, and strict=True wants one. "
            f"Make it: `penstock concurrency-limit create {missing[0]} --limit 1`."
        )
    return missing


def _standing(tx: Tx, id: UUID) -> Claimed:
    """How a claim stands; of one that waits, the limit where it cannot go on, else where most are before it."""
    mine = kept.claim(tx, id)
    if mine is None or mine.taken is not None:
        return Claimed(taken=True)
    limits, held = kept.named(tx, mine.names), kept.held(tx)
    places = {name: kept.behind(tx, name, mine.place) + 1 for name in mine.names}
    full = [name for name, limit in limits.items() if limit.active and held.get(name, 0) + mine.occupy > limit.limit]
    name = full[0] if full else max(places, key=places.__getitem__)
    return Claimed(taken=False, limit=name, slots=limits[name].limit if name in limits else 0, place=places[name])


def waited_for(store: Store, waiter: UUID, waiting: Iterable[UUID], lost: Lost, now: datetime) -> list[UUID] | None:
    """Which of the claims that a waiter believes to be waiting do so no more; an empty list when others of it wait,
    too; None while there is nothing new. What the dead hold is freed on the way."""
    with store.read() as tx:
        still = kept.waiting_of(tx, waiter)
        gone = bool(still) and (kept.has_expired(tx, now) or any(lost(tx, each) for each in kept.holders(tx)))
    if gone:
        with store.write() as tx:
            _free_lost(tx, now, lost)
            _settle(tx, now)
            still = kept.waiting_of(tx, waiter)
    done = [id for id in waiting if id not in still]
    return done if done or not still.issubset(waiting) else None


def release(store: Store, ids: Collection[UUID], now: datetime, *, far: bool = False) -> None:
    """Claims end, whether they held slots or waited. One that is not there has ended before.

    With `far`, who claimed is reached over a network, where a claim that was sent twice may arrive once more after its
    end: nobody would ever give back what that took. So it is remembered for a while that they ended.
    """
    with store.write() as tx:
        if sum(kept.free(tx, id) for id in ids):
            _settle(tx, now)
        for key in map(_given_back, ids) if far else ():
            if answered.get(tx, key) is None:
                answered.put(tx, key, Given(b"", 200, b""), now)


def _given_back(id: UUID) -> str:
    return f"given-back:{id}"


def end_with_runs(tx: Tx, run_ids: Iterable[UUID], at: datetime) -> None:
    """In the transaction that ends runs: what they held is free. Costs next to nothing while nobody holds anything."""
    if kept.any_claims(tx) and kept.free_of_runs(tx, run_ids):
        _settle(tx, at)


def end_of_dead(tx: Tx, now: datetime, lost: Lost) -> bool:
    """Frees what is held, or waited for, by processes that are gone; whether there was any."""
    if not _free_lost(tx, now, lost):
        return False
    _settle(tx, now)
    return True


def any_of_dead(tx: Tx, now: datetime, lost: Lost) -> bool:
    """Whether `end_of_dead` would find something; reads only."""
    if not kept.any_claims(tx):
        return False
    return kept.has_expired(tx, now) or any(lost(tx, holder) for holder in kept.holders(tx))


def _free_lost(tx: Tx, now: datetime, lost: Lost) -> bool:
    count = kept.free_expired(tx, now)
    for holder in kept.holders(tx):
        if lost(tx, holder):
            count += kept.free_of_holder(tx, holder)
    return count > 0


def _settle(tx: Tx, now: datetime) -> None:
    """Gives what is free to those who are next."""
    names = kept.awaited(tx)
    if names:
        for each in rules.granted(kept.named(tx, names), kept.held(tx), kept.waiting(tx), names):
            kept.take(tx, each.id, now)


# --- rates -----------------------------------------------------------------------------------------------------------


def reserve(
    store: Store, names: Sequence[str], occupy: int, *, strict: bool, longest: float | None, now: datetime
) -> Reserved:
    """Takes slots of rate limits, and says how long to wait before they count as had; takes none when that is longer
    than `longest` seconds.

    Raises `ConcurrencySlotAcquisitionError` (strict, and a limit is missing; or one that is no rate limit),
    `ConcurrencyError` (more than there is).
    """
    with store.write() as tx:
        limits = kept.named(tx, dict.fromkeys(names))
        missing = _missing(limits, names, strict)
        active = [limit for limit in limits.values() if limit.active]
        for limit in active:
            if not limit.is_rate:
                raise ConcurrencySlotAcquisitionError(
                    f"Concurrency limit {limit.name!r} has no slot decay, so it limits no rate. Give it one (`penstock "
                    f"concurrency-limit update {limit.name} --slot-decay-per-second 1`), or use concurrency()."
                )
            rules.check_occupy(limit, occupy)
        reserved = {limit.name: limit.reserved(occupy, now) for limit in active}
        # A limit of 0 is closed, for as long as it is 0.
        closed = any(limit.limit == 0 for limit in active)
        seconds = max((seconds for seconds, _ in reserved.values()), default=0.0)
        if closed or (longest is not None and seconds > longest):
            return Reserved(taken=False, seconds=seconds, missing=missing)
        for limit in active:
            at = max(now, limit.used_at)
            kept.put(tx, msgspec.structs.replace(limit, used=reserved[limit.name][1], used_at=at))
        return Reserved(taken=True, seconds=seconds, names=tuple(reserved), missing=missing)


def give_back(store: Store, names: Iterable[str], occupy: int, now: datetime) -> None:
    """Slots of rate limits that were reserved, and not waited for to the end."""
    with store.write() as tx:
        for limit in kept.named(tx, names).values():
            used = max(limit.used_now(now) - occupy, 0.0)
            kept.put(tx, msgspec.structs.replace(limit, used=used, used_at=max(now, limit.used_at)))
