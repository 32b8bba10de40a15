"""`flow-run cancel` and `task-run cancel`: requests to stop runs, what became of each, and the end when it is awaited.

Law: one run that cannot be cancelled does not keep the others from it; the exit code says that there was one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import click
import msgspec

from penstock.cli import proof, shown
from penstock.cli.output import JSON, is_terminal, print_json, remark
from penstock.cli.record import WAY, ask, flow_runs_named
from penstock.cli.stopping import Patience
from penstock.domain.errors import AmbiguousId, ObjectNotFound, PenstockError, TransitionRefused
from penstock.domain.filters import RunFilter
from penstock.domain.ids import InvalidId
from penstock.domain.runs import FlowRun, Holder, TaskRun
from penstock.domain.states import FINAL
from penstock.engine import identity
from penstock.flows import cancelling
from penstock.protocol.flow_runs import BULK_CANCEL_FLOW_RUNS, BulkCancel, ById, FindRun
from penstock.protocol.operation import Operation
from penstock.protocol.task_runs import READ_TASK_RUN_REQUEST

Run = TypeVar("Run", FlowRun, TaskRun)

# What became of a request; where it could not be made, it is the `code` of the error.
SCHEDULED, AT_ONCE, AGAIN, ENDED = "scheduled", "cancelled", "already-cancelling", "ended-meanwhile"
NOTHING = "There are no flow runs to cancel."


# --- choosing --------------------------------------------------------------------------------------------------------


class Chosen(msgspec.Struct, Generic[Run]):
    """A run that is meant, or why there is none; `text` is what was typed, or its id."""

    text: str
    run: Run | None
    error: PenstockError | None = None


def find(texts: Iterable[str], look_up: Operation[FindRun, Run]) -> list[Chosen[Run]]:
    """The runs that people named, each once, in their order."""
    found: dict[object, Chosen[Run]] = {}
    for text in texts:
        try:
            run = ask(look_up, FindRun(text))
        except (AmbiguousId, InvalidId, ObjectNotFound) as error:
            found.setdefault(text, Chosen(text, None, error))
        else:
            found.setdefault(run.id, Chosen(str(run.id), run))
    return list(found.values())


def unfinished(filter: RunFilter) -> list[FlowRun]:
    """The runs that fit and have not ended, the oldest first. Those that end with one above them, which fits as well,
    are left out."""
    types = filter.types()
    if types is not None and types <= FINAL:
        raise click.UsageError(f"Runs that are {' or '.join(sorted(types)) or 'in no state'} cannot be cancelled.")
    found = ask(BULK_CANCEL_FLOW_RUNS, BulkCancel(filter=filter, dry_run=True))
    return [each.run for each in found if each.run is not None]


def show(chosen: list[Chosen[Run]], output: str, print_runs: Callable[[list[Run]], None]) -> int:
    """Shows what would be cancelled; gives the exit code."""
    runs = [each.run for each in chosen if each.run is not None]
    errors = [each.error for each in chosen if each.error is not None]
    if output == JSON:
        print_json(shown.documents(runs))
    elif runs:
        print_runs(runs)
    elif not errors:
        remark(NOTHING)
    for error in errors:
        click.echo(f"Error: {error}", err=True)
    return int(bool(errors))


def confirm(count: int) -> None:
    """Asks a person. The question is not part of the output."""
    if is_terminal(sys.stdin):
        click.confirm(f"Cancel {shown.count_of(count, 'flow run')}?", abort=True, err=True)


# --- asking ----------------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, Generic[Run]):
    """A request and what became of it."""

    id: str
    outcome: str
    message: str
    run: Run | None = None

    def is_under_way(self) -> bool:
        return self.outcome in (SCHEDULED, AGAIN)


def cancel_flow_runs(
    chosen: list[Chosen[FlowRun]], grace: float | None, *, forgiving: bool = False
) -> list[Asked[FlowRun]]:
    """Asks for the end of each run, and sees to it that it will come. `forgiving` is for runs that were chosen by what
    they were a moment ago: that one has ended since is well."""

    def request(run: FlowRun) -> Asked[FlowRun]:
        try:
            now = cancelling.ask_flow_run(run.id, grace, WAY)
        except TransitionRefused:
            if not forgiving:
                raise
            now = cancelling.read(run)
            return Asked(str(run.id), ENDED, f"Flow run '{run.id}' has ended meanwhile: {now.state_name}.", now)
        if now.state.is_cancelled():
            return Asked(str(run.id), AT_ONCE, f"Flow run '{run.id}' was cancelled.", now)
        again = run.state.is_cancelling()
        return Asked(str(run.id), AGAIN if again else SCHEDULED, _on_its_way("Flow run", run.id, again, grace), now)

    return [_asked("Flow run", each, request) for each in chosen]


def cancel_task_runs(chosen: list[Chosen[TaskRun]], grace: float | None) -> list[Asked[TaskRun]]:
    """Asks for the end of each run."""

    def request(run: TaskRun) -> Asked[TaskRun]:
        again = ask(READ_TASK_RUN_REQUEST, ById(run.id)).signal is not None
        now = cancelling.ask_task_run(run.id, grace, WAY)
        cancelling.urge_task(now)
        return Asked(str(run.id), AGAIN if again else SCHEDULED, _on_its_way("Task run", run.id, again, grace), now)

    return [_asked("Task run", each, request) for each in chosen]


def _on_its_way(kind: str, id: object, again: bool, grace: float | None) -> str:
    if not again:
        return f"{kind} '{id}' was successfully scheduled for cancellation."
    new = "" if grace is None else f" It has {proof.seconds(grace)} from now on."
    return f"{kind} '{id}' is being cancelled already.{new}"


def _asked(kind: str, chosen: Chosen[Run], request: Callable[[Run], Asked[Run]]) -> Asked[Run]:
    error = chosen.error
    if chosen.run is not None:
        try:
            return request(chosen.run)
        except (ObjectNotFound, TransitionRefused) as refusal:
            error = refusal
    assert error is not None
    return Asked(chosen.text, error.code, str(error), chosen.run)


# --- telling ---------------------------------------------------------------------------------------------------------


def tell(asked: list[Asked[Run]], patience: Patience, output: str) -> int:
    """Prints what became of each request, and waits for the ends; gives the exit code."""
    deadline = None if patience.timeout is None else time.monotonic() + patience.timeout
    texts = output != JSON
    failed = False
    for each in asked:
        if each.outcome not in (SCHEDULED, AT_ONCE, AGAIN, ENDED):
            failed = True
            click.echo(f"Error: {each.message}", err=True)
        elif texts:
            click.echo(each.message)
    _urge(asked, deadline if patience.wait else None)
    if patience.wait:
        for each in asked:
            if each.run is not None and (each.is_under_way() or each.outcome == AT_ONCE):
                failed = not _see_end(each, deadline, texts) or failed
    if not texts:
        print_json([_document(each) for each in asked])
    return int(failed)


def _urge(asked: Iterable[Asked[Any]], deadline: float | None) -> None:
    """Sees to it that the ends will come, and says where that is up to others."""
    open_ones = {each.run.id: each for each in asked if each.run is not None and each.is_under_way()}
    for each in open_ones.values():
        holder = _holder(each.run)
        if holder is not None and identity.lives(holder) is None:
            kind = cancelling.kind_of(each.run)  # type: ignore[arg-type]  # those without a run are left out
            host = shown.one_line(holder.host)
            remark(f"{kind} '{each.id}' runs on host {host}, out of reach from here: its process there must act.")
    flow_runs = [each.run for each in open_ones.values() if isinstance(each.run, FlowRun)]
    for run in cancelling.urge(flow_runs, until=deadline):
        open_ones[run.id].run = run


def _holder(run: FlowRun | TaskRun | None) -> Holder | None:
    """The process that executes the run; inside a flow run it is the flow run's."""
    if isinstance(run, TaskRun) and run.flow_run_id is not None:
        above = flow_runs_named([run.flow_run_id])
        return next((each.holder for each in above.values()), None)
    return None if run is None else run.holder


def _see_end(each: Asked[Run], deadline: float | None, texts: bool) -> bool:
    """Waits for the end, and tells it; whether it is what was asked for."""
    assert each.run is not None
    try:
        each.run = cancelling.await_end(each.run, deadline)
    except TimeoutError as error:
        click.echo(f"Error: {error}", err=True)
        each.run = cancelling.read(each.run)
        return False
    except ObjectNotFound as error:  # it was deleted meanwhile
        click.echo(f"Error: {error}", err=True)
        return False
    if texts:
        click.echo(proof.ending(each.run))
    return each.run.state.is_cancelled()


def _document(each: Asked[Run]) -> dict[str, Any]:
    run = None if each.run is None else shown.document(each.run)
    return {"id": each.id, "outcome": each.outcome, "message": each.message, "run": run}
