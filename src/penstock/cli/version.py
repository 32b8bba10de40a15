"""`penstock version`: what a bug report needs. Works also while the settings are broken."""

from __future__ import annotations

import platform
import sys

import apsw
import click

from penstock.cli.output import JSON, output_option, print_fields, print_json
from penstock.domain.errors import ConfigurationError
from penstock.settings import current

LABELS = {
    "version": "Version",
    "python_version": "Python version",
    "sqlite_version": "SQLite version",
    "platform": "OS/Arch",
    "profile": "Profile",
    "database_path": "Database",
    "api_url": "API",
    "problem": "Problem",
}


@click.command()
@output_option
def version(output: str) -> None:
    """Show the version, and what else a bug report needs."""
    facts = version_facts()
    if output == JSON:
        print_json(facts)
    else:
        print_fields({LABELS[name]: value for name, value in facts.items()})


def version_facts() -> dict[str, str]:
    """The facts by name. Of broken settings, the problem is the fact."""
    facts = {
        "version": penstock_version(),
        "python_version": platform.python_version(),
        "sqlite_version": sqlite_version(),
        "platform": f"{sys.platform}/{platform.machine()}",
    }
    try:
        settings = current()
    except ConfigurationError as error:
        return {**facts, "problem": str(error)}
    facts["profile"] = settings.active_profile
    if settings.api_url:
        facts["api_url"] = settings.api_url
    else:
        facts["database_path"] = str(settings.database_path)
    return facts


def penstock_version() -> str:
    """The installed version; of a checkout that is not installed, the package's own."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed_version

    try:
        return installed_version("penstock")
    except PackageNotFoundError:
        import penstock

        return getattr(penstock, "__version__", "unknown")


def sqlite_version() -> str:
    """The SQLite that the store uses."""
    return apsw.sqlite_lib_version()
