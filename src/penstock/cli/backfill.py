"""`penstock deployment backfill`: runs of a deployment for times that lie in the past."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import click
import msgspec

from penstock.cli import shown
from penstock.cli.choosing import limit_option
from penstock.cli.output import JSON, output_option, print_fields, print_json, print_table, remark
from penstock.cli.parameters import pairs, params_object
from penstock.cli.record import ask, listed
from penstock.cli.schedules import find, moment_in, schedule_of, schedule_options
from penstock.cli.times import Time
from penstock.domain.backfills import Backfill
from penstock.domain.errors import ObjectNotFound
from penstock.domain.schedule_times import in_words
from penstock.domain.states import StateType
from penstock.protocol import backfills as asked


@click.group()
def backfill() -> None:
    """Run a deployment for times of a schedule that lie in the past."""


@backfill.command()
@click.argument("deployment")
@click.option("--start", required=True, type=Time(), metavar="TIME", help="From this time on.")
@click.option("--end", type=Time(), metavar="TIME", help="Up to this time, without it; now by itself.")
@click.option("--schedule", "slug", metavar="SLUG", help="Which of the deployment's schedules, where it has several.")
@schedule_options
@click.option("--parallelism", type=click.IntRange(1, 1000), default=1, show_default=True, help="So many at once.")
@click.option(
    "--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; VALUE is JSON, or text."
)
@click.option("--params", "all_params", metavar="JSON", help="All parameters, as one JSON object; - reads stdin.")
@click.option("--dry-run", is_flag=True, help="Say how many runs there would be, and make none.")
@output_option
def create(
    deployment: str,
    start: datetime,
    end: datetime | None,
    slug: str | None,
    parallelism: int,
    params: tuple[str, ...],
    all_params: str | None,
    dry_run: bool,
    output: str,
    **described: Any,
) -> None:
    """Run DEPLOYMENT once for each time of its schedule (or of the one that the options describe) that has passed.

    Each run is due at the time that it stands for (`penstock.runtime.flow_run.scheduled_start_time`).
    """
    found = find(deployment)
    schedule = schedule_of(**described)
    zone = described["timezone"] or ("UTC" if schedule is not None else _zone_of(found.schedules, slug))
    made = ask(
        asked.CREATE_BACKFILL,
        asked.CreateBackfill(
            deployment_id=found.id,
            start=moment_in(start, zone),
            end=shown.now() if end is None else moment_in(end, zone),
            schedule=schedule,
            slug=slug,
            parallelism=parallelism,
            parameters={**params_object(all_params), **pairs(params)},
            dry_run=dry_run,
        ),
    )
    if output == JSON:
        print_json(_document(made))
        return
    what = f"{shown.count_of(made.total, 'run')} of deployment {made.deployment_name!r}, {parallelism} at once"
    if dry_run:
        click.echo(f"Would make {what}: {in_words(made.schedule)}, {_span(made)}.")
    else:
        click.echo(f"Created backfill {made.id}: {what}.")


@backfill.command()
@click.argument("deployment", required=False)
@limit_option(20)
@output_option
def ls(deployment: str | None, limit: int, output: str) -> None:
    """List backfills, the newest first."""
    id = None if deployment is None else find(deployment).id
    found = listed(
        asked.FILTER_BACKFILLS,
        lambda size, cursor: asked.FilterBackfills(deployment_id=id, limit=size, cursor=cursor),
        limit,
    )
    if output == JSON:
        print_json([_document(each) for each in found])
    elif found:
        rows = [(each.id, each.deployment_name, each.status.value, _progress(each), _span(each)) for each in found]
        print_table(("ID", "Deployment", "Status", "Runs", "Times"), rows)
    else:
        remark("There are no backfills. To make one: `penstock deployment backfill create NAME --start TIME`.")


@backfill.command()
@click.argument("id")
@output_option
def inspect(id: str, output: str) -> None:
    """Show everything known of a backfill."""
    found = ask(asked.READ_BACKFILL, asked.BackfillById(_id(id)))
    if output == JSON:
        print_json(_document(found))
        return
    print_fields(
        {
            "Backfill": found.id,
            "Deployment": found.deployment_name,
            "Status": found.status.value,
            "Schedule": in_words(found.schedule),
            "Times": _span(found),
            "Runs": _progress(found),
            "At once": found.parallelism,
            "Created": f"{shown.local(found.created)} by {found.who}",
            "Cancelled": shown.local(found.cancelled),
            "Ended": shown.local(found.ended),
        }
    )


@backfill.command()
@click.argument("id")
def cancel(id: str) -> None:
    """Make no more runs of a backfill, and cancel those that have not ended."""
    found = ask(asked.CANCEL_BACKFILL, asked.BackfillById(_id(id)))
    if found.status.value == "completed":
        click.echo(f"Backfill {found.id} had ended already.")
    else:
        click.echo(f"Cancelled backfill {found.id}.")


def _document(found: Backfill) -> dict[str, Any]:
    return {**msgspec.to_builtins(found), "status": found.status.value}


def _progress(found: Backfill) -> str:
    counts = {StateType(type_): count for type_, count in found.counts.items()}
    return f"{found.made:,} of {found.total:,}  {shown.tally(counts)}".rstrip()


def _span(found: Backfill) -> str:
    return f"{shown.local(found.start)[:19]} to {shown.local(found.end)[:19]}"


def _zone_of(schedules: Any, slug: str | None) -> str | None:
    """The zone of the schedule that is meant; None, the machine's, where that is not clear."""
    named = [each.schedule for each in schedules if slug is None or slug in (each.slug, str(each.id))]
    return getattr(named[0], "timezone", None) if len(named) == 1 else None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ObjectNotFound(f"Backfill {text!r} not found! (A backfill is named by its id.)") from None
