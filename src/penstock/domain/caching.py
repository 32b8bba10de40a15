"""A cached result: which value stands for which key, made by whom, for how long."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from .runs import ResultRef


class CacheEntry(msgspec.Struct, frozen=True):
    """`expires` is None for ever."""

    key: str
    task_run_id: UUID
    result: ResultRef
    created: datetime
    expires: datetime | None = None
