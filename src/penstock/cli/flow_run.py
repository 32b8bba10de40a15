"""`penstock flow-run`: list flow runs, look into one, watch it, and delete it."""

from __future__ import annotations

import sys

import click

from penstock.cli import choosing, details, shown
from penstock.cli.log_lines import Printer, choose, follow, line_filter, log_options, of_task, print_pages
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.connect import open_store
from penstock.domain.runs import FlowRun
from penstock.services import graph as graphs
from penstock.services import reading


@click.group("flow-run")
def flow_run() -> None:
    """View and control flow runs."""


@flow_run.command()
@click.option("--flow-name", "flow_names", multiple=True, metavar="NAME", help="Runs of this flow.")
@choosing.state_options
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Runs with this tag (given again: with all of them).")
@click.option("--after", metavar="TIME", help="Created after this time (2025-06-30T21:31), or so long ago (2h, 1d).")
@click.option("--before", metavar="TIME", help="Created before this time, or longer ago than this.")
@click.option("--name", "name", metavar="TEXT", help="Runs with this text in their names.")
@choosing.limit_option(15)
@output_option
def ls(
    flow_names: tuple[str, ...],
    states: tuple[str, ...],
    state_types: tuple[str, ...],
    tags: tuple[str, ...],
    after: str | None,
    before: str | None,
    name: str | None,
    limit: int,
    output: str,
) -> None:
    """List flow runs, the newest first.

    Different options narrow the list together; an option given several times widens it.
    """
    filter = choosing.run_filter(
        states, state_types, after, before, flow_names=flow_names, tags=tags, name_contains=name or None
    )
    runs = reading.list_flow_runs(open_store(), filter, limit)
    if output == JSON:
        print_json(shown.documents(runs))
    elif runs:
        _print_runs(runs)
    else:
        remark(choosing.nothing("flow runs", filter))


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
    store = open_store()
    run = reading.find_flow_run(store, id)
    counts = reading.count_task_runs(store, run.id)
    if output == JSON:
        print_json(shown.document(run) | {"task_run_counts": counts})
        return
    above = [] if run.flow_run_id is None else [run.flow_run_id]
    parents = reading.name_flow_runs(store, above)
    details.show_flow_run(run, next(iter(parents.values()), None), counts)


@flow_run.command()
@click.argument("id")
@log_options
@click.option("--task", metavar="TASK", help="Lines of this task run (id or name), or of all runs of a task (name).")
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on until the run has ended.")
@output_option
def logs(
    id: str,
    head: int | None,
    tail: int | None,
    count: int | None,
    reverse: bool,
    level: str | None,
    grep: str | None,
    task: str | None,
    follows: bool,
    output: str,
) -> None:
    """Show what a flow run and its tasks wrote. JSON is one object a line."""
    store = open_store()
    run = reading.find_flow_run(store, id)
    filter = line_filter(level, grep, **of_task(store, run, task))
    printer = Printer(store, run, output)
    if not follows:
        print_pages(choose(store, run.id, filter, head, tail, count, reverse), printer)
        return
    if head is not None or reverse:
        raise click.UsageError("--follow goes with --tail, not with --head or --reverse.")
    start = 0
    if tail is not None or count is not None:
        for page in choose(store, run.id, filter, None, tail, count, False):
            printer.show(page)
            start = page[-1].seq + 1
    follow(store, run.id, printer, filter, start)


@flow_run.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--force", is_flag=True, help="Also runs that have not ended. Their processes are not stopped.")
@output_option
def delete(ids: tuple[str, ...], force: bool, output: str) -> None:
    """Delete flow runs, with their task runs, logs and subflow runs."""
    store = open_store()
    runs = [reading.find_flow_run(store, id) for id in ids]
    deleted = reading.delete_flow_runs(store, [run.id for run in runs], force=force)
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

    store = open_store()
    tree = graphs.read(store, reading.find_flow_run(store, id), None if everything else graphs.SHOWN)
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
    from penstock.cli import live, watch

    store = open_store()
    run = reading.find_flow_run(store, id)
    if output == JSON:
        for run in live.watch(store, run.id):  # noqa: B007, B020 - the last one is wanted
            pass
        print_json(shown.document(run))
    elif sys.stdout.isatty():
        run = watch.draw(store, run.id)
    else:
        run = watch.tell(store, run.id)
    if not run.state.is_completed():
        raise SystemExit(1)
