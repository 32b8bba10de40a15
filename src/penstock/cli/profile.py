"""`penstock profile`: list, make, choose, rename and remove profiles."""

from __future__ import annotations

import os
import sys

import click

from penstock.cli.output import JSON, is_terminal, output_option, print_json, remark
from penstock.settings import SETTINGS
from penstock.settings.kinds import written
from penstock.settings.profiles import (
    active_profile,
    create_profile,
    delete_profile,
    profile_names,
    read_profile,
    rename_profile,
    use_profile,
)
from penstock.settings.resolve import profile_options

CREATED = """
Created profile with properties:
    name - {name!r}
    from name - {source!r}

Use created profile for future, subsequent commands:
    penstock profile use {name!r}

Use created profile temporarily for a single command:
    penstock -p {name!r} config view"""


@click.group()
def profile() -> None:
    """Select and manage profiles of settings."""


@profile.command()
@output_option
def ls(output: str) -> None:
    """List profile names; the one in use has a star."""
    active = active_profile()
    names = profile_names()
    if output == JSON:
        print_json([{"name": name, "active": name == active} for name in names])
        return
    for name in names:
        click.echo(f"{'*' if name == active else ' '} {name}")


@profile.command()
@click.argument("name")
@click.option("--from", "source", metavar="NAME", help="Copy an existing profile.")
def create(name: str, source: str | None) -> None:
    """Create a new profile."""
    create_profile(name, source)
    click.echo(CREATED.format(name=name, source=source).lstrip())


@profile.command()
@click.argument("name")
def use(name: str) -> None:
    """Make a profile the active one."""
    use_profile(name)
    click.echo(f"Profile {name!r} is now active.")
    chosen = os.environ.get("PENSTOCK_PROFILE")
    if chosen and chosen != name and chosen not in profile_options:
        remark(
            f"PENSTOCK_PROFILE chooses {chosen!r} in this environment, which wins. "
            "Run `unset PENSTOCK_PROFILE` to use the active profile."
        )


@profile.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a profile that is not in use."""
    read_profile(name)
    if not yes and is_terminal(sys.stdin):
        click.confirm(f"Are you sure you want to delete profile with name {name!r}?", abort=True)
    delete_profile(name)
    click.echo(f"Removed profile {name!r}.")


@profile.command()
@click.argument("name")
@click.argument("new_name")
def rename(name: str, new_name: str) -> None:
    """Change the name of a profile."""
    rename_profile(name, new_name)
    if os.environ.get("PENSTOCK_PROFILE") == name and name not in profile_options:
        remark(
            f"You have set your current profile to {name!r} with the PENSTOCK_PROFILE environment variable. "
            f"You must update this variable to {new_name!r} to continue using the profile."
        )
    click.echo(f"Renamed profile {name!r} to {new_name!r}.")


@profile.command()
@click.argument("name", required=False)
@click.option("--show-secrets/--hide-secrets", default=False, help="Whether secrets are shown.")
@output_option
def inspect(name: str | None, show_secrets: bool, output: str) -> None:
    """Show the settings of a profile; of the one in use when none is named."""
    if name is None:
        name = active_profile()
        if output != JSON:
            click.echo(f"No name provided, defaulting to {name!r}")
    values = {
        key: SETTINGS[key].shown(value) if key in SETTINGS and not show_secrets else value
        for key, value in read_profile(name).items()
    }
    if output == JSON:
        print_json(values)
        return
    if not values:
        click.echo(f"Profile {name!r} is empty.")
    for key, value in values.items():
        click.echo(f"{key}='{written(value)}'")
