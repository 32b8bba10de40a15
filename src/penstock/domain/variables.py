"""A variable: a JSON value under a name. It is no secret: it is stored as it is, and everybody may see it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from .errors import UnstorableValue

LONGEST = 5000  # characters of a value, as JSON
_LARGEST_BITS = 14_000  # of a number: Python reads no more than 4300 digits


class VariableRecord(msgspec.Struct, frozen=True):
    name: str
    value: Any
    tags: tuple[str, ...]
    created: datetime
    updated: datetime


def encoded(name: str, value: object) -> str:
    """The value as JSON text. Raises `UnstorableValue` for what would not come back as it is, and for what is too long
    (5000 characters of JSON)."""
    try:
        problem = _problem(value, "")
    except RecursionError:
        problem = "is nested too deeply"
    if problem:
        raise UnstorableValue(
            f"The value of variable {name!r} {problem}. A variable holds JSON: text, numbers, booleans, None, "
            "lists, and dictionaries with text as keys."
        )
    text = json.dumps(value, separators=(",", ":"))
    if len(text) > LONGEST:
        raise UnstorableValue(
            f"The value of variable {name!r} has {len(text):,} characters as JSON; {LONGEST:,} is the most. Keep it "
            "in a file, and the file's path in the variable."
        )
    return text


def decoded(text: str) -> Any:
    return json.loads(text)


def checked_tags(tags: Iterable[str] | None) -> tuple[str, ...]:
    """Each once, in their order. Raises `UnstorableValue` for what is not a list of texts."""
    if tags is None:
        return ()
    if isinstance(tags, str | bytes):
        raise UnstorableValue(f"tags is a list of texts; this is one text: {tags!r}. Write [{tags!r}].")
    try:
        found: tuple[Any, ...] = tuple(dict.fromkeys(tags))
    except TypeError:
        raise UnstorableValue(f"tags is a list of texts; this is a {type(tags).__name__}.") from None
    for tag in found:
        if not isinstance(tag, str) or not tag or len(tag) > 255 or not tag.isprintable():
            raise UnstorableValue("A tag is printable text of 1 to 255 characters.")
    return found


def _problem(value: object, where: str) -> str | None:
    """What keeps a value from coming back as it is, None when nothing does."""
    if value is None or isinstance(value, bool | str):
        return None
    if isinstance(value, int):
        return None if value.bit_length() < _LARGEST_BITS else f"has too long a number in it{where}"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"has {value} in it{where}, which JSON has not"
    if isinstance(value, list):
        return next((found for i, each in enumerate(value) if (found := _problem(each, f"{where}[{i}]"))), None)
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                return f"has a key that is not text{where}: {key!r:.60}"
            found = _problem(each, f"{where}[{key!r}]")
            if found:
                return found
        return None
    return f"has a {type(value).__name__} in it{where}"
