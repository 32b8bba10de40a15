"""How times, durations, states, messages and runs look in the terminal, and what a run is in JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.domain.runs import FlowRun, ResultRef, TaskRun
from penstock.domain.states import LOOKS, SCHEDULED, State, StateType
from penstock.domain.stops import is_unconfirmed

_SPANS = (("year", 365 * 86400), ("month", 30 * 86400), ("week", 7 * 86400), ("day", 86400), ("hour", 3600),
          ("minute", 60), ("second", 1))  # fmt: skip
# Colours are harmless and say nothing on paper: they are left out. Every other control character (also the 8-bit ones
# and those that turn the direction of text) is shown by its escape, so that a line cannot drive the reader's terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def now() -> datetime:
    return datetime.now(UTC)


# --- text ------------------------------------------------------------------------------------------------------------


def harmless(text: str) -> str:
    """Text that may have several lines, without the power to move a cursor, set a title or clear a screen."""
    if text.isprintable():
        return text
    return _CONTROLS.sub(_escape, _COLOURS.sub("", text).replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def one_line(text: str) -> str:
    """Harmless text with its line breaks shown as `⏎`."""
    return text if text.isprintable() else harmless(text).replace("\n", " ⏎ ").replace("\t", " ")


# --- times -----------------------------------------------------------------------------------------------------------


def local(moment: datetime | None) -> str:
    """`2025-06-30 21:31:37.513` by the wall clock here."""
    return "" if moment is None else moment.astimezone().isoformat(" ", "milliseconds")[:23]


def relative(moment: datetime | None, now: datetime) -> str:
    """`3 minutes ago`, `in 2 hours`, `just now`."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    for unit, size in _SPANS:
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            words = f"{count} {unit}{'s' if count > 1 else ''}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now"


def duration(span: timedelta | None) -> str:
    """Three figures or so: `412µs`, `12ms`, `3.21s`, `3m 20s`, `1h 05m`, `2d 03h`."""
    if span is None:
        return ""
    seconds = max(0.0, span.total_seconds())
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f}µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f}ms" if seconds >= 0.00995 else f"{seconds * 1e3:.1f}ms"
    if seconds < 59.995:
        return f"{seconds:.2f}s" if seconds < 9.995 else f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, below, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // below:02d}{name}"
    return f"{whole}s"


def run_time(started: datetime | None, ended: datetime | None, now: datetime) -> timedelta | None:
    """From the first beginning to the end, or until now."""
    return None if started is None else (ended or now) - started


# --- states and runs -------------------------------------------------------------------------------------------------


def glyph(type_: StateType) -> str:
    return LOOKS[type_][1]


def colour(type_: StateType) -> str:
    return LOOKS[type_][0]


def state_cell(state: State[Any]) -> str:
    return f"{glyph(state.type)} {state_name(state)}"


def state_name(state: State[Any]) -> str:
    """`Cancelled`, and `Cancelled (unconfirmed)` while the code of a run that has ended may still run."""
    return one_line(state.name) + (" (unconfirmed)" if is_unconfirmed(state) else "")


def tally(counts: Mapping[StateType, int]) -> str:
    """`9,970 ✓ 10 ✗`, in the order of a run's life."""
    return " ".join(f"{counts[type_]:,} {glyph(type_)}" for type_ in LOOKS if counts.get(type_))


def since(run: FlowRun | TaskRun) -> datetime:
    """The moment that matters: for what is scheduled when it is due, else since when the run is in its state."""
    due = run.expected_start_time if isinstance(run, FlowRun) and run.state.type is SCHEDULED else None
    return due or run.state.timestamp


def count_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def documents(runs: Iterable[FlowRun | TaskRun]) -> list[dict[str, Any]]:
    return [document(run) for run in runs]


def document(run: FlowRun | TaskRun) -> dict[str, Any]:
    """All that is known of a run, for JSON."""
    fields = run.dict()
    for state in fields["states"]:
        del state["data"]  # the record has none; a run's value is behind `result`
    fields["total_run_time"] = run.total_run_time.total_seconds()
    return fields


def result_line(ref: ResultRef | None) -> str:
    """What a small JSON value is, or where the bytes are. Other bytes are never decoded outside of users' processes."""
    if ref is None:
        return "not kept"
    size = count_of(ref.size, "byte")
    if ref.inline is None:
        return f"{size} ({ref.serializer}) in {ref.storage or 'the result storage'} under {ref.key!r}"
    if ref.serializer == "json":
        text = one_line(ref.inline.decode("utf-8", "replace"))
        return text if len(text) <= 200 else f"{text[:199]}… ({size})"
    return f"{size} ({ref.serializer}) in the record"
