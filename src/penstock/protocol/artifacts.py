"""What can be asked about artifacts."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.artifacts import Artifact
from ..domain.filters import Moment
from .operation import Count, Operation, Page
from .paging import Cursor, Limit

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Few = msgspec.Meta(max_length=100)


class ArtifactFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Artifacts that fit all the fields that are given; a field that holds several values is fitted by any one of them.
    `after` and `before` are about when it was created; the first is included, the second is not."""

    keys: Annotated[tuple[Key, ...], Few] = ()
    types: Annotated[tuple[Key, ...], Few] = ()
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    after: Moment | None = None
    before: Moment | None = None


class FilterArtifacts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Artifacts that fit, the newest first."""

    filter: ArtifactFilter = ArtifactFilter()
    limit: Limit = 200
    cursor: Cursor | None = None


class CountArtifacts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    filter: ArtifactFilter = ArtifactFilter()
    latest: bool = False


class ArtifactById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


class ArtifactByKey(msgspec.Struct, forbid_unknown_fields=True):
    key: Key


class CreateArtifact(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`type` is markdown, table, link, image or progress, or a word of one's own; see `Artifact` for its `data`."""

    type: Key
    data: Any = None
    key: Key | None = None
    description: str | None = None
    metadata: Annotated[dict[str, str], Few] = {}
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class UpdateArtifact(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays."""

    id: UUID
    data: Any = None
    description: str | None = None


CREATE_ARTIFACT = Operation(
    "create_artifact", "POST", "/artifacts", CreateArtifact, Artifact, "Create an artifact.", status=201
)
FILTER_ARTIFACTS = Operation(
    "filter_artifacts", "POST", "/artifacts/filter", FilterArtifacts, Page[Artifact],
    "List artifacts, the newest first.", reads=True,
)  # fmt: skip
COUNT_ARTIFACTS = Operation(
    "count_artifacts", "POST", "/artifacts/count", CountArtifacts, Count, "Count artifacts.", reads=True
)
FILTER_LATEST_ARTIFACTS = Operation(
    "filter_latest_artifacts", "POST", "/artifacts/latest/filter", FilterArtifacts, Page[Artifact],
    "List artifacts, of those with one key only the latest.", reads=True,
)  # fmt: skip
READ_ARTIFACT = Operation("read_artifact", "GET", "/artifacts/{id}", ArtifactById, Artifact, "Read an artifact.")
READ_LATEST_ARTIFACT = Operation(
    "read_latest_artifact", "GET", "/artifacts/{key}/latest", ArtifactByKey, Artifact, "Read the latest of a key."
)
UPDATE_ARTIFACT = Operation(
    "update_artifact", "PATCH", "/artifacts/{id}", UpdateArtifact, Artifact, "Change an artifact.", safe=True
)
DELETE_ARTIFACT: Operation[ArtifactById, None] = Operation(
    "delete_artifact", "DELETE", "/artifacts/{id}", ArtifactById, None, "Delete an artifact."
)
