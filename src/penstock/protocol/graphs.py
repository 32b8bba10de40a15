"""A flow run's tree on the wire: flat, for a tree may be deeper than JSON may."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.graphs import SHOWN, Fold, Node, walk
from ..domain.states import State, StateType
from .operation import Operation

MOST_SHOWN = 100_000


class ReadGraph(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of the runs of one task below one run, the first `shown` are nodes; the others are counted."""

    id: UUID
    shown: Annotated[int, msgspec.Meta(ge=0, le=MOST_SHOWN)] = SHOWN


class GraphFold(msgspec.Struct):
    """Runs that are counted, by the type of their state; `shown` is the count of those beside them that are nodes."""

    kind: str
    of: str
    states: dict[StateType, int]
    shown: dict[StateType, int]


class GraphNode(msgspec.Struct):
    """A run: `above` is the node that it is below, None for the first. `of` is its task's or flow's name."""

    kind: str
    id: UUID
    above: UUID | None
    name: str
    of: str
    states: tuple[State[Any], ...]
    run_count: int
    upstream: dict[str, tuple[UUID, ...]]
    upstream_names: list[str]
    folds: list[GraphFold]


class Graph(msgspec.Struct):
    """The nodes of a tree, each before those below it; the first is the flow run."""

    nodes: list[GraphNode]


READ_GRAPH = Operation(
    "read_flow_run_graph", "GET", "/flow_runs/{id}/graph", ReadGraph, Graph,
    "A flow run's tree: what it called, and where values came from.",
)  # fmt: skip


def graph_of(root: Node) -> Graph:
    above = {child.id: node.id for node in walk(root) for child in node.children}
    return Graph(
        [
            GraphNode(
                node.kind, node.id, above.get(node.id), node.name, node.of, node.states, node.run_count, node.upstream,
                node.upstream_names, [GraphFold(f.kind, f.of, dict(f.states), dict(f.shown)) for f in node.folds],
            )
            for node in walk(root)
        ]
    )  # fmt: skip


def tree_of(graph: Graph) -> Node:
    nodes: dict[UUID, Node] = {}
    for each in graph.nodes:
        node = Node(each.kind, each.id, each.name, each.of, each.states, each.run_count, each.upstream)
        node.upstream_names = each.upstream_names
        node.folds = [Fold(f.kind, f.of, Counter(f.states), Counter(f.shown)) for f in each.folds]
        if each.above is not None:
            nodes[each.above].children.append(node)
        nodes[each.id] = node
    return nodes[graph.nodes[0].id]
