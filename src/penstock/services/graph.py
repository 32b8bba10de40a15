"""A flow run as a tree: its task runs and subflow runs, what ran inside them, and where their values came from.

Law: the tree stays small whatever the run's size. Of the runs of one task below one parent the first few are nodes; of
the others it is only counted how many are in which state. Rows are read one at a time.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from ..domain.graphs import FLOW_RUN, SHOWN, TASK_RUN, UPSTREAM_NAMED, Fold, Node
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import StateType
from ..store import flow_runs, task_runs
from ..store.contract import Store, Tx

# the run above, the kind, the task's or flow's name
Key = tuple[bytes | None, str, str]


def read(store: Store, run: FlowRun, shown: int | None = SHOWN) -> Node:
    """The tree of a flow run at one moment; with `shown` None every run is a node."""
    root = Node(FLOW_RUN, run.id, run.name, run.flow_name, run.states, run.run_count, run.upstream)
    nodes = [root]
    with store.read() as tx:
        for node in nodes:  # grows while we walk it
            if node.kind == FLOW_RUN:
                nodes.extend(_fill(tx, node, shown))
        _name_upstream(tx, nodes)
    return root


def _fill(tx: Tx, parent: Node, shown: int | None) -> list[Node]:
    """Reads what ran in a flow run, outside of its subflow runs, and hangs it below; gives the new nodes."""
    places, folds = _place(tx, parent.id, sys.maxsize if shown is None else shown)
    nodes: dict[bytes, Node] = {}
    for id, (kind, above) in places.items():
        run: TaskRun | FlowRun | None = _get(tx, kind, UUID(bytes=id))
        if run is not None:  # never None: it is one transaction
            of = run.task_name if isinstance(run, TaskRun) else run.flow_name
            nodes[id] = Node(kind, run.id, run.name, of, run.states, run.run_count, run.upstream)
            (parent if above is None else nodes[above]).children.append(nodes[id])
    for (above, kind, of), counts in folds.items():
        owner = parent if above is None else nodes[above]
        fold = Fold(kind, of, Counter({StateType(type_): count for type_, count in counts.items()}))
        fold.shown.update(node.state.type for node in owner.children if (node.kind, node.of) == (kind, of))
        owner.folds.append(fold)
    for owner in (parent, *nodes.values()):
        owner.children.sort(key=lambda node: node.id)
    return list(nodes.values())


def _place(tx: Tx, id: UUID, shown: int) -> tuple[dict[bytes, tuple[str, bytes | None]], dict[Key, dict[str, int]]]:
    """The runs that are to be nodes: id -> kind and the run above; and the others: group -> state -> how many.

    A million rows pass here: each is looked at once, and nothing is made of it.
    """
    places: dict[bytes, tuple[str, bytes | None]] = {}
    groups: dict[Key, int] = {}
    folds: dict[Key, dict[str, int]] = {}
    for kind, rows in ((TASK_RUN, task_runs.outline(tx, id)), (FLOW_RUN, flow_runs.outline(tx, id))):
        for run_id, of, above, type_ in rows:
            # Below a run that is folded itself, or is not recorded, there is no place: the flow run takes it.
            placed = above is None or above in places
            key = (above if placed else None, kind, of)
            count = groups.get(key, 0)
            if count < shown and (placed or shown == sys.maxsize):
                groups[key] = count + 1
                places[run_id] = (kind, above if placed else None)
            else:
                fold = folds.setdefault(key, {})
                fold[type_] = fold.get(type_, 0) + 1
    return places, folds


def _get(tx: Tx, kind: str, id: UUID) -> TaskRun | FlowRun | None:
    return task_runs.get(tx, id) if kind == TASK_RUN else flow_runs.get(tx, id)


def _name_upstream(tx: Tx, nodes: Iterable[Node]) -> None:
    """Runs that are not in the tree are looked up; of many inputs only the first few have their names read."""
    named = {node.id: node.name for node in nodes}
    wanted = {id for node in nodes for id in node.upstream_ids()[:UPSTREAM_NAMED] if id not in named}
    named.update((id, name) for id, (name, _) in task_runs.names(tx, wanted).items())
    for id in wanted - named.keys():
        run = flow_runs.get(tx, id)
        if run is not None:
            named[id] = run.name
    for node in nodes:
        node.upstream_names = [named.get(id, str(id)) for id in node.upstream_ids()[:UPSTREAM_NAMED]]
