"""Artifacts for users: what a run wants people to see. Made inside a run they are linked to it; they can be made
outside of runs, too.

An artifact is reported, as lines are, and not waited for: it is in the record a moment later, also when the server is
away just now. What is secret in it is masked.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from .. import connect
from ..domain import artifacts as rules
from ..domain.artifacts import Artifact, ArtifactChange
from ..domain.ids import parse_id
from ..domain.plain import check_text
from ..engine.context import current
from ..engine.runtime import Runtime
from ..engine.stopping import shielded


def create_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> UUID:
    """Keeps a text in Markdown for people to read; gives the artifact's id.

    `key` (lowercase letters, digits and dashes) makes it a version of what is made again and again; `description` is
    text. Raises `InvalidName` for a key, `UnstorableValue` for what is no text or over 500,000 bytes (ValueErrors).

    Example::

        create_markdown_artifact("# Sales\\n\\n1,200 rows loaded.", key="sales")
    """
    return _create(rules.MARKDOWN, markdown, key, description)


def create_table_artifact(
    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]],
    key: str | None = None,
    description: str | None = None,
) -> UUID:
    """Keeps a table: a dict of columns, or a list of rows as dicts or lists. Cells that are not JSON are kept as text,
    NaN as nothing. The rest is as for `create_markdown_artifact`.

    Example::

        create_table_artifact([{"customer": "ACME", "orders": 7}], key="top-customers")
    """
    return _create(rules.TABLE, rules.check_table(table), key, description)


def create_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None
) -> UUID:
    """Keeps a link, shown as `link_text` (default: the link). The rest is as for `create_markdown_artifact`.

    Example::

        create_link_artifact("https://example.com/report.pdf", "The report", key="report")
    """
    return _create(rules.LINK, {"link": str(link), "text": str(link_text or link)}, key, description)


def create_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> UUID:
    """Keeps the URL of an image, which is shown where the artifact is. The rest is as for `create_markdown_artifact`.

    Example::

        create_image_artifact("https://example.com/plot.png", key="plot")
    """
    return _create(rules.IMAGE, image_url, key, description)


def create_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> UUID:
    """Keeps how far something is, in percent: a number from 0 to 100. Gives the id for `update_progress_artifact`.

    Example::

        progress = create_progress_artifact(0, key="load")
        for done in range(10):
            update_progress_artifact(progress, (done + 1) * 10)
    """
    return _create(rules.PROGRESS, rules.check_progress(progress), key, description)


def update_progress_artifact(artifact_id: UUID | str, progress: float, description: str | None = None) -> UUID:
    """Says how far something is now; `description` None leaves that as it is. An artifact that is not there stays away.

    Raises `UnstorableValue` for what is no number from 0 to 100, `InvalidId`.
    """
    id, percent = parse_id(artifact_id), rules.check_progress(progress)
    text = check_text(description, "The description of an artifact", rules.MOST_DESCRIPTION)

    def report() -> None:
        runtime = _runtime()
        change = ArtifactChange(id=id, data=percent, description=text, updated=runtime.clock.now())
        runtime.ledger.write(change)

    shielded(report)
    return id


async def acreate_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> UUID:
    """`create_markdown_artifact()` to be awaited."""
    return create_markdown_artifact(markdown, key, description)


async def acreate_table_artifact(
    table: dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]],
    key: str | None = None,
    description: str | None = None,
) -> UUID:
    """`create_table_artifact()` to be awaited."""
    return create_table_artifact(table, key, description)


async def acreate_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None
) -> UUID:
    """`create_link_artifact()` to be awaited."""
    return create_link_artifact(link, link_text, key, description)


async def acreate_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> UUID:
    """`create_image_artifact()` to be awaited."""
    return create_image_artifact(image_url, key, description)


async def acreate_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> UUID:
    """`create_progress_artifact()` to be awaited."""
    return create_progress_artifact(progress, key, description)


async def aupdate_progress_artifact(artifact_id: UUID | str, progress: float, description: str | None = None) -> UUID:
    """`update_progress_artifact()` to be awaited."""
    return update_progress_artifact(artifact_id, progress, description)


def _runtime() -> Runtime:
    context = current.get()
    return connect.runtime() if context is None else context.runtime


def _create(kind: str, data: Any, key: str | None, description: str | None) -> UUID:
    """In the order of being made: ids are given in that order, and the highest of a key is the latest."""

    def report() -> UUID:
        context, runtime = current.get(), _runtime()
        flow_run_id, task_run_id = (None, None) if context is None else context.stored_under()
        now = runtime.clock.now()
        made = Artifact(
            id=runtime.clock.new_id(),
            type=kind,
            data=data,
            key=key,
            description=description,
            flow_run_id=flow_run_id,
            task_run_id=task_run_id,
            created=now,
            updated=now,
        )
        runtime.ledger.write(rules.checked(made))
        return made.id

    return shielded(report)
