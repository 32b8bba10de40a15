"""How a run was stopped, in words: from the details of its state, which `domain.stops` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.cli import shown
from penstock.domain.runs import FlowRun, TaskRun
from penstock.domain.states import State
from penstock.domain.stops import CANCEL, GONE, IDLE, TIMEOUT

Details = Mapping[str, Any]

UNCONFIRMED = "NOT confirmed: its code may still run"
_WITHOUT_CODE = {GONE: "its process is gone", IDLE: "no code was at work"}
# What `who` is, by the reason of the stop.
_WHO = {CANCEL: "Asked by", TIMEOUT: "Limit"}


def has_proof(state: State[Any]) -> bool:
    return isinstance((state.details or {}).get("stopped"), str)


def ending(run: FlowRun | TaskRun) -> str:
    """`Flow run 'ID' is Cancelled: stopped after 0.02 s (raised), was at etl.py:42 in fetch`."""
    kind = "Flow run" if isinstance(run, FlowRun) else "Task run"
    said = sentence(run.state.details or {}) if has_proof(run.state) else shown.one_line(run.state.message or "")
    return f"{kind} '{run.id}' is {shown.one_line(run.state_name)}{': ' if said else ''}{said}"


def sentence(details: Details) -> str:
    """What became of the code, and where it was."""
    stopped, after = details["stopped"], _after(details)
    if _is_unconfirmed(details):
        said = f"{UNCONFIRMED} ({shown.one_line(stopped)}{after})"
    else:
        said = _WITHOUT_CODE.get(stopped) or f"stopped{after} ({shown.one_line(stopped)})"
    where = _text(details, "where")
    return f"{said}, was at {where}" if where else said


def fields(details: Details) -> dict[str, Any]:
    """Rows for people: of what we know by name. `stack` is not among them, it has its own place."""
    rows: dict[str, Any] = {}
    reason = details.get("reason")
    if isinstance(details.get("stopped"), str):
        end = f"{shown.one_line(details['stopped'])}{_after(details)}"
        if "confirmed" in details:
            end += f" - {UNCONFIRMED}" if _is_unconfirmed(details) else " (confirmed)"
        rows["Stopped"] = end
    if isinstance(reason, str) and reason not in _WHO:
        rows["Reason"] = shown.one_line(reason)
    if who := _text(details, "who"):
        rows[_WHO.get(str(reason), "Stopped by")] = who
    if (grace := _number(details, "grace")) is not None:
        rows["Grace"] = f"{seconds(grace)}"
    if where := _text(details, "where"):
        rows["Was at"] = where
    return rows


def rest(details: Details) -> dict[str, Any]:
    """The details that `fields` and the stack do not speak of."""
    known = {"reason": str, "stopped": str, "confirmed": bool, "seconds_to_stop": int | float, "who": str,
             "grace": int | float, "where": str, "stack": list}  # fmt: skip
    return {name: value for name, value in details.items() if not isinstance(value, known.get(name, ()))}


def stack(details: Details) -> list[str]:
    """The lines that led to where the code was, outermost first."""
    lines = details.get("stack")
    return [shown.one_line(str(line)) for line in lines] if isinstance(lines, list) else []


def seconds(number: float) -> str:
    """`0.012 s`, `3.5 s`, `120 s`."""
    if number < 1:
        return f"{number:.2g} s"
    return f"{number:.1f} s".replace(".0 s", " s") if number < 100 else f"{number:.0f} s"


def _after(details: Details) -> str:
    number = _number(details, "seconds_to_stop")
    return "" if number is None else f" after {seconds(number)}"


def _is_unconfirmed(details: Details) -> bool:
    return details.get("confirmed") is False


def _number(details: Details, name: str) -> float | None:
    value = details.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(details: Details, name: str) -> str:
    value = details.get(name)
    return shown.one_line(value) if isinstance(value, str) else ""
