"""Penstock: plain Python functions become flows and tasks, and the record and the process agree.

This is the front door: the public names, loaded when they are first used, so that importing them costs little.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .domain.states import State as State
    from .engine.annotations import allow_failure as allow_failure
    from .engine.annotations import quote as quote
    from .engine.annotations import unmapped as unmapped
    from .engine.context import get_run_context as get_run_context
    from .flows.flow import Flow as Flow
    from .flows.flow import flow as flow
    from .flows.run_logger import get_run_logger as get_run_logger
    from .flows.tagging import tags as tags
    from .flows.task import Task as Task
    from .flows.task import task as task

_PLACES = {
    "Flow": "flows.flow",
    "State": "domain.states",
    "Task": "flows.task",
    "allow_failure": "engine.annotations",
    "flow": "flows.flow",
    "get_run_context": "engine.context",
    "get_run_logger": "flows.run_logger",
    "quote": "engine.annotations",
    "tags": "flows.tagging",
    "task": "flows.task",
    "unmapped": "engine.annotations",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
