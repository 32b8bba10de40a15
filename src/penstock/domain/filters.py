"""Which runs and which log lines are meant: the one filter language of the CLI, the API and the UI, as values.

Law: a filter is data. What it means in SQL is in `store/filters.py`; nothing here knows a database. What people type is
turned into it here, with an error that names what could have been typed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from .errors import PenstockError
from .levels import LEVELS, known_level
from .logs import LogLine
from .states import NAMES, StateType


class FilterError(PenstockError, ValueError):
    """Text that cannot be used to choose runs or lines."""

    code = "filter"


# A condition with more values than this is a list of its own, and better asked for in pieces.
_FEW = msgspec.Meta(max_length=100)
MOST_IDS = 500
Texts = Annotated[tuple[str, ...], _FEW]
# Whoever reads it may be elsewhere: a time without an offset says nothing.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class RunFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Runs that fit all the fields that are given; a field that holds several values is fitted by any one of them.

    `tags` is the exception: a run must have every one. `name_contains` ignores the case of ASCII letters. `after`
    and `before` are about when the run was created; the first is included, the second is not. `state_names` are
    those of `states.NAMES`. `names` are whole names of runs. `flow_run_id` is the flow run above: of task runs the one
    they are of, of flow runs the one that called them; with `roots` only runs fit that have none.
    `deployment_id` is the deployment that flow runs were made from.
    """

    flow_names: Texts = ()
    task_names: Texts = ()
    flow_run_id: UUID | None = None
    name_contains: str | None = None
    state_names: Texts = ()
    state_types: Annotated[tuple[StateType, ...], _FEW] = ()
    tags: Texts = ()
    after: Moment | None = None
    before: Moment | None = None
    ids: Annotated[tuple[UUID, ...], msgspec.Meta(max_length=MOST_IDS)] = ()
    names: Texts = ()
    roots: bool = False
    deployment_id: UUID | None = None

    def types(self) -> frozenset[StateType] | None:
        """The types of state that are left by types and names together; None when any will do."""
        named = frozenset(NAMES[state_name(name)] for name in self.state_names) if self.state_names else None
        typed = frozenset(self.state_types) if self.state_types else None
        if named is None or typed is None:
            return named if typed is None else typed
        return named & typed


class LogFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Lines at or above `level`, with `containing` in the message (the case of ASCII letters is ignored), of one task
    run, or of those whose own or task's name is `task`, written from `after` on and before `before`."""

    level: int = 0
    containing: str | None = None
    task_run_id: UUID | None = None
    task: str | None = None
    after: Moment | None = None
    before: Moment | None = None

    def fits(self, line: LogLine, names: tuple[str, ...] = ()) -> bool:
        """Whether a line is meant; `names` are its task run's and its task's."""
        return (
            line.level >= self.level
            and (self.task_run_id is None or line.task_run_id == self.task_run_id)
            and (self.task is None or self.task in names)
            and (self.containing is None or ascii_lower(self.containing) in ascii_lower(line.message))
            and (self.after is None or line.timestamp >= self.after)
            and (self.before is None or line.timestamp < self.before)
        )


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def ascii_lower(text: str) -> str:
    """Lower case as databases see it."""
    return text.translate(_LOWER)


def state_name(text: str) -> str:
    """The state's name as the engine writes it, from text in any case. Raises `FilterError` with all names."""
    wanted = text.strip().lower()
    for name in NAMES:
        if name.lower() == wanted:
            return name
    raise FilterError(f"There is no state {text!r}; there are {', '.join(NAMES)}.")


def state_type(text: str) -> StateType:
    """A state's type from text in any case. Raises `FilterError` with the types there are."""
    try:
        return StateType(text.strip().upper())
    except ValueError:
        raise FilterError(f"There is no state type {text!r}; there are {', '.join(StateType)}.") from None


# No line has a higher one, and any store takes it.
HIGHEST_LEVEL = 2**63 - 1


def log_level(text: str) -> int:
    """The number of a level given by name or number. Raises `FilterError` with the names there are."""
    level = LEVELS.get(known_level(text) or "")
    if level is None and text.strip().isdecimal():
        level = min(int(text), HIGHEST_LEVEL)
    if level is None:
        raise FilterError(f"There is no log level {text!r}; there are {', '.join(LEVELS)}, and numbers.")
    return level


_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SPAN = re.compile(r"(?:\d+[wdhms])+", re.IGNORECASE)
_PART = re.compile(r"(\d+)([wdhms])", re.IGNORECASE)


def moment(text: str, now: datetime) -> datetime:
    """A moment in UTC: a span before `now` (`90s`, `30m`, `2h`, `1d`, `1d12h`) or an ISO date or time.

    An ISO time without an offset is the wall clock's where the program runs. Raises `FilterError`.
    """
    text = text.strip()
    try:
        if _SPAN.fullmatch(text):
            return (now - _span(text)).astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise FilterError(
            f"{text!r} is not a time; write 90s, 30m, 2h or 1d for so long ago, or an ISO date or time: 2025-06-30, "
            "2025-06-30T21:31:00+02:00."
        ) from None


def span(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, `1d12h`. Raises `FilterError`."""
    if not _SPAN.fullmatch(text.strip()):
        raise FilterError(f"{text!r} is not a span; write 90s, 30m, 2h, 1d or 1d12h.")
    try:
        return _span(text)
    except OverflowError:
        raise FilterError(f"{text!r} is longer than all that calendars know.") from None


def _span(text: str) -> timedelta:
    return sum((timedelta(**{_UNITS[unit.lower()]: int(count)}) for count, unit in _PART.findall(text)), timedelta())
