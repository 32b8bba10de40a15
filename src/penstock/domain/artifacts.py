"""Artifacts: what a run wants people to see (a text, a table, a link, an image, how far it is), as values.

An artifact with a `key` is one version of something that is made again and again; the latest one is what people look
at first. Nothing here knows how it is shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from . import names
from .errors import UnstorableValue
from .plain import check_size, check_text, plain

MARKDOWN, TABLE, LINK, IMAGE, PROGRESS = "markdown", "table", "link", "image", "progress"
MOST_BYTES = 500_000
MOST_DESCRIPTION = 10_000
MOST_TYPE = 100
_ADVICE = "Keep the rest in a file, and a link to it in the artifact."


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is plain JSON: text for markdown, `{"link": …, "text": …}` for a link, a URL for an image, rows or columns
    for a table, a number from 0 to 100 for progress. `metadata` is for people, too: texts by name."""

    id: UUID
    type: str
    data: Any = None
    key: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    created: datetime
    updated: datetime


class ArtifactChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """New data, or a new description, of an artifact that is there; None leaves it as it is."""

    id: UUID
    data: Any = None
    description: str | None = None
    updated: datetime


def checked(artifact: Artifact) -> Artifact:
    """The artifact as it can be kept. Raises `InvalidName` for its key, `UnstorableValue` for anything else."""
    if artifact.key is not None:
        names.check(artifact.key, names.ARTIFACT)
    kind = check_text(artifact.type, "The type of an artifact", MOST_TYPE)
    if not kind or not kind.isprintable():
        raise UnstorableValue("The type of an artifact is printable text.")
    return msgspec.structs.replace(
        artifact,
        data=_checked_data(kind, artifact.data),
        description=check_text(artifact.description, "The description of an artifact", MOST_DESCRIPTION),
        metadata=_checked_metadata(artifact.metadata),
    )


def check_progress(progress: object) -> float:
    """A number from 0 to 100. Raises `UnstorableValue`."""
    if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 100:
        raise UnstorableValue(f"Progress is a number from 0 to 100; it is {progress!r:.40}.")
    return float(progress)


def check_table(table: object) -> Any:
    """A dict of columns, a list of rows as dicts, or a list of rows as lists. Raises `UnstorableValue`."""
    if isinstance(table, dict) and all(isinstance(column, list | tuple) for column in table.values()):
        return table
    if isinstance(table, list | tuple) and all(isinstance(row, dict | list | tuple) for row in table):
        return table
    raise UnstorableValue(
        "A table is a dict of columns ({'a': [1, 2]}), or a list of rows as dicts ([{'a': 1}, {'a': 2}]) or as lists; "
        f"this is a {type(table).__name__} of something else. (Of a data frame: df.to_dict('list').)"
    )


def _checked_data(kind: str, data: Any) -> Any:
    of = f"A {kind} artifact"
    if kind == PROGRESS:
        return check_progress(data)
    if kind == TABLE:
        check_table(data)
    if kind in (MARKDOWN, IMAGE) and not isinstance(data, str):
        raise UnstorableValue(f"{of} is text; this is {type(data).__name__}.")
    value = plain(data, of)
    check_size(value, of, MOST_BYTES, _ADVICE)
    return value


def _checked_metadata(metadata: Any) -> dict[str, str]:
    found = {str(name): str(value) for name, value in metadata.items()}
    check_size(found, "The metadata of an artifact", MOST_DESCRIPTION, "It is meant for a few short texts.")
    return {str(name): str(value) for name, value in plain(found, "The metadata of an artifact").items()}
