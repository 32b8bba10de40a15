"""Options with which people choose runs, and the filter they add up to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from penstock.cli import shown
from penstock.domain import filters

F = TypeVar("F", bound=Callable[..., Any])

# More rows than this are nothing that people read, and each is held in memory.
MOST_LISTED = 1_000_000
HINT = "write a Python function, put @penstock.flow above it, and call it: `python my_flow.py`"


def limit_option(default: int) -> Callable[[F], F]:
    return click.option(
        "--limit",
        type=click.IntRange(1, MOST_LISTED),
        default=default,
        show_default=True,
        help="List so many at most.",
    )


def state_options(command: F) -> F:
    """Adds `--state` and `--state-type`, passed as `states` and `state_types`."""
    command = click.option(
        "--state-type", "state_types", multiple=True, metavar="TYPE", help="In a state of this type (FAILED, …)."
    )(command)
    return click.option(
        "--state", "states", multiple=True, metavar="NAME", help="In the state of this name (Failed, TimedOut, …)."
    )(command)


def flow_run_options(command: F) -> F:
    """Adds the options that choose flow runs: what `flow_run_filter` takes."""
    options = (
        click.option("--flow-name", "flow_names", multiple=True, metavar="NAME", help="Runs of this flow."),
        state_options,
        click.option(
            "--tag", "tags", multiple=True, metavar="TAG", help="Runs with this tag (given again: with all of them)."
        ),
        click.option(
            "--after", metavar="TIME", help="Created after this time (2025-06-30T21:31), or so long ago (2h, 1d)."
        ),
        click.option("--before", metavar="TIME", help="Created before this time, or longer ago than this."),
        click.option("--name", "name", metavar="TEXT", help="Runs with this text in their names."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def flow_run_filter(
    flow_names: tuple[str, ...],
    states: tuple[str, ...],
    state_types: tuple[str, ...],
    tags: tuple[str, ...],
    after: str | None,
    before: str | None,
    name: str | None,
) -> filters.RunFilter:
    """The filter that the options mean. Raises `FilterError`."""
    return run_filter(states, state_types, after, before, flow_names=flow_names, tags=tags, name_contains=name or None)


def run_filter(
    states: tuple[str, ...],
    state_types: tuple[str, ...],
    after: str | None = None,
    before: str | None = None,
    **more: Any,
) -> filters.RunFilter:
    """The filter that the options mean. Raises `FilterError`."""
    now = shown.now()
    return filters.RunFilter(
        state_names=tuple(dict.fromkeys(map(filters.state_name, states))),
        state_types=tuple(dict.fromkeys(map(filters.state_type, state_types))),
        after=None if after is None else filters.moment(after, now),
        before=None if before is None else filters.moment(before, now),
        **more,
    )


def nothing(kind: str, filter: filters.RunFilter | None = None) -> str:
    """What to say instead of an empty table."""
    if filter is not None and filter != filters.RunFilter():
        return f"No {kind} fit."
    return f"There are no {kind} yet. To make the first: {HINT}"
