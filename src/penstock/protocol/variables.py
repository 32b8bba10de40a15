"""What can be asked about variables."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from ..domain.variables import VariableRecord
from .operation import Count, Nothing, Operation, Page
from .paging import Cursor, Limit

# What a name may be is said by the rule for names, in its own words; this only bounds what is looked at.
AnyName = Annotated[str, msgspec.Meta(max_length=1000)]


class SetVariable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """With `overwrite` also one that is set already, whose tags are then these."""

    name: AnyName
    value: Any
    tags: list[str] = []
    overwrite: bool = False


class UpdateVariable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed."""

    name: AnyName
    value: Any | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class VariableByName(msgspec.Struct, forbid_unknown_fields=True):
    name: AnyName


class FilterVariables(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By name."""

    limit: Limit = 200
    cursor: Cursor | None = None


FILTER_VARIABLES = Operation(
    "filter_variables", "POST", "/variables/filter", FilterVariables, Page[VariableRecord], "List variables, by name.",
    reads=True,
)  # fmt: skip
COUNT_VARIABLES = Operation(
    "count_variables", "POST", "/variables/count", Nothing, Count, "Count variables.", reads=True
)
CREATE_VARIABLE = Operation(
    "create_variable", "POST", "/variables", SetVariable, VariableRecord, "Set a variable.", status=201
)
READ_VARIABLE = Operation(
    "read_variable_by_name", "GET", "/variables/name/{name}", VariableByName, VariableRecord, "Read a variable."
)
UPDATE_VARIABLE = Operation(
    "update_variable", "PATCH", "/variables/name/{name}", UpdateVariable, VariableRecord, "Change a variable.",
    safe=True,
)  # fmt: skip
DELETE_VARIABLE: Operation[VariableByName, None] = Operation(
    "delete_variable", "DELETE", "/variables/name/{name}", VariableByName, None, "Unset a variable."
)
