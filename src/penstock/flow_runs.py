"""Control of runs, whichever process they are in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows.cancelling import acancel_flow_run as acancel_flow_run
    from .flows.cancelling import acancel_task_run as acancel_task_run
    from .flows.cancelling import cancel_flow_run as cancel_flow_run
    from .flows.cancelling import cancel_task_run as cancel_task_run
    from .flows.pausing import apause_flow_run as apause_flow_run
    from .flows.pausing import aresume_flow_run as aresume_flow_run
    from .flows.pausing import asuspend_flow_run as asuspend_flow_run
    from .flows.pausing import pause_flow_run as pause_flow_run
    from .flows.pausing import resume_flow_run as resume_flow_run
    from .flows.pausing import suspend_flow_run as suspend_flow_run
    from .flows.sleeping import sleep_until as sleep_until
    from .flows.waiting import awhy_flow_run_waits as awhy_flow_run_waits
    from .flows.waiting import why_flow_run_waits as why_flow_run_waits

_PLACES = {
    "acancel_flow_run": "flows.cancelling",
    "acancel_task_run": "flows.cancelling",
    "cancel_flow_run": "flows.cancelling",
    "cancel_task_run": "flows.cancelling",
    "apause_flow_run": "flows.pausing",
    "aresume_flow_run": "flows.pausing",
    "asuspend_flow_run": "flows.pausing",
    "pause_flow_run": "flows.pausing",
    "resume_flow_run": "flows.pausing",
    "suspend_flow_run": "flows.pausing",
    "sleep_until": "flows.sleeping",
    "awhy_flow_run_waits": "flows.waiting",
    "why_flow_run_waits": "flows.waiting",
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
