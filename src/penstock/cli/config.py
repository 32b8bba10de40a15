"""`penstock config`: view settings with their sources, and change the active profile."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from penstock.cli.output import JSON, is_terminal, output_option, print_json, remark
from penstock.domain.errors import ConfigurationError
from penstock.settings import SETTINGS, Settings, current
from penstock.settings.current import find_problems
from penstock.settings.kinds import written
from penstock.settings.profiles import active_profile, set_in_profile, unset_in_profile
from penstock.settings.setting import DEFAULT, DERIVED
from penstock.settings.table import NOT_IN_PROFILES, named


@click.group()
def config() -> None:
    """View and set settings."""


@config.command()
@click.option("--show-defaults/--hide-defaults", default=False, help="Whether settings nobody set are listed.")
@click.option("--show-sources/--hide-sources", default=True, help="Whether it says where each value came from.")
@click.option("--show-secrets/--hide-secrets", default=False, help="Whether secrets are shown.")
@output_option
def view(show_defaults: bool, show_sources: bool, show_secrets: bool, output: str) -> None:
    """Show the current settings and where each came from."""
    settings = current()
    rows = list(_rows(settings, show_defaults, show_secrets))
    if output == JSON:
        print_json(_document(settings, rows, show_sources))
        return
    if settings.ui_url:
        click.echo(f"\N{ROCKET} you are connected to:\n{settings.ui_url}")
    click.echo(f"PENSTOCK_PROFILE={settings.active_profile!r}")
    for name, value, source in rows:
        if name == "PENSTOCK_PROFILE":
            continue
        click.echo(f"{name}='{written(value)}'" + (f" ({_from(source)})" if show_sources else ""))


def _from(source: str) -> str:
    return source if source.startswith(DERIVED) else f"from {source}"


def _rows(settings: Settings, defaults: bool, secrets: bool) -> Iterable[tuple[str, Any, str]]:
    for name, value in sorted(settings.items()):
        source = settings.source(name)
        if defaults or source != DEFAULT:
            yield name, value if secrets else SETTINGS[name].shown(value), source


def _document(settings: Settings, rows: list[tuple[str, Any, str]], sources: bool) -> dict[str, Any]:
    listed = [{"name": name, "value": value} | ({"source": source} if sources else {}) for name, value, source in rows]
    document: dict[str, Any] = {"profile": settings.active_profile, "settings": listed}
    return document | ({"ui_url": settings.ui_url} if settings.ui_url else {})


@config.command("set")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
def set_(settings: tuple[str, ...]) -> None:
    """Set values in the current profile."""
    profile = active_profile()
    for name, text in set_in_profile(profile, dict(_assignment(item) for item in settings)).items():
        click.echo(f"Set {name!r} to {SETTINGS[name].shown(text)!r}.")
        if name in os.environ:
            remark(
                f"{name} is also set by an environment variable which will override your config value. "
                f"Run `unset {name}` to clear it."
            )
    click.echo(f"Updated profile {profile!r}.")


def _assignment(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals:
        raise ConfigurationError(f"Failed to parse argument {item!r}. Use the format 'NAME=VALUE'.")
    setting = named(name)
    if setting.name in NOT_IN_PROFILES:
        raise ConfigurationError(
            f"Setting {setting.name!r} cannot be changed with this command. Use an environment variable instead."
        )
    return setting.name, value


@config.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def unset(names: tuple[str, ...], yes: bool) -> None:
    """Remove settings from the current profile, which restores their defaults."""
    profile = active_profile()
    if not yes and is_terminal(sys.stdin):
        click.confirm(f"Are you sure you want to unset the following setting(s): {', '.join(names)}?", abort=True)
    for name in unset_in_profile(profile, names):
        click.echo(f"Unset {name!r}.")
        if name in os.environ:
            remark(f"{name!r} is also set by an environment variable. Use `unset {name}` to clear it.")
    click.echo(f"Updated profile {profile!r}.")


@config.command()
def validate() -> None:
    """Check every place that settings come from, and name all that is wrong."""
    found = find_problems()
    for problem in found:
        click.echo(f"Error: {problem}", err=True)
    if found:
        raise SystemExit(1)
    click.echo("Configuration valid!")
