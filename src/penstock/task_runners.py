"""Where submitted tasks run."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows.runners.cluster.clients import get_async_dask_client as get_async_dask_client
    from .flows.runners.cluster.clients import get_dask_client as get_dask_client
    from .flows.runners.cluster.dask import DaskTaskRunner as DaskTaskRunner
    from .flows.runners.cluster.ray import RayTaskRunner as RayTaskRunner
    from .flows.runners.cluster.ray import remote_options as remote_options
    from .flows.runners.contract import TaskRunner as TaskRunner
    from .flows.runners.process import ProcessPoolTaskRunner as ProcessPoolTaskRunner
    from .flows.runners.sequential import SequentialTaskRunner as SequentialTaskRunner
    from .flows.runners.thread import ThreadPoolTaskRunner as ThreadPoolTaskRunner

_PLACES = {
    "ConcurrentTaskRunner": ("flows.runners.thread", "ThreadPoolTaskRunner"),
    "DaskTaskRunner": ("flows.runners.cluster.dask", "DaskTaskRunner"),
    "ProcessPoolTaskRunner": ("flows.runners.process", "ProcessPoolTaskRunner"),
    "RayTaskRunner": ("flows.runners.cluster.ray", "RayTaskRunner"),
    "SequentialTaskRunner": ("flows.runners.sequential", "SequentialTaskRunner"),
    "TaskRunner": ("flows.runners.contract", "TaskRunner"),
    "ThreadPoolTaskRunner": ("flows.runners.thread", "ThreadPoolTaskRunner"),
    "get_async_dask_client": ("flows.runners.cluster.clients", "get_async_dask_client"),
    "get_dask_client": ("flows.runners.cluster.clients", "get_dask_client"),
    "remote_options": ("flows.runners.cluster.ray", "remote_options"),
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock.task_runners' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    value = getattr(import_module(f"penstock.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
