"""What can be asked about concurrency limits, and of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.concurrency import MOST_DECAY, MOST_NAMES, MOST_SLOTS, Claimed, Reserved
from ..domain.runs import Holder
from .operation import Nothing, Operation, Page
from .paging import Limit

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Names = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=MOST_NAMES)]
Slots = Annotated[int, msgspec.Meta(ge=0, le=MOST_SLOTS)]
Occupy = Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)]
Decay = Annotated[float, msgspec.Meta(ge=0, le=MOST_DECAY)]
Patience = Annotated[float, msgspec.Meta(ge=0, le=60)]
Lease = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
NameCursor = Annotated[str, msgspec.Meta(max_length=255, description="`next` of the page before: a name.")]


class Holding(msgspec.Struct, kw_only=True):
    """Somebody who holds slots, or (`taken` is None) waits for them. `holder` is the process, as host:pid."""

    id: UUID
    occupy: int
    run_id: UUID | None = None
    flow_run_id: UUID | None = None
    holder: str | None = None
    asked: datetime
    taken: datetime | None = None
    expires: datetime | None = None


class LimitRead(msgspec.Struct, kw_only=True):
    """A limit; `name` is `tag:` and a tag for a limit on task runs with that tag. `active_slots` are taken at the
    moment (of a rate limit: have not come free yet). `holding` and `waiting` are given where one limit is read, and
    `waiting` is in the order of the queue."""

    id: UUID
    name: str
    limit: int
    active: bool
    slot_decay_per_second: float
    active_slots: float
    created: datetime
    updated: datetime
    holding: list[Holding] = []
    waiting: list[Holding] = []


class CreateLimit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    limit: Slots
    slot_decay_per_second: Decay = 0.0
    active: bool = True


class FilterLimits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By name."""

    limit: Limit = 200
    cursor: NameCursor | None = None


class ByIdOrName(msgspec.Struct, forbid_unknown_fields=True):
    id_or_name: Name


class UpdateLimit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays."""

    id_or_name: Name
    limit: Slots | None = None
    slot_decay_per_second: Decay | None = None
    active: bool | None = None


class Tags(msgspec.Struct):
    """The tags that limits are on."""

    tags: list[str]


class ClaimSlots(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`id` is the claim's, chosen by who asks; asked again, it is the same claim. It is held by a `holder` (a process
    whose lease the record has), or for `lease_seconds`, renewed by asking again. `waiter` is what its process asks by
    in `wait_for_slots`. With `wait` False nothing is queued."""

    id: UUID
    names: Names
    occupy: Occupy = 1
    strict: bool = False
    wait: bool = True
    waiter: UUID | None = None
    run_id: UUID | None = None
    flow_run_id: UUID | None = None
    holder: Holder | None = None
    lease_seconds: Lease | None = None


class WaitForSlots(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Waits until one of the claims `waiting` of a waiter waits no more, but no longer than `wait` seconds."""

    waiter: UUID
    waiting: Annotated[list[UUID], msgspec.Meta(max_length=100_000)] = []
    wait: Patience = 0.0


class Arrived(msgspec.Struct):
    """Claims that wait no more: their slots are held (or there is no limit any more)."""

    ids: list[UUID]


class ReleaseSlots(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    ids: Annotated[list[UUID], msgspec.Meta(max_length=10_000)]


class ReserveRate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Takes slots of rate limits, unless that means to wait longer than `longest` seconds."""

    names: Names
    occupy: Occupy = 1
    strict: bool = False
    longest: Annotated[float, msgspec.Meta(ge=0)] | None = None


class GiveBackRate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    names: Names
    occupy: Occupy = 1


CREATE_LIMIT = Operation(
    "create_concurrency_limit", "POST", "/concurrency_limits", CreateLimit, LimitRead, "Create a concurrency limit.",
    status=201,
)  # fmt: skip
FILTER_LIMITS = Operation(
    "filter_concurrency_limits", "POST", "/concurrency_limits/filter", FilterLimits, Page[LimitRead],
    "List concurrency limits, by name.", reads=True,
)  # fmt: skip
READ_LIMIT = Operation(
    "read_concurrency_limit", "GET", "/concurrency_limits/{id_or_name}", ByIdOrName, LimitRead,
    "Read a concurrency limit, with who holds its slots and who waits.",
)  # fmt: skip
UPDATE_LIMIT = Operation(
    "update_concurrency_limit", "PATCH", "/concurrency_limits/{id_or_name}", UpdateLimit, LimitRead,
    "Change a concurrency limit.", safe=True,
)  # fmt: skip
DELETE_LIMIT: Operation[ByIdOrName, None] = Operation(
    "delete_concurrency_limit", "DELETE", "/concurrency_limits/{id_or_name}", ByIdOrName, None,
    "Delete a concurrency limit; who waits for it goes on.",
)  # fmt: skip
RESET_LIMIT = Operation(
    "reset_concurrency_limit", "POST", "/concurrency_limits/{id_or_name}/reset", ByIdOrName, LimitRead,
    "Free all slots of a concurrency limit, whoever holds them.", safe=True,
)  # fmt: skip
LIMITED_TAGS = Operation(
    "read_limited_tags", "POST", "/concurrency_limits/limited_tags", Nothing, Tags, "Read which tags have limits.",
    reads=True,
)  # fmt: skip
CLAIM_SLOTS = Operation(
    "claim_slots", "POST", "/concurrency_limits/slots/claim", ClaimSlots, Claimed,
    "Take slots of limits, all or none, or queue for them.", safe=True, journal=True,
)  # fmt: skip
WAIT_FOR_SLOTS = Operation(
    "wait_for_slots", "POST", "/concurrency_limits/slots/wait", WaitForSlots, Arrived,
    "Wait until claims that queue have their slots.", safe=True, waits=True, journal=True,
)  # fmt: skip
RELEASE_SLOTS: Operation[ReleaseSlots, None] = Operation(
    "release_slots", "POST", "/concurrency_limits/slots/release", ReleaseSlots, None,
    "Give slots back, or leave the queue.", safe=True, journal=True,
)  # fmt: skip
RESERVE_RATE = Operation(
    "reserve_rate", "POST", "/concurrency_limits/rate/reserve", ReserveRate, Reserved,
    "Take slots of rate limits, and be told how long to wait.", journal=True,
)  # fmt: skip
GIVE_BACK_RATE: Operation[GiveBackRate, None] = Operation(
    "give_back_rate", "POST", "/concurrency_limits/rate/give_back", GiveBackRate, None,
    "Give back what was taken of rate limits and not waited for.", journal=True,
)  # fmt: skip
