"""Where submitted tasks run."""

from typing import TYPE_CHECKING, Any

from .flows.runners.contract import TaskRunner
from .flows.runners.process import ProcessPoolTaskRunner
from .flows.runners.sequential import SequentialTaskRunner
from .flows.runners.thread import ThreadPoolTaskRunner

if TYPE_CHECKING:
    from .flows.runners.cluster.dask import DaskTaskRunner as DaskTaskRunner
    from .flows.runners.cluster.ray import RayTaskRunner as RayTaskRunner

ConcurrentTaskRunner = ThreadPoolTaskRunner
_PLACES = {
    "DaskTaskRunner": "flows.runners.cluster.dask",
    "RayTaskRunner": "flows.runners.cluster.ray",
}

__all__ = [
    "ConcurrentTaskRunner",
    "DaskTaskRunner",
    "ProcessPoolTaskRunner",
    "RayTaskRunner",
    "SequentialTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock.task_runners' has no attribute {name!r}")
    value = getattr(import_module(f"penstock.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
