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

from penstock.cli import choosing, proof, shown
from penstock.cli.output import JSON, is_terminal, print_json, remark
from penstock.cli.stopping import Patience
from penstock.connect import asker
from penstock.domain.errors import ObjectNotFound, PenstockError, TransitionRefused
from penstock.domain.filters import RunFilter
from penstock.domain.runs import FlowRun, Holder, TaskRun
from penstock.domain.states import FINAL, StateType
from penstock.engine import identity
from penstock.flows import cancelling
from penstock.services import reading
from penstock.store import signals
from penstock.store.sqlite import SqliteStore

Run = TypeVar("Run", FlowRun, TaskRun)

WAY = "CLI"
# What became of a request; where it could not be made, it is the `code` of the error.
SCHEDULED, AT_ONCE, AGAIN, ENDED = "scheduled", "cancelled", "already-cancelling", "ended-meanwhile"
NOTHING = "There are no flow runs to cancel."
UNFINISHED = tuple(type_ for type_ in StateType if type_ not in FINAL)


# --- choosing --------------------------------------------------------------------------------------------------------


class Chosen(msgspec.Struct, Generic[Run]):
    """A run that is meant, or why there is none; `text` is what was typed, or its id."""

    text: str
    run: Run | None
    error: PenstockError | None = None


def find(store: SqliteStore, texts: Iterable[str], look_up: Callable[[SqliteStore, str], Run]) -> list[Chosen[Run]]:
    """The runs that people named, each once, in their order."""
    found: dict[object, Chosen[Run]] = {}
    for text in texts:
        try:
            run = look_up(store, text)
        except PenstockError as error:
            found.setdefault(text, Chosen(text, None, error))
        else:
            found.setdefault(run.id, Chosen(str(run.id), run))
    return list(found.values())


def unfinished(store: SqliteStore, filter: RunFilter) -> list[FlowRun]:
    """The runs that fit and have not ended, the oldest first. Those that end with one above them, which fits as well,
    are left out."""
    types = filter.types()
    if types is not None and types <= FINAL:
        raise click.UsageError(f"Runs that are {' or '.join(sorted(types)) or 'in no state'} cannot be cancelled.")
    wanted = tuple(type_ for type_ in UNFINISHED if types is None or type_ in types)
    filter = msgspec.structs.replace(filter, state_types=wanted)
    runs = {run.id: run for run in reversed(reading.list_flow_runs(store, filter, choosing.MOST_LISTED))}
    above = dict(runs)
    missing = {run.flow_run_id for run in runs.values() if run.flow_run_id is not None} - above.keys()
    while missing:  # the runs between two that fit
        known = reading.name_flow_runs(store, missing)
        above |= known
        missing = {run.flow_run_id for run in known.values() if run.flow_run_id is not None} - above.keys()
    return [run for run in runs.values() if not _ends_with_another(run, above, runs)]


def _ends_with_another(run: FlowRun, above: dict[Any, FlowRun], runs: dict[Any, FlowRun]) -> bool:
    parent = above.get(run.flow_run_id)
    while parent is not None:
        if parent.id in runs:
            return True
        parent = above.get(parent.flow_run_id)
    return False


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
    store: SqliteStore, chosen: list[Chosen[FlowRun]], grace: float | None, *, forgiving: bool = False
) -> list[Asked[FlowRun]]:
    """Asks for the end of each run, and sees to it that it will come. `forgiving` is for runs that were chosen by what
    they were a moment ago: that one has ended since is well."""
    who = asker(WAY)

    def ask(run: FlowRun) -> Asked[FlowRun]:
        try:
            now = cancelling.ask_flow_run(store, run.id, who, grace)
        except TransitionRefused:
            if not forgiving:
                raise
            now = reading.get_flow_run(store, run.id)
            return Asked(str(run.id), ENDED, f"Flow run '{run.id}' has ended meanwhile: {now.state_name}.", now)
        if now.state.is_cancelled():
            return Asked(str(run.id), AT_ONCE, f"Flow run '{run.id}' was cancelled.", now)
        again = run.state.is_cancelling()
        return Asked(str(run.id), AGAIN if again else SCHEDULED, _on_its_way("Flow run", run.id, again, grace), now)

    return [_asked("Flow run", each, ask) for each in chosen]


def cancel_task_runs(store: SqliteStore, chosen: list[Chosen[TaskRun]], grace: float | None) -> list[Asked[TaskRun]]:
    """Asks for the end of each run."""
    who = asker(WAY)

    def ask(run: TaskRun) -> Asked[TaskRun]:
        with store.read() as tx:
            again = signals.get(tx, run.id) is not None
        now = cancelling.ask_task_run(store, run.id, who, grace)
        cancelling.urge_task(store, now)
        return Asked(str(run.id), AGAIN if again else SCHEDULED, _on_its_way("Task run", run.id, again, grace), now)

    return [_asked("Task run", each, ask) for each in chosen]


def _on_its_way(kind: str, id: object, again: bool, grace: float | None) -> str:
    if not again:
        return f"{kind} '{id}' was successfully scheduled for cancellation."
    new = "" if grace is None else f" It has {proof.seconds(grace)} from now on."
    return f"{kind} '{id}' is being cancelled already.{new}"


def _asked(kind: str, chosen: Chosen[Run], ask: Callable[[Run], Asked[Run]]) -> Asked[Run]:
    error = chosen.error
    if chosen.run is not None:
        try:
            return ask(chosen.run)
        except (ObjectNotFound, TransitionRefused) as refusal:
            error = refusal
    assert error is not None
    return Asked(chosen.text, error.code, str(error), chosen.run)


# --- telling ---------------------------------------------------------------------------------------------------------


def tell(store: SqliteStore, asked: list[Asked[Run]], get: cancelling.Get[Run], patience: Patience, output: str) -> int:
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
    _urge(store, asked, deadline if patience.wait else None)
    if patience.wait:
        for each in asked:
            if each.run is not None and (each.is_under_way() or each.outcome == AT_ONCE):
                failed = not _see_end(store, each, get, deadline, texts) or failed
    if not texts:
        print_json([_document(each) for each in asked])
    return int(failed)


def _urge(store: SqliteStore, asked: Iterable[Asked[Any]], deadline: float | None) -> None:
    """Sees to it that the ends will come, and says where that is up to others."""
    open_ones = {each.run.id: each for each in asked if each.run is not None and each.is_under_way()}
    for each in open_ones.values():
        holder = _holder(store, each.run)
        if holder is not None and identity.lives(holder) is None:
            kind = cancelling.kind_of(each.run)  # type: ignore[arg-type]  # those without a run are left out
            host = shown.one_line(holder.host)
            remark(f"{kind} '{each.id}' runs on host {host}, out of reach from here: its process there must act.")
    flow_runs = [each.run for each in open_ones.values() if isinstance(each.run, FlowRun)]
    for run in cancelling.urge(store, flow_runs, until=deadline):
        open_ones[run.id].run = run


def _holder(store: SqliteStore, run: FlowRun | TaskRun | None) -> Holder | None:
    """The process that executes the run; inside a flow run it is the flow run's."""
    if isinstance(run, TaskRun) and run.flow_run_id is not None:
        above = reading.name_flow_runs(store, [run.flow_run_id])
        return next((each.holder for each in above.values()), None)
    return None if run is None else run.holder


def _see_end(
    store: SqliteStore, each: Asked[Run], get: cancelling.Get[Run], deadline: float | None, texts: bool
) -> bool:
    """Waits for the end, and tells it; whether it is what was asked for."""
    assert each.run is not None
    try:
        each.run = cancelling.await_end(store, get, each.run, deadline)
    except TimeoutError as error:
        click.echo(f"Error: {error}", err=True)
        each.run = get(store, each.run.id)
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
