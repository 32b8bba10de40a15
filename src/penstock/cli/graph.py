"""A run's tree as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from penstock.cli import shown
from penstock.domain.graphs import FLOW_RUN, UPSTREAM_NAMED, Fold, Node, below, levels

Line = tuple[str, Node | Fold, str]

# Runs nested deeper are counted: JSON so deep is read by few programs, and a line is wider than any terminal.
DEEPEST = 400


def lines(root: Node, now: datetime) -> Iterator[Line]:
    """The tree depth-first: for each line its branches, what it is about, and what it says after the glyph."""
    # What is to be drawn, the next one last: (depth, the branches of those below, the branches of itself, the thing).
    waiting: list[tuple[int, str, str, Node | Fold]] = [(0, "", "", root)]
    while waiting:
        depth, inside, branches, item = waiting.pop()
        said = text_of(item, now)
        if isinstance(item, Node) and depth < DEEPEST:
            inner: list[Node | Fold] = [*item.children, *item.folds]
            for place, each in reversed(list(enumerate(inner))):
                last = place == len(inner) - 1
                rest, own = ("    ", "└── ") if last else ("│   ", "├── ")
                waiting.append((depth + 1, inside + rest, inside + own, each))
        elif isinstance(item, Node) and (deeper := below(item)):
            said += f"  … {shown.count_of(deeper, 'run')} inside it"
        yield branches, item, said


def text(root: Node, now: datetime) -> Iterable[str]:
    """The tree's lines as plain text."""
    for branches, item, said in lines(root, now):
        yield f"{branches}{shown.glyph(item.state.type)} {said}" if isinstance(item, Node) else f"{branches}{said}"


def text_of(item: Node | Fold, now: datetime) -> str:
    """What a line says of a run (without its glyph), or of those that are folded."""
    if isinstance(item, Fold):
        more = shown.count_of(item.count, "more run")
        return f"… {more} of {shown.one_line(item.of)!r}: {shown.tally(item.states)}"
    parts = [shown.one_line(item.name)]
    if item.kind == FLOW_RUN:
        parts.append(f"({shown.one_line(item.of)})")
    if not item.state.is_completed() or item.state.name != "Completed":
        parts.append(shown.state_name(item.state))
    span = shown.run_time(item.started, item.ended, now)
    if span is not None:
        parts.append(shown.duration(span))
    if item.retries:
        parts.append("1 retry" if item.retries == 1 else f"{item.retries:,} retries")
    if item.upstream_names:
        parts.append(f"← {_upstream(item)}")
    return "  ".join(parts)


def _upstream(node: Node) -> str:
    names = ", ".join(map(shown.one_line, node.upstream_names))
    more = len(node.upstream_ids()) - UPSTREAM_NAMED
    return names if more <= 0 else f"{names} and {more:,} more"


def too_deep(root: Node) -> str | None:
    """The sentence about runs that are nested too deep to be shown; None when there is none."""
    cut = [node for depth, node in levels(root) if depth == DEEPEST and (node.children or node.folds)]
    if not cut:
        return None
    deeper = shown.count_of(sum(map(below, cut)), "run")
    subflow = next((node.id for node in cut if node.kind == FLOW_RUN), None)
    more = f" The graph goes on with `penstock flow-run graph {subflow}`." if subflow is not None else ""
    return f"Only {DEEPEST} levels are shown; {deeper} below them only counted.{more}"


def document(root: Node) -> dict[str, Any]:
    """The tree as nested JSON; written from the leaves up, so that depth costs no stack, and cut at `DEEPEST`."""
    made: dict[int, dict[str, Any]] = {}
    for depth, node in reversed(list(levels(root, DEEPEST))):
        whole = depth < DEEPEST
        made[id(node)] = _node(node) | {
            "children": [made.pop(id(child)) for child in node.children] if whole else [],
            "folded": [_fold(fold) for fold in node.folds] if whole else [],
            "deeper": 0 if whole else below(node),
        }
    return made[id(root)]


def _node(node: Node) -> dict[str, Any]:
    state = node.state
    ended = node.ended
    return {
        "kind": node.kind,
        "id": node.id,
        "name": node.name,
        f"{'flow' if node.kind == FLOW_RUN else 'task'}_name": node.of,
        "state_type": state.type,
        "state_name": state.name,
        "state_message": state.message,
        "start_time": node.started,
        "end_time": ended,
        "run_count": node.run_count,
        "upstream": node.upstream,
    }


def _fold(fold: Fold) -> dict[str, Any]:
    return {"kind": fold.kind, "of": fold.of, "count": fold.count, "state_types": dict(fold.states)}
