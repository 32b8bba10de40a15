"""Facts of the present task run, None outside of runs: `penstock.runtime.task_run.id`."""

from typing import Any

from ..flows.runtime_values import TASK_RUN, task_run_value


def __getattr__(name: str) -> Any:
    return task_run_value(name)


def __dir__() -> list[str]:
    return list(TASK_RUN)
