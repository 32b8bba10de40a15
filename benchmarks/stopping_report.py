"""The tables of `stopping.py`, the design's targets, and what misses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from .stopping_code import AWAIT, NUMPY, ROWS
from .stopping_watch import (
    CANCEL,
    CANCEL_AFTER_SECONDS,
    GRACE_SECONDS,
    PATIENCE_SECONDS,
    TIMEOUT,
    TIMEOUT_SECONDS,
    WAYS,
    Cell,
    Outcome,
)

Results = dict[Cell, list[Outcome]]

RECORD_TARGET = {TIMEOUT: 0.1, CANCEL: 0.2}
STILL_TARGET = {TIMEOUT: 0.1, CANCEL: 0.2}
# Killing takes its time after the grace.
LADDER_SECONDS = GRACE_SECONDS + 0.2

WAITS = frozenset({"sleep", "lock", "recv", "subprocess"})
COMPUTES = frozenset({"Python loop", "except Exception"})
HOLDS_THE_LOCK = frozenset({"regex", "sort"})
FINAL_NAME = {TIMEOUT: "TimedOut", CANCEL: "Cancelled"}

INTRODUCTION = f"""\
How long a stop takes, watched from another process: `record / code`, in seconds. `record`: until another process could
read the final state. `code`: until the code was truly still, its child processes too. Both count from the deadline
(`timeout_seconds={TIMEOUT_SECONDS}`), or from when `penstock flow-run cancel` began, \
{CANCEL_AFTER_SECONDS} s after the code did. `never`: not within {PATIENCE_SECONDS:g} s.
Then the state, how the code stopped according to the record, and `unconfirmed` where it says that nobody saw the code
stop. The grace is {GRACE_SECONDS:g} s. A flow goes on after the code, so that code which it left behind is seen to work
on. `mapped` is two task runs, of which the later counts; `dask` and `ray` are submitted to a cluster of one worker."""

SUMMARY = """\
{met} of {measured} cells meet the targets. The record: {0:g} s after a deadline, {1:g} s after a request. The code:
the same where it can be stopped gently, {2:g} s where it must be killed (which goes for the record after a request,
too); code that a timeout leaves behind in a thread has no target."""


def promised(cell: Cell) -> float | None:
    """Seconds within which the design has the code still; None: it is abandoned, and ends when it ends."""
    at_once = STILL_TARGET[cell.by]
    if cell.row == AWAIT:
        return at_once
    if cell.way == "async":
        return LADDER_SECONDS
    if cell.way in ("submitted", "mapped") and cell.row not in COMPUTES:
        # A thread is not killed. A process can be, when all of it is to end, or when it no longer gets to run.
        return LADDER_SECONDS if cell.by == CANCEL or cell.row in HOLDS_THE_LOCK else None
    # A loop that swallows `Exception` is stopped like any other, in a process of its own too.
    return at_once if cell.row in WAITS | COMPUTES else LADDER_SECONDS


def recorded_by(cell: Cell) -> float:
    """Seconds within which the design has the final state recorded: `Cancelled` waits for the code to be still."""
    if cell.by == TIMEOUT or promised(cell) == STILL_TARGET[CANCEL]:
        return RECORD_TARGET[cell.by]
    return LADDER_SECONDS


def middle(values: Iterable[float | None]) -> float | None:
    """The median; None, which is never, when most of them are never."""
    found = median(float("inf") if value is None else value for value in values)
    return None if found == float("inf") else found


def good(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.state]


def seconds(value: float | None, unit: str = "") -> str:
    # (Adding 0 makes -0.0 a plain 0: the code begins a moment after its deadline has begun to run.)
    return "never" if value is None else f"{round(value, 2) + 0.0:.2f}{unit}"


def times(record: float | None, still: float | None) -> str:
    both = record is not None and still is not None
    return f"{seconds(record, '' if both else ' s')} / {seconds(still, ' s')}"


def shown(outcomes: Sequence[Outcome] | None) -> str:
    """A cell's text."""
    if not outcomes:
        return "-"
    measured = good(outcomes)
    if not measured:
        return "failed"
    record, still = (middle(getattr(outcome, of) for outcome in measured) for of in ("record", "still"))
    last = measured[-1]
    words = [times(record, still), last.state]
    if last.details.get("stopped"):
        words.append(str(last.details["stopped"]))
    if last.details.get("confirmed") is False:
        words.append("unconfirmed")
    elif last.doubt:
        words.append("(unconfirmed below)")
    return " ".join(words)


def table(results: Results, by: str) -> str:
    rows = [row for row in ROWS if any(cell.row == row and cell.by == by for cell in results)]
    ways = [way for way in WAYS if any(cell.way == way and cell.by == by for cell in results)]
    lines = [["", *ways], *([row, *(shown(results.get(Cell(row, way, by))) for way in ways)] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    padded = [[text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in [padded[0], rule, *padded[1:]])


def misses(results: Results) -> list[str]:
    """Where a target is missed, cell by cell."""
    found = []
    for cell, outcomes in results.items():
        measured = good(outcomes)
        if not outcomes:
            continue
        if not measured:
            found.append(f"{cell}: failed: {outcomes[-1].trouble}")
            continue
        wrong = []
        for what, of, limit in (("record", "record", recorded_by(cell)), ("code", "still", promised(cell))):
            value = middle(getattr(outcome, of) for outcome in measured)
            if limit is not None and (value is None or value > limit):
                wrong.append(f"{what} {seconds(value)}, target {limit:g}")
        wrong += mistakes(cell, measured)
        if wrong:
            found.append(f"{cell}: {'; '.join(wrong)}")
    return found


def mistakes(cell: Cell, outcomes: Sequence[Outcome]) -> list[str]:
    """What is wrong with the record itself."""
    found = []
    for outcome in outcomes:
        if outcome.record is not None and outcome.state != FINAL_NAME[cell.by]:
            found.append(f"recorded as {outcome.state}, should be {FINAL_NAME[cell.by]}")
        if outcome.left:
            found.append(f"{outcome.left} of its runs ended later than the flow run")
        if outcome.details.get("confirmed") and not outcome.doubt and outcome.still is None:
            found.append("confirmed as stopped, and it was not")
    return list(dict.fromkeys(found))


def summary(results: Results) -> str:
    measured = sum(bool(outcomes) for outcomes in results.values())
    found = misses(results)
    limits = (RECORD_TARGET[TIMEOUT], RECORD_TARGET[CANCEL], LADDER_SECONDS)
    head = SUMMARY.format(*limits, met=measured - len(found), measured=measured)
    return "\n".join([head, *(["", *(f"- {miss}" for miss in found)] if found else [])])


def tables(results: Results) -> list[str]:
    """A heading and a table for each way of stopping."""
    parts = []
    for by, title in ((TIMEOUT, "Timeout"), (CANCEL, "Cancel")):
        if any(cell.by == by and outcomes for cell, outcomes in results.items()):
            parts += [f"### {title}", table(results, by)]
    return parts


def absent(numpy: bool, isolation: bool, cancel: bool) -> list[str]:
    """What was not measured, and why."""
    notes = []
    if not numpy:
        notes.append(f"`{NUMPY}`: numpy is not installed.")
    if not isolation:
        notes.append('`isolated`: this version has no `@task(isolation="process")`.')
    if not cancel:
        notes.append("`cancel`: this version has no `penstock flow-run cancel`.")
    return notes
