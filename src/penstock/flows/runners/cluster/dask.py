"""Tasks on Dask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from ....domain.errors import ConfigurationError, DefinitionError, InfrastructureNotAvailable
from .host import host
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

    Raises `InfrastructureNotAvailable` at the first task when the cluster is not there.

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
        distributed = _distributed()
        self._own: Any = None
        try:
            if cluster is None and address is None:
                kind = _class(cluster_class or distributed.LocalCluster)
                cluster = self._own = kind(**_quiet(kind, distributed, cluster_kwargs))
            if adapt_kwargs is not None:
                cluster.adapt(**adapt_kwargs)
            options = {"set_as_default": False, **(client_kwargs or {})}
            self._client: Any = distributed.Client(address if cluster is None else cluster, **options)
        except Exception as error:
            if self._own is not None:
                self._own.close()
            where = address or "made for the flow run"
            raise InfrastructureNotAvailable(f"The Dask cluster ({where}) is not there: {error}") from error

    @property
    def peer(self) -> str:
        return urlsplit(str(self._client.scheduler.address)).hostname or "127.0.0.1"

    def submit(self, name: str, lease: bytes, values: Sequence[Any], failed: Callable[[str], None]) -> _Submitted:
        """See `leases.Cluster`. The scheduler itself calls nothing a second time that fails; one whose node is lost it
        would, and that one is sent away by the flow's process."""
        future = self._client.submit(host, lease, *values, key=f"{name}-{uuid4()}", pure=False, retries=0)
        future.add_done_callback(lambda done: _tell(done, failed))
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


def _tell(done: Any, failed: Callable[[str], None]) -> None:
    if done.status == "error":
        failed(str(done.exception()))
    elif done.status in ("cancelled", "lost"):
        failed(f"Dask says that it is {done.status}: is its scheduler still there?")


def _distributed() -> Any:
    """Dask's package, whose types say little."""
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


def _quiet(kind: Any, distributed: Any, given: dict[str, Any] | None) -> dict[str, Any]:
    """A local cluster needs no dashboard at a port that somebody else may have."""
    usual = {"dashboard_address": None} if kind is distributed.LocalCluster else {}
    return {**usual, **(given or {})}
