"""`penstock flow-run`: list flow runs, look into one, watch it, cancel it, and delete it."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import click

from penstock.cli import choosing, details, log_lines, pausing, places, shown, stopping
from penstock.cli.execute import execute
from penstock.cli.log_lines import log_options
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.cli.pausing import pause, resume, suspend
from penstock.cli.record import ask, flow_runs_named, listed
from penstock.cli.retry import retry
from penstock.domain import graphs
from penstock.domain.filters import RunFilter
from penstock.domain.runs import FlowRun
from penstock.protocol import flow_runs as asked
from penstock.protocol.flow_runs import FIND_FLOW_RUN, FindRun
from penstock.protocol.graphs import MOST_SHOWN, READ_GRAPH, ReadGraph, tree_of

# What is due so soon is listed with what has begun.
SOON = timedelta(minutes=1)


@click.group("flow-run")
def flow_run() -> None:
    """View and control flow runs."""


flow_run.add_command(retry)
flow_run.add_command(execute)
flow_run.add_command(pause)
flow_run.add_command(suspend)
flow_run.add_command(resume)


@flow_run.command()
@choosing.flow_run_options
@choosing.limit_option(15)
@click.option("--upcoming", is_flag=True, help="Also runs that are scheduled for later.")
@output_option
def ls(limit: int, upcoming: bool, output: str, **choice: Any) -> None:
    """List flow runs, the newest first.

    Different options narrow the list together; an option given several times widens it.
    """
    filter = choosing.flow_run_filter(**choice)
    asks_for_it = upcoming or bool(filter.state_names or filter.state_types)
    runs = listed(
        asked.FILTER_FLOW_RUNS,
        lambda size, cursor: asked.FilterRuns(filter=filter, limit=size, cursor=cursor),
        limit,
        None if asks_for_it else lambda run: not _is_upcoming(run),
    )
    if output == JSON:
        print_json(shown.documents(runs))
    elif runs:
        _print_runs(runs)
    else:
        remark(choosing.nothing("flow runs", filter))


def _is_upcoming(run: FlowRun) -> bool:
    """Whether it is to begin later, for the first time."""
    due = run.expected_start_time
    return run.state.name == "Scheduled" and due is not None and due > shown.now() + SOON


def _find(text: str) -> FlowRun:
    return ask(FIND_FLOW_RUN, FindRun(text))


def _print_runs(runs: list[FlowRun]) -> None:
    now = shown.now()
    rows = [
        (
            run.id,
            shown.one_line(run.flow_name),
            shown.one_line(run.name),
            shown.state_cell(run.state),
            shown.relative(shown.since(run), now),
            shown.duration(shown.run_time(run.start_time, run.end_time, now)),
        )
        for run in runs
    ]
    print_table(("ID", "Flow", "Name", "State", "When", "Duration"), rows)


@flow_run.command()
@click.argument("id")
@output_option
def inspect(id: str, output: str) -> None:
    """Show everything known of a flow run.

    ID is the run's id, the beginning or end of it, or the run's name.
    """
    run = _find(id)
    counts = ask(asked.COUNT_TASK_RUNS_OF, asked.ById(run.id))
    launch = None if run.deployment_id is None else places.launch_of(run.id)
    pauses = pausing.pauses_of(run)
    waits = ask(asked.WHY_FLOW_RUN, asked.ById(run.id)) if details.may_wait(run) else None
    if output == JSON:
        more: dict[str, Any] = ({} if launch is None else {"launch": launch}) | ({"pauses": pauses} if pauses else {})
        more |= {} if waits is None else {"why": waits}
        print_json(shown.document(run) | {"task_run_counts": counts} | more)
        return
    parent = next(iter(flow_runs_named([run.flow_run_id]).values()), None)
    details.show_flow_run(run, parent, counts, launch, pauses, waits)


@flow_run.command()
@click.argument("id")
@output_option
def why(id: str, output: str) -> None:
    """Say why a flow run waits: what for, who holds it, and which place it has.

    ID is the run's id, the beginning or end of it, or the run's name.
    """
    run = _find(id)
    found = ask(asked.WHY_FLOW_RUN, asked.ById(run.id))
    if output == JSON:
        print_json(found)
    else:
        details.show_why(run, found)


@flow_run.command()
@click.argument("id")
@log_options
@click.option("--task", metavar="TASK", help="Lines of this task run (id or name), or of all runs of a task (name).")
@output_option
def logs(id: str, task: str | None, output: str, **choice: Any) -> None:
    """Show what a flow run and its tasks wrote. JSON is one object a line."""
    run = _find(id)
    log_lines.show(run, output, log_lines.of_task(run, task), **choice)


@flow_run.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All runs that have not ended.")
@choosing.flow_run_options
@stopping.options
@click.option("--dry-run", is_flag=True, help="Only show which runs would be cancelled.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@output_option
def cancel(
    ids: tuple[str, ...],
    everything: bool,
    grace: float | None,
    wait: bool,
    timeout: float | None,
    dry_run: bool,
    yes: bool,
    output: str,
    **choice: Any,
) -> None:
    """Cancel flow runs, with all that they called, in whichever process they are.

    The runs are named (ID is the run's id, the beginning or end of it, or its name), or chosen by options that narrow
    each other; of these only runs that have not ended are meant. Exit with 1 if one could not be cancelled, or, with
    --wait, did not end as cancelled.
    """
    from penstock.cli import cancelling

    patience = stopping.Patience(wait, timeout)
    filter = choosing.flow_run_filter(**choice)
    by_choice = everything or filter != RunFilter()
    if bool(ids) == by_choice:
        raise click.UsageError("Name the runs (ID...), or choose them: with --all, or with options such as --state.")
    if by_choice:
        chosen = [cancelling.Chosen(str(run.id), run) for run in cancelling.unfinished(filter)]
    else:
        chosen = cancelling.find(ids, FIND_FLOW_RUN)
    if dry_run:
        raise SystemExit(cancelling.show(chosen, output, _print_runs))
    if by_choice and chosen and not yes:
        cancelling.confirm(len(chosen))
    requests = cancelling.cancel_flow_runs(chosen, grace, forgiving=by_choice)
    if not requests and output != JSON:
        remark(cancelling.NOTHING)
    raise SystemExit(cancelling.tell(requests, patience, output))


@flow_run.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--force", is_flag=True, help="Also runs that have not ended. Their processes are not stopped.")
@output_option
def delete(ids: tuple[str, ...], force: bool, output: str) -> None:
    """Delete flow runs, with their task runs, logs and subflow runs."""
    runs = tuple(dict.fromkeys(_find(id).id for id in ids))
    done = ask(asked.BULK_DELETE_FLOW_RUNS, asked.BulkDelete(ids=runs, force=force))
    deleted = asked.Deleted(len(done.ids), done.subflow_runs)
    if output == JSON:
        print_json(deleted)
        return
    below = f" and {shown.count_of(deleted.subflow_runs, 'subflow run')}" if deleted.subflow_runs else ""
    click.echo(f"Deleted {shown.count_of(deleted.flow_runs, 'flow run')}{below}.")


@flow_run.command()
@click.argument("id")
@click.option("--all", "everything", is_flag=True, help=f"Draw every run, also beyond {graphs.SHOWN} of one task.")
@output_option
def graph(id: str, everything: bool, output: str) -> None:
    """Draw a flow run as a tree: its tasks and subflows, and where their inputs came from."""
    from penstock.cli import graph as drawing

    shown_of_each = MOST_SHOWN if everything else graphs.SHOWN
    tree = tree_of(ask(READ_GRAPH, ReadGraph(id=_find(id).id, shown=shown_of_each)))
    if output == JSON:
        print_json(drawing.document(tree))
    else:
        for line in drawing.text(tree, shown.now()):
            click.echo(line)
    deeper = drawing.too_deep(tree)
    if deeper is not None:
        remark(deeper)


@flow_run.command()
@click.argument("id")
@output_option
def watch(id: str, output: str) -> None:
    """Draw a flow run live until it ends; exit with 0 if it completed, else with 1.

    Away from a terminal its changes of state are printed as lines; JSON is the run as it ended.
    """
    from penstock.cli import live, proof, watch

    run = _find(id)
    if output == JSON:
        for run in live.watch(run.id):  # noqa: B007, B020 - the last one is wanted
            pass
        print_json(shown.document(run))
    elif sys.stdout.isatty():
        run = watch.draw(run.id)
    else:
        run = watch.tell(run.id)
    if output != JSON and proof.has_proof(run.state):
        click.echo(proof.ending(run))
    if not run.state.is_completed():
        raise SystemExit(1)
