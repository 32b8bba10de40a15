"""Dask's own client, in tasks that run on its cluster and in flows whose tasks do: for dataframes, arrays, bags."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ....domain.errors import DefinitionError, MissingContextError
from ....engine.context import current
from ...calls import runner_of
from . import inside
from .dask import DaskTaskRunner, distributed


@contextlib.contextmanager
def get_dask_client(timeout: Any = None, **client_kwargs: Any) -> Iterator[Any]:
    """A `distributed.Client` of the cluster that the task at hand is on, or that the flow's `DaskTaskRunner` has; it is
    the default of Dask's collections in the `with`, and closed after it.

    `timeout` (seconds, or as "30s"; default: Dask's) is for the connection, `client_kwargs` are for the client and come
    before those of the task runner. The place that the task has on the cluster is free for the work it waits for.

    Raises `MissingContextError` outside of runs, `DefinitionError` where tasks do not run on Dask, and `OSError` where
    the scheduler does not answer.

    Example::

        @task
        def mean() -> float:
            with get_dask_client():
                return dask.dataframe.read_parquet("rides/").fare.mean().compute()
    """
    with distributed().Client(**_options(timeout, client_kwargs)) as client:
        yield client


@contextlib.asynccontextmanager
async def get_async_dask_client(timeout: Any = None, **client_kwargs: Any) -> AsyncIterator[Any]:
    """As `get_dask_client`, with a client for `await`.

    Example::

        async with get_async_dask_client() as client:
            mean = await client.compute(rides.fare.mean())
    """
    options = _options(timeout, client_kwargs)
    async with distributed().Client(**options, asynchronous=True) as client:
        yield client


def _options(timeout: Any, given: dict[str, Any]) -> dict[str, Any]:
    address, usual = _cluster()
    more = {} if timeout is None else {"timeout": timeout}
    return {"address": address, **usual, **more, **given}


def _cluster() -> tuple[str, dict[str, Any]]:
    if inside.here is not None:
        data, secede = inside.here
        secede()
        return pickle.loads(data)  # type: ignore[no-any-return]
    context = current.get()
    flow = None if context is None else context.flow_context
    if flow is None:
        raise MissingContextError("get_dask_client is for flows and tasks: there is no run here.")
    runner = runner_of(flow)
    if not isinstance(runner, DaskTaskRunner):
        raise DefinitionError(
            f"get_dask_client needs a cluster of Dask's: give flow {flow.run.flow_name!r} a DaskTaskRunner, or make a "
            "distributed.Client yourself."
        )
    return runner.reached()
