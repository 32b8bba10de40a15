"""Automations: when something happens, something is done by itself; as values.

Law: an automation fires once for what happened, and for nothing that happened before it was made or enabled. What was
done for it is recorded, also what could not be done. What is filled into a text is data, and not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from . import names
from .errors import AutomationError
from .events import EventMatch
from .runs import FlowRun
from .states import State
from .templates import Json

AUTOMATION = ("automation", re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]*"), "letters, digits, spaces, dots, dashes and _")
LONGEST_NAME = 255
Texts = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
# What is told where nothing else is wanted, by what an automation fires for.
BODIES = {
    "flow_run.id": "{{ flow_run.flow_name }}/{{ flow_run.name }} is {{ flow_run.state_name }}: "
    "{{ flow_run.state_message }}\n{{ flow_run.url }}",
    "worker.name": "Worker {{ worker.name }} on {{ worker.host }} is not heard of any more.",
    "event.id": "{{ event.event }} happened to {{ event.resource_id }}: {{ event.payload }}",
}
# What texts may have filled in, by what an automation fires for.
ALWAYS = ("automation.name",)
OF_RUN = ("flow_run.id", "flow_run.name", "flow_run.flow_name", "flow_run.state_name", "flow_run.state_message",
          "flow_run.url")  # fmt: skip
OF_WORKER = ("worker.name", "worker.work_pool", "worker.host")
OF_EVENT = ("event.id", "event.event", "event.resource_id", "event.payload")
_PLACE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


class Part(msgspec.Struct, tag_field="type", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several kinds, which its `type` says."""


class RunState(Part, tag="run-state", frozen=True):
    """When a flow run enters one of `states` (names or types: `Late`, `Failed`, `CRASHED`), of one of `flows` (none: of
    any) and with all `tags`. A run that has ended by then fires only for the state that it ended in."""

    states: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=50)]
    flows: Texts = ()
    tags: Texts = ()

    def fits(self, run: FlowRun, state: State[Any]) -> bool:
        wanted = {each.casefold() for each in self.states}
        here = state.name.casefold() in wanted or state.type.value.casefold() in wanted
        return here and _is_of(run, self.flows, self.tags) and (not run.state.is_final() or state.is_final())


class RunLasts(Part, tag="run-lasts", frozen=True):
    """When a flow run has been Running for longer than `seconds`, since it began to run last."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]
    flows: Texts = ()
    tags: Texts = ()

    def fits(self, run: FlowRun, now: datetime) -> bool:
        long = (now - run.state.timestamp).total_seconds() > self.seconds
        return run.state.is_running() and long and _is_of(run, self.flows, self.tags)


class WorkerGone(Part, tag="worker-gone", frozen=True):
    """When a worker (of one of `work_pools`) is not heard of any more, and did not say that it ends."""

    work_pools: Texts = ()


class Happened(Part, tag="event", frozen=True):
    """When an event is recorded that matches."""

    match: EventMatch


Trigger = RunState | RunLasts | WorkerGone | Happened


class Notify(Part, tag="notify", frozen=True):
    """Sends a message by a notification block (`slack-webhook/ops`). Without a `body` it says what happened."""

    block: Name
    body: Text | None = None
    subject: Text | None = None


class CancelRun(Part, tag="cancel-flow-run", frozen=True):
    """Cancels the run that it fired for; `grace` in seconds."""

    grace: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None


class RunDeployment(Part, tag="run-deployment", frozen=True):
    """Has a deployment (`flow/name`) run; texts among the parameters are filled in."""

    deployment: Name
    parameters: Json = {}


class PauseDeployment(Part, tag="pause-deployment", frozen=True):
    """Pauses a deployment: its schedules plan no more runs."""

    deployment: Name


class ResumeDeployment(Part, tag="resume-deployment", frozen=True):
    """Has the schedules of a deployment plan runs again."""

    deployment: Name


Action = Notify | CancelRun | RunDeployment | PauseDeployment | ResumeDeployment


class Automation(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When `trigger`, then do `actions`, each by itself. `since`: what happened before does not count."""

    name: Name
    trigger: Trigger
    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=20)]
    description: Text = ""
    enabled: bool = True
    since: datetime | None = None


class Firing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """That an automation fired for a `subject`, with what is known of that (`about`), and one of its actions: what came
    of it. `failed` is None until it was tried."""

    id: UUID
    automation: str
    subject: str
    place: int
    at: datetime
    action: Action
    about: dict[str, str]
    flow_run_id: UUID | None = None
    done: datetime | None = None
    outcome: str | None = None
    failed: bool | None = None


def checked(automation: Automation) -> Automation:
    """Raises `InvalidName`, and `AutomationError` for what could never be done."""
    names.check(automation.name, AUTOMATION)
    trigger = automation.trigger
    of_run = isinstance(trigger, RunState | RunLasts)
    known = {*ALWAYS, *(OF_RUN if of_run else OF_WORKER if isinstance(trigger, WorkerGone) else OF_EVENT)}
    for action in automation.actions:
        if isinstance(action, CancelRun) and not of_run:
            raise AutomationError(f"Automation {automation.name!r} fires for no flow run that could be cancelled.")
        if isinstance(action, Notify) and (action.block.count("/") != 1 or not all(action.block.split("/"))):
            raise AutomationError(f"{action.block!r:.80} is no block: it is type/name, like slack-webhook/ops.")
        for text in _texts(action):
            unknown = [name for name in _PLACE.findall(text) if name not in known]
            if unknown:
                raise AutomationError(
                    f"{{{{ {unknown[0]} }}}} cannot be filled in by automation {automation.name!r}; it knows "
                    f"{', '.join(sorted(known))}."
                )
    return automation


def message(action: Notify, about: Mapping[str, str]) -> str:
    """What is told."""
    body = action.body
    if body is None:
        body = next(text for name, text in BODIES.items() if name in about)
    return filled(body, about)


def tag_of(name: str) -> str:
    """The tag of runs that an automation makes."""
    return f"automation:{name}"


def filled(text: str, about: Mapping[str, str]) -> str:
    """The text with what is known in its places."""
    return _PLACE.sub(lambda found: about.get(found[1], found[0]), text)


def filled_all(value: Any, about: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return filled(value, about)
    if isinstance(value, dict):
        return {name: filled_all(each, about) for name, each in value.items()}
    if isinstance(value, list):
        return [filled_all(each, about) for each in value]
    return value


def _is_of(run: FlowRun, flows: tuple[str, ...], tags: tuple[str, ...]) -> bool:
    return (not flows or run.flow_name in flows) and set(tags) <= set(run.tags)


def _texts(part: Any) -> list[str]:
    if isinstance(part, str):
        return [part]
    if isinstance(part, Notify):
        return [part.body or "", part.subject or ""]
    if isinstance(part, RunDeployment):
        return _texts(part.parameters)
    if isinstance(part, dict):
        return [text for each in part.values() for text in _texts(each)]
    if isinstance(part, list):
        return [text for each in part for text in _texts(each)]
    return []
