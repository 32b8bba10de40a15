"""Facts of the present run: `from penstock.runtime import flow_run`, then `flow_run.id`."""

from . import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
