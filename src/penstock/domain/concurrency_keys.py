"""Concurrency keys: by what the runs of a deployment or a queue take turns, and by what they are limited.

Law: a key is looked up, never evaluated: `parameters.tenant` is a path through what the run is called with, and nothing
else. A run whose parameters do not have it has no key: it waits and runs as if nobody had asked for one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .errors import ConcurrencyError
from .names import suggestion

# A longer key is shortened, and told apart from others by a digest.
LONGEST_KEY = 200
_KEPT = 160
# How often a key may be within a period: what is counted are rows of the record.
MOST_PER_PERIOD = 10_000
LONGEST_PERIOD = 86_400.0
PRIORITIES = 1_000_000
_ROOTS = ("parameters", "tags", "labels", "deployment")
_LITERAL = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_RATE = re.compile(r"(\d+)/(?:(\d+(?:\.\d+)?)s?|(s|second|m|minute|h|hour|d|day))")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


class Rate(msgspec.Struct, frozen=True):
    """At most `limit` runs are started in any `period` seconds. As text: 10/60s."""

    limit: int
    period: float

    def __str__(self) -> str:
        return f"{self.limit}/{self.period:g}s"


class PerKey(msgspec.Struct, frozen=True):
    """How many runs of one key may be at once, and how often they may start; None: without limit."""

    limit: int | None = None
    rate: Rate | None = None


def check_path(path: Any, parameter_schema: Mapping[str, Any] | None = None) -> str | None:
    """A path as it was given. With a JSON schema of the parameters, those that it does not have are refused.

    Raises `ConcurrencyError`.

    Example::

        check_path("parameters.customer.id")
        check_path("tags.customer")      # of the tag "customer:acme" it is "acme"
        check_path("'reports'")          # this key, for all runs
    """
    if path is not None and (not isinstance(path, str) or len(path) > LONGEST_KEY):
        raise ConcurrencyError(f"A concurrency key is a path of at most {LONGEST_KEY} letters; it is {path!r:.80}.")
    if path is None or _LITERAL.fullmatch(path):
        if path is not None and not path[1:-1].strip():
            raise ConcurrencyError("A concurrency key in quotes is the key itself: it cannot be empty.")
        return path
    root, *names = path.split(".")
    if root not in _ROOTS:
        raise ConcurrencyError(
            f"Concurrency key {path!r:.80} begins with {root!r:.40}: it is a path from "
            f"{', '.join(_ROOTS[:-1])} or {_ROOTS[-1]} (parameters.tenant), or a text in quotes ('reports')."
            f"{suggestion(root, list(_ROOTS))}"
        )
    if root == "deployment" and names:
        raise ConcurrencyError(f"Concurrency key {path!r:.80}: `deployment` is the key by itself, the name of it.")
    if root != "deployment" and not (names and all(name.strip() for name in names)):
        raise ConcurrencyError(f"Concurrency key {path!r:.80} names nothing of the {root}: it is {root}.NAME.")
    if root in ("tags", "labels") and len(names) > 1:
        raise ConcurrencyError(f"Concurrency key {path!r:.80}: {root} have no parts; it is {root}.NAME.")
    known = list((parameter_schema or {}).get("properties") or {})
    is_open = (parameter_schema or {}).get("additionalProperties") is True
    if root == "parameters" and known and names[0] not in known and not is_open:
        raise ConcurrencyError(
            f"Concurrency key {path!r:.80}: the flow has no parameter {names[0]!r:.40}.{suggestion(names[0], known)}"
        )
    return path


def key_of(
    path: str, *, parameters: Mapping[str, Any], tags: Iterable[str], labels: Mapping[str, str], deployment: str
) -> str | None:
    """The key of a run; None where it has none: what the path names is missing, None or empty."""
    literal = _LITERAL.fullmatch(path)
    if literal:
        return literal[1] or literal[2]
    root, *names = path.split(".")
    if root == "deployment":
        return shortened(deployment)
    found: Any = labels if root == "labels" else parameters
    if root == "tags":
        mark = f"{names[0]}:"
        found = next((tag[len(mark) :] for tag in sorted(tags) if tag.startswith(mark)), None)
        names = []
    for name in names:
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return _as_text(found)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return shortened(value)


def shortened(key: str) -> str | None:
    """A key that is not too long for the record; two long ones that differ still do. None for an empty one."""
    key = key.replace("\0", "\ufffd")
    if len(key) <= LONGEST_KEY:
        return key or None
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{key[:_KEPT]}…{digest}"


def rate_in(given: Any) -> Rate | None:
    """A rate as people write it: "10/m", "5/30s", {"limit": 10, "period": 60}, or a `Rate`. Raises
    `ConcurrencyError`."""
    if given is None:
        return None
    if isinstance(given, str):
        found = _RATE.fullmatch(given.replace(" ", ""))
        if found is None:
            raise ConcurrencyError(
                f"A rate is how many in a time, 10/m, 100/h or 5/30s (seconds); it is {given!r:.40}."
            )
        given = Rate(int(found[1]), float(found[2]) if found[2] else _UNITS[found[3][0]])
    elif isinstance(given, Mapping):
        if set(given) != {"limit", "period"}:
            raise ConcurrencyError(f"A rate has a limit and a period (seconds), and nothing else; it is {given!r:.80}.")
        given = Rate(given["limit"], given["period"])
    return check_rate(given)


def check_rate(rate: Any) -> Rate:
    """Raises `ConcurrencyError`."""
    if not isinstance(rate, Rate):
        raise ConcurrencyError(f'A rate is written "10/m", or {{"limit": 10, "period": 60}}; it is {rate!r:.80}.')
    limit: Any = rate.limit
    period: Any = rate.period  # (they may have been made by hand)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_PER_PERIOD:
        raise ConcurrencyError(f"A rate's limit is a whole number, 1 to {MOST_PER_PERIOD:,}; it is {limit!r:.40}.")
    is_number = isinstance(period, int | float) and not isinstance(period, bool)
    if not is_number or not 0 < period <= LONGEST_PERIOD:
        raise ConcurrencyError(
            f"A rate's period is in seconds, more than 0 and at most {LONGEST_PERIOD:,.0f}; it is {period!r:.40}."
        )
    return Rate(limit, float(period))


def check_priority(priority: Any) -> int | None:
    """Raises `ConcurrencyError`."""
    if priority is None:
        return None
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= PRIORITIES:
        raise ConcurrencyError(
            f"A priority is a whole number, 0 to {PRIORITIES:,}, and the lowest goes first; it is {priority!r:.40}."
        )
    return priority


def check_key(key: Any) -> str | None:
    """A key itself, as a run is given it. Raises `ConcurrencyError`."""
    if key is None:
        return None
    if not isinstance(key, str) or not key or len(key) > LONGEST_KEY:
        raise ConcurrencyError(f"A run's concurrency key is a text of 1 to {LONGEST_KEY} letters; it is {key!r:.80}.")
    return key


def check_limit(limit: Any) -> int | None:
    """Raises `ConcurrencyError`."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ConcurrencyError(f"A limit per key is how many at once, 1 or more; it is {limit!r:.40}.")
    return limit
