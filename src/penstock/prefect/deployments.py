"""Deployments as Prefect's code makes them: `Deployment.build_from_flow` of Prefect 2, `deploy` of Prefect 3."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from uuid import UUID

from .. import deployments as ours
from ..client.asynchronous import PenstockClient
from ..client.blocking import SyncPenstockClient
from ..domain.errors import NameNotOffered
from ..domain.runs import FlowRun
from ..flows.deploying import RunnerDeployment
from .dispatched import plainly

__all__ = ["Deployment", "FlowRunWaitTimeout", "RunnerDeployment", "deploy", "wait_for_flow_run"]

FlowRunWaitTimeout = TimeoutError


class Deployment:
    """A deployment of Prefect 2, made by `build_from_flow`, recorded by `apply`."""

    def __init__(self, **fields: Any) -> None:
        raise NameNotOffered(
            "Deployment(...) is not offered by Penstock; the nearest is Deployment.build_from_flow(flow, name=...), or "
            "flow.to_deployment(name)."
        )

    @classmethod
    def build_from_flow(cls, flow: Any, name: str, *, apply: bool = False, **fields: Any) -> Any:
        """The deployment, to be applied by `.apply()`. In a coroutine it may be awaited, or not."""
        made = _Built(flow, name, fields)
        if apply:
            made.apply()
        return made


class _Built(Deployment):
    def __init__(self, flow: Any, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        for refused, instead in _REFUSED.items():
            if fields.pop(refused, None) is not None:
                raise NameNotOffered(f"build_from_flow({refused}=...) is not offered by Penstock; {instead}.")
        for left_out in _LEFT_OUT:
            fields.pop(left_out, None)
        active = fields.pop("is_schedule_active", None)
        schedules = [each for each in (fields.pop("schedule", None), *(fields.pop("schedules", None) or ())) if each]
        if fields.get("infra_overrides") is not None:
            fields["job_variables"] = fields.pop("infra_overrides")
        if fields.get("work_pool_name") is None:  # the queue of an agent is no queue of a pool here
            fields.pop("work_queue_name", None)
        self._made = flow.to_deployment(
            name, schedules=schedules or None, paused=None if active is None else not active, **fields
        )

    def apply(self, **upload: Any) -> Any:
        """Records it; its id, which in a coroutine may be awaited, or not."""
        return _Id(int=plainly(self._made.apply).id.int)

    def __await__(self) -> Any:
        return _at_once(self)


class _Id(UUID):
    """An id that may be awaited."""

    def __await__(self) -> Any:
        return _at_once(UUID(int=self.int))


def _at_once(value: Any) -> Generator[Any, Any, Any]:
    """Awaiting gives the value at once."""
    yield from ()
    return value


# What a deployment of Prefect 2 had, and this has otherwise; and what means nothing here.
_REFUSED = {
    "storage": "the code comes by a pull step (docs/deployments.md), or stays where it is",
    "infrastructure": "name a work pool: work_pool_name= (docs/infrastructure.md)",
    "infra_override": "say job_variables=",
    "triggers": "make an automation (docs/automations.md)",
}
_LEFT_OUT = ("output", "skip_upload", "ignore_file", "load_existing", "manifest_path", "timestamp")


def deploy(*deployments: Any, **options: Any) -> Any:
    """See `penstock.deploy`; `ignore_warnings` and `print_next_steps_message` as Prefect has them."""
    options.pop("ignore_warnings", None)
    shown = options.pop("print_next_steps_message", True)
    return ours.deploy(*deployments, print_next_steps=shown, **options)


async def wait_for_flow_run(
    flow_run_id: UUID | str, timeout: float | None = 10800, poll_interval: float | None = None, client: Any = None,
    log_states: bool = False,
) -> FlowRun:  # fmt: skip
    """Waits until a flow run has ended; the run as it is then. News is pushed: `poll_interval` is not needed. Raises
    `TimeoutError` after so many seconds."""
    run = await PenstockClient(SyncPenstockClient()).wait_for_flow_run(flow_run_id, timeout)
    if log_states:
        print(f"Flow run {run.name!r} is in state {run.state.name!r}")
    return run
