"""The types of infrastructure that there are, by the names that work pools have them under.

Law: a driver's vendor package is imported when a run is launched on it, and not before; so the list, and each type's
template, are there without any of them.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..domain.errors import InfrastructureRefused
from ..domain.names import suggestion
from .contract import Driver

# Type -> the driver's class.
TYPES: dict[str, str] = {
    "process": "subprocesses:ProcessDriver",
    "docker": "docker:DockerDriver",
    "kubernetes": "kubernetes:KubernetesDriver",
    "ecs": "ecs:EcsDriver",
    "cloud-run": "cloud_run:CloudRunDriver",
    "azure-container-instances": "azure_container_instances:AzureContainerInstancesDriver",
}
# What runs on this machine, and reaches what is here: its files, its servers on loopback.
LOCAL = frozenset({"process"})


def check(type: str) -> None:
    """Raises `InfrastructureRefused` for a type that this version does not know, with the name that is near."""
    if type not in TYPES:
        raise InfrastructureRefused(
            f"There is no type of infrastructure {type!r}; there are: {', '.join(TYPES)}.{suggestion(type, TYPES)}"
        )


def make(type: str, folder: Path) -> Driver:
    """The driver of a type; `folder` is where one of this machine keeps what it must know. Raises
    `InfrastructureRefused` for a type that there is not."""
    found = _class(type)
    driver: Driver = found(folder) if type in LOCAL else found()
    return driver


def template(type: str) -> dict[str, Any]:
    """The type's own base job template. Raises `InfrastructureRefused`."""
    made: dict[str, Any] = _class(type).base_job_template
    return made


def _class(type: str) -> Any:
    check(type)
    module, _, name = TYPES[type].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)
