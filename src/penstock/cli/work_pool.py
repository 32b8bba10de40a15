"""`penstock work-pool` and `penstock work-queue`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from msgspec import UNSET

from penstock.cli import choosing, shown
from penstock.cli.keys import key_options
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.cli.record import ask, listed
from penstock.domain.concurrency_keys import rate_in
from penstock.domain.errors import WorkPoolError
from penstock.domain.pools import WorkPool, WorkQueue
from penstock.infrastructure import drivers
from penstock.protocol import work_pools as asked
from penstock.protocol.launches import FILTER_LAUNCHES, FILTER_WORKERS, FilterLaunches, FilterWorkers

NONE = "There are no work pools yet. To create the first: `penstock work-pool create NAME --type process`."
POOL = click.option("--pool", "-p", "pool", required=True, metavar="NAME", help="The work pool that the queue is of.")


@click.group("work-pool")
def work_pool() -> None:
    """Manage work pools."""


@work_pool.command()
@click.argument("name")
@click.option("--type", "-t", "type_", default="process", show_default=True, help="What runs are launched as.")
@click.option(
    "--base-job-template", type=click.Path(exists=True, dir_okay=False), help="A JSON file with the template."
)
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--concurrency-limit", type=click.IntRange(0), help="How many runs may be launched at once.")
@click.option("--grace", type=click.FloatRange(0), metavar="SECONDS", help="What runs have to come to an end.")
@click.option("--paused", is_flag=True, help="Give no runs yet.")
@click.option("--overwrite", is_flag=True, help="Also one that is there.")
def create(
    name: str,
    type_: str,
    base_job_template: str | None,
    description: str | None,
    concurrency_limit: int | None,
    grace: float | None,
    paused: bool,
    overwrite: bool,
) -> None:
    """Create a work pool."""
    drivers.check(type_)
    made = ask(
        asked.CREATE_POOL,
        asked.CreatePool(
            name=name,
            type=type_,
            description=description,
            base_job_template=_template(base_job_template),
            concurrency_limit=concurrency_limit,
            grace=grace,
            is_paused=paused,
            overwrite=overwrite,
        ),
    )
    click.echo(f"Created work pool {made.name!r}. To run what comes to it: `penstock worker start --pool {made.name}`.")


@work_pool.command()
@choosing.limit_option(100)
@output_option
def ls(limit: int, output: str) -> None:
    """List work pools, by name."""
    found = listed(asked.FILTER_POOLS, lambda size, cursor: asked.FilterPools(limit=size, cursor=cursor), limit)
    if output == JSON:
        print_json(found)
    elif found:
        rows = [(each.name, each.type, _limit(each), "paused" if each.is_paused else "") for each in found]
        print_table(("Name", "Type", "Limit", ""), rows)
    else:
        remark(NONE)


@work_pool.command()
@click.argument("name")
@output_option
def inspect(name: str, output: str) -> None:
    """Show everything known of a work pool."""
    pool = _read(name)
    if output == JSON:
        print_json(pool)
        return
    queues = ask(asked.READ_QUEUES, asked.QueuesOf(name)).items
    workers = ask(FILTER_WORKERS, FilterWorkers(work_pool=name)).items
    launched = ask(FILTER_LAUNCHES, FilterLaunches(work_pool=name, limit=1000)).items
    print_fields(
        {
            "Work pool": pool.name,
            "Type": pool.type,
            "Description": shown.one_line(pool.description or ""),
            "Paused": "yes" if pool.is_paused else "no",
            "Limit": _limit(pool),
            "Launched": shown.count_of(len(launched), "run"),
            "Queues": ", ".join(queue.name for queue in queues),
            "Workers": ", ".join(worker.name for worker in workers) or "none is heard of",
            "Template": shown.one_line(json.dumps(pool.base_job_template))
            if pool.base_job_template
            else "the type's own",
            "Created": shown.local(pool.created),
        }
    )


@work_pool.command()
@click.argument("name")
@click.option(
    "--base-job-template", type=click.Path(exists=True, dir_okay=False), help="A JSON file with the template."
)
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--concurrency-limit", type=click.IntRange(0), help="How many runs may be launched at once.")
@click.option("--grace", type=click.FloatRange(0), metavar="SECONDS", help="What runs have to come to an end.")
def update(
    name: str,
    base_job_template: str | None,
    description: str | None,
    concurrency_limit: int | None,
    grace: float | None,
) -> None:
    """Change a work pool."""
    given: dict[str, Any] = {"description": description, "concurrency_limit": concurrency_limit, "grace": grace}
    fields = {key: UNSET if value is None else value for key, value in given.items()}
    if base_job_template is not None:
        fields["base_job_template"] = _template(base_job_template)
    ask(asked.UPDATE_POOL, asked.UpdatePool(name=name, **fields))
    click.echo(f"Changed work pool {name!r}.")


@work_pool.command()
@click.argument("name")
def pause(name: str) -> None:
    """Give no more runs of a work pool to workers."""
    ask(asked.UPDATE_POOL, asked.UpdatePool(name=name, is_paused=True))
    click.echo(f"Paused work pool {name!r}.")


@work_pool.command()
@click.argument("name")
def resume(name: str) -> None:
    """Give runs of a work pool to workers again."""
    ask(asked.UPDATE_POOL, asked.UpdatePool(name=name, is_paused=False))
    click.echo(f"Resumed work pool {name!r}.")


@work_pool.command("set-concurrency-limit")
@click.argument("name")
@click.argument("limit", type=click.IntRange(0))
def set_concurrency_limit(name: str, limit: int) -> None:
    """Say how many runs of a work pool may be launched at once."""
    ask(asked.UPDATE_POOL, asked.UpdatePool(name=name, concurrency_limit=limit))
    click.echo(f"At most {shown.count_of(limit, 'run')} of work pool {name!r} at once.")


@work_pool.command("clear-concurrency-limit")
@click.argument("name")
def clear_concurrency_limit(name: str) -> None:
    """Let any number of runs of a work pool be launched."""
    ask(asked.UPDATE_POOL, asked.UpdatePool(name=name, concurrency_limit=None))
    click.echo(f"No limit on runs of work pool {name!r}.")


@work_pool.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a work pool."""
    _read(name)
    if not yes and is_terminal(sys.stdin):
        click.confirm(f"Are you sure you want to delete work pool {name!r}?", abort=True)
    ask(asked.DELETE_POOL, asked.PoolByName(name))
    click.echo(f"Deleted work pool {name!r}.")


@work_pool.command("get-default-base-job-template")
@click.option("--type", "-t", "type_", default="process", show_default=True, help="The type of infrastructure.")
def get_default_base_job_template(type_: str) -> None:
    """Print a type's own base job template, to begin one from."""
    from penstock.infrastructure import drivers

    print_json(drivers.template(type_))


def _read(name: str) -> WorkPool:
    return ask(asked.READ_POOL, asked.PoolByName(name))


def _limit(found: WorkPool | WorkQueue) -> str:
    return "none" if found.concurrency_limit is None else str(found.concurrency_limit)


def _template(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise WorkPoolError(f"{path} is no JSON file: {error}.") from None
    if not isinstance(found, dict):
        raise WorkPoolError(f"{path} holds no JSON object.")
    return found


# --- queues ----------------------------------------------------------------------------------------------------------


@click.group("work-queue")
def work_queue() -> None:
    """Manage the queues of work pools."""


@work_queue.command("create")
@click.argument("name")
@POOL
@click.option("--priority", type=click.IntRange(0), default=100, show_default=True, help="Lower goes first.")
@click.option("--limit", "-l", type=click.IntRange(0), help="How many runs may be launched at once.")
@key_options
def create_queue(name: str, pool: str, priority: int, limit: int | None, rate_limit_per_key: Any, **keys: Any) -> None:
    """Create a queue."""
    rate = rate_in(rate_limit_per_key)
    made = asked.CreateQueue(
        work_pool=pool, name=name, priority=priority, concurrency_limit=limit, rate_limit_per_key=rate, **keys
    )
    ask(asked.CREATE_QUEUE, made)
    click.echo(f"Created queue {name!r} of work pool {pool!r}.")


@work_queue.command("ls")
@POOL
@output_option
def ls_queues(pool: str, output: str) -> None:
    """List the queues of a work pool, those that go first first."""
    found = ask(asked.READ_QUEUES, asked.QueuesOf(pool)).items
    if output == JSON:
        print_json(found)
        return
    now = shown.now()
    rows = [
        (
            each.name,
            each.priority,
            _limit(each),
            "never" if each.last_polled is None else shown.relative(each.last_polled, now),
            "paused" if each.is_paused else "",
        )
        for each in found
    ]
    print_table(("Name", "Priority", "Limit", "Polled", ""), rows)


@work_queue.command("inspect")
@click.argument("name")
@POOL
def inspect_queue(name: str, pool: str) -> None:
    """Show everything known of a queue, as JSON."""
    print_json(ask(asked.READ_QUEUE, asked.QueueByName(pool, name)))


@work_queue.command("pause")
@click.argument("name")
@POOL
def pause_queue(name: str, pool: str) -> None:
    """Give no more runs of a queue to workers."""
    ask(asked.UPDATE_QUEUE, asked.UpdateQueue(work_pool=pool, name=name, is_paused=True))
    click.echo(f"Paused queue {name!r} of work pool {pool!r}.")


@work_queue.command("resume")
@click.argument("name")
@POOL
def resume_queue(name: str, pool: str) -> None:
    """Give runs of a queue to workers again."""
    ask(asked.UPDATE_QUEUE, asked.UpdateQueue(work_pool=pool, name=name, is_paused=False))
    click.echo(f"Resumed queue {name!r} of work pool {pool!r}.")


@work_queue.command("set-concurrency-limit")
@click.argument("name")
@click.argument("limit", type=click.IntRange(0))
@POOL
def set_queue_limit(name: str, limit: int, pool: str) -> None:
    """Say how many runs of a queue may be launched at once."""
    ask(asked.UPDATE_QUEUE, asked.UpdateQueue(work_pool=pool, name=name, concurrency_limit=limit))
    click.echo(f"At most {shown.count_of(limit, 'run')} of queue {name!r} at once.")


@work_queue.command("update")
@click.argument("name")
@POOL
@click.option("--priority", type=click.IntRange(0), help="Lower goes first.")
@key_options
@click.option("--no-keys", is_flag=True, help="No key, and no limits per key any more.")
def update_queue(name: str, pool: str, priority: int | None, no_keys: bool, **keys: Any) -> None:
    """Change a queue's priority, or by what its runs take turns; the runs to come have the new key."""
    given = {each: value for each, value in keys.items() if value is not None}
    if no_keys:
        if given:
            raise click.UsageError("Say --no-keys, or what the keys are; not both.")
        given = dict.fromkeys(keys)
    elif "rate_limit_per_key" in given:
        given["rate_limit_per_key"] = rate_in(given["rate_limit_per_key"])
    if priority is not None:
        given["priority"] = priority
    if not given:
        raise click.UsageError("Say what to change: --priority, --concurrency-key, --no-keys ...")
    ask(asked.UPDATE_QUEUE, asked.UpdateQueue(work_pool=pool, name=name, **given))
    click.echo(f"Changed queue {name!r} of work pool {pool!r}.")


@work_queue.command("delete")
@click.argument("name")
@POOL
def delete_queue(name: str, pool: str) -> None:
    """Delete a queue."""
    ask(asked.DELETE_QUEUE, asked.QueueByName(pool, name))
    click.echo(f"Deleted queue {name!r} of work pool {pool!r}.")
