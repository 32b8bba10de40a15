"""`penstock task-run`: list task runs, look into one, and cancel it."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli import choosing, details, log_lines, shown, stopping
from penstock.cli.log_lines import log_options
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.connect import open_store
from penstock.domain.runs import TaskRun
from penstock.domain.stops import Signal
from penstock.services import reading
from penstock.store import signals
from penstock.store.contract import Store


@click.group("task-run")
def task_run() -> None:
    """View and control task runs."""


@task_run.command()
@click.option("--flow-run", metavar="ID", help="Task runs of this flow run (id, part of it, or name).")
@click.option("--task-name", "task_names", multiple=True, metavar="NAME", help="Runs of this task.")
@choosing.state_options
@click.option("--name", "name", metavar="TEXT", help="Runs with this text in their names.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Runs with this tag (given again: with all of them).")
@choosing.limit_option(15)
@output_option
def ls(
    flow_run: str | None,
    task_names: tuple[str, ...],
    states: tuple[str, ...],
    state_types: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    limit: int,
    output: str,
) -> None:
    """List task runs, the newest first.

    Different options narrow the list together; an option given several times widens it.
    """
    store = open_store()
    filter = choosing.run_filter(
        states,
        state_types,
        flow_run_id=None if flow_run is None else reading.find_flow_run(store, flow_run).id,
        task_names=task_names,
        name_contains=name or None,
        tags=tags,
    )
    runs = reading.list_task_runs(store, filter, limit)
    if output == JSON:
        print_json(shown.documents(runs))
    elif runs:
        _print_runs(store, runs)
    else:
        remark(choosing.nothing("task runs", filter))


def _print_runs(store: Store, runs: list[TaskRun]) -> None:
    now = shown.now()
    above = reading.name_flow_runs(store, [run.flow_run_id for run in runs if run.flow_run_id is not None])
    names = {id: run.name for id, run in above.items()}
    rows = [
        (
            run.id,
            shown.one_line(names.get(run.flow_run_id, str(run.flow_run_id)) if run.flow_run_id else ""),
            shown.one_line(run.name),
            shown.state_cell(run.state),
            shown.relative(run.state.timestamp, now),
            shown.duration(shown.run_time(run.start_time, run.end_time, now)),
        )
        for run in runs
    ]
    print_table(("ID", "Flow run", "Name", "State", "When", "Duration"), rows)


@task_run.command()
@click.argument("id")
@output_option
def inspect(id: str, output: str) -> None:
    """Show everything known of a task run. ID is its id, or the beginning or end of it."""
    store = open_store()
    run = reading.find_task_run(store, id)
    signal = None if run.state.is_final() else _open_request(store, run)
    if output == JSON:
        print_json(shown.document(run) | {"cancel_asked_for": signal})
        return
    above = [] if run.flow_run_id is None else [run.flow_run_id]
    details.show_task_run(run, next(iter(reading.name_flow_runs(store, above).values()), None), signal)


def _open_request(store: Store, run: TaskRun) -> Signal | None:
    with store.read() as tx:
        return signals.get(tx, run.id)


@task_run.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@stopping.options
@output_option
def cancel(ids: tuple[str, ...], grace: float | None, wait: bool, timeout: float | None, output: str) -> None:
    """Cancel task runs; their flows go on. ID is the id, or the beginning or end of it.

    Exit with 1 if one could not be cancelled, or, with --wait, did not end as cancelled.
    """
    from penstock.cli import cancelling
    from penstock.flows.cancelling import get_task_run

    patience = stopping.Patience(wait, timeout)
    store = open_store()
    asked = cancelling.cancel_task_runs(store, cancelling.find(store, ids, reading.find_task_run), grace)
    raise SystemExit(cancelling.tell(store, asked, get_task_run, patience, output))


@task_run.command()
@click.argument("id")
@log_options
@output_option
def logs(id: str, output: str, **choice: Any) -> None:
    """Show what a task run wrote. JSON is one object a line."""
    store = open_store()
    run = reading.find_task_run(store, id)
    log_lines.show(store, run, output, {"task_run_id": run.id}, **choice)
