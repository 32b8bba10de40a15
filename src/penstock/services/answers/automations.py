"""Answers about automations."""

from __future__ import annotations

from ...domain.automations import Automation, Firing
from ...protocol import automations as asked
from ...protocol import paging
from ...protocol.operation import Nothing, Page
from .. import automations
from ..desk import Desk, answers


@answers(asked.SAVE_AUTOMATION)
def save_automation(desk: Desk, query: asked.SaveAutomation) -> Automation:
    wanted = Automation(
        name=query.name, trigger=query.trigger, actions=query.actions, description=query.description,
        enabled=query.enabled,
    )  # fmt: skip
    return automations.save(desk.store, wanted, desk.now())


@answers(asked.FILTER_AUTOMATIONS)
def filter_automations(desk: Desk, _: Nothing) -> list[Automation]:
    return automations.list_all(desk.store)


@answers(asked.READ_AUTOMATION)
def read_automation(desk: Desk, query: asked.AutomationByName) -> Automation:
    return automations.get(desk.store, query.name)


@answers(asked.UPDATE_AUTOMATION)
def update_automation(desk: Desk, query: asked.EnableAutomation) -> Automation:
    return automations.enable(desk.store, query.name, query.enabled, desk.now())


@answers(asked.DELETE_AUTOMATION)
def delete_automation(desk: Desk, query: asked.AutomationByName) -> None:
    automations.delete(desk.store, query.name)


@answers(asked.FILTER_FIRINGS)
def filter_firings(desk: Desk, query: asked.FilterFirings) -> Page[Firing]:
    found = automations.fired(desk.store, query.automation, query.limit, paging.id_in(query.cursor))
    return Page(items=found, next=paging.after(found[-1].id) if len(found) == query.limit else None)
