"""Automations from Python."""

from __future__ import annotations

from .. import connect
from ..domain.automations import Automation
from ..protocol import automations as asked
from ..protocol.operation import Nothing


def save_automation(automation: Automation) -> Automation:
    """Makes an automation, or puts it in the place of the one of its name. It acts where a server runs on the record,
    and on what happens from now on.

    Raises `InvalidName`, `BadRequest` for values of a wrong type, and `AutomationError` for what could never be done.

    Example::

        from penstock.automations import Automation, Notify, RunState, save_automation

        tell = Notify(block="slack-webhook/ops")
        save_automation(Automation(name="tell ops", trigger=RunState(states=("Failed",)), actions=(tell,)))
    """
    wanted = asked.SaveAutomation(
        name=automation.name, trigger=automation.trigger, actions=automation.actions,
        description=automation.description, enabled=automation.enabled,
    )  # fmt: skip
    return connect.call(asked.SAVE_AUTOMATION, wanted)


def read_automation(name: str) -> Automation:
    """Raises `ObjectNotFound`."""
    return connect.call(asked.READ_AUTOMATION, asked.AutomationByName(name))


def read_automations() -> list[Automation]:
    """All, by name."""
    return connect.call(asked.FILTER_AUTOMATIONS, Nothing())


def pause_automation(name: str) -> Automation:
    """It fires no more, until it is resumed. Raises `ObjectNotFound`."""
    return connect.call(asked.UPDATE_AUTOMATION, asked.EnableAutomation(name=name, enabled=False))


def resume_automation(name: str) -> Automation:
    """It fires for what happens from now on. Raises `ObjectNotFound`."""
    return connect.call(asked.UPDATE_AUTOMATION, asked.EnableAutomation(name=name, enabled=True))


def delete_automation(name: str) -> None:
    """Raises `ObjectNotFound`."""
    connect.call(asked.DELETE_AUTOMATION, asked.AutomationByName(name))
