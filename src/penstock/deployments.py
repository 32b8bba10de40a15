"""Deployments: running them from anywhere, and making them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows import steps as steps
    from .flows.deploying import deploy as deploy
    from .flows.deploying import serve as serve
    from .flows.running_deployments import arun_deployment as arun_deployment
    from .flows.running_deployments import run_deployment as run_deployment

_PLACES = {
    "arun_deployment": ("flows.running_deployments", "arun_deployment"),
    "deploy": ("flows.deploying", "deploy"),
    "run_deployment": ("flows.running_deployments", "run_deployment"),
    "serve": ("flows.deploying", "serve"),
    "steps": ("flows.steps", ""),
}
__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'penstock.deployments' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    found = import_module(f"penstock.{module}")
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
