"""`penstock flow-run retry`: enters a run again, in the foreground."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import click

from penstock.cli.output import remark
from penstock.cli.record import WAY, ask
from penstock.connect import asker
from penstock.domain.errors import TransitionRefused
from penstock.domain.runs import Entrypoint
from penstock.protocol.flow_runs import CHECK_RETRY, FIND_FLOW_RUN, RETRY_FLOW_RUN, ById, CheckRetry, FindRun
from penstock.settings import current


@click.command()
@click.argument("id")
@click.option(
    "--entrypoint",
    metavar="PATH:FUNCTION",
    help="Where the flow is now, if it was moved: path/to/file.py:function.",
)
def retry(id: str, entrypoint: str | None) -> None:
    """Run a flow run again from where it failed; exit with 0 if it completed then, else with 1.

    Its program is started again, with the same arguments, in the same folder. Tasks that completed are not run again:
    their results are used. The run must have ended as Failed, TimedOut, Crashed or Cancelled. A run of a deployment is
    launched once more, as it was the first time; this command does not wait for it.
    """
    found = ask(FIND_FLOW_RUN, FindRun(id))
    if found.deployment_id is not None and entrypoint is None:
        run = ask(RETRY_FLOW_RUN, ById(found.id))
        click.echo(f"Flow run {run.name!r} ({run.id}) is launched once more by the next worker that asks for work.")
        return
    enter_again(found.id, entrypoint)


def enter_again(id: UUID, entrypoint: str | None) -> None:
    """Does not return: this process goes on as the program of the run, which is entered again. `entrypoint` is where
    its flow is now. Raises `TransitionRefused` where that cannot be."""
    run = ask(CHECK_RETRY, CheckRetry(id=id, elsewhere=entrypoint is not None))
    entry = run.entrypoint or Entrypoint()
    if entry.directory is not None and not os.path.isdir(entry.directory):
        raise TransitionRefused(f"The folder in which the run's program was started is gone: {entry.directory}.")
    python = entry.python
    if python is None or not os.access(python, os.X_OK):
        remark(f"The run's Python ({python}) is gone; this one is used: {sys.executable}.")
        python = sys.executable
    place = [] if entrypoint is None else [_absolute(entrypoint)]
    # -P: a file of the user's must not be taken for a module of Python's or ours before its program is loaded.
    become([python, "-P", "-m", "penstock.flows.reentry", str(run.id), asker(WAY), *place], entry.directory)


def _absolute(place: str) -> str:
    path, colon, function = place.rpartition(":")
    return f"{os.path.abspath(path)}{colon}{function}" if path else place


def become(command: list[str], directory: str | None) -> None:
    """Does not return: this process is the command from now on, so that signals and the exit code are its own."""
    environment = {**os.environ, "PENSTOCK_HOME": str(Path(current().home).absolute())}
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        if directory is not None:
            os.chdir(directory)
        os.execve(command[0], command, environment)
    raise SystemExit(subprocess.run(command, cwd=directory, env=environment, check=False).returncode)
