"""Answers about concurrency limits, and to who wants slots of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from ...domain.concurrency import Claim, Claimed, ConcurrencyLimit, Reserved
from ...domain.ids import uuid7
from ...domain.runs import Holder
from ...protocol import concurrency_limits as asked
from ...protocol.operation import Nothing, Page, Unchanged
from ...store.contract import Tx
from .. import concurrency
from ..desk import Desk, answers
from ..rescue import is_lost


@answers(asked.CREATE_LIMIT)
def create_limit(desk: Desk, wanted: asked.CreateLimit) -> asked.LimitRead:
    now = desk.now()
    made = concurrency.create(
        desk.store,
        uuid7(round(now.timestamp() * 1e9), secrets.randbits(62)),
        wanted.name,
        wanted.limit,
        slot_decay_per_second=wanted.slot_decay_per_second,
        active=wanted.active,
        now=now,
    )
    return _read(made, 0.0)


@answers(asked.FILTER_LIMITS)
def filter_limits(desk: Desk, query: asked.FilterLimits) -> Page[asked.LimitRead]:
    found = concurrency.list_limits(desk.store, query.limit, query.cursor or "")
    used = concurrency.used(desk.store, found, desk.now())
    items = [_read(limit, used[limit.name]) for limit in found]
    return Page(items=items, next=found[-1].name if len(found) == query.limit else None)


@answers(asked.READ_LIMIT)
def read_limit(desk: Desk, query: asked.ByIdOrName) -> asked.LimitRead:
    limit, claims = concurrency.get(desk.store, query.id_or_name)
    used = concurrency.used(desk.store, [limit], desk.now())
    return _read(limit, used[limit.name], claims)


@answers(asked.UPDATE_LIMIT)
def update_limit(desk: Desk, wanted: asked.UpdateLimit) -> asked.LimitRead:
    changed = concurrency.update(
        desk.store,
        wanted.id_or_name,
        limit=wanted.limit,
        slot_decay_per_second=wanted.slot_decay_per_second,
        active=wanted.active,
        now=desk.now(),
    )
    return read_limit(desk, asked.ByIdOrName(str(changed.id)))


@answers(asked.DELETE_LIMIT)
def delete_limit(desk: Desk, query: asked.ByIdOrName) -> None:
    concurrency.delete(desk.store, query.id_or_name, desk.now())


@answers(asked.RESET_LIMIT)
def reset_limit(desk: Desk, query: asked.ByIdOrName) -> asked.LimitRead:
    concurrency.reset(desk.store, query.id_or_name, desk.now())
    return read_limit(desk, query)


@answers(asked.LIMITED_TAGS)
def read_limited_tags(desk: Desk, _: Nothing) -> asked.Tags:
    return asked.Tags(concurrency.limited_tags(desk.store))


@answers(asked.CLAIM_SLOTS)
def claim_slots(desk: Desk, wanted: asked.ClaimSlots) -> Claimed:
    now = desk.now()
    claim = Claim(
        id=wanted.id,
        names=tuple(dict.fromkeys(wanted.names)),
        occupy=wanted.occupy,
        waiter=wanted.waiter,
        run_id=wanted.run_id,
        flow_run_id=wanted.flow_run_id,
        holder=wanted.holder,
        asked=now,
    )
    # Without a process that could be asked after, a claim must end by itself.
    lease = wanted.lease_seconds or (60.0 if wanted.holder is None else None)
    return concurrency.claim(
        desk.store, claim, strict=wanted.strict, wait=wanted.wait, lease_seconds=lease, lost=_lost(desk), now=now
    )


@answers(asked.WAIT_FOR_SLOTS)
def wait_for_slots(desk: Desk, query: asked.WaitForSlots) -> asked.Arrived:
    arrived = concurrency.waited_for(desk.store, query.waiter, query.waiting, _lost(desk), desk.now())
    if arrived is None:
        raise Unchanged(asked.Arrived([]))
    return asked.Arrived(arrived)


@answers(asked.RELEASE_SLOTS)
def release_slots(desk: Desk, query: asked.ReleaseSlots) -> None:
    concurrency.release(desk.store, query.ids, desk.now(), far=desk.asker is not None)


@answers(asked.RESERVE_RATE)
def reserve_rate(desk: Desk, wanted: asked.ReserveRate) -> Reserved:
    return concurrency.reserve(
        desk.store, wanted.names, wanted.occupy, strict=wanted.strict, longest=wanted.longest, now=desk.now()
    )


@answers(asked.GIVE_BACK_RATE)
def give_back_rate(desk: Desk, wanted: asked.GiveBackRate) -> None:
    concurrency.give_back(desk.store, wanted.names, wanted.occupy, desk.now())


def _lost(desk: Desk) -> concurrency.Lost:
    def lost(tx: Tx, holder: Holder) -> bool:
        return is_lost(tx, holder, desk.lives, desk.now())

    return lost


def _read(limit: ConcurrencyLimit, used: float, claims: Iterable[Claim] = ()) -> asked.LimitRead:
    shown = [
        asked.Holding(
            id=claim.id,
            occupy=claim.occupy,
            run_id=claim.run_id,
            flow_run_id=claim.flow_run_id,
            holder=None if claim.holder is None else str(claim.holder),
            asked=claim.asked,
            taken=claim.taken,
            expires=claim.expires,
        )
        for claim in claims
    ]
    return asked.LimitRead(
        id=limit.id,
        name=limit.name,
        limit=limit.limit,
        active=limit.active,
        slot_decay_per_second=limit.slot_decay_per_second,
        active_slots=round(used, 6),
        created=limit.created,
        updated=limit.updated,
        holding=[each for each in shown if each.taken is not None],
        waiting=[each for each in shown if each.taken is None],
    )
