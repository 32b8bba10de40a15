"""`penstock deployment`: list, look into, run, pause and delete deployments."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta

import click

from penstock.cli import choosing, shown
from penstock.cli.backfill import backfill
from penstock.cli.keys import key_fields
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.cli.parameters import pairs, params_object
from penstock.cli.record import ask, listed
from penstock.cli.schedules import find, schedule
from penstock.cli.times import Span, Time
from penstock.domain.deployments import Deployment
from penstock.domain.errors import ObjectNotFound
from penstock.domain.schedule_times import in_words
from penstock.domain.trace_context import trace_in
from penstock.protocol import deployments as asked
from penstock.protocol.launches import FILTER_WORKERS, FilterWorkers
from penstock.protocol.work_pools import READ_QUEUE, QueueByName

NONE = "There are no deployments yet. In Python: `my_flow.serve('name')`, or `my_flow.deploy('name', 'pool')`."
# When nobody has asked for a deployment's runs for so long, that is said.
UNPOLLED = timedelta(seconds=60)


@click.group()
def deployment() -> None:
    """View and run deployments."""


deployment.add_command(schedule)
deployment.add_command(backfill)


@deployment.command()
@click.option("--flow-name", metavar="NAME", help="Those of this flow.")
@click.option("--pool", "-p", "work_pool", metavar="NAME", help="Those in this work pool.")
@choosing.limit_option(100)
@output_option
def ls(flow_name: str | None, work_pool: str | None, limit: int, output: str) -> None:
    """List deployments, by flow and name."""
    found = listed(
        asked.FILTER_DEPLOYMENTS,
        lambda size, cursor: asked.FilterDeployments(
            flow_name=flow_name, work_pool=work_pool, limit=size, cursor=cursor
        ),
        limit,
    )
    if output == JSON:
        print_json(found)
    elif found:
        rows = [
            (
                each.id,
                each.full_name,
                each.work_pool or "served",
                _schedules(each),
                shown.one_line(", ".join(each.tags)),
            )
            for each in found
        ]
        print_table(("ID", "Name", "Work pool", "Schedules", "Tags"), rows)
    else:
        remark(NONE)


@deployment.command()
@click.argument("name")
@output_option
def inspect(name: str, output: str) -> None:
    """Show everything known of a deployment. NAME is its flow/name, its id, or its name alone."""
    found = find(name)
    if output == JSON:
        print_json(found)
        return
    print_fields(
        {
            "Deployment": found.full_name,
            "ID": found.id,
            "Description": shown.one_line(found.description or ""),
            "Version": found.version or "",
            "Revision": found.revision,
            "Paused": "yes" if found.paused else "no",
            "Entrypoint": found.entrypoint or "",
            "Path": found.path or "",
            "Pull steps": ", ".join(step for each in found.pull_steps for step in each),
            "Work pool": found.work_pool or "none: it is run by the process that serves it",
            "Work queue": found.work_queue or "",
            "Limit": "none" if found.concurrency_limit is None else f"{found.concurrency_limit} ({found.collision})",
            **key_fields(found),
            "Tags": shown.one_line(", ".join(found.tags)),
            "Parameters": shown.one_line(json.dumps(found.parameters, ensure_ascii=False)),
            "Job variables": shown.one_line(json.dumps(found.job_variables, ensure_ascii=False)),
            "Created": shown.local(found.created),
            "Updated": shown.local(found.updated),
        }
    )
    for each in found.schedules:
        click.echo(f"Schedule {each.id}: {in_words(each.schedule)}{'' if each.active else ' (paused)'}")
    say_unpolled(found)


@deployment.command()
@click.argument("name")
@click.option(
    "--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; VALUE is JSON, or text."
)
@click.option(
    "--params", "all_params", metavar="JSON", help="All parameters, as one JSON object; - reads it from stdin."
)
@click.option("--start-in", "--in", "start_in", type=Span(), metavar="SPAN", help="Due in so long: 90, 5m, 2h.")
@click.option("--start-at", "--at", "start_at", type=Time(), metavar="TIME", help="Due at this time.")
@click.option("--flow-run-name", metavar="NAME", help="The run's name.")
@click.option("--tag", "-t", "tags", multiple=True, metavar="TAG", help="One more tag of the run.")
@click.option("--job-variable", "-jv", "variables", multiple=True, metavar="NAME=VALUE", help="Over the deployment's.")
@click.option(
    "--priority", type=click.IntRange(0), metavar="NUMBER", help="Lower goes first in its queue; 100 by itself."
)
@click.option("--concurrency-key", metavar="KEY", help="The run's key itself, in place of its parameters'.")
@click.option("--watch", is_flag=True, help="Wait for the run's end; exit with 0 if it completed, else with 1.")
@output_option
def run(
    name: str,
    params: tuple[str, ...],
    all_params: str | None,
    start_in: float | None,
    start_at: datetime | None,
    flow_run_name: str | None,
    tags: tuple[str, ...],
    variables: tuple[str, ...],
    priority: int | None,
    concurrency_key: str | None,
    watch: bool,
    output: str,
) -> None:
    """Have a deployment run."""
    found = find(name)
    due = None if start_at is None else start_at.astimezone(UTC)
    if start_in is not None:
        if due is not None:
            raise click.UsageError("Say --start-in or --start-at, not both.")
        due = shown.now() + timedelta(seconds=start_in)
    wanted = asked.CreateRun(
        id=found.id, parameters={**params_object(all_params), **pairs(params)}, scheduled_time=due, name=flow_run_name,
        tags=tags, job_variables=pairs(variables), priority=priority,
        concurrency_key=concurrency_key, **trace_in(os.environ),
    )  # fmt: skip
    made = ask(asked.CREATE_RUN, wanted)
    if output == JSON:
        print_json(shown.document(made))
    else:
        click.echo(f"Created flow run {made.name!r} of deployment {found.full_name!r}.")
        print_fields({"ID": made.id, "Due": shown.local(made.expected_start_time)})
        say_unpolled(found)
    if watch:
        from penstock.cli import watch as watching

        draw = watching.draw if is_terminal(sys.stdout) and output != JSON else watching.tell
        raise SystemExit(0 if draw(made.id).state.is_completed() else 1)


@deployment.command()
@click.argument("name")
def pause(name: str) -> None:
    """Run no more by the schedules of a deployment; runs that are planned and not claimed are taken back."""
    found = find(name)
    ask(asked.UPDATE_DEPLOYMENT, asked.UpdateDeployment(id=found.id, paused=True))
    click.echo(f"Paused deployment {found.full_name!r}.")


@deployment.command()
@click.argument("name")
def resume(name: str) -> None:
    """Run by the schedules of a deployment again, from now on."""
    found = find(name)
    ask(asked.UPDATE_DEPLOYMENT, asked.UpdateDeployment(id=found.id, paused=False))
    click.echo(f"Resumed deployment {found.full_name!r}.")


@deployment.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(names: tuple[str, ...], yes: bool) -> None:
    """Delete deployments. Their runs that wait are cancelled; those that run go on."""
    found = [find(name) for name in names]
    if not yes and is_terminal(sys.stdin):
        named = ", ".join(repr(each.full_name) for each in found)
        click.confirm(f"Are you sure you want to delete {named}?", abort=True)
    for each in found:
        ask(asked.DELETE_DEPLOYMENT, asked.DeploymentById(each.id))
        click.echo(f"Deleted deployment {each.full_name!r}.")


def _schedules(found: Deployment) -> str:
    if found.paused:
        return "paused"
    return shown.one_line("; ".join(in_words(each.schedule) for each in found.schedules if each.active))


def say_unpolled(found: Deployment) -> None:
    """A run that nobody will ever take looks like one that is late."""
    if found.work_pool is None:
        heard = found.last_polled
        if heard is None or shown.now() - heard > UNPOLLED:
            remark(f"Nothing is serving deployment {found.full_name!r}: start the program that calls serve().")
        return
    try:
        ask(READ_QUEUE, QueueByName(found.work_pool, found.work_queue or "default"))
    except ObjectNotFound as error:
        remark(f"{error} What waits there is run by nobody.")
        return
    online = ask(FILTER_WORKERS, FilterWorkers(work_pool=found.work_pool)).items
    queue = found.work_queue or "default"
    if not any(not each.queues or queue in each.queues for each in online):
        remark(
            f"Nothing is polling queue {queue!r} of work pool {found.work_pool!r}: "
            f"`penstock worker start --pool {found.work_pool}`."
        )
