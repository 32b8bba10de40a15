"""`penstock artifact`: list, look at and delete what runs want people to see."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.connect import call
from penstock.domain import artifacts as rules
from penstock.domain.artifacts import Artifact
from penstock.domain.ids import parse_id
from penstock.protocol import artifacts as asked
from penstock.protocol.paging import MOST

NONE = "There are no artifacts yet. To make the first, in Python: create_markdown_artifact('# Hello', key='hello')"


@click.group()
def artifact() -> None:
    """View artifacts: what runs want people to see."""


@artifact.command()
@click.option("--key", "keys", multiple=True, metavar="KEY", help="All versions of this key.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Of this type (markdown, table, …).")
@click.option("--flow-run", "flow_run", metavar="ID", help="Made in this flow run (its whole id).")
@click.option("--all", "-a", "all_", is_flag=True, help="All versions, not only the latest of each key.")
@choosing.limit_option(100)
@output_option
def ls(
    keys: tuple[str, ...], types: tuple[str, ...], flow_run: str | None, all_: bool, limit: int, output: str
) -> None:
    """List artifacts, the newest first; of each key the latest."""
    wanted = asked.ArtifactFilter(keys=keys, types=types, flow_run_id=None if flow_run is None else parse_id(flow_run))
    operation = asked.FILTER_ARTIFACTS if all_ or keys or flow_run else asked.FILTER_LATEST_ARTIFACTS
    found: list[Artifact] = []
    cursor = None
    while len(found) < limit:
        query = asked.FilterArtifacts(filter=wanted, limit=min(limit - len(found), MOST), cursor=cursor)
        page = call(operation, query, way="CLI")
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    if output == JSON:
        print_json(found)
    elif found:
        now = shown.now()
        rows = [
            (
                each.id,
                each.key or "",
                each.type,
                shown.one_line(each.description or _text(each)[:200]),
                shown.relative(each.updated, now),
            )
            for each in found
        ]
        print_table(("ID", "Key", "Type", "What it says", "Updated"), rows)
    else:
        remark(NONE if wanted == asked.ArtifactFilter() else "No artifacts fit.")


@artifact.command()
@click.argument("key_or_id", metavar="KEY|ID")
@output_option
def inspect(key_or_id: str, output: str) -> None:
    """Show an artifact: the latest of a key, or the one with an id."""
    found = _find(key_or_id)
    if output == JSON:
        print_json(found)
        return
    print_fields(
        {
            "Artifact": found.id,
            "Key": found.key or "none",
            "Type": found.type,
            "Description": shown.one_line(found.description or "") or "none",
            "Flow run": found.flow_run_id or "none",
            "Task run": found.task_run_id or "none",
            "Created": shown.local(found.created),
            "Updated": shown.local(found.updated),
            **{name: shown.one_line(value) for name, value in found.metadata.items()},
        }
    )
    click.echo()
    click.echo(shown.harmless(_text(found)) if is_terminal(sys.stdout) else _text(found), color=True)


@artifact.command()
@click.argument("keys_or_ids", nargs=-1, required=True, metavar="KEY|ID...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(keys_or_ids: tuple[str, ...], yes: bool) -> None:
    """Delete artifacts: all versions of a key, or the one with an id."""
    found = [each for text in keys_or_ids for each in _all_of(text)]
    if not yes and is_terminal(sys.stdin):
        click.confirm(f"Are you sure you want to delete {shown.count_of(len(found), 'artifact')}?", abort=True)
    for each in found:
        call(asked.DELETE_ARTIFACT, asked.ArtifactById(each.id), way="CLI")
    click.echo(f"Deleted {shown.count_of(len(found), 'artifact')}.")


def _id(text: str) -> UUID | None:
    """An id, if it is one: a key may look like the hexadecimal digits of one, but not like one with its dashes."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _find(text: str) -> Artifact:
    id = _id(text)
    if id is not None:
        return call(asked.READ_ARTIFACT, asked.ArtifactById(id), way="CLI")
    return call(asked.READ_LATEST_ARTIFACT, asked.ArtifactByKey(text), way="CLI")


def _all_of(text: str) -> list[Artifact]:
    first = _find(text)  # says what is wrong with it
    if _id(text) is not None:
        return [first]
    found: list[Artifact] = []
    cursor = None
    while True:
        query = asked.FilterArtifacts(filter=asked.ArtifactFilter(keys=(text,)), limit=MOST, cursor=cursor)
        page = call(asked.FILTER_ARTIFACTS, query, way="CLI")
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def _text(found: Artifact) -> str:
    """What it says, as text."""
    data: Any = found.data
    if found.type == rules.PROGRESS:
        return f"{data:g} %" if isinstance(data, int | float) else str(data)
    if found.type == rules.LINK and isinstance(data, dict):
        link, text = str(data.get("link")), str(data.get("text"))
        return link if link == text else f"{text}: {link}"
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
