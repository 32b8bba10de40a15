"""What task runners on clusters share; what differs is in `dask` and `ray`."""

from __future__ import annotations

import contextvars
import functools
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ....domain.errors import CrashedRun, InfrastructureNotAvailable, MissingResult, PenstockError
from ....domain.logs import LogLine
from ....domain.states import StoredValue
from ....engine import console
from ....engine.stopping import shielded
from ....ledger.contract import Fact
from .. import parcels, undertaking
from ..parcels import Job
from ..thread import ThreadPoolTaskRunner
from ..worker import unlimited
from ..workers import Packing, RunReceiver, job_of
from .hosted import HostedWorker
from .leases import Cluster, Leases

if TYPE_CHECKING:
    from ....engine.task_run import TaskCall
    from ..pool import Pool

INSTEAD = "run it in processes of this machine (ProcessPoolTaskRunner)"
# So many calls are with the cluster's scheduler at once: enough for it to see that more nodes are wanted.
MOST_AT_ONCE = 256
# Values that stayed on the cluster are fetched at its end, if somebody still holds them, up to so many bytes.
MOST_FETCHED = 1 << 28


class OnCluster(StoredValue):
    """A value that stayed on the cluster: it is fetched when it is asked for."""

    __slots__ = ("__weakref__", "_connection", "_handle", "_lost", "_value", "size")

    def __init__(self, connection: Connection, handle: Any, size: int) -> None:
        self.size = size
        self._connection = connection
        self._handle = handle
        self._lost = ""
        self._value: tuple[Any] | None = None
        connection.values.add(self)

    def load(self) -> Any:
        """Raises `MissingResult` where the cluster has it no more."""
        if self._value is None:
            if self._lost:
                raise MissingResult(self._lost)
            try:
                data = self._connection.cluster.fetch(self._handle)
            except Exception as error:
                raise MissingResult(f"A value of {self.size:,} bytes was lost on the cluster: {error}") from error
            try:
                self._value = (parcels.loads(data),)
            except Exception as error:
                raise MissingResult(
                    f"A value of {self.size:,} bytes from the cluster cannot be unpickled here: {parcels.words(error)}"
                ) from error
        return self._value[0]

    def is_on(self, connection: Connection) -> bool:
        return self._connection is connection and not self._lost

    @property
    def handle(self) -> Any:
        return self._handle

    def let_go(self, room: int) -> int:
        """The cluster ends: the value is fetched, if there is room for it; how much room is left."""
        if self._value is None and not self._lost:
            if self.size <= room:
                try:
                    self.load()
                    room -= self.size
                except MissingResult as error:
                    self._lost = str(error)
            else:
                self._lost = (
                    f"A value of {self.size:,} bytes stayed on the cluster, and the flow run that it is of has ended. "
                    "Ask for it before, or keep it by persist_result=True."
                )
        self._handle = None
        return room

    def __repr__(self) -> str:
        return f"<a value of {self.size:,} bytes on the cluster>"

    def __reduce__(self) -> Any:
        """To anywhere else it goes as what it is."""
        return _value, (self.load(),)


def _value(value: Any) -> Any:
    return value


class _Places:
    """The values among a call's arguments that are on this cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.handles: list[Any] = []
        self._known: dict[int, int] = {}

    def of(self, value: StoredValue) -> int | None:
        if not isinstance(value, OnCluster) or not value.is_on(self._connection):
            return None
        if id(value) not in self._known:
            self._known[id(value)] = len(self.handles)
            self.handles.append(value.handle)
        return self._known[id(value)]


class _ShowingReceiver(RunReceiver):
    """Shows lines on the flow's terminal: the node's is seen by nobody."""

    def _write(self, fact: Fact) -> None:
        super()._write(fact)
        if isinstance(fact, LogLine):
            settings = self._call.runtime.settings
            if settings.logging_to_console:
                console.show(fact, self._source(fact), settings)

    def _source(self, line: LogLine) -> str:
        context = self._call.context
        if line.task_run_id == context.run.id:
            return context.source
        below = self._open_tasks.get(line.task_run_id) if line.task_run_id is not None else None
        if below is not None:
            return f"Task run {below.name!r}"
        flow = self._open_flows.get(line.flow_run_id) if line.flow_run_id is not None else None
        return context.source if flow is None else f"Flow run {flow.name!r}"


class Connection:
    """One flow run's use of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.values: weakref.WeakSet[OnCluster] = weakref.WeakSet()
        self._leases = Leases(cluster)
        cluster.watch(self._leases.lose)
        self._packing = Packing(INSTEAD)

    def perform(self, call: TaskCall, /, *args: Any, **kwargs: Any) -> Any:
        """Has the task's function called on the cluster; see `workers.Workers.perform`."""
        return shielded(self._perform, call, args, kwargs)

    def takes(self, value: StoredValue) -> bool:
        """Whether a value is where calls are made."""
        return isinstance(value, OnCluster) and value.is_on(self)

    def _perform(self, call: TaskCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        task, flow, places = call.task, call.context.flow_context, _Places(self)
        packed = self._packing.of(task, None if flow is None else flow.run.id)
        arguments, more = parcels.pack_arguments(task, args, kwargs, call.context.parameters, INSTEAD, places)
        worker = HostedWorker(self._leases, task.name, places.handles, self.cluster.wishes())
        try:
            answer = worker.perform(
                call, _ShowingReceiver(call, worker), lambda: self._job(call, worker, packed, arguments, more)
            )
        finally:
            if worker.left:
                undertaking.undertake(worker, call, HostedWorker.finish)  # type: ignore[arg-type]
            else:
                worker.finish()
        if answer is None:
            raise self._lost(call, worker)
        if flow is not None and answer.tally:
            flow.tally.update(answer.tally)
        if answer.kept:
            return OnCluster(self, worker.handle, answer.kept)
        if answer.kind == "value":
            return parcels.unpack_value(task, answer)
        if answer.kind == "error":
            raise parcels.unpack_error(answer)
        raise parcels.refused_result(task, answer, INSTEAD)

    def _job(self, call: TaskCall, worker: HostedWorker, packed: Any, arguments: bytes, modules: dict[str, str]) -> Job:
        line = worker.line
        job = job_of(call, worker.told, packed, arguments, modules)
        if line is None or not line.near:
            job.surroundings = None
        job.cluster = self.cluster.inside
        if job.settings is not None:
            job.settings = {**job.settings, "PENSTOCK_LOGGING_TO_CONSOLE": "false"}
        return job

    def _lost(self, call: TaskCall, worker: HostedWorker) -> CrashedRun | InfrastructureNotAvailable:
        name = call.task.name
        trouble = worker.trouble
        if trouble is not None:
            words = f"Task {name!r} could not be run on the cluster: {trouble.text}"
            if not trouble.is_loss:
                return InfrastructureNotAvailable(words)
            crash = CrashedRun(words)
        else:
            crash = CrashedRun(f"The worker process on the cluster {worker.how_it_ended()} while it ran task {name!r}.")
        crash.task_run_id = call.context.run.id
        return crash

    def close(self) -> None:
        room = MOST_FETCHED
        for value in list(self.values):
            room = value.let_go(room)
        self._leases.close()
        self.cluster.close()


class _Patience:
    """How many refusals a call knows of: those before it was submitted, and the one it was told last."""

    __slots__ = ("refusals",)

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals


class ClusterTaskRunner(ThreadPoolTaskRunner):
    """Has submitted tasks run on a cluster; `_connect` says on which.

    Only the call of a task's function is made there; states, retries, caching and hooks stay with the flow.
    """

    def __init__(self) -> None:
        super().__init__(MOST_AT_ONCE)
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        # how often there was no cluster to connect to, and what was said the last time
        self._refusals = 0
        self._refusal: PenstockError | None = None

    def _connect(self) -> Cluster:
        """Raises `InfrastructureNotAvailable`, and `ConfigurationError` where the cluster's package is missing."""
        raise NotImplementedError

    def _start(self, call: TaskCall, context: contextvars.Context) -> None:
        pool: Pool = self._pool or self._make_pool()
        pool.put(self._job(call, context))

    def _goes_alone(self, call: TaskCall) -> bool:
        return False

    def _start_chunk(self, calls: list[TaskCall], context: contextvars.Context) -> None:
        """Each is a task of the cluster's: its scheduler is to see how many there are."""
        self._start_all(calls, context)

    def _job(self, call: TaskCall, context: contextvars.Context) -> Callable[[], None]:
        call.remote = functools.partial(self._perform, call, _Patience(self._refusals))
        call.takes_stored = self._takes
        return super()._job(call, context)

    def _perform(self, call: TaskCall, patience: _Patience, /, *args: Any, **kwargs: Any) -> Any:
        connection = self._connection
        if connection is None or connection.cluster.lost:
            with unlimited(call):  # a cluster may have to be made
                connection = shielded(self._connected, patience)
        return connection.perform(call, *args, **kwargs)

    def _takes(self, value: StoredValue) -> bool:
        connection = self._connection
        return connection is not None and connection.takes(value)

    def _connected(self, patience: _Patience | None = None) -> Connection:
        """The flow run's connection, made at its first task, and anew when it was lost. Calls that wait while it turns
        out that there is nothing to connect to are told so together."""
        patience = patience or _Patience(self._refusals)
        with self._connecting:
            connection = self._connection
            if connection is not None and not connection.cluster.lost:
                return connection
            if self._refusal is not None and patience.refusals < self._refusals:
                patience.refusals = self._refusals
                raise self._refusal.with_traceback(None)
            if connection is not None:
                self._connection = None
                connection.close()
            try:
                self._connection = made = Connection(self._connect())
            except PenstockError as error:
                self._refusal = error
                self._refusals += 1
                patience.refusals = self._refusals
                raise
            return made

    def close(self) -> None:
        super().close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
