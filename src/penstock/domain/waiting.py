"""Why a run waits: one reason, in a sentence and in numbers. Values only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

# So many of those who hold what a run waits for are named.
MOST_NAMED = 5


class WaitReason(StrEnum):
    """What a run waits for; of several reasons, the one that has to be seen to first."""

    NOT_DUE = "not-due"
    POOL_MISSING = "work-pool-missing"
    POOL_PAUSED = "work-pool-paused"
    QUEUE_MISSING = "work-queue-missing"
    QUEUE_PAUSED = "work-queue-paused"
    NO_WORKER = "no-worker"
    SCHEDULE_BUSY = "schedule-busy"
    DEPLOYMENT_LIMIT = "deployment-limit"
    KEY_LIMIT = "key-limit"
    KEY_RATE = "key-rate-limit"
    QUEUE_LIMIT = "work-queue-limit"
    POOL_LIMIT = "work-pool-limit"
    WORKERS_BUSY = "workers-busy"
    BEHIND = "behind-others"
    NEXT = "next"
    STARTING = "starting"
    CONCURRENCY_LIMIT = "concurrency-limit"
    PAUSED = "paused"
    HELD = "held-by-its-process"
    NOT_WAITING = "not-waiting"


class SlotHolder(msgspec.Struct, frozen=True):
    """A run that holds a slot."""

    id: UUID
    name: str


class Why(msgspec.Struct, kw_only=True):
    """Why a flow run waits.

    `sentence` says it to people, the rest to programs: `until` is when it ends by itself, where that is known; of a
    limit, `limit` is how many may, `used` how many do, `holders` at most five of them, and `limit_name` the limit that
    has a name; of a rate, `period` is in seconds. `position` is its place among the runs that are due in its work pool
    (or of its deployment, in no pool), 1 for the next; None where it is not in line.
    """

    reason: WaitReason
    sentence: str
    until: datetime | None = None
    limit: int | None = None
    used: int | None = None
    period: float | None = None
    limit_name: str | None = None
    holders: tuple[SlotHolder, ...] = ()
    position: int | None = None
    key: str | None = None
    work_pool: str | None = None
    work_queue: str | None = None
    deployment: str | None = None
    worker: str | None = None


def moment(at: datetime) -> str:
    """As sentences have it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def unended(used: int, limit: int, of: str) -> str:
    """How much of a limit is taken."""
    return f"{used:,} of at most {runs(limit)} of {of} {'has' if used == 1 else 'have'} not ended."


def runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
