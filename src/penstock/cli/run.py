"""`penstock run`: runs a script, as it is, or with Prefect's names."""

from __future__ import annotations

import os
import subprocess
import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--prefect", "alias", is_flag=True, help="`import prefect` in it is Penstock.")
@click.option(
    "--rules",
    type=click.Choice(["2", "3"]),
    default="3",
    show_default=True,
    help="With --prefect: the version of Prefect whose rules count.",
)
@click.option("-m", "is_module", is_flag=True, help="SCRIPT is the name of a module.")
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(alias: bool, rules: str, is_module: bool, script: str, arguments: tuple[str, ...]) -> None:
    """Run a Python script: SCRIPT with its ARGUMENTS, as `python SCRIPT` does.

    With --prefect, code that was written for Prefect runs unchanged.
    """
    command = [sys.executable]
    if alias:
        command += ["-m", "penstock.prefect", "--rules", rules]
    command += ["-m"] * is_module + [script, *arguments]
    if os.name == "nt":  # whose exec leaves the caller
        sys.exit(subprocess.call(command))
    sys.stdout.flush()
    os.execv(command[0], command)
