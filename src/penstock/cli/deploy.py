"""`penstock deploy`: records deployments, of the project's file or of one entrypoint, and shows first what changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from penstock.cli import shown
from penstock.cli.deployment import say_unpolled
from penstock.cli.keys import key_options
from penstock.cli.output import JSON, is_terminal, output_option, print_json, remark
from penstock.cli.parameters import pairs, params_object
from penstock.cli.project_file import FILE, Limit, Pool, Project, Written, read
from penstock.cli.record import ask
from penstock.cli.schedules import schedule_of, schedule_options
from penstock.domain.deployments import Collision
from penstock.domain.errors import DeploymentError
from penstock.domain.schedule_times import in_words
from penstock.protocol.deployments import APPLY_DEPLOYMENT, Applied, ApplyDeployment, ScheduleGiven

_OF_SCHEDULES = ("cron", "interval", "rrule", "at", "timezone", "anchor_date", "day_and")


@click.command()
@click.argument("entrypoint", required=False)
@click.option("--name", "-n", "names", multiple=True, metavar="NAME", help="Of the file's: this one. Else: the name.")
@click.option("--all", "every", is_flag=True, help="All deployments of the file.")
@click.option(
    "--file",
    "--penstock-file",
    "file",
    type=click.Path(path_type=Path),
    help=f"The project's file. [default: {FILE}, where there is one]",
)
@click.option("--pool", "-p", metavar="NAME", help="The work pool.")
@click.option("--work-queue", "-q", metavar="NAME", help="The queue of the pool.")
@click.option("--job-variable", "-jv", "variables", multiple=True, metavar="NAME=VALUE", help="Over the pool's.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; VALUE is JSON, or text.")
@click.option("--params", "all_params", metavar="JSON", help="All parameters, as one JSON object; - reads stdin.")
@schedule_options
@click.option("--tag", "-t", "tags", multiple=True, metavar="TAG", help="A tag.")
@click.option("--version", metavar="TEXT", help="What you call this version.")
@click.option("--description", metavar="TEXT", help="What people read about it.")
@click.option("--concurrency-limit", type=click.IntRange(1), metavar="COUNT", help="So many runs at once.")
@click.option(
    "--collision-strategy", type=click.Choice([each.value for each in Collision]), help="What becomes of one too many."
)
@click.option("--priority", type=click.IntRange(0), metavar="NUMBER", help="Of its runs: lower goes first.")
@key_options
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@output_option
def deploy(
    entrypoint: str | None,
    names: tuple[str, ...],
    every: bool,
    file: Path | None,
    dry_run: bool,
    yes: bool,
    output: str,
    **given: Any,
) -> None:
    """Deploy flows: of penstock.yaml, or the one at ENTRYPOINT (path/to/file.py:function).

    What would change is shown first, and asked about where somebody sits at a terminal.
    """
    project = _project(file)
    schedule = schedule_of(**{name: given[name] for name in _OF_SCHEDULES})
    schedules = None if schedule is None else (ScheduleGiven(schedule=schedule),)
    chosen = [_over(each, given) for each in _chosen(project, entrypoint, names, every)]
    asked = [_wanted(project, each, each.given_schedules() if schedules is None else schedules) for each in chosen]
    found = [ask(APPLY_DEPLOYMENT, msgspec.structs.replace(each, dry_run=True)) for each in asked]
    if output != JSON:
        for each in found:
            _show(each)
    if not dry_run:
        changes = any(each.created or each.changes for each in found)
        if output != JSON and changes and not yes and is_terminal(sys.stdin):
            click.confirm("Apply?", abort=True, default=True)
        found = [ask(APPLY_DEPLOYMENT, each) for each in asked]
    if output == JSON:
        print_json(found)
        return
    for each in found:
        click.echo(f"{'Would deploy' if dry_run else 'Deployed'} {each.deployment.full_name!r}.")
        if not dry_run:
            say_unpolled(each.deployment)


# --- what is wanted --------------------------------------------------------------------------------------------------


def _project(file: Path | None) -> Project:
    if file is not None:
        return read(file)
    path = Path(FILE)
    return read(path) if path.exists() else Project(Path.cwd())


def _chosen(project: Project, entrypoint: str | None, names: Sequence[str], every: bool) -> list[Written]:
    if entrypoint is not None:
        if every:
            raise click.UsageError("Say an ENTRYPOINT, or --all of the file; not both.")
        if len(names) != 1:
            raise click.UsageError("Say how the deployment is called: --name NAME.")
        there = [each for each in project.deployments if each.name == names[0] and each.entrypoint == entrypoint]
        return there or [Written(name=names[0], entrypoint=entrypoint)]
    if not project.deployments:
        raise click.UsageError(
            f"There is no {FILE} with deployments here. Say what to deploy: "
            "`penstock deploy path/to/file.py:function --name NAME --pool POOL`."
        )
    if every:
        return list(project.deployments)
    if names:
        return [_named(project, name) for name in names]
    if len(project.deployments) == 1:
        return list(project.deployments)
    listed = ", ".join(each.name for each in project.deployments)
    raise click.UsageError(f"The file has several deployments ({listed}). Say --all, or --name NAME.")


def _named(project: Project, name: str) -> Written:
    """By its name, or as flow/name where several flows have one of that name."""
    flow, slash, own = name.rpartition("/")
    found = [
        each
        for each in project.deployments
        if each.name == own and (not slash or flow in (each.flow_name, each.entrypoint.rpartition(":")[2]))
    ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(each.name for each in project.deployments)
    if found:
        raise DeploymentError(f"The file has {len(found)} deployments named {name!r}. Name the flow, too: flow/{name}.")
    raise DeploymentError(f"The file has no deployment {name!r}; it has: {listed}.")


def _over(written: Written, given: dict[str, Any]) -> Written:
    """With what the command line says over it."""
    changes: dict[str, Any] = {name: given[name] for name in ("version", "description") if given[name] is not None}
    for name in ("priority", "concurrency_key", "concurrency_limit_per_key", "rate_limit_per_key"):
        if given[name] is not None:
            changes[name] = given[name]
    if given["tags"]:
        changes["tags"] = given["tags"]
    params = {**params_object(given["all_params"]), **pairs(given["params"])}
    if params:
        changes["parameters"] = {**written.parameters, **params}
    changes["work_pool"] = _pool(written.work_pool, given)
    if given["concurrency_limit"] is not None or given["collision_strategy"] is not None:
        changes["concurrency_limit"] = _limit(written.concurrency_limit, given)
    return msgspec.structs.replace(written, **changes)


def _pool(written: Pool | None, given: dict[str, Any]) -> Pool | None:
    name = given["pool"] or (None if written is None else written.name)
    variables = pairs(given["variables"])
    if name is None:
        if variables or given["work_queue"]:
            raise click.UsageError("Job variables and queues are of a work pool: say --pool NAME.")
        return None
    same = written is not None and written.name == name
    queue = given["work_queue"] or (written.work_queue_name if same and written is not None else None)
    before = {} if written is None else written.job_variables
    return Pool(name, queue, {**before, **variables})


def _limit(written: int | Limit | None, given: dict[str, Any]) -> Limit:
    before = written if isinstance(written, Limit) else None if written is None else Limit(written)
    limit = given["concurrency_limit"] or (before.limit if before else None)
    if limit is None:
        raise click.UsageError("--collision-strategy goes with --concurrency-limit.")
    strategy = given["collision_strategy"] or (before.collision_strategy if before else Collision.ENQUEUE)
    return Limit(limit, Collision(strategy))


def _wanted(project: Project, written: Written, schedules: tuple[ScheduleGiven, ...] | None) -> ApplyDeployment:
    """Loads the flow, whose parameters and names it has. Raises `DeploymentError`, which names the deployment."""
    if written.work_pool is None:
        raise DeploymentError(
            f"Deployment {written.name!r} needs a work pool: --pool NAME, or `work_pool:` in the file. (Without one a "
            "flow is served by its own program: flow.serve().)"
        )
    flow = _flow(project, written)
    steps = project.pull if written.pull is None else written.pull
    limit = written.concurrency_limit
    made = flow.to_deployment(
        written.name,
        entrypoint=written.entrypoint,
        path=None if steps else str(project.folder),
        pull_steps=steps,
        schedules=None,
        paused=written.paused,
        parameters=written.parameters,
        description=written.description,
        tags=written.tags,
        version=written.version,
        enforce_parameter_schema=written.enforce_parameter_schema,
        work_pool_name=written.work_pool.name,
        work_queue_name=written.work_pool.work_queue_name,
        job_variables=written.work_pool.job_variables,
        concurrency_limit=msgspec.structs.asdict(limit) if isinstance(limit, Limit) else limit,
        priority=written.priority,
        concurrency_key=written.concurrency_key,
        concurrency_limit_per_key=written.concurrency_limit_per_key,
        rate_limit_per_key=written.rate_limit_per_key,
        grace=written.grace,
        start_timeout=written.start_timeout,
    )
    wanted: ApplyDeployment = made.wanted
    return msgspec.structs.replace(wanted, schedules=msgspec.UNSET if schedules is None else schedules)


def _flow(project: Project, written: Written) -> Any:
    from penstock.flows import programs

    try:
        flow = programs.flow_at(project.folder, written.entrypoint, written.flow_name or "")
    except (SyntaxError, ImportError, AttributeError, NameError, SystemExit) as error:
        raise DeploymentError(
            f"Deployment {written.name!r}: {written.entrypoint} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if written.flow_name is not None and flow.name != written.flow_name:
        raise DeploymentError(
            f"Deployment {written.name!r} is of flow {written.flow_name!r}, and {written.entrypoint} is {flow.name!r}."
        )
    return flow


# --- what is shown ---------------------------------------------------------------------------------------------------


def _show(applied: Applied) -> None:
    name = applied.deployment.full_name
    if applied.created:
        click.echo(f"+ {name} (new)")
        for each in applied.deployment.schedules:
            click.echo(f"    + schedule: {in_words(each.schedule)}")
    elif applied.changes:
        click.echo(f"~ {name}")
        for field, (before, after) in applied.changes.items():
            click.echo(f"    {field}: {_value(before)} → {_value(after)}")
    else:
        remark(f"{name} is as it was.")


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return shown.local(value)
    text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    return shown.one_line(text if len(text) <= 200 else f"{text[:199]}…")
