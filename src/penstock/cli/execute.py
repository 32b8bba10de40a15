"""`penstock flow-run execute`: executes a run of a deployment here, as a worker has it executed elsewhere."""

from __future__ import annotations

import sys

import click

from penstock.cli.record import ask
from penstock.cli.retry import become
from penstock.protocol.flow_runs import FIND_FLOW_RUN, FindRun


@click.command()
@click.argument("id", envvar="PENSTOCK__FLOW_RUN_ID")
def execute(id: str) -> None:
    """Execute a scheduled flow run of a deployment in this process; exit with 0 if it completed, else with 1.

    Without an ID, the run that PENSTOCK__FLOW_RUN_ID names. This is what workers start for each run.
    """
    run = ask(FIND_FLOW_RUN, FindRun(id))
    become([sys.executable, "-P", "-m", "penstock.flows.launched", str(run.id)], None)
