"""`penstock concurrency-limit`: limits on how many do something at once, or how often; who holds slots, who waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.connect import call
from penstock.domain.concurrency import TAG
from penstock.protocol import concurrency_limits as asked
from penstock.protocol.paging import MOST

F = TypeVar("F", bound=Callable[..., Any])

NONE = "There are no concurrency limits yet. To make the first: `penstock concurrency-limit create NAME --limit N`"


@click.group("concurrency-limit")
def concurrency_limit() -> None:
    """Manage concurrency limits.

    A limit named tag:NAME (or NAME with --tag) limits how many task runs with that tag run at once.
    """


def tag_option(command: F) -> F:
    return click.option("--tag", is_flag=True, help="NAME is a tag of task runs.")(command)


decay_option = click.option(
    "--slot-decay-per-second",
    type=click.FloatRange(0),
    metavar="N",
    help="For a rate limit: so many slots come free by themselves each second.",
)


@concurrency_limit.command()
@click.argument("name")
@click.argument("slots", type=click.IntRange(0), required=False, metavar="")
@click.option("--limit", "-l", type=click.IntRange(0), help="How many slots there are; 0 lets nobody in.  [required]")
@decay_option
@click.option("--disable", is_flag=True, help="Take no notice of it for now.")
@tag_option
@output_option
def create(
    name: str,
    slots: int | None,
    limit: int | None,
    slot_decay_per_second: float | None,
    disable: bool,
    tag: bool,
    output: str,
) -> None:
    """Create a limit."""
    if slots is not None:  # so a limit on a tag is made in the field
        raise click.UsageError(
            f"Say what {name} is: a tag of task runs (--tag --limit {slots}), or the name of a limit (--limit {slots})."
        )
    if limit is None:
        raise click.UsageError("Missing option '--limit' / '-l'.")
    wanted = asked.CreateLimit(
        name=_full(name, tag), limit=limit, slot_decay_per_second=slot_decay_per_second or 0.0, active=not disable
    )
    made = call(asked.CREATE_LIMIT, wanted, way="CLI")
    if output == JSON:
        print_json(made)
    else:
        click.echo(f"Created concurrency limit {made.name!r} with {shown.count_of(made.limit, 'slot')}.")


@concurrency_limit.command()
@choosing.limit_option(200)
@output_option
def ls(limit: int, output: str) -> None:
    """List limits, by name."""
    found = list(islice(_all(), limit))
    if output == JSON:
        print_json(found)
    elif found:
        now = shown.now()
        rows = [
            (
                each.name,
                each.limit,
                _number(each.active_slots),
                _rate(each),
                _active(each),
                shown.relative(each.updated, now),
            )
            for each in found
        ]
        print_table(("Name", "Limit", "In use", "Slots a second", "Active", "Updated"), rows)
    else:
        remark(NONE)


@concurrency_limit.command()
@click.argument("name")
@tag_option
@output_option
def inspect(name: str, tag: bool, output: str) -> None:
    """Show a limit, who holds its slots, and who waits."""
    found = call(asked.READ_LIMIT, asked.ByIdOrName(_reference(name, tag)), way="CLI")
    if output == JSON:
        print_json(found)
        return
    print_fields(
        {
            "Concurrency limit": found.name,
            "ID": found.id,
            "Slots": found.limit,
            "In use": _number(found.active_slots),
            "Slots a second": _rate(found) or "none: slots are given back",
            "Active": _active(found),
            "Created": shown.local(found.created),
            "Updated": shown.local(found.updated),
        }
    )
    now = shown.now()
    for title, held in (("Holding slots", found.holding), ("Waiting, in this order", found.waiting)):
        if held:
            click.echo(f"\n{title}:")
            rows = [
                (each.run_id or "no run", each.occupy, each.holder or "", shown.relative(each.taken or each.asked, now))
                for each in held
            ]
            print_table(("ID", "Slots", "Process", "Since"), rows)


@concurrency_limit.command()
@click.argument("name")
@click.option("--limit", "-l", type=click.IntRange(0), help="How many slots there are.")
@decay_option
@click.option("--enable/--disable", default=None, help="Take notice of it, or not.")
@tag_option
@output_option
def update(
    name: str, limit: int | None, slot_decay_per_second: float | None, enable: bool | None, tag: bool, output: str
) -> None:
    """Change a limit; what is not given stays."""
    if limit is None and slot_decay_per_second is None and enable is None:
        raise click.UsageError("Say what to change: --limit, --slot-decay-per-second, --enable or --disable.")
    changed = _update(_reference(name, tag), limit=limit, slot_decay_per_second=slot_decay_per_second, active=enable)
    if output == JSON:
        print_json(changed)
    else:
        click.echo(f"Updated concurrency limit {changed.name!r}.")


@concurrency_limit.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@tag_option
def enable(names: tuple[str, ...], tag: bool) -> None:
    """Take notice of limits (again)."""
    for name in names:
        click.echo(f"Enabled concurrency limit {_update(_reference(name, tag), active=True).name!r}.")


@concurrency_limit.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@tag_option
def disable(names: tuple[str, ...], tag: bool) -> None:
    """Take no notice of limits; who waits goes on."""
    for name in names:
        click.echo(f"Disabled concurrency limit {_update(_reference(name, tag), active=False).name!r}.")


@concurrency_limit.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@tag_option
def reset(name: str, yes: bool, tag: bool) -> None:
    """Free all slots of a limit, whoever holds them: for those who wait."""
    full = _full(name, tag)
    if not yes and is_terminal(sys.stdin):
        click.confirm(f"Are you sure? Code that holds slots of {full!r} goes on without.", abort=True)
    click.echo(
        f"Reset concurrency limit {call(asked.RESET_LIMIT, asked.ByIdOrName(_reference(name, tag)), way='CLI').name!r}."
    )


@concurrency_limit.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@tag_option
def delete(names: tuple[str, ...], yes: bool, tag: bool) -> None:
    """Delete limits; who waits for them goes on."""
    found = [call(asked.READ_LIMIT, asked.ByIdOrName(_reference(name, tag)), way="CLI") for name in names]
    if not yes and is_terminal(sys.stdin):
        named = ", ".join(repr(each.name) for each in found)
        click.confirm(f"Are you sure you want to delete {named}?", abort=True)
    for each in found:
        call(asked.DELETE_LIMIT, asked.ByIdOrName(str(each.id)), way="CLI")
        click.echo(f"Deleted concurrency limit {each.name!r}.")


def _update(name: str, **changes: Any) -> asked.LimitRead:
    return call(asked.UPDATE_LIMIT, asked.UpdateLimit(id_or_name=name, **changes), way="CLI")


def _full(name: str, tag: bool) -> str:
    return TAG + name if tag and not name.startswith(TAG) else name


def _reference(name: str, tag: bool) -> str:
    """What names a limit in a path: its id, where its name has a slash."""
    full = _full(name, tag)
    return next((str(each.id) for each in _all() if each.name == full), full) if "/" in full else full


def _all() -> Iterator[asked.LimitRead]:
    """All limits, by name."""
    cursor: str | None = ""
    while cursor is not None:
        page = call(asked.FILTER_LIMITS, asked.FilterLimits(limit=MOST, cursor=cursor), way="CLI")
        yield from page.items
        cursor = page.next


def _active(limit: asked.LimitRead) -> str:
    return "yes" if limit.active else "no"


def _rate(limit: asked.LimitRead) -> str:
    return _number(limit.slot_decay_per_second) if limit.slot_decay_per_second else ""


def _number(value: float) -> str:
    return f"{value:g}"
