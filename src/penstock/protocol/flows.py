"""What can be asked about flows."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from ..domain.flows import FlowSummary
from .operation import Count, Nothing, Operation, Page
from .paging import Limit

# A flow's name is what its author wrote: anything.
FlowName = Annotated[str, msgspec.Meta(max_length=10_000)]


class FilterFlows(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Flows, the most recently used first."""

    limit: Limit = 200
    cursor: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None


class FlowById(msgspec.Struct, forbid_unknown_fields=True):
    id: UUID


class FlowByName(msgspec.Struct, forbid_unknown_fields=True):
    name: FlowName


FILTER_FLOWS = Operation(
    "filter_flows", "POST", "/flows/filter", FilterFlows, Page[FlowSummary],
    "List flows, the most recently used first.", reads=True,
)  # fmt: skip
COUNT_FLOWS = Operation("count_flows", "POST", "/flows/count", Nothing, Count, "Count flows.", reads=True)
READ_FLOW = Operation("read_flow", "GET", "/flows/{id}", FlowById, FlowSummary, "Read a flow.")
READ_FLOW_BY_NAME = Operation(
    "read_flow_by_name", "GET", "/flows/name/{name}", FlowByName, FlowSummary, "Read a flow by its name."
)
