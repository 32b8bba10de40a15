"""How the domain's values are written in columns, and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from ..domain.runs import ResultRef
from ..domain.states import FINAL, State, StateType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The first and the last moment that can be read back, in microseconds since 1970: years 1 and 9999 but for a day, so
# that they have a name in every zone.
FIRST, LAST = -62_135_510_400_000_000, 253_402_214_400_000_000
# How deep details of a state are kept, and what is in the place of the rest.
DEEPEST, CUT = 60, "…"
# The types of state of a run that has ended, as a list in SQL.
# As the index of task runs that have not ended has it: SQLite takes that index only for the very same text.
UNFINISHED_TYPES = "('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')"
FINAL_TYPES = "(" + ", ".join(f"'{type_}'" for type_ in sorted(FINAL)) + ")"
# The second of the last moment that was written, and its beginning: the moments of a batch are near each other.
_second: tuple[datetime, int] = (_EPOCH, 0)
_encode = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode
_types = {type_.value: type_ for type_ in StateType}


def _to_json(value: Any) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(all_writable(value))


def writable(text: str) -> str:
    """Text without half characters (lone surrogates), which no database takes."""
    return text.encode("utf-8", "replace").decode()


def all_writable(value: Any) -> Any:
    """The same of all text in a value."""
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, dict):
        return {all_writable(key): all_writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_writable(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return all_writable(msgspec.to_builtins(value)) if not isinstance(value, State) else value
    return value


def shallow(value: Any, depth: int) -> Any:
    """The same, `depth` levels deep at most: what is nested without end can be written where the stack is short, and
    not be read back where it is not."""
    if isinstance(value, dict):
        return {key: shallow(each, depth - 1) for key, each in value.items()} if depth else CUT
    if isinstance(value, list | tuple):
        return [shallow(each, depth - 1) for each in value] if depth else CUT
    return value


def micros(moment: datetime | None) -> int | None:
    """Whole microseconds since 1970."""
    return None if moment is None else exact_micros(moment)


def exact_micros(moment: datetime) -> int:
    """Whole microseconds since 1970. Rounding is exact: a float of this size is wrong by less than 0.4 microseconds.

    What is before or after all that UTC can name (the last hour of 9999 somewhere west) could not be read back, nor
    could any list that it is in: it is the first or the last moment there is."""
    began, micros = _second
    try:
        since = moment - began
    except TypeError:  # without an offset
        return _slow_micros(moment)
    return _slow_micros(moment) if since.seconds or since.days else micros + since.microseconds


def _slow_micros(moment: datetime) -> int:
    global _second
    try:
        micros = round(moment.timestamp() * 1e6)
    except (OverflowError, ValueError):  # without an offset, and beyond what the wall clock's rules reach
        return FIRST if moment.year < 1970 else LAST
    micros = micros if FIRST <= micros <= LAST else FIRST if micros < FIRST else LAST
    # (Of moments in one other zone Python subtracts what their clocks show, and clocks go back an hour in autumn.)
    if moment.tzinfo is UTC and FIRST < micros < LAST:
        _second = moment.replace(microsecond=0), micros - moment.microsecond
    return micros


def moment(micros: int | None) -> datetime | None:
    """The aware UTC datetime of so many microseconds."""
    return None if micros is None else exact_moment(micros)


def exact_moment(micros: int) -> datetime:
    """The aware UTC datetime of so many microseconds."""
    return _EPOCH + timedelta(microseconds=micros)


def blob(id: UUID | None) -> bytes | None:
    return None if id is None else id.bytes


def unblob(value: bytes | None) -> UUID | None:
    return None if value is None else UUID(bytes=bytes(value))


def text(value: Any) -> str | None:
    """A value as JSON text; None for what is empty, so that most columns cost nothing."""
    return _to_json(value).decode() if value else None


def untext(value: str | None, empty: Any) -> Any:
    return empty if value is None else _from_json(value)


Path = list[tuple[str, str, int, str | None, dict[str, Any] | None]]


def path_of(states: tuple[State[Any], ...]) -> Path:
    """The path of a run, compactly: [[type, name, microseconds, message, details], …]."""
    return [
        (
            s.type,
            s.name,
            exact_micros(s.timestamp),
            s.message,
            None if s.details is None else shallow(s.details, DEEPEST),
        )
        for s in states
    ]


def path_text(path: Path) -> str:
    return _to_json(path).decode()


def states_text(states: tuple[State[Any], ...]) -> str:
    return path_text(path_of(states))


def states_from(value: str) -> tuple[State[Any], ...]:
    return tuple(
        State(_types[type_], name, _EPOCH + timedelta(microseconds=at), message, details)
        for type_, name, at, message, details in _from_json(value)
    )


def upstream_text(upstream: dict[str, tuple[UUID, ...]]) -> str | None:
    return text({name: [str(id) for id in ids] for name, ids in upstream.items()}) if upstream else None


def upstream_from(value: str | None) -> dict[str, tuple[UUID, ...]]:
    return {name: tuple(UUID(id) for id in ids) for name, ids in untext(value, {}).items()}


RESULT_COLUMNS = ("result_serializer", "result_inline", "result_key", "result_storage", "result_size", "result_expires")
_NO_RESULT = (None, None, None, None, None, None)


def result_row(ref: ResultRef | None) -> tuple[Any, ...]:
    if ref is None:
        return _NO_RESULT
    return (ref.serializer, ref.inline, ref.key, ref.storage, ref.size, micros(ref.expires))


def result_from(row: tuple[Any, ...]) -> ResultRef | None:
    serializer, inline, key, storage, size, expires = row
    if serializer is None:
        return None
    return ResultRef(serializer, None if inline is None else bytes(inline), key, storage, size or 0, moment(expires))
