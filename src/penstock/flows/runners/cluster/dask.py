"""Tasks on Dask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from .... import __version__
from ....domain.errors import ConfigurationError, DefinitionError, InfrastructureNotAvailable
from ....engine.stopping import shielded
from .. import parcels
from . import memory
from .host import Node, host
from .leases import Over
from .orders import Trouble
from .runner import ClusterTaskRunner


class DaskTaskRunner(ClusterTaskRunner):
    """Runs submitted tasks on a Dask cluster: one at `address`, one that is given (`cluster`), or one that is made for
    each flow run by `cluster_class` (a class, or its full name; default: `distributed.LocalCluster`) with
    `cluster_kwargs`; with `adapt_kwargs` it grows and shrinks (`cluster.adapt(**adapt_kwargs)`). `client_kwargs` are
    for the `distributed.Client`.

    Only the call of a task's function is made on the cluster, in a worker process of Penstock's beside Dask's; states,
    retries, caching, limits and hooks stay with the flow, and what the task prints is in its log. It is stopped at its
    limit or when somebody cancels it; code that does not stop is, after its grace, killed, and no process of Dask's. A
    node that is lost makes its tasks Crashed; they are tried again by their own `retries`. Arguments and results are
    pickled; a result of more than 64 KiB stays on the cluster, tasks that are given its future read it there, and it is
    fetched when somebody asks for it. Nodes need the same versions of Python and Penstock, and must reach the flow's
    process by TCP. A script that has a cluster made on its own machine calls its flow under
    `if __name__ == "__main__"`: Dask's processes load it again. Needs `pip install 'penstock[dask]'`.

    `dask.annotate(resources=…, priority=…, workers=…)` holds for the tasks that are submitted in it. The tasks of a
    worker may take the memory that Dask gives it (`memory_limit`); beyond it the largest is killed, and Crashed.

    Tasks raise `InfrastructureNotAvailable` when the cluster is not there (after `client_kwargs={"timeout": …}`,
    default 30 s) or has other versions.

    Example::

        @flow(task_runner=DaskTaskRunner(address="tcp://scheduler:8786"))
        def crunch(files: list[str]) -> list[int]:
            return count_words.map(files).result()
    """

    def __init__(
        self,
        cluster: Any = None,
        address: str | None = None,
        cluster_class: Any = None,
        cluster_kwargs: dict[str, Any] | None = None,
        adapt_kwargs: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if sum(each is not None for each in (cluster, address, cluster_class or cluster_kwargs)) > 1:
            raise DefinitionError(
                "DaskTaskRunner takes a cluster, an address, or a cluster_class with cluster_kwargs; one of them."
            )
        super().__init__()
        self._options: dict[str, Any] = {
            "cluster": cluster,
            "address": address,
            "cluster_class": cluster_class,
            "cluster_kwargs": cluster_kwargs,
            "adapt_kwargs": adapt_kwargs,
            "client_kwargs": client_kwargs,
        }

    def duplicate(self) -> DaskTaskRunner:
        return type(self)(**self._options)

    def _connect(self) -> DaskCluster:
        return DaskCluster(**self._options)

    def reached(self) -> tuple[str, dict[str, Any]]:
        """The cluster's address, and options for a client of it."""
        return shielded(self._connected).cluster.reached()  # type: ignore[attr-defined, no-any-return]

    def __reduce__(self) -> Any:
        return _made, (type(self), self._options)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._options == self._options

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._options.items() if value is not None)
        return f"{type(self).__name__}({given})"


def _made(kind: type[DaskTaskRunner], options: dict[str, Any]) -> DaskTaskRunner:
    return kind(**options)


class DaskCluster:
    """A client, and the cluster that was made for it."""

    def __init__(
        self, cluster: Any, address: str | None, cluster_class: Any, cluster_kwargs: dict[str, Any] | None,
        adapt_kwargs: dict[str, Any] | None, client_kwargs: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        package = distributed()
        self._own: Any = None
        try:
            if cluster is None and address is None:
                kind = _class(cluster_class or package.LocalCluster)
                cluster = self._own = kind(**_quiet(kind, package, cluster_kwargs))
            if adapt_kwargs is not None:
                cluster.adapt(**adapt_kwargs)
            self._client_kwargs = client_kwargs or {}
            options = {"set_as_default": False, **self._client_kwargs}
            self._client: Any = package.Client(address if cluster is None else cluster, **options)
        except DefinitionError:
            raise
        except Exception as error:
            if self._own is not None:
                self._own.close()
            where = address or "made for the flow run"
            raise InfrastructureNotAvailable(
                f"The Dask cluster ({where}) is not there: {error or type(error).__name__}"
            ) from error
        self._inside = parcels.dumps(self.reached())[0]

    @property
    def peer(self) -> str:
        return urlsplit(str(self._client.scheduler.address)).hostname or "127.0.0.1"

    def reached(self) -> tuple[str, dict[str, Any]]:
        """The cluster's address, and options for a client of it."""
        security = getattr(self._own, "security", None)
        own = {} if security is None else {"security": security}
        return str(self._client.scheduler.address), {**own, **self._client_kwargs}

    @property
    def inside(self) -> bytes | None:
        """See `leases.Cluster`."""
        return self._inside

    def watch(self, lost: Callable[[Trouble], None]) -> None:
        """(Each lease's future says it.)"""

    @property
    def lost(self) -> bool:
        """(One that has lost its scheduler looks for it for a while.)"""
        return str(self._client.status) == "closed"

    def wishes(self) -> dict[str, Any]:
        """What `dask.annotate(…)` says."""
        import dask

        return dict(dask.get_annotations())  # type: ignore[attr-defined]

    def submit(self, name: str, lease: bytes, values: Sequence[Any], wishes: dict[str, Any], over: Over) -> _Submitted:
        """See `leases.Cluster`. The scheduler itself calls nothing a second time that fails; one whose node is lost it
        would, and that one is sent away by the flow's process."""
        # (It looks for what `dask.annotate` says itself.)
        future = self._client.submit(on_node, lease, *values, key=f"{name}-{uuid4()}", pure=False, retries=0)
        future.add_done_callback(lambda done: over(_trouble(done)))
        return _Submitted(future)

    def fetch(self, handle: Any) -> bytes:
        data: bytes = handle.result()
        return data

    def close(self) -> None:
        self._client.close()
        if self._own is not None:
            self._own.close()


class _Submitted:
    def __init__(self, future: Any) -> None:
        self.value = future

    def cancel(self) -> None:
        self.value.release()  # (`cancel` would wait for the scheduler)


def _trouble(done: Any) -> Trouble | None:
    if done.status == "error":
        error = done.exception()
        if isinstance(error, distributed().scheduler.KilledWorker):
            return Trouble(str(error), is_loss=True)
        cause = error.__cause__ or error
        hint = ""
        if isinstance(cause, ImportError | AttributeError):
            hint = f". Its scheduler and its workers must have Penstock {__version__}, as the flow's process has"
        return Trouble(f"{' '.join(str(cause).split()) or type(cause).__name__}{hint}", is_loss=False)
    if done.status in ("cancelled", "lost"):
        return Trouble("Dask has lost its scheduler, or what it held", is_loss=True)
    return None


def on_node(lease: bytes, *values: bytes) -> bytes:
    """What Dask's worker calls."""
    return host(lease, *values, node=DaskNode())


class DaskNode(Node):
    """A worker of Dask's, in whose process this is."""

    def __init__(self) -> None:
        import dask

        worker = distributed().get_worker()
        limit, fraction = worker.memory_manager.memory_limit, dask.config.get("distributed.worker.memory.terminate")
        if limit and fraction:
            self.room = memory.Room(int(limit * fraction), "this worker of Dask's (memory_limit)")

    def secede(self) -> None:
        distributed().secede()


def distributed() -> Any:
    """Dask's package, whose types say little. Raises `ConfigurationError`."""
    try:
        import distributed
    except ImportError as error:
        raise ConfigurationError(
            f"DaskTaskRunner needs the package distributed ({error}): pip install 'penstock[dask]'."
        ) from None
    return distributed


def _class(named: Any) -> Any:
    """A class, or what is found by its full name."""
    if not isinstance(named, str):
        return named
    from importlib import import_module

    module, _, name = named.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DefinitionError(f"cluster_class {named!r} is not found: {error}.") from None


def _quiet(kind: Any, package: Any, given: dict[str, Any] | None) -> dict[str, Any]:
    """A local cluster needs no dashboard at a port that somebody else may have."""
    usual = {"dashboard_address": None} if kind is package.LocalCluster else {}
    return {**usual, **(given or {})}
