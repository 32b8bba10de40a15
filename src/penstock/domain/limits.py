"""What a time limit, a count of retries and a delay may be; checked where they are written, so errors point there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .errors import DefinitionError

# How long a process that executes runs is believed to live after it was last heard of; it renews its lease long before:
# one that computes without letting other threads go on must not lose its runs.
LEASE = timedelta(seconds=60)

LONGEST_SECONDS = 1_000_000_000  # 31 years


def check_timeout(value: Any, of: str, parameter: str = "timeout_seconds") -> float | None:
    """Seconds as a float, or None for no limit (0 is none, too).

    Raises `DefinitionError` (a ValueError) that names the parameter for anything else: negative, NaN, infinite,
    a bool, text.
    """
    if value is None:
        return None
    number = _number(value, of, parameter)
    return number or None


def check_retries(value: Any, of: str) -> int | None:
    """How often a failed run is tried again; None leaves it to the settings."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DefinitionError(f"retries of {of} must be a whole number, 0 or more; it is {value!r}.")
    return value


def check_delay(value: Any, of: str) -> Any:
    """A delay between tries: seconds, a list of seconds, or a function of the number of retries to such a list."""
    if value is None or callable(value):
        return value
    if isinstance(value, list | tuple):
        if len(value) > 50:
            raise DefinitionError(f"retry_delay_seconds of {of} has {len(value)} entries; at most 50 are allowed.")
        if not value:
            raise DefinitionError(f"retry_delay_seconds of {of} is an empty list; give at least one number.")
        return [_number(each, of, "retry_delay_seconds") for each in value]
    return _number(value, of, "retry_delay_seconds")


def check_jitter(value: Any, of: str) -> float | None:
    """How much a delay is spread: 0.5 makes a delay of 10 s one of 5 to 15 s on average 10."""
    return None if value is None else _number(value, of, "retry_jitter_factor")


def _number(value: Any, of: str, parameter: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DefinitionError(f"{parameter} of {of} must be a number of seconds; it is {value!r}.")
    if not 0 <= value <= LONGEST_SECONDS:  # nan is neither
        raise DefinitionError(
            f"{parameter} of {of} must be from 0 to {LONGEST_SECONDS:,} seconds; it is {value!r:.40}."
        )
    return float(value)
