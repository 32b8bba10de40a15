"""Options that describe a schedule, and `penstock deployment schedule`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from penstock.cli import shown
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.cli.record import ask
from penstock.cli.times import Time
from penstock.domain.deployments import Deployment
from penstock.domain.errors import ObjectNotFound, ScheduleError
from penstock.domain.schedule_times import in_words
from penstock.domain.schedules import (
    CatchUp,
    CronSchedule,
    DeploymentSchedule,
    IntervalSchedule,
    OneOffSchedule,
    Overlap,
    RRuleSchedule,
    Schedule,
)
from penstock.protocol import deployments as asked

F = TypeVar("F", bound=Callable[..., Any])


def schedule_options(command: F) -> F:
    """Adds the options from which `schedule_of` makes a schedule."""
    options = (
        click.option("--cron", metavar="TEXT", help='Five fields, such as "0 6 * * 1-5".'),
        click.option("--interval", type=click.FloatRange(1), metavar="SECONDS", help="Every so many seconds."),
        click.option("--rrule", metavar="TEXT", help="A recurrence rule as RFC 5545 writes it."),
        click.option("--at", metavar="TIME", help="Once, at this time (2026-06-30T06:00).", type=Time()),
        click.option("--timezone", metavar="NAME", help="The zone that it is read in; UTC by itself."),
        click.option("--anchor-date", metavar="TIME", help="From when an interval is counted.", type=Time()),
        click.option("--day-and", is_flag=True, help="Of a cron schedule: both days have to fit, not either."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def schedule_of(
    cron: str | None,
    interval: float | None,
    rrule: str | None,
    at: datetime | None,
    timezone: str | None,
    anchor_date: datetime | None,
    day_and: bool,
) -> Schedule | None:
    """The schedule that the options describe; None without one. Raises `ScheduleError` for several."""
    given = [
        name for name, value in (("--cron", cron), ("--interval", interval), ("--rrule", rrule), ("--at", at)) if value
    ]
    if len(given) > 1:
        raise ScheduleError(f"One schedule is described by one of {', '.join(given)}.")
    zone = timezone or "UTC"
    if cron is not None:
        return CronSchedule(cron, timezone=zone, day_or=not day_and)
    if interval is not None:
        anchor = None if anchor_date is None else moment_in(anchor_date, timezone)
        return IntervalSchedule(interval, anchor_date=anchor, timezone=zone)
    if rrule is not None:
        return RRuleSchedule(rrule, timezone=zone)
    return None if at is None else OneOffSchedule(moment_in(at, timezone))


def moment_in(moment: datetime, timezone: str | None) -> datetime:
    """A time as it was typed, in the zone given, else in that of this machine. Raises `ScheduleError`."""
    if moment.tzinfo is not None:
        return moment
    if timezone is None:
        return moment.astimezone(UTC)
    from zoneinfo import ZoneInfo

    try:
        return moment.replace(tzinfo=ZoneInfo(timezone))
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"There is no time zone {timezone!r}.") from None


@click.group()
def schedule() -> None:
    """View and manage a deployment's schedules."""


@schedule.command()
@click.argument("deployment")
@schedule_options
@click.option("--slug", metavar="NAME", help="A name of its own, by which it is found.")
@click.option("--inactive", is_flag=True, help="Do not run by it yet.")
@click.option("--replace", is_flag=True, help="In place of all schedules that there are.")
@click.option(
    "--catchup",
    type=click.Choice([each.value for each in CatchUp]),
    default="latest",
    show_default=True,
    help="What becomes of times that passed while nobody planned runs.",
)
@click.option("--catchup-window", type=click.FloatRange(0), metavar="SECONDS", help="How far back that looks.")
@click.option(
    "--overlap",
    type=click.Choice([each.value for each in Overlap]),
    default="allow",
    show_default=True,
    help="What becomes of a run while an earlier one of the schedule has not ended.",
)
@click.option("--jitter", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Begin up to so much later.")
def create(
    deployment: str,
    slug: str | None,
    inactive: bool,
    replace: bool,
    catchup: str,
    catchup_window: float | None,
    overlap: str,
    jitter: float,
    **described: Any,
) -> None:
    """Give a deployment one more schedule."""
    found = find(deployment)
    wanted = schedule_of(**described)
    if wanted is None:
        raise click.UsageError("Say when: --cron, --interval, --rrule or --at.")
    old = found.schedules if replace else ()
    made = ask(
        asked.ADD_SCHEDULE,
        asked.AddSchedule(
            deployment_id=found.id,
            schedule=wanted,
            active=not inactive,
            slug=slug,
            catchup=CatchUp(catchup),
            catchup_window=catchup_window,
            overlap=Overlap(overlap),
            jitter=jitter,
        ),
    )
    for each in old:
        ask(asked.DELETE_SCHEDULE, asked.ScheduleOf(found.id, each.id))
    click.echo(f"Created schedule {made.id} of deployment {found.full_name!r}: {in_words(made.schedule)}.")


@schedule.command()
@click.argument("deployment")
@output_option
def ls(deployment: str, output: str) -> None:
    """List a deployment's schedules."""
    found = find(deployment)
    if output == JSON:
        print_json(found.schedules)
    elif found.schedules:
        rows = [
            (each.id, in_words(each.schedule), _activity(each), each.slug or "", each.overlap.value)
            for each in found.schedules
        ]
        print_table(("ID", "When", "Active", "Slug", "Overlap"), rows)
    else:
        remark(f"Deployment {found.full_name!r} has no schedules.")


@schedule.command()
@click.argument("deployment")
@click.argument("schedule_id")
def pause(deployment: str, schedule_id: str) -> None:
    """Run no more by a schedule; runs that are planned and not claimed are taken back."""
    _set_active(deployment, schedule_id, False)


@schedule.command()
@click.argument("deployment")
@click.argument("schedule_id")
def resume(deployment: str, schedule_id: str) -> None:
    """Run by a schedule again, from now on."""
    _set_active(deployment, schedule_id, True)


@schedule.command()
@click.argument("deployment")
@click.argument("schedule_id")
def delete(deployment: str, schedule_id: str) -> None:
    """Delete a schedule, and the runs planned by it that nobody has claimed."""
    found = find(deployment)
    each = _schedulemoment_in(found, schedule_id)
    ask(asked.DELETE_SCHEDULE, asked.ScheduleOf(found.id, each.id))
    click.echo(f"Deleted schedule {each.id} of deployment {found.full_name!r}.")


@schedule.command()
@click.argument("deployment")
def clear(deployment: str) -> None:
    """Delete all schedules of a deployment."""
    found = find(deployment)
    for each in found.schedules:
        ask(asked.DELETE_SCHEDULE, asked.ScheduleOf(found.id, each.id))
    click.echo(f"Deleted {shown.count_of(len(found.schedules), 'schedule')} of deployment {found.full_name!r}.")


@schedule.command()
@click.argument("deployment", required=False)
@schedule_options
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="So many times.")
def preview(deployment: str | None, limit: int, **described: Any) -> None:
    """Show the next times of a schedule that the options describe, or of a deployment's schedules."""
    wanted = schedule_of(**described)
    found: list[Schedule] = [] if wanted is None else [wanted]
    if wanted is None and deployment is not None:
        found = [each.schedule for each in find(deployment).schedules]
    if not found:
        raise click.UsageError("Say which: --cron, --interval, --rrule or --at, or a deployment that has schedules.")
    for each in found:
        seen = ask(asked.PREVIEW_SCHEDULE, asked.PreviewSchedule(schedule=each, limit=limit))
        click.echo(seen.words)
        for moment in seen.times:
            click.echo(f"  {shown.local(moment)}")


def find(text: str) -> Deployment:
    return ask(asked.FIND_DEPLOYMENT, asked.FindDeployment(text))


def _activity(schedule: DeploymentSchedule) -> str:
    if schedule.problem is not None:
        return f"stopped: {shown.one_line(schedule.problem)}"
    return "yes" if schedule.active else "paused"


def _set_active(deployment: str, schedule_id: str, active: bool) -> None:
    found = find(deployment)
    each = _schedulemoment_in(found, schedule_id)
    ask(asked.UPDATE_SCHEDULE, asked.UpdateSchedule(deployment_id=found.id, schedule_id=each.id, active=active))
    click.echo(f"{'Resumed' if active else 'Paused'} schedule {each.id} of deployment {found.full_name!r}.")


def _schedulemoment_in(deployment: Deployment, text: str) -> DeploymentSchedule:
    for each in deployment.schedules:
        if text in (str(each.id), each.slug):
            return each
    raise ObjectNotFound(f"Deployment {deployment.full_name!r} has no schedule {text!r}!")
