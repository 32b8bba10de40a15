"""Concurrency limits: how many may do something at once, or how often; as values, and the decisions about them.

Law: pure. A *claim* is on slots of one or several limits, and takes all of them or none. Claims are served in the order
in which they came: one that waits is overtaken by none that wants what it waits for. So no claim waits for ever, and
two that want the same limits cannot wait for each other.

A limit whose slots come free by themselves (`slot_decay_per_second`) is a *rate limit*. What is taken of it is not
given back: whoever takes is told for how long to wait first. That is all in one number, so any number of processes
share it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

import msgspec

from .errors import ConcurrencyError, InvalidName
from .runs import Holder

TAG = "tag:"
LONGEST_NAME = 255
MOST_SLOTS = 1_000_000_000
MOST_NAMES = 50
MOST_DECAY = 1e9


class ConcurrencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`limit` is how many slots there are. `slot_decay_per_second` above 0 makes it a rate limit. One that is not
    `active` is taken no notice of. `used` slots of a rate limit were taken and had not come free at `used_at`."""

    id: UUID
    name: str
    limit: int
    active: bool = True
    slot_decay_per_second: float = 0.0
    created: datetime
    updated: datetime
    used: float = 0.0
    used_at: datetime

    @property
    def is_rate(self) -> bool:
        return self.slot_decay_per_second > 0

    def used_now(self, now: datetime) -> float:
        """Slots of a rate limit that have not come free; a clock that was set back frees none."""
        passed = max((now - self.used_at).total_seconds(), 0.0)
        return max(self.used - passed * self.slot_decay_per_second, 0.0)

    def reserved(self, occupy: int, now: datetime) -> tuple[float, float]:
        """(for how many seconds who takes so many slots has to wait, what is used then at `now`)."""
        used = self.used_now(now) + occupy
        return max((used - self.limit) / self.slot_decay_per_second, 0.0), used


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Slots that somebody holds (`taken`) or waits for. `holder` is the process; without one there is `expires`.

    A claim ends with the run `run_id`, and with the flow run `flow_run_id`.
    """

    id: UUID
    names: tuple[str, ...]
    occupy: int
    place: int = 0
    waiter: UUID | None = None
    run_id: UUID | None = None
    flow_run_id: UUID | None = None
    holder: Holder | None = None
    asked: datetime
    taken: datetime | None = None
    expires: datetime | None = None


class Queued(msgspec.Struct, frozen=True):
    """What is to be known of a claim that waits, to decide whether it is next."""

    id: UUID
    names: tuple[str, ...]
    occupy: int


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a claim. `taken`: the slots are held (or nothing limits them). Else it waits for `limit`, which
    has `slots` slots, at `place` in its queue (1 is next).

    `rates` are those of its names that are rate limits, of which nothing is taken yet; `missing` those without a limit.
    """

    taken: bool
    rates: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    limit: str | None = None
    slots: int = 0
    place: int = 0


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wish for slots of rate limits: they are taken, and whoever took them waits `seconds` before he
    goes on; or they are not `taken`, because that is longer than he would wait."""

    taken: bool
    seconds: float
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def check_name(name: object) -> str:
    """The name of a limit. Raises `InvalidName`."""
    if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable() and name.strip() == name:
        return name
    raise InvalidName(
        f"{name!r:.80} cannot be the name of a concurrency limit: it is printable text of 1 to {LONGEST_NAME} "
        "characters, without blanks around it."
    )


def check_limit(name: str, limit: object) -> int:
    """How many slots a limit has; 0 closes it. Raises `ConcurrencyError`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= MOST_SLOTS:
        raise ConcurrencyError(
            f"The limit of {name!r} is a whole number from 0 to {MOST_SLOTS:,}; it is {limit!r:.40}."
        )
    return limit


def check_decay(name: str, decay: object) -> float:
    """Slots a second that come free by themselves; 0: none. Raises `ConcurrencyError`."""
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay <= MOST_DECAY:
        raise ConcurrencyError(
            f"The slot decay per second of {name!r} is a number from 0 to {MOST_DECAY:,.0f}; it is {decay!r:.40}."
        )
    return float(decay)


def check_occupy(limit: ConcurrencyLimit, occupy: int) -> None:
    """Raises `ConcurrencyError` for what can never be had. (A limit of 0 is closed: it may be opened.)"""
    if occupy > limit.limit > 0:
        raise ConcurrencyError(
            f"{occupy} slots of {limit.name!r} can never be had: it has {limit.limit}. Raise the limit "
            f"(`penstock concurrency-limit update {limit.name} --limit {occupy}`), or occupy less."
        )


def granted(
    limits: Mapping[str, ConcurrencyLimit], held: Mapping[str, int], waiting: Iterable[Queued], names: AbstractSet[str]
) -> list[Queued]:
    """Of claims that wait, in the order of their places, those that may be taken now. `held` are the slots that are, by
    limit; `names` the limits that somebody waits for: when each has somebody who must, no more of `waiting` is read.
    """
    free = {
        name: float(limits[name].limit) - held.get(name, 0) if name in limits and limits[name].active else math.inf
        for name in names
    }
    found: list[Queued] = []
    awaited: set[str] = set()
    for claim in waiting:
        room = all(free.get(name, math.inf) >= claim.occupy for name in claim.names)
        if room and awaited.isdisjoint(claim.names):
            found.append(claim)
            for name in claim.names:
                free[name] = free.get(name, math.inf) - claim.occupy
        elif not _cannot_be_had(limits, claim):
            awaited.update(claim.names)
            if awaited >= names:
                break
    return found


def _cannot_be_had(limits: Mapping[str, ConcurrencyLimit], claim: Queued) -> bool:
    """A limit was lowered below what the claim wants of it: it waits, and is in nobody's way."""
    return any(claim.occupy > limits[name].limit > 0 for name in claim.names if name in limits)


def shown(name: str) -> str:
    """The limit as sentences about runs name it: a tag by the tag alone."""
    return name.removeprefix(TAG)


def why_waiting(claimed: Claimed, occupy: int) -> str:
    """`Waiting for 1 of 3 slots of limit 'database' (place 2 in the queue)`."""
    slots = f"{claimed.slots} slot{'' if claimed.slots == 1 else 's'}"
    return (
        f"Waiting for {occupy} of {slots} of limit {shown(claimed.limit or '')!r} (place {claimed.place} in the queue)"
    )
