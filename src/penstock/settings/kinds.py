"""The kinds of value a setting can have: how text, or a value of TOML or Python, becomes one.

Contract of a kind: `read` gives the typed value or raises ValueError, and `allowed` says in words what it takes, so
that whoever asked can write an error that names the setting, the value and where it came from. `written` is the way
back: `kind.read(written(value)) == value`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, Generic, TypeVar

from penstock.domain.levels import LEVELS, known_level

T = TypeVar("T")

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})

# Bounds that keep a value usable everywhere it goes: a 64-bit column, a thread's wait, a date before today.
LARGEST_WHOLE = 2**63 - 1
LONGEST_SECONDS = 1e9
LONGEST_DAYS = 1e5


class Kind(Generic[T]):
    """A kind of value: its label, what it allows (in words), and how it is read."""

    __slots__ = ("allowed", "label", "read", "takes_blank")

    def __init__(self, label: str, allowed: str, read: Callable[[object], T], *, takes_blank: bool = False) -> None:
        self.label = label
        self.allowed = allowed
        self.read = read
        self.takes_blank = takes_blank


def written(value: object) -> str:
    """The text of a value as an environment variable has it; none is empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Patterns):
        return "\n".join(value)
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value)


def is_blank(raw: object) -> bool:
    """Whether a raw value is text with nothing in it."""
    return isinstance(raw, str) and not raw.strip()


def optional(kind: Kind[T]) -> Kind[T | None]:
    """The same kind, with none: None, or empty text."""

    def read(raw: object) -> T | None:
        return None if raw is None or is_blank(raw) else kind.read(raw)

    return Kind(f"{kind.label}, optional", f"{kind.allowed}, or nothing", read, takes_blank=True)


def whole(minimum: int, maximum: int = LARGEST_WHOLE) -> Kind[int]:
    """Whole numbers from `minimum` to `maximum`."""

    def read(raw: object) -> int:
        if isinstance(raw, str):
            raw = int(raw)
        if isinstance(raw, bool) or not isinstance(raw, int) or not minimum <= raw <= maximum:
            raise ValueError
        return raw

    bounds = f"{minimum} or more" if maximum == LARGEST_WHOLE else f"from {minimum} to {maximum}"
    return Kind("whole number", f"a whole number, {bounds}", read)


def number(unit: str, maximum: float) -> Kind[float]:
    """Finite numbers of some unit of time from 0 to `maximum`."""

    def read(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, str | int | float):
            raise ValueError
        try:
            value = float(raw)
        except OverflowError:  # a whole number that no float can hold
            raise ValueError from None
        if not isfinite(value) or not 0 <= value <= maximum:
            raise ValueError
        return value + 0.0  # so that -0.0 is 0.0

    return Kind(f"number of {unit}", f"a number of {unit}, from 0 to {maximum:.0f}", read)


def _text(raw: object) -> str:
    if not isinstance(raw, str) or is_blank(raw) or "\0" in raw:
        raise ValueError
    return raw.strip()


def _path(raw: object) -> Path:
    return raw if isinstance(raw, Path) else Path(_text(raw))


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower() if isinstance(raw, str | int) else ""
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError


def _level(raw: object) -> str:
    level = known_level(_text(raw))
    if level is None:
        raise ValueError
    return level


def _names(raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(name for part in raw.split(",") if (name := part.strip()))
    if not isinstance(raw, list | tuple | set | frozenset):
        raise ValueError
    names = tuple(_text(item) for item in (sorted(raw) if isinstance(raw, set | frozenset) else raw))
    if any("," in name for name in names):
        raise ValueError
    return names


class Patterns(tuple[str, ...]):
    """Regular expressions as they were written. They may hold commas, so their text has one a line."""

    __slots__ = ()


def _patterns(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, str | list | tuple):
        raise ValueError
    listed: Any = raw
    if isinstance(raw, str):
        listed = _json_list(raw) or raw.splitlines()
    patterns = Patterns(_text(item) for item in listed if not is_blank(item))
    for pattern in patterns:
        try:
            matches_nothing = re.compile(pattern).match("") is not None
        except (re.error, RecursionError, OverflowError):
            raise ValueError from None
        if matches_nothing or "\n" in pattern:
            raise ValueError
    return patterns


def _json_list(text: str) -> list[str] | None:
    """What a list of texts in JSON has in it. (As a regular expression it would be a set of characters.)"""
    if not text.lstrip().startswith("["):
        return None
    import json  # start-up does not pay for it

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if all(isinstance(each, str) for each in value) else None


def choice(*words: str) -> Kind[str]:
    """One of these words."""

    def read(raw: object) -> str:
        word = _text(raw).lower()
        if word not in words:
            raise ValueError
        return word

    return Kind(" or ".join(words), f"one of {', '.join(words)}", read)


def _url(raw: object) -> str:
    url = _text(raw).rstrip("/")
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if scheme.lower() not in ("http", "https") or not host or any(mark.isspace() for mark in url):
        raise ValueError
    return url


TEXT = Kind("text", "text that is not empty", _text)
PATH = Kind("path", "a path", _path)
BOOLEAN = Kind("true or false", "true or false (also 1/0, yes/no, on/off)", _boolean)
LEVEL = Kind("level", f"one of {', '.join(LEVELS)}", _level)
NAMES = Kind("names", "names separated by commas", _names, takes_blank=True)
PATTERNS: Kind[tuple[str, ...]] = Kind(
    "patterns", "regular expressions, one a line, none of which fits nothing", _patterns, takes_blank=True
)
CONSOLE = choice("text", "json")
CAPTURE = choice("prints", "all")
RULES = choice("2", "3")
URL = Kind("URL", "a URL that begins with http:// or https://", _url)
COUNT = whole(minimum=0)
POSITIVE = whole(minimum=1)
PORT = whole(minimum=0, maximum=65_535)
SECONDS = number("seconds", LONGEST_SECONDS)
DAYS = number("days", LONGEST_DAYS)
