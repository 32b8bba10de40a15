"""What `penstock.runtime.flow_run`, `task_run` and `deployment` know: the present run's facts, None outside runs."""

from __future__ import annotations

from typing import Any

from ..domain.errors import ObjectNotFound
from ..domain.trace_context import trace_id_of
from ..engine.context import FlowRunContext, TaskRunContext
from ..protocol.deployments import READ_DEPLOYMENT, DeploymentById
from ..settings import current

FLOW_RUN = (
    "id", "name", "flow_name", "flow_version", "parameters", "tags", "run_count", "scheduled_start_time",
    "parent_flow_run_id", "parent_deployment_id", "root_flow_run_id", "api_url", "ui_url", "job_variables",
    "trace_id",
)  # fmt: skip
DEPLOYMENT = ("id", "flow_run_id", "name", "parameters", "version")
TASK_RUN = ("id", "name", "task_name", "parameters", "tags", "run_count", "api_url", "ui_url")


def flow_run_value(name: str) -> Any:
    """One of `FLOW_RUN`, as the field has them: ids are text. Raises AttributeError for another name."""
    if name not in FLOW_RUN:
        raise AttributeError(f"penstock.runtime.flow_run has no {name!r}; it has {', '.join(FLOW_RUN)}.")
    context = FlowRunContext.get()
    if context is None:
        return {"parameters": {}, "tags": [], "run_count": 0}.get(name)
    run = context.run
    values: dict[str, Any] = {
        "id": str(run.id),
        "parameters": context.parameters,
        "tags": list(run.tags),
        "scheduled_start_time": run.expected_start_time,
        "parent_flow_run_id": _text(run.parent_flow_run_id),
        "parent_deployment_id": _text(run.deployment_id),
        "root_flow_run_id": str(run.root_flow_run_id or run.id),
        "trace_id": trace_id_of(run.labels),
        **_addresses("flow", str(run.id)),
    }
    return values[name] if name in values else getattr(run, name, None)


def deployment_value(name: str) -> Any:
    """One of `DEPLOYMENT`; None where the flow run was not made from a deployment, or that is gone. Raises
    AttributeError for another name."""
    if name not in DEPLOYMENT:
        raise AttributeError(f"penstock.runtime.deployment has no {name!r}; it has {', '.join(DEPLOYMENT)}.")
    context = FlowRunContext.get()
    while context is not None and context.run.deployment_id is None:  # a subflow's is that of the run above
        context = context.parent.flow_context if context.parent is not None else None
    nothing: Any = {} if name == "parameters" else None
    if context is None or context.run.deployment_id is None:
        return nothing
    if name in ("id", "flow_run_id"):
        return str(context.run.deployment_id if name == "id" else context.run.id)
    from .. import connect

    try:
        found = connect.call(READ_DEPLOYMENT, DeploymentById(context.run.deployment_id))
    except ObjectNotFound:
        return nothing
    return getattr(found, name)


def task_run_value(name: str) -> Any:
    """One of `TASK_RUN`. Raises AttributeError for another name."""
    if name not in TASK_RUN:
        raise AttributeError(f"penstock.runtime.task_run has no {name!r}; it has {', '.join(TASK_RUN)}.")
    context = TaskRunContext.get()
    if context is None:
        return {"parameters": {}, "tags": [], "run_count": 0}.get(name)
    id = str(context.run.id)
    values = {
        "id": id, "parameters": context.parameters, "tags": list(context.run.tags), **_addresses("task", id),
    }  # fmt: skip
    return values[name] if name in values else getattr(context.run, name, None)


def _addresses(kind: str, id: str) -> dict[str, str | None]:
    """Where the run is over REST, and its page; None where no server is known."""
    api, ui = current().api_url, current().ui_url
    return {
        "api_url": api and f"{api}/{kind}_runs/{id}",
        "ui_url": ui and f"{ui}/{kind}-runs/{kind}-run/{id}",
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
