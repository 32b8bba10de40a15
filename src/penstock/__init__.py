"""Penstock: plain Python functions become flows and tasks, and the record and the process agree.

This is the front door: the public names, loaded when they are first used, so that importing them costs little.
"""

from typing import TYPE_CHECKING, Any

from . import alias as alias

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .client.opening import get_client as get_client
    from .domain.states import State as State
    from .engine.annotations import allow_failure as allow_failure
    from .engine.annotations import quote as quote
    from .engine.annotations import unmapped as unmapped
    from .engine.context import get_run_context as get_run_context
    from .flows.cancelling import acancel_flow_run as acancel_flow_run
    from .flows.cancelling import acancel_task_run as acancel_task_run
    from .flows.cancelling import cancel_flow_run as cancel_flow_run
    from .flows.cancelling import cancel_task_run as cancel_task_run
    from .flows.deploying import deploy as deploy
    from .flows.deploying import serve as serve
    from .flows.flow import Flow as Flow
    from .flows.flow import flow as flow
    from .flows.pausing import apause_flow_run as apause_flow_run
    from .flows.pausing import aresume_flow_run as aresume_flow_run
    from .flows.pausing import asuspend_flow_run as asuspend_flow_run
    from .flows.pausing import pause_flow_run as pause_flow_run
    from .flows.pausing import resume_flow_run as resume_flow_run
    from .flows.pausing import suspend_flow_run as suspend_flow_run
    from .flows.run_logger import get_run_logger as get_run_logger
    from .flows.tagging import tags as tags
    from .flows.task import Task as Task
    from .flows.task import task as task

_PLACES = {
    "Flow": "flows.flow",
    "State": "domain.states",
    "Task": "flows.task",
    "acancel_flow_run": "flows.cancelling",
    "acancel_task_run": "flows.cancelling",
    "allow_failure": "engine.annotations",
    "apause_flow_run": "flows.pausing",
    "aresume_flow_run": "flows.pausing",
    "asuspend_flow_run": "flows.pausing",
    "cancel_flow_run": "flows.cancelling",
    "cancel_task_run": "flows.cancelling",
    "deploy": "flows.deploying",
    "flow": "flows.flow",
    "get_client": "client.opening",
    "get_run_context": "engine.context",
    "get_run_logger": "flows.run_logger",
    "pause_flow_run": "flows.pausing",
    "quote": "engine.annotations",
    "resume_flow_run": "flows.pausing",
    "serve": "flows.deploying",
    "suspend_flow_run": "flows.pausing",
    "tags": "flows.tagging",
    "task": "flows.task",
    "unmapped": "engine.annotations",
}
# Modules that are attributes of the package without being imported by themselves.
_MODULES = frozenset(
    {
        "approvals", "artifacts", "automations", "blocks", "cache_policies", "client", "concurrency", "context",
        "deployments", "events", "exceptions", "flow_runs", "futures", "input", "logging", "runtime", "schedules",
        "serializers", "settings", "states", "task_runners", "tasks", "testing", "variables",
    }
)  # fmt: skip
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _PLACES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
