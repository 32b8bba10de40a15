"""Names that people give to what is stored: what they may look like, and what was probably meant by a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import InvalidName

LONGEST = 255
_SHOWN = 60

# Kind -> what a name may be made of: a pattern, and the same for people.
ARTIFACT = ("artifact", re.compile(r"[a-z0-9-]+"), "lowercase letters, digits and dashes")
BLOCK = ("block", re.compile(r"[a-z0-9-]+"), "lowercase letters, digits and dashes")
BLOCK_TYPE = ("block type", re.compile(r"[a-z0-9-]+"), "lowercase letters, digits and dashes")
VARIABLE = ("variable", re.compile(r"[a-z0-9_-]+"), "lowercase letters, digits, dashes and underscores")
Rule = tuple[str, re.Pattern[str], str]


def check(name: object, rule: Rule) -> str:
    """The name, which fits the rule. Raises `InvalidName`."""
    kind, pattern, allowed = rule
    if isinstance(name, str) and len(name) <= LONGEST and pattern.fullmatch(name):
        return name
    if not isinstance(name, str):
        raise InvalidName(f"The name of {_a(kind)} is text; this is {type(name).__name__}.")
    fitting = slug(name) if len(name) <= LONGEST else ""
    hint = f" {fitting!r} would do." if fitting else ""
    raise InvalidName(
        f"{shown(name)} cannot be the name of {_a(kind)}: it may have {allowed}, and {LONGEST} characters at most."
        f"{hint}"
    )


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def slug(text: str) -> str:
    """The text as a name that fits every rule: `My Key_2` -> `my-key-2`. Empty when nothing of it is left."""
    from unicodedata import normalize

    plain = normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def shown(name: str) -> str:
    """In quotes, escaped where it could drive a terminal, and not at any length."""
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")


def suggestion(name: str, known: Iterable[str]) -> str:
    """The sentence after `… not found.`: names that are near; empty when none is."""
    from difflib import get_close_matches

    near = get_close_matches(name[:LONGEST], list(known), n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
