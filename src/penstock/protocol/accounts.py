"""What can be asked about who may ask: signing in, users, API keys, and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from ..domain.accounts import ADMIN, LONGEST_PASSWORD, VIEWER, ApiKey, Role, User
from ..domain.audit import AuditEntry
from .operation import Nothing, Operation, Page
from .paging import Cursor, Limit

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Password = Annotated[str, msgspec.Meta(max_length=LONGEST_PASSWORD)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Login(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    password: Password


class LoginForKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Makes the user an API key of this name, that is good until `expires`, and has no more than `role`."""

    name: Name
    password: Password
    key_name: Name
    role: Role | None = None
    expires: Moment | None = None


class Me(msgspec.Struct, kw_only=True):
    """Who asks. `sign_in` says whether this server wants to know; `csrf` goes into the header `penstock-csrf` of every
    change, where a cookie says who asks."""

    who: str
    role: Role
    sign_in: bool
    name: str | None = None
    key: str | None = None
    scopes: tuple[str, ...] | None = None
    csrf: str | None = None


class ListUsers(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Limit = 200
    cursor: Cursor | None = None


class CreateUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a password the user can have API keys only."""

    name: Name
    role: Role = VIEWER
    password: Password | None = None


class UpdateUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is null stays as it is. Sessions of the user end."""

    name: Name
    role: Role | None = None
    disabled: bool | None = None


class SetPassword(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One's own with the `current` one; an admin sets another user's without. Sessions of the user end."""

    name: Name
    password: Password
    current: Password | None = None


class ListKeys(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An admin sees everybody's, anybody else their own."""

    limit: Limit = 200
    cursor: Cursor | None = None


class CreateKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key of one's own; an admin makes one for another user (`owner`) as well, or, asking without a user, one that
    stands for itself. `scopes` empty: all that the role may."""

    name: Name
    role: Role | None = None
    scopes: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()
    expires: Moment | None = None
    owner: Name | None = None


class NewKey(ApiKey, frozen=True, kw_only=True):
    """`text` is the key itself. It is in this answer, and nowhere else."""

    text: str


class RevokeKey(msgspec.Struct, forbid_unknown_fields=True):
    """`key` is its prefix, or its name."""

    key: Name


class ReadAudit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The newest first; `who` is some text of it."""

    who: Name | None = None
    operation: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 200
    cursor: Cursor | None = None


# Whoever signs in writes a line of the audit log by themselves: with who they turned out to be.
LOGIN = Operation(
    "login", "POST", "/auth/login", Login, Me, "Sign in: sets a cookie.", anyone=True, audited=False, secret=True
)
LOGIN_FOR_KEY = Operation(
    "login_for_key", "POST", "/auth/login_for_key", LoginForKey, NewKey, "Make an API key, by name and password.",
    anyone=True, audited=False, secret=True,
)  # fmt: skip
LOGOUT: Operation[Nothing, None] = Operation(
    "logout", "POST", "/auth/logout", Nothing, None, "End the session that the cookie is of.", role=VIEWER, safe=True
)
READ_ME = Operation("read_me", "GET", "/auth/me", Nothing, Me, "Read who asks, and what they may.")
LIST_USERS = Operation(
    "list_users", "GET", "/auth/users", ListUsers, Page[User], "List users by name.", role=ADMIN
)  # fmt: skip
CREATE_USER = Operation(
    "create_user", "POST", "/auth/users", CreateUser, User, "Create a user.", role=ADMIN, secret=True
)
UPDATE_USER = Operation(
    "update_user", "PATCH", "/auth/users/{name}", UpdateUser, User, "Give a user another role, or disable one.",
    role=ADMIN, safe=True,
)  # fmt: skip
SET_PASSWORD: Operation[SetPassword, None] = Operation(
    "set_password", "POST", "/auth/users/{name}/set_password", SetPassword, None, "Set a user's password.",
    role=VIEWER, secret=True,
)  # fmt: skip
LIST_API_KEYS = Operation("list_api_keys", "GET", "/auth/keys", ListKeys, Page[ApiKey], "List API keys.")
CREATE_API_KEY = Operation(
    "create_api_key", "POST", "/auth/keys", CreateKey, NewKey, "Create an API key.", role=VIEWER, secret=True
)
REVOKE_API_KEY = Operation(
    "revoke_api_key", "DELETE", "/auth/keys/{key}", RevokeKey, ApiKey, "Revoke an API key.", role=VIEWER, safe=True
)
READ_AUDIT_LOG = Operation(
    "read_audit_log", "GET", "/audit", ReadAudit, Page[AuditEntry], "Read the audit log, the newest line first.",
    role=ADMIN,
)  # fmt: skip
