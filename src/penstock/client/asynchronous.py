"""The client whose methods are awaited. Made by tests/client/generate.py from `blocking.py`,
`things.py` and `deployments.py`: change those."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import copy_context
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, NoReturn, TypeVar

from msgspec import UNSET

from ..domain.artifacts import Artifact
from ..domain.backfills import Backfill
from ..domain.deployments import Deployment
from ..domain.errors import PenstockError
from ..domain.events import Event, EventFilter
from ..domain.filters import LogFilter, RunFilter
from ..domain.flows import FlowSummary
from ..domain.logs import LogLine
from ..domain.pools import WorkerRecord, WorkPool, WorkQueue
from ..domain.runs import FlowRun, TaskRun
from ..domain.schedules import DeploymentSchedule, Schedule
from ..domain.states import State
from ..domain.variables import VariableRecord
from ..domain.waiting import Why
from ..protocol import (
    artifacts,
    block_documents,
    concurrency_limits,
    flow_runs,
    graphs,
)
from .asking import GIVEN_UP, Id
from .blocking import ALL_LINES, EVERYTHING, SyncPenstockClient
from .things import ALL_ARTIFACTS, ALL_EVENTS

T = TypeVar("T")

# What an iterator gives is fetched so many at a time: it comes in pages anyway.
PIECE = 100


class PenstockClient:
    """What `get_client()` gives: `SyncPenstockClient`, to be awaited. What it does, it does in other threads, so the
    event loop goes on meanwhile."""

    def __init__(self, client: SyncPenstockClient) -> None:
        self._client = client

    def __enter__(self) -> NoReturn:
        raise RuntimeError("This client is awaited: `async with get_client()`, or get_client(sync_client=True).")

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> PenstockClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._call(self._client.close)

    async def _call(self, work: Callable[[], T]) -> T:
        """In another thread, with the caller's context. Who is not waited for any more waits no longer."""
        given_up = threading.Event()
        context = copy_context()
        context.run(GIVEN_UP.set, given_up)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, context.run, work)
        finally:
            given_up.set()

    async def _each(self, iterator: Iterator[T], piece: int = PIECE) -> AsyncIterator[T]:
        while found := await self._call(lambda: list(islice(iterator, piece))):
            for each in found:
                yield each

    async def api_healthcheck(self) -> PenstockError | None:
        """None when the server (or the record) answers, else the error."""
        return await self._call(self._client.api_healthcheck)

    async def api_version(self) -> str:
        """The version of Penstock that answers."""
        return await self._call(self._client.api_version)

    async def hello(self) -> str:
        """`ok`, from whoever answers."""
        return await self._call(self._client.hello)

    async def read_flow_run(self, flow_run_id: Id) -> FlowRun:
        """The flow run of this id."""
        return await self._call(partial(self._client.read_flow_run, flow_run_id))

    async def why_flow_run_waits(self, flow_run_id: Id) -> Why:
        """Why a flow run waits: a `sentence`, a `reason`, and numbers. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.why_flow_run_waits, flow_run_id))

    async def find_flow_run(self, text: str) -> FlowRun:
        """The flow run whose id this is, or begins or ends with it, or whose name it is. Raises `AmbiguousId`."""
        return await self._call(partial(self._client.find_flow_run, text))

    async def read_flow_runs(self, filter: RunFilter = EVERYTHING, *, limit: int = 200) -> list[FlowRun]:
        """The newest flow runs that fit, `limit` at most."""
        return await self._call(partial(self._client.read_flow_runs, filter, limit=limit))

    def iter_flow_runs(self, filter: RunFilter = EVERYTHING, *, limit: int | None = None) -> AsyncIterator[FlowRun]:
        """All flow runs that fit, the newest first, read page by page."""
        return self._each(self._client.iter_flow_runs(filter, limit=limit))

    async def count_flow_runs(self, filter: RunFilter = EVERYTHING) -> int:
        """How many flow runs fit."""
        return await self._call(partial(self._client.count_flow_runs, filter))

    async def read_flow_run_states(self, flow_run_id: Id) -> list[State[Any]]:
        """The states that a flow run went through, in their order."""
        return await self._call(partial(self._client.read_flow_run_states, flow_run_id))

    async def read_flow_run_history(
        self, start: datetime, end: datetime, interval_seconds: float, filter: RunFilter = EVERYTHING
    ) -> list[flow_runs.Interval]:
        """How many of the runs that fit were created in each interval from `start` on and before `end` (both with an
        offset), by the state they are in now. Raises `FilterError` for more than 1000 intervals."""
        return await self._call(partial(self._client.read_flow_run_history, start, end, interval_seconds, filter))

    async def read_flow_run_graph(self, flow_run_id: Id, *, shown: int = 20) -> graphs.Graph:
        """What a flow run called, as a flat list of nodes; of the runs of one task the first `shown`."""
        return await self._call(partial(self._client.read_flow_run_graph, flow_run_id, shown=shown))

    async def count_task_runs_of_flow_run(self, flow_run_id: Id) -> dict[str, int]:
        """How many task runs of a flow run are in each state, by the state's name."""
        return await self._call(partial(self._client.count_task_runs_of_flow_run, flow_run_id))

    async def count_task_runs_of_flow_run_by_task(self, flow_run_id: Id) -> list[flow_runs.TaskCount]:
        """How many runs of each task a flow run has, and in which states: `[TaskCount("parse", [StateCount(…)])]`."""
        return await self._call(partial(self._client.count_task_runs_of_flow_run_by_task, flow_run_id))

    async def wait_for_flow_run(self, flow_run_id: Id, timeout: float | None = None) -> FlowRun:
        """The flow run as it ended. Raises `TimeoutError` when it has not after `timeout` seconds."""
        return await self._call(partial(self._client.wait_for_flow_run, flow_run_id, timeout))

    async def cancel_flow_run(self, flow_run_id: Id, grace: float | None = None) -> FlowRun:
        """Asks for the end of a flow run and all that it called; the run as it is then, `Cancelling` or `Cancelled`.
        Its code has `grace` seconds. Raises `TransitionRefused` for a run that has ended."""
        return await self._call(partial(self._client.cancel_flow_run, flow_run_id, grace))

    async def pause_flow_run(self, flow_run_id: Id, timeout: float | None = 3600.0, suspend: bool = False) -> FlowRun:
        """Has a run that is Running wait before its next task, for at most `timeout` seconds (None: for ever); with
        `suspend` without a process. Raises `TransitionRefused` for a run that is not Running."""
        return await self._call(partial(self._client.pause_flow_run, flow_run_id, timeout, suspend))

    async def resume_flow_run(self, flow_run_id: Id, run_input: Any = None, comment: str | None = None) -> FlowRun:
        """Has a run go on that waits, with the input that it asked for, as JSON has it; the run as it is then. Raises
        `NotPausedError` for a run that does not wait, and `InputRefused`."""
        return await self._call(partial(self._client.resume_flow_run, flow_run_id, run_input, comment))

    async def approve_flow_run(self, flow_run_id: Id, run_input: Any = None, comment: str | None = None) -> FlowRun:
        """Approves what a run asks to be approved; the run goes on when enough people have. Raises `NotPausedError`,
        `NotAllowed` for who is not asked, `InputRefused`, and `TransitionRefused` for who has decided already."""
        return await self._call(partial(self._client.approve_flow_run, flow_run_id, run_input, comment))

    async def reject_flow_run(self, flow_run_id: Id, comment: str | None = None) -> FlowRun:
        """Rejects what a run asks to be approved. Raises what `approve_flow_run` does."""
        return await self._call(partial(self._client.reject_flow_run, flow_run_id, comment))

    async def read_pauses(self, flow_run_id: Id | None = None, *, limit: int = 200) -> list[flow_runs.Waiting]:
        """What waits for somebody, the oldest first, `limit` at most; with a `flow_run_id` the pauses of that run."""
        return await self._call(partial(self._client.read_pauses, flow_run_id, limit=limit))

    def iter_pauses(
        self, flow_run_id: Id | None = None, *, limit: int | None = None
    ) -> AsyncIterator[flow_runs.Waiting]:
        """All that waits for somebody, or all pauses of a run, read page by page."""
        return self._each(self._client.iter_pauses(flow_run_id, limit=limit))

    async def cancel_flow_runs(
        self,
        filter: RunFilter | None = None,
        *,
        ids: Iterable[Id] | None = None,
        grace: float | None = None,
        dry_run: bool = False,
    ) -> list[flow_runs.Cancelled]:
        """Asks for the end of the runs of `ids`, or of those that fit a `filter` and have not ended; what became of
        each request. With `dry_run` nobody is asked to stop. Raises `BadRequest` unless one of the two is given."""
        return await self._call(partial(self._client.cancel_flow_runs, filter, ids=ids, grace=grace, dry_run=dry_run))

    async def set_flow_run_state(self, flow_run_id: Id, state: State[Any], force: bool = False) -> flow_runs.StateSet:
        """Proposes a state. `Cancelling` and `Cancelled` ask for the run's end; with `force` any final state closes a
        run that nobody executes. Whether it was accepted is in the answer's `status`."""
        return await self._call(partial(self._client.set_flow_run_state, flow_run_id, state, force))

    async def update_flow_run(
        self,
        flow_run_id: Id,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        labels: dict[str, str] | None = None,
        keep: bool | None = None,
    ) -> FlowRun:
        """Changes what is given; tags and labels as a whole. `keep=True` pins the run: retention leaves it alone."""
        return await self._call(
            partial(self._client.update_flow_run, flow_run_id, name=name, tags=tags, labels=labels, keep=keep)
        )

    async def set_flow_run_name(self, flow_run_id: Id, name: str) -> FlowRun:
        """Gives a flow run another name."""
        return await self._call(partial(self._client.set_flow_run_name, flow_run_id, name))

    async def delete_flow_run(self, flow_run_id: Id, *, force: bool = False) -> flow_runs.Deleted:
        """Deletes a flow run with its task runs, logs and subflow runs. Raises `UnfinishedRun` for one that has not
        ended, without `force`."""
        return await self._call(partial(self._client.delete_flow_run, flow_run_id, force=force))

    async def delete_flow_runs(
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
        return await self._call(
            partial(self._client.delete_flow_runs, filter, ids=ids, force=force, dry_run=dry_run, limit=limit)
        )

    async def read_task_run(self, task_run_id: Id) -> TaskRun:
        """The task run of this id."""
        return await self._call(partial(self._client.read_task_run, task_run_id))

    async def find_task_run(self, text: str) -> TaskRun:
        """The task run whose id this is, or begins or ends with it. Raises `AmbiguousId`."""
        return await self._call(partial(self._client.find_task_run, text))

    async def read_task_runs(self, filter: RunFilter = EVERYTHING, *, limit: int = 200) -> list[TaskRun]:
        """The newest task runs that fit, `limit` at most."""
        return await self._call(partial(self._client.read_task_runs, filter, limit=limit))

    def iter_task_runs(self, filter: RunFilter = EVERYTHING, *, limit: int | None = None) -> AsyncIterator[TaskRun]:
        """All task runs that fit, the newest first, read page by page."""
        return self._each(self._client.iter_task_runs(filter, limit=limit))

    async def count_task_runs(self, filter: RunFilter = EVERYTHING) -> int:
        """How many task runs fit."""
        return await self._call(partial(self._client.count_task_runs, filter))

    async def read_task_run_states(self, task_run_id: Id) -> list[State[Any]]:
        """The states that a task run went through, in their order."""
        return await self._call(partial(self._client.read_task_run_states, task_run_id))

    async def wait_for_task_run(self, task_run_id: Id, timeout: float | None = None) -> TaskRun:
        """The task run as it ended. Raises `TimeoutError` when it has not after `timeout` seconds."""
        return await self._call(partial(self._client.wait_for_task_run, task_run_id, timeout))

    async def cancel_task_run(self, task_run_id: Id, grace: float | None = None) -> TaskRun:
        """Asks for the end of one task run; its flow goes on. Raises `TransitionRefused` for a run that has ended."""
        return await self._call(partial(self._client.cancel_task_run, task_run_id, grace))

    async def read_flow(self, flow_id: Id) -> FlowSummary:
        """The flow of this id."""
        return await self._call(partial(self._client.read_flow, flow_id))

    async def read_flow_by_name(self, flow_name: str) -> FlowSummary:
        """The flow of this name. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_flow_by_name, flow_name))

    async def read_flows(self, *, limit: int = 200) -> list[FlowSummary]:
        """Flows, the most recently used first, `limit` at most."""
        return await self._call(partial(self._client.read_flows, limit=limit))

    def iter_flows(self, *, limit: int | None = None) -> AsyncIterator[FlowSummary]:
        """All flows, the most recently used first, read page by page."""
        return self._each(self._client.iter_flows(limit=limit))

    async def count_flows(self) -> int:
        """How many flows there are."""
        return await self._call(self._client.count_flows)

    async def read_logs(
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
        return await self._call(
            partial(self._client.read_logs, flow_run_id, task_run_id, filter, limit=limit, backwards=backwards)
        )

    def iter_logs(
        self,
        flow_run_id: Id | None = None,
        task_run_id: Id | None = None,
        filter: LogFilter = ALL_LINES,
        *,
        limit: int | None = None,
        backwards: bool = False,
    ) -> AsyncIterator[LogLine]:
        """All lines that fit, as `read_logs`, read page by page."""
        return self._each(self._client.iter_logs(flow_run_id, task_run_id, filter, limit=limit, backwards=backwards))

    def follow_logs(
        self, flow_run_id: Id | None = None, task_run_id: Id | None = None, filter: LogFilter = ALL_LINES
    ) -> AsyncIterator[LogLine]:
        """The lines that fit, those that are there and then those that come, each once, until the run has ended and
        nothing came for a moment."""
        return self._each(self._client.follow_logs(flow_run_id, task_run_id, filter), 1)

    async def read_variable_by_name(self, name: str) -> VariableRecord | None:
        """The variable of this name, None when it is not set. Raises `InvalidName`."""
        return await self._call(partial(self._client.read_variable_by_name, name))

    async def read_variables(self, *, limit: int = 200) -> list[VariableRecord]:
        """Variables by name, `limit` at most."""
        return await self._call(partial(self._client.read_variables, limit=limit))

    def iter_variables(self, *, limit: int | None = None) -> AsyncIterator[VariableRecord]:
        """All variables by name, read page by page."""
        return self._each(self._client.iter_variables(limit=limit))

    async def count_variables(self) -> int:
        """How many variables are set."""
        return await self._call(self._client.count_variables)

    async def create_variable(
        self, name: str, value: Any, tags: Iterable[str] | None = None, *, overwrite: bool = False
    ) -> VariableRecord:
        """Sets a variable; with `overwrite` also one that is set. Raises `InvalidName`, `NameTaken` or
        `UnstorableValue`."""
        return await self._call(partial(self._client.create_variable, name, value, tags, overwrite=overwrite))

    async def update_variable(self, name: str, value: Any = UNSET, tags: Iterable[str] | None = None) -> VariableRecord:
        """Changes what is given. Raises `ObjectNotFound` when the variable is not set."""
        return await self._call(partial(self._client.update_variable, name, value, tags))

    async def delete_variable_by_name(self, name: str) -> None:
        """Unsets a variable. Raises `ObjectNotFound` when it is not set."""
        await self._call(partial(self._client.delete_variable_by_name, name))

    async def read_block_document(
        self, block_document_id: Id, *, include_secrets: bool = False
    ) -> block_documents.Block:
        """The block of this id; secrets as `********`, or, with `include_secrets`, clear in `fields()`."""
        return await self._call(
            partial(self._client.read_block_document, block_document_id, include_secrets=include_secrets)
        )

    async def read_block_document_by_name(
        self, name: str, block_type_slug: str, *, include_secrets: bool = False
    ) -> block_documents.Block:
        """The block of this name and type. Raises `BlockNotFound`."""
        return await self._call(
            partial(self._client.read_block_document_by_name, name, block_type_slug, include_secrets=include_secrets)
        )

    async def read_block_documents(
        self, block_type_slug: str | None = None, *, limit: int = 200
    ) -> list[block_documents.Block]:
        """Blocks by type and name, `limit` at most, of one type or of all."""
        return await self._call(partial(self._client.read_block_documents, block_type_slug, limit=limit))

    def iter_block_documents(
        self, block_type_slug: str | None = None, *, limit: int | None = None
    ) -> AsyncIterator[block_documents.Block]:
        """All blocks by type and name, read page by page."""
        return self._each(self._client.iter_block_documents(block_type_slug, limit=limit))

    async def count_block_documents(self) -> dict[str, int]:
        """How many blocks there are of each type."""
        return await self._call(self._client.count_block_documents)

    async def create_block_document(
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
        return await self._call(
            partial(self._client.create_block_document, name, block_type_slug, data, secrets, overwrite=overwrite)
        )

    async def update_block_document(
        self, name: str, block_type_slug: str, data: dict[str, Any], secrets: Iterable[block_documents.ClearSecret] = ()
    ) -> block_documents.Block:
        """Stores all fields of a block anew. Raises `BlockNotFound`."""
        return await self._call(partial(self._client.update_block_document, name, block_type_slug, data, secrets))

    async def delete_block_document_by_name(self, name: str, block_type_slug: str) -> None:
        """Deletes a block. Raises `BlockNotFound`."""
        await self._call(partial(self._client.delete_block_document_by_name, name, block_type_slug))

    async def create_global_concurrency_limit(
        self, name: str, limit: int, *, slot_decay_per_second: float = 0.0, active: bool = True
    ) -> concurrency_limits.LimitRead:
        """Creates a limit; `tag:` and a tag limits task runs with that tag. Raises `InvalidName`, `NameTaken` or
        `ConcurrencyError`."""
        return await self._call(
            partial(
                self._client.create_global_concurrency_limit,
                name,
                limit,
                slot_decay_per_second=slot_decay_per_second,
                active=active,
            )
        )

    async def read_global_concurrency_limit_by_name(self, name: str) -> concurrency_limits.LimitRead:
        """A limit, with who holds its slots and who waits. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_global_concurrency_limit_by_name, name))

    async def read_global_concurrency_limits(self, *, limit: int = 200) -> list[concurrency_limits.LimitRead]:
        """Limits by name, `limit` at most."""
        return await self._call(partial(self._client.read_global_concurrency_limits, limit=limit))

    def iter_global_concurrency_limits(
        self, *, limit: int | None = None
    ) -> AsyncIterator[concurrency_limits.LimitRead]:
        """All limits by name, read page by page."""
        return self._each(self._client.iter_global_concurrency_limits(limit=limit))

    async def update_global_concurrency_limit(
        self,
        name: str,
        *,
        limit: int | None = None,
        slot_decay_per_second: float | None = None,
        active: bool | None = None,
    ) -> concurrency_limits.LimitRead:
        """Changes what is given. Raises `ObjectNotFound` or `ConcurrencyError`."""
        return await self._call(
            partial(
                self._client.update_global_concurrency_limit,
                name,
                limit=limit,
                slot_decay_per_second=slot_decay_per_second,
                active=active,
            )
        )

    async def upsert_global_concurrency_limit_by_name(
        self, name: str, limit: int, *, slot_decay_per_second: float | None = None
    ) -> concurrency_limits.LimitRead:
        """Creates a limit, or changes the one that is there."""
        return await self._call(
            partial(
                self._client.upsert_global_concurrency_limit_by_name,
                name,
                limit,
                slot_decay_per_second=slot_decay_per_second,
            )
        )

    async def reset_global_concurrency_limit(self, name: str) -> concurrency_limits.LimitRead:
        """Frees all slots of a limit, whoever holds them. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.reset_global_concurrency_limit, name))

    async def delete_global_concurrency_limit_by_name(self, name: str) -> None:
        """Deletes a limit; who waits for it goes on. Raises `ObjectNotFound`."""
        await self._call(partial(self._client.delete_global_concurrency_limit_by_name, name))

    async def create_artifact(
        self,
        type: str,
        data: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        flow_run_id: Id | None = None,
        task_run_id: Id | None = None,
    ) -> Artifact:
        """Keeps an artifact; inside runs, `penstock.artifacts` does it without waiting. Raises `InvalidName` or
        `UnstorableValue`."""
        return await self._call(
            partial(
                self._client.create_artifact,
                type,
                data,
                key=key,
                description=description,
                flow_run_id=flow_run_id,
                task_run_id=task_run_id,
            )
        )

    async def read_artifact(self, artifact_id: Id) -> Artifact:
        """The artifact of this id. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_artifact, artifact_id))

    async def read_latest_artifact(self, key: str) -> Artifact:
        """The latest artifact of this key. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_latest_artifact, key))

    async def read_artifacts(
        self, filter: artifacts.ArtifactFilter = ALL_ARTIFACTS, *, limit: int = 200
    ) -> list[Artifact]:
        """The newest artifacts that fit, `limit` at most."""
        return await self._call(partial(self._client.read_artifacts, filter, limit=limit))

    async def read_latest_artifacts(
        self, filter: artifacts.ArtifactFilter = ALL_ARTIFACTS, *, limit: int = 200
    ) -> list[Artifact]:
        """As `read_artifacts`, of each key only the latest."""
        return await self._call(partial(self._client.read_latest_artifacts, filter, limit=limit))

    def iter_artifacts(
        self, filter: artifacts.ArtifactFilter = ALL_ARTIFACTS, *, limit: int | None = None, latest: bool = False
    ) -> AsyncIterator[Artifact]:
        """All artifacts that fit, the newest first, read page by page; with `latest`, of each key only the latest."""
        return self._each(self._client.iter_artifacts(filter, limit=limit, latest=latest))

    async def update_artifact(self, artifact_id: Id, data: Any = None, *, description: str | None = None) -> Artifact:
        """Changes what is given. Raises `ObjectNotFound` or `UnstorableValue`."""
        return await self._call(partial(self._client.update_artifact, artifact_id, data, description=description))

    async def delete_artifact(self, artifact_id: Id) -> None:
        """Deletes an artifact. Raises `ObjectNotFound`."""
        await self._call(partial(self._client.delete_artifact, artifact_id))

    async def read_events(self, filter: EventFilter = ALL_EVENTS, *, limit: int = 200) -> list[Event]:
        """The latest events that fit, `limit` at most."""
        return await self._call(partial(self._client.read_events, filter, limit=limit))

    def iter_events(self, filter: EventFilter = ALL_EVENTS, *, limit: int | None = None) -> AsyncIterator[Event]:
        """All events that fit, the latest first, read page by page."""
        return self._each(self._client.iter_events(filter, limit=limit))

    async def count_events(self, filter: EventFilter = ALL_EVENTS) -> int:
        """How many events fit."""
        return await self._call(partial(self._client.count_events, filter))

    async def read_deployment(self, deployment_id: Id) -> Deployment:
        """The deployment of this id. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_deployment, deployment_id))

    async def read_deployment_by_name(self, name: str) -> Deployment:
        """The deployment of this full name, "flow/deployment". Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_deployment_by_name, name))

    async def read_deployments(
        self, *, flow_name: str | None = None, work_pool_name: str | None = None, limit: int = 200
    ) -> list[Deployment]:
        """Deployments by flow and name, `limit` at most."""
        return await self._call(
            partial(self._client.read_deployments, flow_name=flow_name, work_pool_name=work_pool_name, limit=limit)
        )

    def iter_deployments(
        self, *, flow_name: str | None = None, work_pool_name: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Deployment]:
        """All deployments by flow and name, read page by page."""
        return self._each(
            self._client.iter_deployments(flow_name=flow_name, work_pool_name=work_pool_name, limit=limit)
        )

    async def pause_deployment(self, deployment_id: Id) -> Deployment:
        """Runs no more by its schedules. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.pause_deployment, deployment_id))

    async def resume_deployment(self, deployment_id: Id) -> Deployment:
        """Runs by its schedules again. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.resume_deployment, deployment_id))

    async def delete_deployment(self, deployment_id: Id) -> None:
        """Deletes a deployment; its runs that wait are cancelled, those that run go on. Raises `ObjectNotFound`."""
        await self._call(partial(self._client.delete_deployment, deployment_id))

    async def create_flow_run_from_deployment(
        self,
        deployment_id: Id,
        *,
        parameters: dict[str, Any] | None = None,
        scheduled_time: datetime | None = None,
        name: str | None = None,
        tags: Iterable[str] = (),
        job_variables: dict[str, Any] | None = None,
        work_queue_name: str | None = None,
        priority: int | None = None,
        concurrency_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> FlowRun:
        """Has a deployment run, now or at `scheduled_time`. The same `idempotency_key` gives the same run. Raises
        `ObjectNotFound`, or `ParameterError` for parameters that do not fit."""
        return await self._call(
            partial(
                self._client.create_flow_run_from_deployment,
                deployment_id,
                parameters=parameters,
                scheduled_time=scheduled_time,
                name=name,
                tags=tags,
                job_variables=job_variables,
                work_queue_name=work_queue_name,
                priority=priority,
                concurrency_key=concurrency_key,
                idempotency_key=idempotency_key,
            )
        )

    async def create_deployment_schedule(
        self, deployment_id: Id, schedule: Schedule, *, slug: str | None = None, active: bool = True
    ) -> DeploymentSchedule:
        """Gives a deployment one more schedule. Raises `ObjectNotFound` or `ScheduleError`."""
        return await self._call(
            partial(self._client.create_deployment_schedule, deployment_id, schedule, slug=slug, active=active)
        )

    async def delete_deployment_schedule(self, deployment_id: Id, schedule_id: Id) -> None:
        """Deletes a schedule, and the runs planned by it that nobody has claimed. Raises `ObjectNotFound`."""
        await self._call(partial(self._client.delete_deployment_schedule, deployment_id, schedule_id))

    async def create_backfill(
        self,
        deployment_id: Id,
        start: datetime,
        end: datetime,
        *,
        schedule: Schedule | None = None,
        slug: str | None = None,
        parallelism: int = 1,
        parameters: dict[str, Any] | None = None,
    ) -> Backfill:
        """Runs a deployment once for each time of a schedule from `start` on and before `end`. Raises `ObjectNotFound`,
        `ScheduleError` or `ParameterError`."""
        return await self._call(
            partial(
                self._client.create_backfill,
                deployment_id,
                start,
                end,
                schedule=schedule,
                slug=slug,
                parallelism=parallelism,
                parameters=parameters,
            )
        )

    async def read_backfill(self, backfill_id: Id) -> Backfill:
        """The backfill of this id. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_backfill, backfill_id))

    async def read_backfills(self, *, deployment_id: Id | None = None, limit: int = 200) -> list[Backfill]:
        """The newest backfills, `limit` at most."""
        return await self._call(partial(self._client.read_backfills, deployment_id=deployment_id, limit=limit))

    async def cancel_backfill(self, backfill_id: Id) -> Backfill:
        """Makes no more runs, and cancels those that have not ended. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.cancel_backfill, backfill_id))

    async def create_work_pool(
        self,
        name: str,
        type: str = "process",
        *,
        base_job_template: dict[str, Any] | None = None,
        concurrency_limit: int | None = None,
        description: str | None = None,
        overwrite: bool = False,
    ) -> WorkPool:
        """Creates a work pool; with `overwrite` in place of the one that is there. Raises `WorkPoolError` or
        `NameTaken`."""
        return await self._call(
            partial(
                self._client.create_work_pool,
                name,
                type,
                base_job_template=base_job_template,
                concurrency_limit=concurrency_limit,
                description=description,
                overwrite=overwrite,
            )
        )

    async def read_work_pool(self, name: str) -> WorkPool:
        """The work pool of this name. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_work_pool, name))

    async def read_work_pools(self, *, limit: int = 200) -> list[WorkPool]:
        """Work pools by name, `limit` at most."""
        return await self._call(partial(self._client.read_work_pools, limit=limit))

    async def pause_work_pool(self, name: str) -> WorkPool:
        """Workers take no more of its runs. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.pause_work_pool, name))

    async def resume_work_pool(self, name: str) -> WorkPool:
        """Workers take its runs again. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.resume_work_pool, name))

    async def delete_work_pool(self, name: str) -> None:
        """Deletes a work pool. Raises `ObjectNotFound`, and `WorkPoolError` while runs of it have not ended."""
        await self._call(partial(self._client.delete_work_pool, name))

    async def read_work_queues(self, work_pool_name: str) -> list[WorkQueue]:
        """The queues of a work pool, those that go first first. Raises `ObjectNotFound`."""
        return await self._call(partial(self._client.read_work_queues, work_pool_name))

    async def read_workers_for_work_pool(self, work_pool_name: str, *, offline: bool = False) -> list[WorkerRecord]:
        """Workers of a pool, those heard of last first; with `offline` also those that are."""
        return await self._call(partial(self._client.read_workers_for_work_pool, work_pool_name, offline=offline))
