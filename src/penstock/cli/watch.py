"""`flow-run watch`: a run's tree, drawn again whenever the record changes; away from a terminal, what changed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import click

from penstock.cli import graph, shown
from penstock.cli.record import ask
from penstock.domain import graphs
from penstock.domain.graphs import FLOW_RUN, Fold, Node
from penstock.domain.runs import FlowRun
from penstock.domain.states import COMPLETED, FINAL, State, StateType
from penstock.protocol.flow_runs import READ_CHANGES, READ_FLOW_RUN, ById, ChangesSeen
from penstock.protocol.graphs import READ_GRAPH, ReadGraph, tree_of

# Reading the tree of a very large run takes time: it is given at most a tenth of ours, the rest is the run's.
SHARE = 10
TICK = 0.5
COUNTS_EVERY = 1.0
# A record that changes all the time is not asked all the time.
LOOK_EVERY = 0.05
BAR = 24


class Seen(NamedTuple):
    """A run and its tree; `fresh` when they were read anew."""

    run: FlowRun
    tree: Node
    fresh: bool


def snapshots(run_id: UUID) -> Iterator[Seen]:
    """What is seen whenever the record changed, and every `TICK` for the clocks in the drawing. At least one; the last
    is of the run's end."""
    changes = ask(READ_CHANGES, ChangesSeen()).number  # noted before it is read: what changes in between is not missed
    run = ask(READ_FLOW_RUN, ById(run_id))
    while True:
        began = time.monotonic()
        tree = tree_of(ask(READ_GRAPH, ReadGraph(id=run_id)))
        ticked = time.monotonic()
        read_again = ticked + SHARE * (ticked - began)
        yield Seen(run, tree, True)
        if run.state.is_final():
            return
        version, stale = run.version, False
        while run.version == version and not (stale and time.monotonic() >= read_again):
            time.sleep(LOOK_EVERY)
            number = ask(READ_CHANGES, ChangesSeen(seen=changes, wait=0 if stale else TICK)).number
            if number != changes:
                changes, stale = number, True
                run = ask(READ_FLOW_RUN, ById(run_id))
            if time.monotonic() - ticked >= TICK:
                ticked = time.monotonic()
                yield Seen(run, tree, False)


# --- in a terminal ---------------------------------------------------------------------------------------------------


def draw(run_id: UUID) -> FlowRun:
    """Draws the run until its end, and leaves its whole tree behind; gives the run as it ended."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as screen:
        for seen in snapshots(run_id):
            screen.update(_fitted(seen.tree, console.size.height - 1), refresh=True)
    console.print(_drawn(seen.tree), soft_wrap=True)
    return seen.run


def _fitted(tree: Node, height: int) -> Any:
    """The drawing, with its first lines left out where it is taller than the terminal: news is at the bottom."""
    from rich.text import Text

    drawn = _drawn(tree)
    rows = drawn.split("\n")
    if len(rows) <= height:
        drawn.no_wrap, drawn.overflow = True, "ellipsis"
        return drawn
    kept = rows[len(rows) - height + 2 :]
    hint = Text(f"  ⋮ {shown.count_of(len(rows) - 1 - len(kept), 'line')} above", style="dim")
    fitted = Text("\n", no_wrap=True, overflow="ellipsis").join([rows[0], hint, *kept])
    fitted.no_wrap, fitted.overflow = True, "ellipsis"
    return fitted


def _drawn(tree: Node) -> Any:
    from rich.text import Text

    drawn = Text()
    for place, (branches, item, said) in enumerate(graph.lines(tree, shown.now())):
        drawn.append(("\n" if place else "") + branches, style="dim")
        if isinstance(item, Fold):
            drawn.append_text(_bar(item))
        else:
            drawn.append(f"{shown.glyph(item.state.type)} {said}", style=shown.colour(item.state.type))
    return drawn


def _bar(fold: Fold) -> Any:
    """How far the many runs of a task are, those that are drawn singly included."""
    from rich.text import Text

    counts = fold.states + fold.shown
    total = counts.total()
    bar = Text(f"{shown.one_line(fold.of)} ")
    width = 0
    for type_ in sorted(counts, key=lambda type_: type_ is not COMPLETED):
        if type_ in FINAL:
            # Whatever ended badly has one cell at least: it must not vanish among thousands.
            cells = max(1, BAR * counts[type_] // total) if type_ is not COMPLETED else BAR * counts[type_] // total
            cells = min(cells, BAR - width)
            bar.append("━" * cells, style=shown.colour(type_))
            width += cells
    bar.append("─" * (BAR - width), style="dim")
    ended = sum(counts[type_] for type_ in FINAL)
    return bar.append(f" {ended:,}/{total:,}  {shown.tally(counts)}")


# --- away from a terminal --------------------------------------------------------------------------------------------


def tell(run_id: UUID) -> FlowRun:
    """Prints every state of the runs in the tree as it is seen, and how far those are that are only counted."""
    teller = _Teller()
    for seen in snapshots(run_id):
        if seen.fresh:
            teller.tell(seen.tree, seen.run.state.is_final())
    return seen.run


class _Teller:
    """Knows what it has said."""

    def __init__(self) -> None:
        self._told: dict[UUID, int] = {}
        self._counts: dict[tuple[UUID, str, str], Counter[StateType]] = {}
        self._counted = 0.0

    def tell(self, tree: Node, final: bool) -> None:
        news = [news for node in graphs.walk(tree) for news in self._states(node)]
        for _, line in sorted(news, key=lambda each: each[0]):
            click.echo(line)
        if final or time.monotonic() - self._counted >= COUNTS_EVERY:
            self._counted = time.monotonic()
            for node in graphs.walk(tree):
                for fold in node.folds:
                    self._fold(node.id, fold)

    def _states(self, node: Node) -> Iterator[tuple[Any, str]]:
        """States since the last time, known by their count: a path only grows (and, past 200, keeps its ends)."""
        told = self._told.get(node.id, 0)
        self._told[node.id] = len(node.states)
        kind = "Flow run" if node.kind == FLOW_RUN else "Task run"
        for state in node.states[told:]:
            yield state.timestamp, f"{_clock(state)} | {shown.glyph(state.type)} {kind} {node.name!r} - {_said(state)}"

    def _fold(self, owner: UUID, fold: Fold) -> None:
        key = (owner, fold.kind, fold.of)
        if self._counts.get(key) != fold.states:
            self._counts[key] = fold.states
            time_ = shown.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
            click.echo(f"{time_} | {graph.text_of(fold, shown.now())}")


def _clock(state: State[object]) -> str:
    return state.timestamp.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _said(state: State[object]) -> str:
    name = shown.state_name(state)
    return f"{name}: {shown.one_line(state.message)}" if state.message else name
