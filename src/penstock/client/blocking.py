"""The client whose methods are called: one method for each thing that can be asked.

Law: this is where the methods are written, and in `things.py` and `deployments.py`. `asynchronous.py` is made from
these files by `tests/client/generate.py`; a test fails while they differ.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET

from ..domain.errors import ObjectNotFound, PenstockError
from ..domain.filters import LogFilter, RunFilter
from ..domain.flows import FlowSummary
from ..domain.ids import parse_id
from ..domain.logs import LogLine
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State
from ..domain.variables import VariableRecord
from ..domain.waiting import Why
from ..protocol import admin, block_documents, flow_runs, flows, graphs, logs, task_runs, variables
from ..protocol.operation import Nothing, Operation
from ..protocol.paging import MOST
from .asking import Id
from .deployments import Deployments
from .things import Things

EVERYTHING = RunFilter()
ALL_LINES = LogFilter()
# In pieces: between them a stop of the caller's own run is heard, and that nobody waits any more.
WAIT_SECONDS = 0.2
QUIET_SECONDS = 0.3


class SyncPenstockClient(Things, Deployments):
    """What `get_client(sync_client=True)` gives. Safe to use from several threads.

    Every method raises `ServerUnavailableError` when the server is away, after what can be asked twice was asked again
    for some seconds; `NotSignedIn` and `NotAllowed`; and `ObjectNotFound` for an id that is not recorded. Ids are UUIDs
    or their text; `InvalidId` is raised for other text.
    """

    # --- the server ------------------------------------------------------------------------------------------------

    def api_healthcheck(self) -> PenstockError | None:
        """None when the server (or the record) answers, else the error."""
        try:
            self._ask(admin.READ_READY, Nothing())
        except PenstockError as error:
            return error
        return None

    def api_version(self) -> str:
        """The version of Penstock that answers."""
        return self._ask(admin.READ_VERSION, Nothing()).version

    def hello(self) -> str:
        """`ok`, from whoever answers."""
        return self._ask(admin.READ_HEALTH, Nothing()).status

    # --- flow runs -------------------------------------------------------------------------------------------------

    def read_flow_run(self, flow_run_id: Id) -> FlowRun:
        """The flow run of this id."""
        return self._ask(flow_runs.READ_FLOW_RUN, flow_runs.ById(parse_id(flow_run_id)))

    def why_flow_run_waits(self, flow_run_id: Id) -> Why:
        """Why a flow run waits: a `sentence`, a `reason`, and numbers. Raises `ObjectNotFound`."""
        return self._ask(flow_runs.WHY_FLOW_RUN, flow_runs.ById(parse_id(flow_run_id)))

    def find_flow_run(self, text: str) -> FlowRun:
        """The flow run whose id this is, or begins or ends with it, or whose name it is. Raises `AmbiguousId`."""
        return self._ask(flow_runs.FIND_FLOW_RUN, flow_runs.FindRun(text))

    def read_flow_runs(self, filter: RunFilter = EVERYTHING, *, limit: int = 200) -> list[FlowRun]:
        """The newest flow runs that fit, `limit` at most."""
        return list(self.iter_flow_runs(filter, limit=limit))

    def iter_flow_runs(self, filter: RunFilter = EVERYTHING, *, limit: int | None = None) -> Iterator[FlowRun]:
        """All flow runs that fit, the newest first, read page by page."""
        return self._pages(
            flow_runs.FILTER_FLOW_RUNS,
            lambda size, cursor: flow_runs.FilterRuns(filter=filter, limit=size, cursor=cursor),
            limit,
        )

    def count_flow_runs(self, filter: RunFilter = EVERYTHING) -> int:
        """How many flow runs fit."""
        return self._ask(flow_runs.COUNT_FLOW_RUNS, flow_runs.CountRuns(filter=filter)).count

    def read_flow_run_states(self, flow_run_id: Id) -> list[State[Any]]:
        """The states that a flow run went through, in their order."""
        return self._ask(flow_runs.READ_FLOW_RUN_STATES, flow_runs.StatesOfFlowRun(parse_id(flow_run_id)))

    def read_flow_run_history(
        self, start: datetime, end: datetime, interval_seconds: float, filter: RunFilter = EVERYTHING
    ) -> list[flow_runs.Interval]:
        """How many of the runs that fit were created in each interval from `start` on and before `end` (both with an
        offset), by the state they are in now. Raises `FilterError` for more than 1000 intervals."""
        query = flow_runs.RunHistory(start=start, end=end, interval_seconds=interval_seconds, filter=filter)
        return self._ask(flow_runs.FLOW_RUN_HISTORY, query)

    def read_flow_run_graph(self, flow_run_id: Id, *, shown: int = 20) -> graphs.Graph:
        """What a flow run called, as a flat list of nodes; of the runs of one task the first `shown`."""
        return self._ask(graphs.READ_GRAPH, graphs.ReadGraph(id=parse_id(flow_run_id), shown=shown))

    def count_task_runs_of_flow_run(self, flow_run_id: Id) -> dict[str, int]:
        """How many task runs of a flow run are in each state, by the state's name."""
        return self._ask(flow_runs.COUNT_TASK_RUNS_OF, flow_runs.ById(parse_id(flow_run_id)))

    def count_task_runs_of_flow_run_by_task(self, flow_run_id: Id) -> list[flow_runs.TaskCount]:
        """How many runs of each task a flow run has, and in which states: `[TaskCount("parse", [StateCount(…)])]`."""
        return self._ask(flow_runs.COUNT_TASK_RUNS_BY_TASK, flow_runs.ById(parse_id(flow_run_id)))

    def wait_for_flow_run(self, flow_run_id: Id, timeout: float | None = None) -> FlowRun:
        """The flow run as it ended. Raises `TimeoutError` when it has not after `timeout` seconds."""
        run: FlowRun = self._await_end(flow_runs.WAIT_FOR_FLOW_RUN, parse_id(flow_run_id), "Flow run", timeout)
        return run

    def cancel_flow_run(self, flow_run_id: Id, grace: float | None = None) -> FlowRun:
        """Asks for the end of a flow run and all that it called; the run as it is then, `Cancelling` or `Cancelled`.
        Its code has `grace` seconds. Raises `TransitionRefused` for a run that has ended."""
        return self._ask(flow_runs.CANCEL_FLOW_RUN, flow_runs.CancelRun(id=parse_id(flow_run_id), grace=grace))

    def pause_flow_run(self, flow_run_id: Id, timeout: float | None = 3600.0, suspend: bool = False) -> FlowRun:
        """Has a run that is Running wait before its next task, for at most `timeout` seconds (None: for ever); with
        `suspend` without a process. Raises `TransitionRefused` for a run that is not Running."""
        query = flow_runs.PauseRun(id=parse_id(flow_run_id), timeout=timeout, suspend=suspend)
        return self._ask(flow_runs.PAUSE_FLOW_RUN, query)

    def resume_flow_run(self, flow_run_id: Id, run_input: Any = None, comment: str | None = None) -> FlowRun:
        """Has a run go on that waits, with the input that it asked for, as JSON has it; the run as it is then. Raises
        `NotPausedError` for a run that does not wait, and `InputRefused`."""
        query = flow_runs.ResumeRun(id=parse_id(flow_run_id), run_input=run_input, comment=comment)
        return self._ask(flow_runs.RESUME_FLOW_RUN, query)

    def approve_flow_run(self, flow_run_id: Id, run_input: Any = None, comment: str | None = None) -> FlowRun:
        """Approves what a run asks to be approved; the run goes on when enough people have. Raises `NotPausedError`,
        `NotAllowed` for who is not asked, `InputRefused`, and `TransitionRefused` for who has decided already."""
        query = flow_runs.ResumeRun(id=parse_id(flow_run_id), run_input=run_input, comment=comment)
        return self._ask(flow_runs.APPROVE_FLOW_RUN, query)

    def reject_flow_run(self, flow_run_id: Id, comment: str | None = None) -> FlowRun:
        """Rejects what a run asks to be approved. Raises what `approve_flow_run` does."""
        return self._ask(flow_runs.REJECT_FLOW_RUN, flow_runs.RejectRun(id=parse_id(flow_run_id), comment=comment))

    def read_pauses(self, flow_run_id: Id | None = None, *, limit: int = 200) -> list[flow_runs.Waiting]:
        """What waits for somebody, the oldest first, `limit` at most; with a `flow_run_id` the pauses of that run."""
        return list(self.iter_pauses(flow_run_id, limit=limit))

    def iter_pauses(self, flow_run_id: Id | None = None, *, limit: int | None = None) -> Iterator[flow_runs.Waiting]:
        """All that waits for somebody, or all pauses of a run, read page by page."""
        id = None if flow_run_id is None else parse_id(flow_run_id)
        return self._pages(
            flow_runs.FILTER_PAUSES,
            lambda size, cursor: flow_runs.FilterPauses(flow_run_id=id, limit=size, cursor=cursor),
            limit,
        )

    def cancel_flow_runs(
        self,
        filter: RunFilter | None = None,
        *,
        ids: Iterable[Id] | None = None,
        grace: float | None = None,
        dry_run: bool = False,
    ) -> list[flow_runs.Cancelled]:
        """Asks for the end of the runs of `ids`, or of those that fit a `filter` and have not ended; what became of
        each request. With `dry_run` nobody is asked to stop. Raises `BadRequest` unless one of the two is given."""
        known = None if ids is None else tuple(map(parse_id, ids))
        query = flow_runs.BulkCancel(ids=known, filter=filter, grace=grace, dry_run=dry_run)
        return self._ask(flow_runs.BULK_CANCEL_FLOW_RUNS, query)

    def set_flow_run_state(self, flow_run_id: Id, state: State[Any], force: bool = False) -> flow_runs.StateSet:
        """Proposes a state. `Cancelling` and `Cancelled` ask for the run's end; with `force` any final state closes a
        run that nobody executes. Whether it was accepted is in the answer's `status`."""
        proposal = flow_runs.Proposal(type=state.type, name=state.name, message=state.message)
        query = flow_runs.SetState(id=parse_id(flow_run_id), state=proposal, force=force)
        return self._ask(flow_runs.SET_FLOW_RUN_STATE, query)

    def update_flow_run(
        self,
        flow_run_id: Id,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        labels: dict[str, str] | None = None,
        keep: bool | None = None,
    ) -> FlowRun:
        """Changes what is given; tags and labels as a whole. `keep=True` pins the run: retention leaves it alone."""
        query = flow_runs.UpdateRun(
            id=parse_id(flow_run_id),
            name=UNSET if name is None else name,
            tags=UNSET if tags is None else tuple(tags),
            labels=UNSET if labels is None else labels,
            keep=UNSET if keep is None else keep,
        )
        return self._ask(flow_runs.UPDATE_FLOW_RUN, query)

    def set_flow_run_name(self, flow_run_id: Id, name: str) -> FlowRun:
        """Gives a flow run another name."""
        return self.update_flow_run(flow_run_id, name=name)

    def delete_flow_run(self, flow_run_id: Id, *, force: bool = False) -> flow_runs.Deleted:
        """Deletes a flow run with its task runs, logs and subflow runs. Raises `UnfinishedRun` for one that has not
        ended, without `force`."""
        return self._ask(flow_runs.DELETE_FLOW_RUN, flow_runs.DeleteRun(id=parse_id(flow_run_id), force=force))

    def delete_flow_runs(
        self,
        filter: RunFilter | None = None,
        *,
        ids: Iterable[Id] | None = None,
        force: bool = False,
        dry_run: bool = False,
        limit: int = 200,
    ) -> flow_runs.BulkDeleted:
        """Deletes the runs of `ids`, all or none; or those that fit a `filter` and have ended, `limit` (500 at most) at
        a time: the answer's `more` says whether others fit as well. With `dry_run` nothing is deleted."""
        known = None if ids is None else tuple(map(parse_id, ids))
        query = flow_runs.BulkDelete(ids=known, filter=filter, force=force, dry_run=dry_run, limit=limit)
        return self._ask(flow_runs.BULK_DELETE_FLOW_RUNS, query)

    # --- task runs -------------------------------------------------------------------------------------------------

    def read_task_run(self, task_run_id: Id) -> TaskRun:
        """The task run of this id."""
        return self._ask(task_runs.READ_TASK_RUN, flow_runs.ById(parse_id(task_run_id)))

    def find_task_run(self, text: str) -> TaskRun:
        """The task run whose id this is, or begins or ends with it. Raises `AmbiguousId`."""
        return self._ask(task_runs.FIND_TASK_RUN, flow_runs.FindRun(text))

    def read_task_runs(self, filter: RunFilter = EVERYTHING, *, limit: int = 200) -> list[TaskRun]:
        """The newest task runs that fit, `limit` at most."""
        return list(self.iter_task_runs(filter, limit=limit))

    def iter_task_runs(self, filter: RunFilter = EVERYTHING, *, limit: int | None = None) -> Iterator[TaskRun]:
        """All task runs that fit, the newest first, read page by page."""
        return self._pages(
            task_runs.FILTER_TASK_RUNS,
            lambda size, cursor: flow_runs.FilterRuns(filter=filter, limit=size, cursor=cursor),
            limit,
        )

    def count_task_runs(self, filter: RunFilter = EVERYTHING) -> int:
        """How many task runs fit."""
        return self._ask(task_runs.COUNT_TASK_RUNS, flow_runs.CountRuns(filter=filter)).count

    def read_task_run_states(self, task_run_id: Id) -> list[State[Any]]:
        """The states that a task run went through, in their order."""
        return self._ask(task_runs.READ_TASK_RUN_STATES, task_runs.StatesOfTaskRun(parse_id(task_run_id)))

    def wait_for_task_run(self, task_run_id: Id, timeout: float | None = None) -> TaskRun:
        """The task run as it ended. Raises `TimeoutError` when it has not after `timeout` seconds."""
        run: TaskRun = self._await_end(task_runs.WAIT_FOR_TASK_RUN, parse_id(task_run_id), "Task run", timeout)
        return run

    def cancel_task_run(self, task_run_id: Id, grace: float | None = None) -> TaskRun:
        """Asks for the end of one task run; its flow goes on. Raises `TransitionRefused` for a run that has ended."""
        return self._ask(task_runs.CANCEL_TASK_RUN, flow_runs.CancelRun(id=parse_id(task_run_id), grace=grace))

    def _await_end(
        self, operation: Operation[flow_runs.WaitForRun, Any], id: UUID, kind: str, timeout: float | None
    ) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        run = self._ask(operation, flow_runs.WaitForRun(id=id))
        while not run.state.is_final():
            left = WAIT_SECONDS if deadline is None else min(WAIT_SECONDS, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"{kind} '{id}' did not end within {timeout:g} s: it is {run.state_name}.")
            run = self._ask(operation, flow_runs.WaitForRun(id=id, seen=run.version, wait=left))
        return run

    # --- flows -----------------------------------------------------------------------------------------------------

    def read_flow(self, flow_id: Id) -> FlowSummary:
        """The flow of this id."""
        return self._ask(flows.READ_FLOW, flows.FlowById(parse_id(flow_id)))

    def read_flow_by_name(self, flow_name: str) -> FlowSummary:
        """The flow of this name. Raises `ObjectNotFound`."""
        return self._ask(flows.READ_FLOW_BY_NAME, flows.FlowByName(flow_name))

    def read_flows(self, *, limit: int = 200) -> list[FlowSummary]:
        """Flows, the most recently used first, `limit` at most."""
        return list(self.iter_flows(limit=limit))

    def iter_flows(self, *, limit: int | None = None) -> Iterator[FlowSummary]:
        """All flows, the most recently used first, read page by page."""
        return self._pages(flows.FILTER_FLOWS, lambda size, cursor: flows.FilterFlows(limit=size, cursor=cursor), limit)

    def count_flows(self) -> int:
        """How many flows there are."""
        return self._ask(flows.COUNT_FLOWS, Nothing()).count

    # --- logs ------------------------------------------------------------------------------------------------------

    def read_logs(
        self,
        flow_run_id: Id | None = None,
        task_run_id: Id | None = None,
        filter: LogFilter = ALL_LINES,
        *,
        limit: int = 200,
        backwards: bool = False,
    ) -> list[LogLine]:
        """The first `limit` lines of a flow run's log, or of a task run's, that fit; `backwards`, the last, the newest
        first. Raises `BadRequest` unless one of the two ids is given."""
        return list(self.iter_logs(flow_run_id, task_run_id, filter, limit=limit, backwards=backwards))

    def iter_logs(
        self,
        flow_run_id: Id | None = None,
        task_run_id: Id | None = None,
        filter: LogFilter = ALL_LINES,
        *,
        limit: int | None = None,
        backwards: bool = False,
    ) -> Iterator[LogLine]:
        """All lines that fit, as `read_logs`, read page by page."""
        query = logs.FilterLogs(
            flow_run_id=None if flow_run_id is None else parse_id(flow_run_id),
            task_run_id=None if task_run_id is None else parse_id(task_run_id),
            filter=filter,
            backwards=backwards,
        )
        left = limit
        while left is None or left > 0:
            query.limit = MOST if left is None else min(MOST, left)
            page = self._ask(logs.FILTER_LOGS, query)
            yield from page.items
            if page.next is None:
                return
            query.cursor = page.next
            left = None if left is None else left - len(page.items)

    def follow_logs(
        self, flow_run_id: Id | None = None, task_run_id: Id | None = None, filter: LogFilter = ALL_LINES
    ) -> Iterator[LogLine]:
        """The lines that fit, those that are there and then those that come, each once, until the run has ended and
        nothing came for a moment."""
        query = logs.FollowLogs(
            flow_run_id=None if flow_run_id is None else parse_id(flow_run_id),
            task_run_id=None if task_run_id is None else parse_id(task_run_id),
            filter=filter,
        )
        while True:
            news = self._ask(logs.FOLLOW_LOGS, query)
            yield from news.items
            query.position = news.position
            if news.settled or (query.rest and not news.more):
                return
            query.rest = query.rest or (query.wait == QUIET_SECONDS and news.silent)
            query.wait = 0.0 if query.rest else QUIET_SECONDS if news.ended else WAIT_SECONDS
            if news.again is not None and not news.items:
                time.sleep(news.again)

    # --- variables -------------------------------------------------------------------------------------------------

    def read_variable_by_name(self, name: str) -> VariableRecord | None:
        """The variable of this name, None when it is not set. Raises `InvalidName`."""
        try:
            return self._ask(variables.READ_VARIABLE, variables.VariableByName(name))
        except ObjectNotFound:
            return None

    def read_variables(self, *, limit: int = 200) -> list[VariableRecord]:
        """Variables by name, `limit` at most."""
        return list(self.iter_variables(limit=limit))

    def iter_variables(self, *, limit: int | None = None) -> Iterator[VariableRecord]:
        """All variables by name, read page by page."""
        return self._pages(
            variables.FILTER_VARIABLES,
            lambda size, cursor: variables.FilterVariables(limit=size, cursor=cursor),
            limit,
        )

    def count_variables(self) -> int:
        """How many variables are set."""
        return self._ask(variables.COUNT_VARIABLES, Nothing()).count

    def create_variable(
        self, name: str, value: Any, tags: Iterable[str] | None = None, *, overwrite: bool = False
    ) -> VariableRecord:
        """Sets a variable; with `overwrite` also one that is set. Raises `InvalidName`, `NameTaken` or
        `UnstorableValue`."""
        query = variables.SetVariable(name=name, value=value, tags=list(tags or ()), overwrite=overwrite)
        return self._ask(variables.CREATE_VARIABLE, query)

    def update_variable(self, name: str, value: Any = UNSET, tags: Iterable[str] | None = None) -> VariableRecord:
        """Changes what is given. Raises `ObjectNotFound` when the variable is not set."""
        query = variables.UpdateVariable(name=name, value=value, tags=UNSET if tags is None else list(tags))
        return self._ask(variables.UPDATE_VARIABLE, query)

    def delete_variable_by_name(self, name: str) -> None:
        """Unsets a variable. Raises `ObjectNotFound` when it is not set."""
        self._ask(variables.DELETE_VARIABLE, variables.VariableByName(name))

    # --- blocks ----------------------------------------------------------------------------------------------------

    def read_block_document(self, block_document_id: Id, *, include_secrets: bool = False) -> block_documents.Block:
        """The block of this id; secrets as `********`, or, with `include_secrets`, clear in `fields()`."""
        query = block_documents.ReadBlockById(id=parse_id(block_document_id), include_secrets=include_secrets)
        return self._ask(block_documents.READ_BLOCK, query)

    def read_block_document_by_name(
        self, name: str, block_type_slug: str, *, include_secrets: bool = False
    ) -> block_documents.Block:
        """The block of this name and type. Raises `BlockNotFound`."""
        query = block_documents.ReadBlock(type=block_type_slug, name=name, include_secrets=include_secrets)
        return self._ask(block_documents.READ_BLOCK_BY_NAME, query)

    def read_block_documents(
        self, block_type_slug: str | None = None, *, limit: int = 200
    ) -> list[block_documents.Block]:
        """Blocks by type and name, `limit` at most, of one type or of all."""
        return list(self.iter_block_documents(block_type_slug, limit=limit))

    def iter_block_documents(
        self, block_type_slug: str | None = None, *, limit: int | None = None
    ) -> Iterator[block_documents.Block]:
        """All blocks by type and name, read page by page."""
        return self._pages(
            block_documents.FILTER_BLOCKS,
            lambda size, cursor: block_documents.FilterBlocks(type=block_type_slug, limit=size, cursor=cursor),
            limit,
        )

    def count_block_documents(self) -> dict[str, int]:
        """How many blocks there are of each type."""
        return self._ask(block_documents.COUNT_BLOCKS, Nothing())

    def create_block_document(
        self,
        name: str,
        block_type_slug: str,
        data: dict[str, Any],
        secrets: Iterable[block_documents.ClearSecret] = (),
        *,
        overwrite: bool = False,
    ) -> block_documents.Block:
        """Stores a block: `data` are its fields, with None in the places of `secrets`, which are encrypted. `save` of a
        block class does this for you. Raises `InvalidName`, `NameTaken` or `UnstorableValue`."""
        query = block_documents.SaveBlock(
            type=block_type_slug, name=name, data=data, secrets=list(secrets), overwrite=overwrite
        )
        return self._ask(block_documents.CREATE_BLOCK, query)

    def update_block_document(
        self,
        name: str,
        block_type_slug: str,
        data: dict[str, Any],
        secrets: Iterable[block_documents.ClearSecret] = (),
    ) -> block_documents.Block:
        """Stores all fields of a block anew. Raises `BlockNotFound`."""
        query = block_documents.UpdateBlock(type=block_type_slug, name=name, data=data, secrets=list(secrets))
        return self._ask(block_documents.UPDATE_BLOCK, query)

    def delete_block_document_by_name(self, name: str, block_type_slug: str) -> None:
        """Deletes a block. Raises `BlockNotFound`."""
        self._ask(block_documents.DELETE_BLOCK, block_documents.BlockAddress(block_type_slug, name))
