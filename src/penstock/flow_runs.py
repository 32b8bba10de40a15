"""Control of runs, whichever process they are in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows.cancelling import acancel_flow_run as acancel_flow_run
    from .flows.cancelling import acancel_task_run as acancel_task_run
    from .flows.cancelling import cancel_flow_run as cancel_flow_run
    from .flows.cancelling import cancel_task_run as cancel_task_run

_PLACES = {
    "acancel_flow_run": "flows.cancelling",
    "acancel_task_run": "flows.cancelling",
    "cancel_flow_run": "flows.cancelling",
    "cancel_task_run": "flows.cancelling",
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock.flow_runs' has no attribute {name!r}")
    value = getattr(import_module(f"penstock.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
