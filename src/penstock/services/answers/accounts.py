"""Answers about who may ask."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

import msgspec

from ...domain import filters
from ...domain.accounts import ADMIN, ApiKey, Asker, Role, User, lower
from ...domain.audit import DONE, AuditEntry, AuditFilter
from ...domain.errors import NotAllowed, PenstockError, TooMuch
from ...protocol import accounts as asked
from ...protocol.operation import Nothing, Page
from .. import accounts, api_keys, audit, signing_in
from ..desk import Desk, answers

SESSION = "session"


@answers(asked.LOGIN)
def login(desk: Desk, query: asked.Login) -> asked.Me:
    user = _proved(desk, query.name, query.password, asked.LOGIN.name)
    token, digest = signing_in.open_session(desk.store, user, desk.now())
    desk.cookies[SESSION] = token
    return _me(Asker(who=f"user {user.name}", role=user.role, user=user.name, session=digest))


@answers(asked.LOGIN_FOR_KEY)
def login_for_key(desk: Desk, query: asked.LoginForKey) -> asked.NewKey:
    user = _proved(desk, query.name, query.password, asked.LOGIN_FOR_KEY.name)
    role = user.role if query.role is None else lower(query.role, user.role)
    return _new_key(desk, query.key_name, user.name, role, (), query.expires)


def _proved(desk: Desk, name: str, password: str, operation: str) -> User:
    """Whoever signs in; either way there is a line in the audit log. What is no user's name is not written there: it
    may be a password in the wrong field."""
    asker = desk.asker or Asker(who=desk.who, role=desk.role)
    name, now, outcome = name.lower(), desk.now(), DONE
    try:
        user = signing_in.prove(desk.store, name, password, address=asker.address, now=now)
        asker = msgspec.structs.replace(asker, who=f"user {user.name}", role=user.role)
        return user
    except PenstockError as error:
        outcome = error.code
        raise
    finally:
        if outcome != TooMuch.code:  # those would fill the log
            objects = (name,) if _is_user(desk, name) else ()
            audit.note(desk.store, audit.entry(asker, operation, now, outcome, objects=objects))


def _is_user(desk: Desk, name: str) -> bool:
    try:
        accounts.get_user(desk.store, name)
    except LookupError:
        return False
    return True


@answers(asked.LOGOUT)
def logout(desk: Desk, query: Nothing) -> None:
    if desk.asker is not None and desk.asker.session is not None:
        signing_in.end_session(desk.store, desk.asker.session)
    desk.cookies[SESSION] = None


@answers(asked.READ_ME)
def read_me(desk: Desk, query: Nothing) -> asked.Me:
    return _me(desk.asker or Asker(who=desk.who, role=desk.role, anonymous=True))


def _me(asker: Asker) -> asked.Me:
    return asked.Me(
        who=asker.who,
        role=asker.role,
        sign_in=not asker.anonymous,
        name=asker.user,
        key=asker.key,
        scopes=asker.scopes,
        csrf=None if asker.session is None else signing_in.csrf_token(asker.session),
    )


# --- users -----------------------------------------------------------------------------------------------------------


@answers(asked.LIST_USERS)
def list_users(desk: Desk, query: asked.ListUsers) -> Page[User]:
    found = accounts.list_users(desk.store, _text_in(query.cursor), query.limit)
    return Page(items=found, next=_after(found[-1].name) if len(found) == query.limit else None)


@answers(asked.CREATE_USER)
def create_user(desk: Desk, query: asked.CreateUser) -> User:
    _check_whole(desk)
    return accounts.create_user(desk.store, query.name, query.role, query.password, desk.now())


@answers(asked.UPDATE_USER)
def update_user(desk: Desk, query: asked.UpdateUser) -> User:
    _check_whole(desk)
    return accounts.update_user(desk.store, query.name, role=query.role, disabled=query.disabled, now=desk.now())


@answers(asked.SET_PASSWORD)
def set_password(desk: Desk, query: asked.SetPassword) -> None:
    _check_whole(desk)
    asker = desk.asker
    if asker is not None and asker.user == query.name:
        # Who came upon somebody's open session or key must not be able to keep it.
        store = audit.unaudited(desk.store)
        signing_in.prove(store, query.name, query.current or "", address=asker.address, now=desk.now())
    elif asker is not None and not asker.role.includes(ADMIN):
        raise NotAllowed("Only an admin sets another user's password.")
    accounts.set_password(desk.store, query.name, query.password, desk.now())


# --- keys ------------------------------------------------------------------------------------------------------------


@answers(asked.LIST_API_KEYS)
def list_api_keys(desk: Desk, query: asked.ListKeys) -> Page[ApiKey]:
    found = api_keys.list_keys(desk.store, _only_of(desk), _text_in(query.cursor), query.limit)
    return Page(items=found, next=_after(found[-1].prefix) if len(found) == query.limit else None)


@answers(asked.CREATE_API_KEY)
def create_api_key(desk: Desk, query: asked.CreateKey) -> asked.NewKey:
    _check_whole(desk)
    asker, role = desk.asker, query.role
    owner = query.owner or (None if asker is None else asker.user)
    if not desk.role.includes(ADMIN):
        if owner is None or asker is None or owner != asker.user:
            raise NotAllowed("Only an admin makes keys for others, or keys that stand for themselves.")
        role = role or desk.role
        if not desk.role.includes(role):
            raise NotAllowed(f"You ask with the role {desk.role.value}: a key cannot have more ({role.value}).")
    return _new_key(desk, query.name, owner, role, query.scopes, query.expires)


@answers(asked.REVOKE_API_KEY)
def revoke_api_key(desk: Desk, query: asked.RevokeKey) -> ApiKey:
    _check_whole(desk)
    return api_keys.revoke_key(desk.store, query.key, owner=_only_of(desk), now=desk.now())


def _new_key(
    desk: Desk, name: str, owner: str | None, role: Role | None, scopes: tuple[str, ...], expires: datetime | None
) -> asked.NewKey:
    key, text = api_keys.create_key(
        desk.store, name, owner=owner, role=role, scopes=scopes, expires=expires, now=desk.now()
    )
    return asked.NewKey(**msgspec.structs.asdict(key), text=text)


def _only_of(desk: Desk) -> str | None:
    """Whose keys are meant: None for everybody's, which is for admins. Whoever has no user has no keys."""
    if desk.role.includes(ADMIN):
        return None
    return (desk.asker.user if desk.asker is not None else None) or ""


def _check_whole(desk: Desk) -> None:
    """Raises `NotAllowed`: with a key for some things nobody makes one for others; and while nobody signs in, whoever
    reaches the server could lock out everybody else."""
    asker = desk.asker
    if asker is not None and asker.scopes is not None:
        raise NotAllowed(f"{asker.who} is limited by its scopes, and cannot change who may do what.")
    if asker is not None and asker.anonymous:
        raise NotAllowed(
            "Nobody signs in at this server yet. The first admin is made on its machine, where its record is: "
            "`penstock auth create-user NAME --role admin`, with PENSTOCK_API_URL unset."
        )


# --- the audit log ---------------------------------------------------------------------------------------------------


@answers(asked.READ_AUDIT_LOG)
def read_audit_log(desk: Desk, query: asked.ReadAudit) -> Page[AuditEntry]:
    filter = AuditFilter(who=query.who, operation=query.operation, since=query.since, until=query.until)
    before = _text_in(query.cursor)
    if before and not (before.isascii() and before.isdecimal() and len(before) < 19):
        raise _bad(query.cursor)
    found = audit.list_entries(desk.store, filter, int(before) if before else None, query.limit)
    return Page(items=found, next=_after(str(found[-1].n)) if len(found) == query.limit else None)


def _after(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _text_in(cursor: str | None) -> str:
    if cursor is None:
        return ""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise _bad(cursor) from None


def _bad(cursor: str | None) -> filters.FilterError:
    return filters.FilterError(f"{cursor!r} is no cursor; give back `next` of the page before as it was.")
