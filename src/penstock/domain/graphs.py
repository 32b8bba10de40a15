"""A flow run's tree as values: its task runs and subflow runs, and what ran inside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from .states import FINAL, RUNNING, State, StateType

FLOW_RUN, TASK_RUN = "flow-run", "task-run"
SHOWN = 20
UPSTREAM_NAMED = 3


@dataclass(slots=True)
class Node:
    """A run. `of` is its task's or flow's name; `upstream` its inputs' runs, the first few by name."""

    kind: str
    id: UUID
    name: str
    of: str
    states: tuple[State[object], ...]
    run_count: int
    upstream: dict[str, tuple[UUID, ...]]
    children: list[Node] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)
    upstream_names: list[str] = field(default_factory=list)

    @property
    def state(self) -> State[object]:
        return self.states[-1]

    @property
    def started(self) -> datetime | None:
        return next((state.timestamp for state in self.states if state.type is RUNNING), None)

    @property
    def ended(self) -> datetime | None:
        return self.state.timestamp if self.state.type in FINAL else None

    @property
    def retries(self) -> int:
        return max(0, self.run_count - 1)

    def upstream_ids(self) -> list[UUID]:
        """The runs that its inputs came from, each once."""
        return list(dict.fromkeys(id for ids in self.upstream.values() for id in ids))


@dataclass(slots=True)
class Fold:
    """Runs of one task or flow that are counted and not shown; `shown` is the count of their siblings that are."""

    kind: str
    of: str
    states: Counter[StateType] = field(default_factory=Counter)
    shown: Counter[StateType] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.states.total()


def walk(root: Node) -> Iterator[Node]:
    """All nodes, each before those below it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def levels(root: Node, deepest: int | None = None) -> Iterator[tuple[int, Node]]:
    """All nodes with their depth, level by level; the root's is 0. With `deepest`, no deeper ones."""
    depth, level = 0, [root]
    while level and (deepest is None or depth <= deepest):
        yield from ((depth, node) for node in level)
        depth, level = depth + 1, [child for node in level for child in node.children]


def below(node: Node) -> int:
    """How many runs there are below a node, the folded ones included."""
    return sum(1 + sum(fold.count for fold in each.folds) for each in walk(node)) - 1
