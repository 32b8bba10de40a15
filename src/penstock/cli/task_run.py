"""`penstock task-run`: list task runs, look into one, and cancel it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from penstock.cli import choosing, details, log_lines, shown, stopping
from penstock.cli.log_lines import log_options
from penstock.cli.output import JSON, output_option, print_json, print_table, remark
from penstock.cli.record import ask, flow_runs_named, listed
from penstock.domain.graphs import SHOWN
from penstock.domain.runs import FlowRun, TaskRun
from penstock.protocol import task_runs as asked
from penstock.protocol.flow_runs import (
    COUNT_TASK_RUNS_BY_TASK,
    FIND_FLOW_RUN,
    ById,
    FilterRuns,
    FindRun,
    TaskCount,
)


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

    Different options narrow the list together; an option given several times widens it. With --flow-run alone, a task
    with many runs is one line with how many are in which state; --task-name or a state lists them.
    """
    if flow_run is not None and output != JSON and not (task_names or states or state_types or name or tags):
        _ls_by_task(ask(FIND_FLOW_RUN, FindRun(flow_run)), limit)
        return
    filter = choosing.run_filter(
        states,
        state_types,
        flow_run_id=None if flow_run is None else ask(FIND_FLOW_RUN, FindRun(flow_run)).id,
        task_names=task_names,
        name_contains=name or None,
        tags=tags,
    )
    runs = listed(
        asked.FILTER_TASK_RUNS, lambda size, cursor: FilterRuns(filter=filter, limit=size, cursor=cursor), limit
    )
    if output == JSON:
        print_json(shown.documents(runs))
    elif runs:
        _print_runs(runs)
    else:
        remark(choosing.nothing("task runs", filter))


def _ls_by_task(flow_run: FlowRun, limit: int) -> None:
    counts = ask(COUNT_TASK_RUNS_BY_TASK, ById(flow_run.id))
    many = [each for each in counts if each.total > SHOWN]
    few = tuple(each.task_name for each in counts if each.total <= SHOWN)
    runs = []
    if few or not many:
        filter = choosing.run_filter((), (), flow_run_id=flow_run.id, task_names=few)
        runs = listed(
            asked.FILTER_TASK_RUNS, lambda size, cursor: FilterRuns(filter=filter, limit=size, cursor=cursor), limit
        )
        if not runs:
            remark(choosing.nothing("task runs", filter))
            return
    _print_runs(runs, flow_run, many)


def _print_runs(runs: list[TaskRun], flow_run: FlowRun | None = None, many: Iterable[TaskCount] = ()) -> None:
    """`many` are tasks of the flow run whose runs are counted, and not listed."""
    now = shown.now()
    names = {id: run.name for id, run in flow_runs_named(run.flow_run_id for run in runs).items()}
    rows: list[tuple[object, ...]] = [
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
    for each in many:
        of = "" if flow_run is None else shown.one_line(flow_run.name)
        states = ", ".join(f"{state.count:,} {state.state_name}" for state in each.states)
        task = shown.one_line(each.task_name)
        rows.append((f"--task-name {task}", of, f"{task} × {each.total:,}", states, "", ""))
    print_table(("ID", "Flow run", "Name", "State", "When", "Duration"), rows)


@task_run.command()
@click.argument("id")
@output_option
def inspect(id: str, output: str) -> None:
    """Show everything known of a task run. ID is its id, or the beginning or end of it."""
    run = ask(asked.FIND_TASK_RUN, FindRun(id))
    signal = ask(asked.READ_TASK_RUN_REQUEST, ById(run.id)).signal
    if output == JSON:
        print_json(shown.document(run) | {"cancel_asked_for": signal})
        return
    details.show_task_run(run, next(iter(flow_runs_named([run.flow_run_id]).values()), None), signal)


@task_run.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@stopping.options
@output_option
def cancel(ids: tuple[str, ...], grace: float | None, wait: bool, timeout: float | None, output: str) -> None:
    """Cancel task runs; their flows go on. ID is the id, or the beginning or end of it.

    Exit with 1 if one could not be cancelled, or, with --wait, did not end as cancelled.
    """
    from penstock.cli import cancelling

    patience = stopping.Patience(wait, timeout)
    requests = cancelling.cancel_task_runs(cancelling.find(ids, asked.FIND_TASK_RUN), grace)
    raise SystemExit(cancelling.tell(requests, patience, output))


@task_run.command()
@click.argument("id")
@log_options
@output_option
def logs(id: str, output: str, **choice: Any) -> None:
    """Show what a task run wrote. JSON is one object a line."""
    log_lines.show(ask(asked.FIND_TASK_RUN, FindRun(id)), output, {}, **choice)
