"""Everything known of one run, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import click
import msgspec

from penstock.cli import places, proof, shown
from penstock.cli.output import print_fields
from penstock.domain.launches import Launch
from penstock.domain.pauses import Pause
from penstock.domain.runs import Entrypoint, FlowRun, TaskRun
from penstock.domain.states import NAMES, PENDING, SCHEDULED, State
from penstock.domain.stops import Signal
from penstock.domain.waiting import Why


def show_flow_run(
    run: FlowRun,
    parent: FlowRun | None,
    counts: Mapping[str, int],
    launch: Launch | None = None,
    pauses: Iterable[Pause] = (),
    why: Why | None = None,
) -> None:
    """Print a flow run; `parent` is the run that called it, `counts` its task runs by the state's name, `launch` what
    is known of its infrastructure, `pauses` what it waited for, `why` why it waits now."""
    fields: dict[str, Any] = {"Flow run": run.name, "ID": run.id, "Flow": run.flow_name}
    if run.flow_version:
        fields["Flow version"] = run.flow_version
    if run.flow_run_id is not None:
        name = f"{parent.name} ({parent.flow_name}) " if parent is not None else ""
        fields["Parent"] = f"{name}{run.flow_run_id}"
    fields |= _state_fields(run.state) | _time_fields(run)
    if why is not None:
        fields["Why it waits"] = shown.one_line(why.sentence)
    if run.expected_start_time is not None and run.start_time is None:
        fields["Expected start"] = shown.local(run.expected_start_time)
    if run.deployment_id is not None:
        fields["Deployment"] = run.deployment_id
    if run.entrypoint is not None:
        fields |= _entrypoint_fields(run.entrypoint)
    if run.holder is not None:
        fields["Process"] = f"{run.holder} (epoch {run.epoch})"
    fields |= _launch_fields(launch, run.infrastructure_pid)
    fields["Task runs"] = _counts(counts) or "none"
    fields |= _shared_fields(run)
    if run.lines_lost:
        fields["Lines lost"] = f"{run.lines_lost:,} log lines could not be recorded"
    for pause in pauses:
        fields |= _pause_fields(pause)
    _print(fields, run)


def may_wait(run: FlowRun) -> bool:
    """Whether it is worth asking why it has not begun."""
    return run.state.type in (SCHEDULED, PENDING)


def show_why(run: FlowRun, why: Why) -> None:
    """Print why a run waits."""
    fields: dict[str, Any] = {"Flow run": f"{run.name} ({run.state_name})", "Why": shown.one_line(why.sentence)}
    fields["Reason"] = why.reason
    if why.work_pool is not None:
        fields["Queue"] = f"{why.work_queue} of work pool {why.work_pool}"
    if why.key is not None:
        fields["Key"] = shown.one_line(why.key)
    if why.position is not None:
        fields["Place"] = why.position
    if why.until is not None:
        fields["Until"] = shown.local(why.until)
    if why.holders:
        fields["Held by"] = ", ".join(f"{each.name} ({each.id})" for each in why.holders)
    print_fields(fields)


def _pause_fields(pause: Pause) -> dict[str, Any]:
    """What is asked, or what was answered, by whom."""
    answer = pause.answer
    if answer is not None:
        by = "" if answer.who is None else f" by {answer.who}"
        comment = "" if answer.comment is None else f": {answer.comment}"
        name = f"Pause {shown.one_line(pause.key)}"
        return {name: shown.one_line(f"{answer.outcome.title()}{by} at {shown.local(answer.at)}{comment}")}
    asks = {"Waits until": shown.local(pause.deadline) or "somebody resumes it"}
    if pause.text is not None:
        asks["It asks"] = shown.harmless(pause.text)
    if pause.schema is not None:
        asks["Input"] = shown.one_line(msgspec.json.encode(pause.schema).decode())
    asks["To resume it"] = f"penstock flow-run resume {pause.flow_run_id}"
    if pause.schema is not None:
        asks["To resume it"] += " --input JSON"
    return asks


def _launch_fields(launch: Launch | None, pid: str | None) -> dict[str, Any]:
    if launch is None:
        return {"Infrastructure": pid} if pid else {}
    fields: dict[str, Any] = {}
    if launch.work_pool is not None:
        fields["Work pool"] = f"{launch.work_pool} (queue {launch.work_queue})"
    if launch.place is not None:
        fields["Infrastructure"] = f"{launch.place.type} {launch.place}"
        if launch.ended is None:
            fields["To end it by hand"] = places.by_hand(launch.place)
    elif pid:
        fields["Infrastructure"] = pid
    if launch.problem and launch.ended is None:
        fields["Waits"] = shown.one_line(launch.problem)
    return fields


def show_task_run(run: TaskRun, flow_run: FlowRun | None, signal: Signal | None = None) -> None:
    """Print a task run; `flow_run` is the one it is of, `signal` an open request to stop it."""
    fields: dict[str, Any] = {"Task run": run.name, "ID": run.id, "Task": f"{run.task_name} ({run.task_key})"}
    if run.task_version:
        fields["Task version"] = run.task_version
    if run.flow_run_id is not None:
        name = f"{flow_run.name} ({flow_run.flow_name}) " if flow_run is not None else ""
        fields["Flow run"] = f"{name}{run.flow_run_id}"
    if run.parent_task_run_id is not None:
        fields["Inside task run"] = run.parent_task_run_id
    fields |= _state_fields(run.state)
    if signal is not None:
        fields["Cancel asked for"] = _request(signal)
    fields |= _time_fields(run)
    if run.holder is not None:
        fields["Process"] = run.holder
    if run.cache_key:
        fields["Cache key"] = run.cache_key
    _print(fields | _shared_fields(run), run)


def _state_fields(state: State[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"State": shown.state_cell(state)}
    if state.message:
        fields["Message"] = shown.harmless(state.message)
    details = state.details or {}
    fields |= proof.fields(details)
    for name, value in proof.rest(details).items():
        fields[f"  {shown.one_line(name)}"] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return fields


def _request(signal: Signal) -> str:
    grace = "" if signal.grace is None else f", with {proof.seconds(signal.grace)} of grace"
    return f"by {shown.one_line(signal.who)}, {shown.relative(signal.at, shown.now())}{grace}"


def _time_fields(run: FlowRun | TaskRun) -> dict[str, Any]:
    now = shown.now()
    fields = {"Created": f"{shown.local(run.created)} ({shown.relative(run.created, now)})"}
    span = shown.run_time(run.start_time, run.end_time, now)
    if run.start_time is not None and span is not None:
        fields["Started"] = shown.local(run.start_time)
        fields["Ended"] = shown.local(run.end_time) or "not yet"
        fields["Duration"] = shown.duration(span)
        if run.end_time is not None and run.run_count > 1:
            fields["Duration"] += f" ({shown.duration(_running(run))} of it running)"
    if run.run_count > 1:
        fields["Attempts"] = str(run.run_count)
    if run.deadline is not None:
        fields["Deadline"] = shown.local(run.deadline)
    return fields


def _running(run: FlowRun | TaskRun) -> timedelta:
    return run.total_run_time


def _entrypoint_fields(entrypoint: Entrypoint) -> dict[str, Any]:
    where = ":".join(part for part in (entrypoint.path, entrypoint.function) if part)
    fields = {"Entrypoint": where, "Directory": entrypoint.directory, "Python": entrypoint.python}
    if entrypoint.argv:
        fields["Arguments"] = " ".join(entrypoint.argv)
    return {name: value for name, value in fields.items() if value}


def _shared_fields(run: FlowRun | TaskRun) -> dict[str, Any]:
    fields: dict[str, Any] = {"Result": shown.result_line(run.result)}
    if run.result is not None and run.result.expires is not None:
        fields["Result expires"] = shown.local(run.result.expires)
    if run.tags:
        fields["Tags"] = ", ".join(run.tags)
    if run.labels:
        fields["Labels"] = ", ".join(f"{name}={value}" for name, value in run.labels.items())
    for name, ids in run.upstream.items():
        more = f" and {len(ids) - 3:,} more" if len(ids) > 3 else ""
        fields[f"{shown.one_line(name)} is from"] = ", ".join(map(str, ids[:3])) + more
    return fields


def _counts(counts: Mapping[str, int]) -> str:
    """`97 ✓ Completed, 3 ✗ Failed`, in the order of a run's life."""
    order = {name: place for place, name in enumerate(NAMES)}
    names = sorted(counts, key=lambda name: order.get(name, len(order)))
    return ", ".join(
        f"{counts[name]:,} {shown.glyph(NAMES[name]) + ' ' if name in NAMES else ''}{shown.one_line(name)}"
        for name in names
    )


def _print(fields: dict[str, Any], run: FlowRun | TaskRun) -> None:
    """A message of several lines comes as it was written, below the fields; so do parameters, the path of states, and
    the lines that led to where the code was stopped."""
    message = str(fields.get("Message", ""))
    if "\n" in message:
        fields["Message"] = "(below)"
    print_fields({name: shown.one_line(str(value)) for name, value in fields.items()})
    if run.parameters:
        click.echo("\nParameters:")
        print_fields({f"  {shown.one_line(name)}": shown.one_line(text) for name, text in run.parameters.items()})
    click.echo("\nStates:")
    for state in run.states:
        text = f"  {shown.local(state.timestamp)}  {shown.state_cell(state)}"
        click.echo(f"{text}  {shown.one_line(state.message)}" if state.message else text)
    stack = proof.stack(run.state.details or {})
    if stack:
        click.echo("\nStack, the innermost line last:")
        for line in stack:
            click.echo(f"  {line}")
    if "\n" in message:
        click.echo(f"\nMessage:\n{message}")
