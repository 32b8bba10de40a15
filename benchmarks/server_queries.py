"""Part `queries`: what people and pages ask of a large record, by way of the server, and of the record itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from penstock.domain.filters import LogFilter, RunFilter
from penstock.domain.states import StateType
from penstock.engine import identity
from penstock.protocol import flow_runs, flows, graphs, logs, paging, task_runs
from penstock.protocol.operation import Count, Operation
from penstock.services import answers
from penstock.services.desk import Desk
from penstock.transport import Transport
from penstock.vault import Vault

from . import report
from .server_data import FLOWS, SPAN, WARNING, Filled, fill
from .server_place import NAMES, Place, serving
from .server_runs import Maker, now
from .server_session import Session, met, percentile

assert answers  # (it has the desk's handlers)

TASK_RUNS, QUICK_TASK_RUNS = 1_000_000, 50_000
SAMPLES, QUICK_SAMPLES = 100, 20
TARGET = 0.020
# What takes long is not asked so often: no more, when one question's answers took so many seconds.
LONGEST = 20.0
A_PAGE = 50

NOTES = """\
One asker, one question after the other, each with other arguments; the first answer of each kind is not on the clock.
`HTTP` is by way of the server, as the client sees it, values decoded; `desk` is the same question put to the record in
this process, which is what an embedded `penstock` does. Pages are of 50 runs, or 200 lines. Counts are checked."""


@dataclass(frozen=True)
class Question:
    """`argument(n)` is the n-th argument; `count` what a count must come to, where that is known."""

    name: str
    operation: Operation[Any, Any]
    argument: Callable[[int], msgspec.Struct]
    count: int | None = None


def measure(session: Session) -> list[str]:
    wanted = QUICK_TASK_RUNS if session.quick else TASK_RUNS
    parts = []
    for kind in session.kinds:
        with session.databases.fresh(kind) as place:
            moment = now()
            with place.open() as store:
                filled = fill(store, wanted, moment)
            place.vacuum()
            parts += [f"### {NAMES[kind]}", _told(filled), _table(session, place, filled, moment)]
    return [f"## Questions to {wanted:,} task runs", NOTES, *parts]


def _told(filled: Filled) -> str:
    return (
        f"{filled.flow_runs:,} flow runs, {filled.task_runs:,} task runs, {filled.lines:,} lines, written in "
        f"{filled.seconds:.0f} s."
    )


def _table(session: Session, place: Place, filled: Filled, moment: datetime) -> str:
    head = ("question", "HTTP: p50", "p95", "desk: p50", "p95", "target", "")
    rows: list[tuple[str, ...]] = []
    samples = QUICK_SAMPLES if session.quick else SAMPLES
    with place.open() as store, serving(place, session.complain) as server:
        vault = Vault(place.home / "secret.key", None)
        desk = Desk(store, vault, now, identity.lives, "the measurement")
        transport = Transport(server.url, patience=0.0)
        for question in questions(filled, moment):
            by_http = _asked(session, place, question, samples, transport.call)
            by_desk = _asked(session, place, question, samples, desk.wait_for_answer)
            if not by_http or not by_desk:
                rows.append((question.name, "failed", "", "", "", "", "FAILED"))
                continue
            cells = [report.quantity(percentile(each, at)) for each in (by_http, by_desk) for at in (50, 95)]
            late = percentile(by_http, 95)
            rows.append((question.name, *cells, report.quantity(TARGET), met(late, TARGET)))
            report.say(f"{NAMES[place.kind]}, {question.name}: p95 {late * 1e3:.1f} ms")
    return report.table(head, rows)


def _asked(
    session: Session, place: Place, question: Question, samples: int, ask: Callable[[Any, Any], Any]
) -> list[float]:
    """Seconds of each; nothing, where it was answered by an error."""
    took: list[float] = []
    try:
        for number in range(samples + 1):
            argument = question.argument(number)
            began = time.perf_counter()
            answer = ask(question.operation, argument)
            took.append(time.perf_counter() - began)
            if question.count is not None:
                assert isinstance(answer, Count)
                session.expect(question.name, place.kind, answer.count, question.count)
            if sum(took) > LONGEST and number:
                break
    except Exception as error:
        session.complain(f"{question.name} on {NAMES[place.kind]}: {error!r}")
        return []
    return took[1:]


# --- what is asked ---------------------------------------------------------------------------------------------------


def questions(filled: Filled, moment: datetime) -> list[Question]:
    return [*_of_flow_runs(filled, moment), *_of_task_runs(filled, moment), *_of_logs(filled)]


def _runs(limit: int = A_PAGE, cursor: str | None = None, **filter: Any) -> flow_runs.FilterRuns:
    return flow_runs.FilterRuns(filter=RunFilter(**filter), limit=limit, cursor=cursor)


def _counted(**filter: Any) -> flow_runs.CountRuns:
    return flow_runs.CountRuns(filter=RunFilter(**filter))


def _of_flow_runs(filled: Filled, moment: datetime) -> list[Question]:
    some, listing, counting = filled.some, flow_runs.FILTER_FLOW_RUNS, flow_runs.COUNT_FLOW_RUNS
    failed, crashed = (StateType.FAILED,), (StateType.CRASHED,)
    day = timedelta(days=1)

    def run(n: int) -> Any:
        return some[n * 7 % len(some)]

    def history(n: int) -> flow_runs.RunHistory:
        return flow_runs.RunHistory(start=moment - SPAN, end=moment, interval_seconds=3600)

    return [
        Question("flow runs: newest page", listing, lambda n: _runs()),
        Question("flow runs: a page from the middle", listing, lambda n: _runs(cursor=paging.after(run(n).id))),
        Question("flow runs: of a flow", listing, lambda n: _runs(flow_names=(f"flow-{n % FLOWS}",))),
        Question("flow runs: failed", listing, lambda n: _runs(state_types=failed)),
        Question(
            "flow runs: crashed, of a flow", listing,
            lambda n: _runs(state_types=crashed, flow_names=(f"flow-{n % FLOWS}",)),
        ),
        Question("flow runs: with a tag", listing, lambda n: _runs(tags=("nightly",))),
        Question("flow runs: of a day", listing, lambda n: _runs(after=moment - 3 * day, before=moment - 2 * day)),
        Question("flow runs: by a part of the name", listing, lambda n: _runs(name_contains=f"otter-{n % 10}")),
        Question("flow runs: by a name that few have", listing, lambda n: _runs(name_contains=run(n).name)),
        Question("flow runs: count all", counting, lambda n: _counted(), filled.flow_runs),
        Question(
            "flow runs: count the failed", counting, lambda n: _counted(state_types=failed),
            filled.flow_runs_by_state.get(StateType.FAILED, 0),
        ),
        Question("flow runs: count those of a flow", counting, lambda n: _counted(flow_names=(f"flow-{n % FLOWS}",))),
        Question("flow runs: by hour and state, a week", flow_runs.FLOW_RUN_HISTORY, history),
        Question("a flow run", flow_runs.READ_FLOW_RUN, lambda n: flow_runs.ById(run(n).id)),
        Question("a flow run by its name", flow_runs.FIND_FLOW_RUN, lambda n: flow_runs.FindRun(run(n).name)),
        Question("a flow run's graph", graphs.READ_GRAPH, lambda n: graphs.ReadGraph(id=run(n).id)),
        Question("flows, with their runs", flows.FILTER_FLOWS, lambda n: flows.FilterFlows()),
    ]  # fmt: skip


def _of_task_runs(filled: Filled, moment: datetime) -> list[Question]:
    some, listing, counting = filled.some_task_runs, task_runs.FILTER_TASK_RUNS, task_runs.COUNT_TASK_RUNS
    failed = (StateType.FAILED,)
    maker, large = Maker(5), _large(filled)
    hour = timedelta(hours=1)

    def somewhere(n: int) -> str:
        return paging.after(maker.id(moment - SPAN * maker.random.random()))

    def run(n: int) -> Any:
        return some[n * 7 % len(some)]

    return [
        Question("task runs: newest page", listing, lambda n: _runs()),
        Question("task runs: a page from anywhere", listing, lambda n: _runs(cursor=somewhere(n))),
        Question("task runs: of a flow run", listing, lambda n: _runs(flow_run_id=run(n).flow_run_id)),
        Question("task runs: of the large flow run", listing, lambda n: _runs(flow_run_id=large)),
        Question("task runs: failed", listing, lambda n: _runs(state_types=failed)),
        Question(
            "task runs: failed, of a flow run", listing,
            lambda n: _runs(state_types=failed, flow_run_id=run(n).flow_run_id),
        ),
        Question("task runs: of a task", listing, lambda n: _runs(task_names=("join",))),
        Question("task runs: of an hour", listing, lambda n: _runs(after=moment - 9 * hour, before=moment - 8 * hour)),
        Question("task runs: by a part of many names", listing, lambda n: _runs(name_contains=f"load-{3 + n % 2 * 4}")),
        Question("task runs: by a name that nobody has", listing, lambda n: _runs(name_contains=f"merge-{n}")),
        Question("task runs: count all", counting, lambda n: _counted(), filled.task_runs),
        Question(
            "task runs: count the failed", counting, lambda n: _counted(state_types=failed), filled.failed_task_runs
        ),
        Question("task runs of a flow run, by state", flow_runs.COUNT_TASK_RUNS_OF, lambda n: flow_runs.ById(large)),
        Question("a task run", task_runs.READ_TASK_RUN, lambda n: flow_runs.ById(run(n).id)),
    ]  # fmt: skip


def _of_logs(filled: Filled) -> list[Question]:
    some, some_task_runs, large, end = filled.some, filled.some_task_runs, _large(filled), filled.large_lines

    def read(run: UUID, limit: int = 200, **more: Any) -> logs.FilterLogs:
        return logs.FilterLogs(flow_run_id=run, limit=limit, **more)

    def run(n: int) -> UUID:
        return some[n * 7 % len(some)].id

    def task(n: int) -> LogFilter:
        return LogFilter(task_run_id=some_task_runs[n * 7 % len(some)].id)

    ask = logs.FILTER_LOGS
    return [
        Question("logs: of a flow run", ask, lambda n: read(run(n))),
        Question("logs: of a task run", ask, lambda n: read(run(n), filter=task(n))),
        Question("logs: the large run's first", ask, lambda n: read(large)),
        Question("logs: the large run's last", ask, lambda n: read(large, last=200)),
        Question("logs: the large run's, from anywhere", ask, lambda n: read(large, after=n * 997 % end)),
        Question("logs: the large run's warnings", ask, lambda n: read(large, filter=LogFilter(level=WARNING))),
        Question(
            "logs: the large run's, by a text that few have", ask,
            lambda n: read(large, filter=LogFilter(containing=f"row {n * 997 % end} of")),
        ),
    ]  # fmt: skip


def _large(filled: Filled) -> UUID:
    assert filled.large is not None
    return filled.large.id
