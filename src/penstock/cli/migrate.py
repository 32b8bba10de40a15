"""`penstock migrate`: rewrites code that was written for another orchestrator."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from penstock.domain.errors import ConfigurationError


@click.command()
@click.option(
    "--from-prefect", "path", type=click.Path(exists=True, path_type=Path), required=True, help="A file or folder."
)
@click.option("--yes", "-y", is_flag=True, help="Write without asking.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if something would change.")
def migrate(path: Path, yes: bool, check: bool) -> None:
    """Rewrite imports and names of code that was written for Prefect.

    Shows the changes first, and lists what is left for a person; writes them when you say so.
    """
    try:
        from penstock.moving import code_base
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise ConfigurationError(
            "`penstock migrate` needs the package libcst: pip install 'penstock[migrate]'."
        ) from None
    found = list(code_base.moved(path))
    changed = [each for each in found if each.changes]
    for each in changed:
        click.echo(each.diff(path), nl=False)
    root = path if path.is_dir() else path.parent
    listed = [(os.path.relpath(each.path, root), *finding) for each in found for finding in each.findings]
    if listed:
        click.echo(f"\nFor a person ({len(listed)}):", err=True)
        for name, line, what in listed:
            click.echo(f"  {name}:{line}: {what}", err=True)
    files = f"{len(changed)} file{'' if len(changed) == 1 else 's'}"
    if not changed:
        click.echo("Nothing is to be changed.", err=True)
        return
    if check:
        click.echo(f"{files} would change.", err=True)
        sys.exit(1)
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Write these changes to {files}?", err=True)):
        click.echo(f"Nothing was written. --yes writes the changes to {files}.", err=True)
        return
    failed = 0
    for each in changed:
        try:
            each.write()
        except (OSError, UnicodeEncodeError) as error:
            failed += 1
            click.echo(f"{each.path} could not be written, and is as it was: {error}", err=True)
    click.echo(f"Wrote {len(changed) - failed} of {files}." if failed else f"Wrote {files}.", err=True)
    sys.exit(1 if failed else 0)
