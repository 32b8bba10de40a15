"""Who may ask for what: roles, scopes, users and their keys, and whoever asks just now. No clock, no passwords."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from . import names
from .errors import InvalidName, NotAllowed, NotSignedIn


class Role(StrEnum):
    """A viewer looks; an operator also starts, stops and changes runs and what they use; an admin also decides who may
    do so, and keeps the record."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether whoever has this role may do what that one may."""
        return _ORDER[self] >= _ORDER[other]


VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN
_ORDER = {VIEWER: 0, OPERATOR: 1, ADMIN: 2}

# What a scope may be, beside patterns of operations' names (`read_*`, `cancel_flow_run`).
READ = "read"  # all that only reads
JOURNAL = "journal"  # what a script needs to report its runs, and to hear that they should stop
_SCOPE = re.compile(r"[a-z0-9_*?]{1,64}")

# Sessions of the UI: how long after the last request, and at most, whoever signed in stays so.
SESSION_IDLE = timedelta(hours=12)
SESSION_MOST = timedelta(days=7)
# Times that only people look at (a key's last use, a session's) are written no more often than this.
SEEN_AGAIN = timedelta(minutes=30)

USER = ("user", re.compile(r"[a-z0-9][a-z0-9._@+-]*"), "lowercase letters, digits and ._@+-")
KEY = ("key", re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*"), "letters, digits and ._@+-")
LONGEST_NAME = 64
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can sign in. One is never deleted, but disabled: the audit log names users, and a name that somebody
    else could take would lie."""

    name: str
    role: Role
    disabled: bool
    has_password: bool
    created: datetime
    updated: datetime


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without what is secret of it. `prefix` are its first characters, which tell keys apart. `owner` is a user,
    None for a key that stands for itself. `scopes` None: all that `role` may. `last_used` is right to half an hour."""

    prefix: str
    name: str
    owner: str | None
    role: Role
    scopes: tuple[str, ...] | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever asks a server: `who` in words, as it is kept with what was decided.

    `user` is the user's name, None where there is none (a key of its own, no sign-in). `key` is the prefix of the API
    key; `session` the digest of the session's token. `address` and `agent` say from where and with what it was asked.
    `signed_in` is False for whoever did not say who they are while the server wants to know.
    """

    who: str
    role: Role
    signed_in: bool = True
    anonymous: bool = False
    user: str | None = None
    key: str | None = None
    scopes: tuple[str, ...] | None = None
    session: bytes | None = None
    address: str = ""
    agent: str = ""

    def check(self, name: str, role: Role | None, *, reads: bool = False, journal: bool = False) -> None:
        """Raises `NotSignedIn` or `NotAllowed` unless this asker may do what is called `name` and wants `role` (None:
        anyone may). `journal`: a script that reports its runs does it."""
        if role is None:
            return
        if not self.signed_in:
            raise NotSignedIn(
                "This server wants to know who asks. Give it an API key: `penstock auth login`, or PENSTOCK_API_KEY."
            )
        if not self.role.includes(role):
            raise NotAllowed(
                f"{self.who} has the role {self.role.value}, and {name} wants {role.value}. Ask an admin for it."
            )
        if self.scopes is not None and not in_scope(self.scopes, name, reads=reads, journal=journal):
            raise NotAllowed(
                f"{self.who} may only do what the key's scopes name ({', '.join(self.scopes)}), and {name} is none of "
                "it. Use another key."
            )


def in_scope(scopes: Iterable[str], name: str, *, reads: bool, journal: bool) -> bool:
    return any(
        (scope == READ and reads) or (scope == JOURNAL and journal) or fnmatchcase(name, scope) for scope in scopes
    )


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...] | None:
    """The scopes, each once; None for none: the key is not limited. Raises `InvalidName`."""
    kept = tuple(dict.fromkeys(scopes))
    for scope in kept:
        if not _SCOPE.fullmatch(scope):
            raise InvalidName(
                f"{names.shown(scope)} is no scope: it is {READ!r}, {JOURNAL!r} or the name of an operation, in which "
                "* stands for anything (`read_*`)."
            )
    return kept or None


def check_name(name: str, rule: names.Rule) -> None:
    """Raises `InvalidName` unless it can be the name of a user or a key."""
    kind, pattern, allowed = rule
    if len(name) > LONGEST_NAME or not pattern.fullmatch(name):
        raise InvalidName(
            f"{names.shown(name)} cannot be the name of a {kind}: it may have {allowed}, begins with one of the first "
            f"two, and has {LONGEST_NAME} characters at most."
        )


def lower(one: Role, other: Role) -> Role:
    """The one that may do less."""
    return one if other.includes(one) else other
