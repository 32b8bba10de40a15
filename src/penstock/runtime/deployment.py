"""Facts of the deployment that the present flow run was made from, None where it was not: `deployment.name`."""

from typing import Any

from ..flows.runtime_values import DEPLOYMENT, deployment_value


def __getattr__(name: str) -> Any:
    return deployment_value(name)


def __dir__() -> list[str]:
    return list(DEPLOYMENT)
