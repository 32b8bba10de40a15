"""What can be asked about backfills."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.backfills import Backfill
from ..domain.schedules import Schedule
from .deployments import Json, Name
from .operation import Operation, Page
from .paging import Cursor, Limit

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class CreateBackfill(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of the times of `schedule`; or of the deployment's schedule that `slug` names, or of its only one. `parameters`
    go over the deployment's own. With `dry_run` nothing is made."""

    deployment_id: UUID
    start: Moment
    end: Moment
    schedule: Schedule | None = None
    slug: Name | None = None
    parallelism: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    parameters: Json = {}
    dry_run: bool = False


class FilterBackfills(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The newest first; of a deployment."""

    deployment_id: UUID | None = None
    limit: Limit = 200
    cursor: Cursor | None = None


class BackfillById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


CREATE_BACKFILL = Operation(
    "create_backfill", "POST", "/deployments/{deployment_id}/backfills", CreateBackfill, Backfill,
    "Run a deployment for the times of a schedule that lie in the past.", status=201, strict=True
)  # fmt: skip
FILTER_BACKFILLS = Operation(
    "filter_backfills", "POST", "/backfills/filter", FilterBackfills, Page[Backfill], "List backfills.", reads=True
)
READ_BACKFILL = Operation("read_backfill", "GET", "/backfills/{id}", BackfillById, Backfill, "Read a backfill.")
CANCEL_BACKFILL = Operation(
    "cancel_backfill", "POST", "/backfills/{id}/cancel", BackfillById, Backfill,
    "Make no more runs of a backfill, and cancel those that have not ended.", safe=True,
)  # fmt: skip
