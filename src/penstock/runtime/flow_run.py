"""Facts of the present flow run, None outside of runs: `penstock.runtime.flow_run.id`."""

from typing import Any

from ..flows.runtime_values import FLOW_RUN, flow_run_value


def __getattr__(name: str) -> Any:
    return flow_run_value(name)


def __dir__() -> list[str]:
    return list(FLOW_RUN)
