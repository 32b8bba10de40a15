"""`penstock worker`, and `penstock agent`: the same thing under its older name. `penstock infrastructure ls`."""

from __future__ import annotations

import click

from penstock.cli import places, shown
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.cli.record import ask
from penstock.domain.errors import ObjectNotFound
from penstock.protocol.launches import FILTER_LAUNCHES, FILTER_WORKERS, FilterLaunches, FilterWorkers
from penstock.protocol.work_pools import CREATE_POOL, READ_POOL, CreatePool, PoolByName


@click.group()
def worker() -> None:
    """Start and view workers, which run what is deployed."""


@worker.command()
@click.option("--pool", "-p", "pool", required=True, metavar="NAME", help="The work pool whose runs it takes.")
@click.option("--type", "-t", "type_", metavar="TYPE", help="The pool's type; a pool that is not there is created.")
@click.option("--work-queue", "--queue", "-q", "queues", multiple=True, metavar="NAME", help="Of these queues only.")
@click.option("--name", "-n", metavar="NAME", help="The worker's name; its host and pid by itself.")
@click.option("--limit", "-l", type=click.IntRange(1), help="Launch so many runs at once at most.")
@click.option("--run-once", is_flag=True, help="Take what is due now, and end when that has ended.")
def start(
    pool: str, type_: str | None, queues: tuple[str, ...], name: str | None, limit: int | None, run_once: bool
) -> None:
    """Start a worker.

    It ends on Ctrl-C or SIGTERM when the runs that it has launched have ended; told once more, it ends at once and
    leaves them to the next worker.
    """
    _work(pool, type_, queues, name, limit, run_once)


@worker.command()
@click.option("--pool", "-p", "pool", metavar="NAME", help="Those of this work pool.")
@click.option("--all", "-a", "all_", is_flag=True, help="Also those that are offline.")
@output_option
def ls(pool: str | None, all_: bool, output: str) -> None:
    """List workers, those heard of last first."""
    found = ask(FILTER_WORKERS, FilterWorkers(work_pool=pool, all=all_)).items
    if output == JSON:
        print_json(found)
    elif found:
        now = shown.now()
        rows = [
            (
                each.name,
                each.work_pool or "(serves deployments)",
                each.type,
                f"{each.running}/{each.limit or '∞'}",
                "online" if each.is_online(now) else "offline",
                shown.relative(each.heard, now),
            )
            for each in found
        ]
        print_table(("Name", "Work pool", "Type", "Runs", "State", "Heard"), rows)
    else:
        remark("No worker is online. To start one: `penstock worker start --pool NAME`.")


@click.group()
def agent() -> None:
    """Start a worker under its older name."""


@agent.command("start")
@click.option("--pool", "-p", "pool", default="default-agent-pool", show_default=True, metavar="NAME", help="The pool.")
@click.option("--work-queue", "-q", "queues", multiple=True, metavar="NAME", help="Of these queues only.")
@click.option("--limit", "-l", type=click.IntRange(1), help="Launch so many runs at once at most.")
@click.option("--run-once", is_flag=True, help="Take what is due now, and end when that has ended.")
def start_agent(pool: str, queues: tuple[str, ...], limit: int | None, run_once: bool) -> None:
    """Start an agent: a worker of a pool of processes, which is created when it is not there."""
    _work(pool, "process", queues, None, limit, run_once)


@click.group()
def infrastructure() -> None:
    """View what runs are launched on."""


@infrastructure.command("ls")
@click.option("--pool", "-p", "pool", metavar="NAME", help="Of this work pool.")
@output_option
def ls_infrastructure(pool: str | None, output: str) -> None:
    """List where runs are, and the command that would end each by hand."""
    found = ask(FILTER_LAUNCHES, FilterLaunches(work_pool=pool, limit=1000)).items
    if output == JSON:
        print_json(found)
    elif found:
        for each in found:
            place = each.launch.place
            click.echo(f"{each.run.id}  {each.run.name}  {each.run.state_name}")
            click.echo(f"  {'not launched yet' if place is None else f'{place.type} {place}'}")
            if place is not None:
                click.echo(f"  by hand: {places.by_hand(place)}")
            if each.launch.problem:
                click.echo(f"  {shown.one_line(each.launch.problem)}")
    else:
        remark("Nothing is launched.")


def _work(
    pool: str, type_: str | None, queues: tuple[str, ...], name: str | None, limit: int | None, run_once: bool
) -> None:
    from penstock.infrastructure import drivers
    from penstock.worker import starting

    if type_ is not None:
        drivers.check(type_)
    try:
        found = ask(READ_POOL, PoolByName(pool))
    except ObjectNotFound:
        if type_ is None:
            raise
        found = ask(CREATE_POOL, CreatePool(name=pool, type=type_))
        click.echo(f"Created work pool {pool!r} of type {type_}.")
    if type_ is not None and type_ != found.type:
        raise click.UsageError(f"Work pool {pool!r} is of type {found.type!r}, not {type_!r}.")
    served = "" if not queues else f", queue {', '.join(map(repr, queues))}"
    remark(f"Waiting for runs of work pool {pool!r}{served} (Ctrl-C ends it).")
    starting.start(
        found.type, name=name, work_pool=pool, queues=queues, limit=limit, once=run_once, way="worker",
        say=lambda text: click.echo(text, err=True), line=starting.line_to_terminal,
    )  # fmt: skip
