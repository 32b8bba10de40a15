"""`penstock flow`: the flows that have run."""

from __future__ import annotations

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.cli.record import listed
from penstock.protocol.flows import FILTER_FLOWS, FilterFlows


@click.group()
def flow() -> None:
    """View flows."""


@flow.command()
@choosing.limit_option(15)
@output_option
def ls(limit: int, output: str) -> None:
    """List flows, the most recently used first."""
    flows = listed(FILTER_FLOWS, lambda size, cursor: FilterFlows(limit=size, cursor=cursor), limit)
    if output == JSON:
        print_json(flows)
    elif flows:
        now = shown.now()
        rows = [
            (shown.one_line(each.name), each.runs, each.failed, shown.relative(each.last_run, now)) for each in flows
        ]
        print_table(("Name", "Runs", "Failed", "Last run"), rows)
    else:
        remark(choosing.nothing("flows"))
