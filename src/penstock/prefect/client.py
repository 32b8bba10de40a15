"""`get_client()` as Prefect's code uses it: filters by its names, the rest as in `penstock.client`."""

from __future__ import annotations

from typing import Any, NoReturn

from ..client.asynchronous import PenstockClient
from ..client.blocking import SyncPenstockClient
from ..domain.errors import NameNotOffered
from . import filters
from .filters import Wanted


class _Filtering:
    """The methods that take Prefect's filters. What they give is the value, or is to be awaited, as the client's."""

    def read_flow_runs(
        self,
        *,
        flow_filter: Any = None,
        flow_run_filter: Any = None,
        task_run_filter: Any = None,
        deployment_filter: Any = None,
        work_pool_filter: Any = None,
        work_queue_filter: Any = None,
        sort: Any = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Any:
        _refuse(task_run_filter=task_run_filter, work_pool_filter=work_pool_filter, work_queue_filter=work_queue_filter)
        _newest_first(sort, offset)
        wanted = Wanted().flow(flow_filter).runs(flow_run_filter).deployment(deployment_filter).made()
        return super().read_flow_runs(wanted, limit=limit or 200)  # type: ignore[misc]

    def read_task_runs(
        self,
        *,
        flow_filter: Any = None,
        flow_run_filter: Any = None,
        task_run_filter: Any = None,
        deployment_filter: Any = None,
        sort: Any = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Any:
        _refuse(deployment_filter=deployment_filter)
        _newest_first(sort, offset)
        wanted = Wanted().flow(flow_filter).runs(task_run_filter)
        if flow_run_filter is not None:
            if flow_run_filter.id is None:
                raise NameNotOffered("Task runs are found by FlowRunFilter.id; by nothing else of their flow run.")
            wanted.above(flow_run_filter.id, "FlowRunFilter.id")
        return super().read_task_runs(wanted.made(), limit=limit or 200)  # type: ignore[misc]

    def read_logs(self, log_filter: Any = None, limit: int | None = None, offset: int = 0, sort: Any = None) -> Any:
        _newest_first(None, offset)
        run, wanted = filters.log_filter(log_filter)
        return super().read_logs(run, filter=wanted, limit=limit or 200)  # type: ignore[misc]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"get_client() has no {name!r} here: docs/client.md lists what it has, docs/rest.md what a server answers."
        )


class PrefectClient(_Filtering, PenstockClient):  # type: ignore[misc]
    """See `penstock.client.PenstockClient`."""


class SyncPrefectClient(_Filtering, SyncPenstockClient):  # type: ignore[misc]
    """See `penstock.client.SyncPenstockClient`."""


def get_client(httpx_settings: Any = None, sync_client: bool = False) -> Any:
    """See `penstock.get_client`."""
    _refuse(httpx_settings=httpx_settings)
    return SyncPrefectClient() if sync_client else PrefectClient(SyncPenstockClient())


def _refuse(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise NameNotOffered(f"{name}= is not offered by Penstock; docs/client.md says what runs are found by.")


def _newest_first(sort: Any, offset: int) -> None:
    text = getattr(sort, "value", sort)
    if text is not None and not str(text).endswith("_DESC"):
        raise NameNotOffered(f"sort={text} is not offered by Penstock; runs come newest first.")
    if offset:
        raise NameNotOffered("offset= is not offered by Penstock; the nearest is client.iter_flow_runs().")
