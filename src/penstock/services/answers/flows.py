"""Answers about flows."""

from __future__ import annotations

from ...domain.flows import FlowSummary
from ...protocol import flows as asked
from ...protocol.operation import Count, Nothing, Page
from .. import flows
from ..desk import Desk, answers


@answers(asked.FILTER_FLOWS)
def filter_flows(desk: Desk, query: asked.FilterFlows) -> Page[FlowSummary]:
    found, more = flows.page(desk.store, query.limit, query.cursor)
    return Page(items=found, next=more)


@answers(asked.COUNT_FLOWS)
def count_flows(desk: Desk, _: Nothing) -> Count:
    return Count(flows.count(desk.store))


@answers(asked.READ_FLOW)
def read_flow(desk: Desk, query: asked.FlowById) -> FlowSummary:
    return flows.get(desk.store, query.id)


@answers(asked.READ_FLOW_BY_NAME)
def read_flow_by_name(desk: Desk, query: asked.FlowByName) -> FlowSummary:
    return flows.get_by_name(desk.store, query.name)
