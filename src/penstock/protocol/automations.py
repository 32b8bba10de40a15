"""What can be asked about automations."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ..domain.automations import LONGEST_NAME, Action, Automation, Firing, Text, Trigger
from .operation import Nothing, Operation, Page
from .paging import Cursor, Limit

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]


class SaveAutomation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Makes an automation, or puts it in the place of the one of this name. What happened before does not count."""

    name: Name
    trigger: Trigger
    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=20)]
    description: Text = ""
    enabled: bool = True


class AutomationByName(msgspec.Struct, forbid_unknown_fields=True):
    name: Name


class EnableAutomation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    enabled: bool


class FilterFirings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What automations fired, or one of them, the latest first."""

    automation: Name | None = None
    limit: Limit = 200
    cursor: Cursor | None = None


SAVE_AUTOMATION = Operation(
    "save_automation", "POST", "/automations", SaveAutomation, Automation, "Make or replace an automation.",
    safe=True, strict=True,
)  # fmt: skip
FILTER_AUTOMATIONS = Operation(
    "filter_automations", "POST", "/automations/filter", Nothing, list[Automation], "List automations.", reads=True
)
READ_AUTOMATION = Operation(
    "read_automation", "GET", "/automations/name/{name}", AutomationByName, Automation, "Read an automation."
)
UPDATE_AUTOMATION = Operation(
    "update_automation", "PATCH", "/automations/name/{name}", EnableAutomation, Automation,
    "Enable or disable an automation.", safe=True, strict=True,
)  # fmt: skip
DELETE_AUTOMATION: Operation[AutomationByName, Any] = Operation(
    "delete_automation", "DELETE", "/automations/name/{name}", AutomationByName, None, "Delete an automation."
)
FILTER_FIRINGS = Operation(
    "filter_firings", "POST", "/automations/firings/filter", FilterFirings, Page[Firing],
    "List what automations fired, and what came of it.", reads=True,
)  # fmt: skip
