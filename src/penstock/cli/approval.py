"""`penstock approval`: what waits for somebody's decision, and deciding it."""

from __future__ import annotations

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.cli.pausing import go_on, input_of
from penstock.cli.record import ask, listed
from penstock.cli.stopping import seconds
from penstock.flows.decision_links import make_link
from penstock.protocol import flow_runs as asked
from penstock.protocol.flow_runs import FIND_FLOW_RUN, FindRun

_comment = click.option("--comment", metavar="TEXT", help="Kept with who decided it, and when.")


@click.group()
def approval() -> None:
    """View what waits for a decision, approve it, or reject it."""


@approval.command()
@choosing.limit_option(50)
@output_option
def ls(limit: int, output: str) -> None:
    """List what waits for somebody: approvals, and runs to be resumed; the oldest first."""
    found = listed(asked.FILTER_PAUSES, lambda size, cursor: asked.FilterPauses(limit=size, cursor=cursor), limit)
    if output == JSON:
        print_json([{"pause": each.pause, "run": shown.document(each.run)} for each in found])
        return
    if not found:
        remark("Nothing waits for anybody.")
        return
    now = shown.now()
    rows = [
        (
            each.run.name, each.run.flow_name, shown.relative(each.pause.begun, now),
            "" if each.pause.deadline is None else shown.local(each.pause.deadline)[:19],
            ", ".join(each.pause.approvers) or "anybody",
            f"{len(each.pause.decisions)}/{each.pause.quorum}" if each.pause.approval else "",
            shown.one_line(each.pause.text or "")[:60],
        )
        for each in found
    ]  # fmt: skip
    print_table(("Run", "Flow", "Since", "Until", "For", "Approved", "What"), rows)


@approval.command()
@click.argument("id", metavar="RUN")
@click.option("--input", "given", metavar="JSON", help="What it asks for: an object of its fields, or one value.")
@_comment
@output_option
def approve(id: str, given: str | None, comment: str | None, output: str) -> None:
    """Approve what a flow run asks; it goes on when enough people have."""
    found = ask(FIND_FLOW_RUN, FindRun(id))
    query = asked.ResumeRun(id=found.id, run_input=input_of(given), comment=comment)
    go_on(ask(asked.APPROVE_FLOW_RUN, query), output)


@approval.command()
@click.argument("id", metavar="RUN")
@_comment
@output_option
def reject(id: str, comment: str | None, output: str) -> None:
    """Reject what a flow run asks."""
    found = ask(FIND_FLOW_RUN, FindRun(id))
    go_on(ask(asked.REJECT_FLOW_RUN, asked.RejectRun(id=found.id, comment=comment)), output)


@approval.command()
@click.argument("id", metavar="RUN")
@click.option("--to", default="link", metavar="NAME", help="In whose name it decides; by itself: whoever has it.")
@click.option(
    "--expires-in", callback=seconds, default="86400", show_default=True, metavar="SECONDS", help="How long it is good."
)
def link(id: str, to: str, expires_in: float) -> None:
    """Make a link by which somebody answers what a flow run waits for, once, without signing in."""
    found = ask(FIND_FLOW_RUN, FindRun(id))
    click.echo(make_link(found.id, to, expires_in, way="CLI"))
