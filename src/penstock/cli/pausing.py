"""`penstock flow-run pause | suspend | resume`."""

from __future__ import annotations

import json
from typing import Any

import click

from penstock.cli import shown
from penstock.cli.output import JSON, output_option, print_json, remark
from penstock.cli.record import ask
from penstock.cli.retry import enter_again
from penstock.cli.stopping import seconds
from penstock.domain.pauses import RESUMING, Pause
from penstock.domain.runs import FlowRun
from penstock.domain.states import PAUSED
from penstock.flows.pausing import TIMEOUT
from penstock.protocol import flow_runs as asked
from penstock.protocol.flow_runs import FIND_FLOW_RUN, FindRun

_timeout = click.option(
    "--timeout", callback=seconds, default=f"{TIMEOUT:g}", show_default=True, metavar="SECONDS",
    help="How long it waits at most; then it fails.",
)  # fmt: skip


@click.command()
@click.argument("id")
@_timeout
@output_option
def pause(id: str, timeout: float, output: str) -> None:
    """Have a flow run wait before its next task, in its process, until it is resumed."""
    _pause(id, timeout, output, suspend=False)


@click.command()
@click.argument("id")
@_timeout
@output_option
def suspend(id: str, timeout: float, output: str) -> None:
    """Have a flow run wait without a process: its code is left where it calls a task next.

    When it is resumed, its flow is called again; tasks that had completed are not run again.
    """
    _pause(id, timeout, output, suspend=True)


def _pause(id: str, timeout: float, output: str, *, suspend: bool) -> None:
    found = ask(FIND_FLOW_RUN, FindRun(id))
    run = ask(asked.PAUSE_FLOW_RUN, asked.PauseRun(id=found.id, timeout=timeout, suspend=suspend))
    if output == JSON:
        print_json(shown.document(run))
        return
    how = "suspended where it calls its next task" if suspend else "paused before its next task"
    click.echo(f"Flow run {run.name!r} ({run.id}) will be {how}.")


@click.command()
@click.argument("id")
@click.option("--input", "given", metavar="JSON", help="What it waits for: an object of its fields, or one value.")
@click.option("--comment", metavar="TEXT", help="Kept with who resumed it, and when.")
@click.option(
    "--entrypoint", metavar="PATH:FUNCTION",
    help="Where the flow is now, if it was moved: path/to/file.py:function.",
)  # fmt: skip
@output_option
def resume(id: str, given: str | None, comment: str | None, entrypoint: str | None, output: str) -> None:
    """Have a flow run go on that is paused or suspended.

    One that waits in its process goes on there. Of a deployment, a suspended one is launched once more by a worker. Any
    other goes on in this command: its program is started again, with the same arguments, in the same folder, and the
    command exits with 0 if the run completed then, else with 1.
    """
    run = ask(FIND_FLOW_RUN, FindRun(id))
    if run.state.name == RESUMING and run.holder is None and given is None:
        remark(f"Flow run {run.name!r} ({run.id}) was resumed already, and nobody executes it.")
    else:
        query = asked.ResumeRun(id=run.id, run_input=input_of(given), comment=comment)
        run = ask(asked.RESUME_FLOW_RUN, query)
    go_on(run, output, entrypoint)


def go_on(run: FlowRun, output: str, entrypoint: str | None = None) -> None:
    """Tells where a run goes on that was answered. One that nobody executes, and nobody launches, goes on in this
    process: then it does not return."""
    if output == JSON:
        print_json(shown.document(run))
    elif run.state.is_paused():
        pause = pauses_of(run)[-1]
        click.echo(f"Flow run {run.name!r} waits on: approved by {len(pause.decisions)} of {pause.quorum}.")
    elif run.holder is not None:
        click.echo(f"Flow run {run.name!r} ({run.id}) goes on.")
    elif run.deployment_id is not None:
        click.echo(f"Flow run {run.name!r} ({run.id}) is launched once more by the next worker that asks for work.")
    if run.holder is None and run.deployment_id is None and not run.state.is_paused():
        enter_again(run.root_flow_run_id or run.id, entrypoint)


def pauses_of(run: FlowRun) -> list[Pause]:
    """What a run waited for, and waits for, the oldest first."""
    if not any(state.type is PAUSED for state in run.states):
        return []
    query = asked.FilterPauses(flow_run_id=run.id)
    return [each.pause for each in ask(asked.FILTER_PAUSES, query).items]


def input_of(text: str | None) -> Any:
    """Raises `UsageError` for what is no JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--input is JSON, such as '{{\"approved\": true}}': {error}.") from None
