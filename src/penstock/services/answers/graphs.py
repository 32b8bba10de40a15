"""Answers about the trees of flow runs."""

from __future__ import annotations

from ...domain.errors import TooLarge
from ...protocol.graphs import MOST_SHOWN, READ_GRAPH, Graph, ReadGraph, graph_of
from .. import graph, reading
from ..desk import Desk, answers


@answers(READ_GRAPH)
def read_flow_run_graph(desk: Desk, query: ReadGraph) -> Graph:
    """However many kinds of tasks there are, what is answered is bounded."""
    run = reading.get_flow_run(desk.store, query.id)
    answer = graph_of(graph.read(desk.store, run, query.shown))
    if len(answer.nodes) > MOST_SHOWN + 1:
        raise TooLarge(
            f"The graph of flow run {run.name!r} has more than {MOST_SHOWN:,} nodes: ask for fewer runs of one "
            "task, or for that of a subflow run."
        )
    return answer
