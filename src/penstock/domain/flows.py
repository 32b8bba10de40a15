"""A flow as the record knows it: by its name, and by its runs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class FlowSummary(msgspec.Struct, frozen=True):
    """`runs` is how many runs there are, `failed` how many of them failed or crashed, `last_run` when the latest was
    created."""

    id: UUID
    name: str
    created: datetime
    runs: int
    last_run: datetime | None
    failed: int
