"""Values as plain JSON: what users hand over to be kept and shown, whatever it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import msgspec

from .errors import UnstorableValue

DEEPEST = 50
# Larger numbers would not come back as they are in most programs that read JSON.
_LARGEST = 2**63
_encode = msgspec.json.Encoder().encode


def plain(value: Any, of: str) -> Any:
    """The value with only dicts, lists, texts, numbers, booleans and None in it. NaN and infinities are None, times are
    ISO text, anything else is its text. Raises `UnstorableValue` for what is nested without end."""
    return _plain(value, of, 0)


def _plain(value: Any, of: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value < _LARGEST else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > DEEPEST:
        raise UnstorableValue(f"{of} is nested more than {DEEPEST} deep. Keep what is in it flatter.")
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(each, of, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, of, depth + 1) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return _other(value, of, depth)


def _other(value: Any, of: str, depth: int) -> Any:
    item = getattr(value, "item", None)  # the numbers of numpy
    if callable(item) and getattr(value, "shape", None) == ():
        return _plain(item(), of, depth + 1)
    return _text(str(value))


def _text(text: str) -> str:
    """Text that any database takes."""
    if text.isascii() and "\0" not in text:
        return str(text)
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def check_size(value: Any, of: str, most: int, advice: str) -> None:
    """Raises `UnstorableValue` for a plain value of more than `most` bytes as JSON."""
    size = len(_encode(value))
    if size > most:
        raise UnstorableValue(f"{of} has {size:,} bytes as JSON; {most:,} is the most. {advice}")


def check_text(text: object, of: str, most: int) -> str | None:
    """Raises `UnstorableValue` for what is no text, or too long."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise UnstorableValue(f"{of} is text; this is {type(text).__name__}.")
    if len(text) > most:
        raise UnstorableValue(f"{of} has {len(text):,} characters; {most:,} is the most.")
    return _text(text)
