"""Options of commands that stop runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from penstock.settings.kinds import SECONDS

F = TypeVar("F", bound=Callable[..., Any])


def seconds(ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Reads the value of an option. Raises `BadParameter` for what is no time."""
    try:
        return None if text is None else SECONDS.read(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {SECONDS.allowed}.", ctx, option) from None


def options(command: F) -> F:
    """Adds `--grace`, `--wait` and `--timeout`."""
    added = (
        click.option(
            "--grace", callback=seconds, metavar="SECONDS",
            help="How long the code may take to end by itself (else as PENSTOCK_STOP_GRACE_SECONDS of its process).",
        ),
        click.option("--wait", is_flag=True, help="Wait for the end, and say how the code stopped."),
        click.option("--timeout", callback=seconds, metavar="SECONDS", help="With --wait: wait so long at most."),
    )  # fmt: skip
    for option in reversed(added):
        command = option(command)
    return command


class Patience(msgspec.Struct, frozen=True):
    """Whether and how long one waits. Raises `UsageError` for a limit to no waiting."""

    wait: bool
    timeout: float | None

    def __post_init__(self) -> None:
        if self.timeout is not None and not self.wait:
            raise click.UsageError("--timeout limits the waiting: it goes with --wait.")
