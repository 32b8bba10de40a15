"""API keys: making, listing and revoking them, and whose one is.

Law: a key is seen once, by whoever made it. It has 256 random bits, so a plain digest keeps it; and a digest that is
found is compared in constant time all the same.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

import msgspec

from ..domain import names
from ..domain.accounts import KEY, SEEN_AGAIN, ApiKey, Asker, Role, check_name, checked_scopes, lower
from ..domain.errors import AmbiguousId, NameTaken, NotAllowed, NotSignedIn, ObjectNotFound, UnstorableValue
from ..store import accounts
from ..store.contract import Store

MARK = "pnsk_"
_SEEN = len(MARK) + 8


def create_key(
    store: Store,
    name: str,
    *,
    owner: str | None,
    role: Role | None,
    scopes: Iterable[str],
    expires: datetime | None,
    now: datetime,
) -> tuple[ApiKey, str]:
    """The key and its text, which nobody can have again. Without a `role` it has its owner's (an operator's, where it
    has no owner). Raises `InvalidName`, `NameTaken`, `ObjectNotFound`, `NotAllowed`, `UnstorableValue`."""
    check_name(name, KEY)
    kept_scopes = checked_scopes(scopes)
    if expires is not None and expires <= now:
        raise UnstorableValue(f"The key {name!r} would have expired before it was made. Give a time to come.")
    text = MARK + secrets.token_urlsafe(32)
    with store.write() as tx:
        if any(each.owner == owner and not _is_over(each, now) for each in accounts.find_keys(tx, name)):
            raise NameTaken(f"There is an API key {name!r} already. Revoke it first, or take another name.")
        if owner is not None:
            user = accounts.get_user(tx, owner)
            if user is None or user.disabled:
                raise ObjectNotFound(f"There is no user {names.shown(owner)} who could own a key.")
            role = role or user.role
            if not user.role.includes(role):
                raise NotAllowed(f"{owner!r} has the role {user.role.value}: a key cannot have more ({role.value}).")
        key = ApiKey(
            prefix=text[:_SEEN], name=name, owner=owner, role=role or Role.OPERATOR, scopes=kept_scopes,
            created=now, expires=expires, revoked=None, last_used=None,
        )  # fmt: skip
        accounts.add_key(tx, key, digest_of(text))
    return key, text


def list_keys(store: Store, owner: str | None, after: str, limit: int) -> list[ApiKey]:
    """By prefix, those behind `after`; everybody's when `owner` is None."""
    with store.read() as tx:
        return list(accounts.select_keys(tx, owner, after, limit))


def revoke_key(store: Store, text: str, *, owner: str | None, now: datetime) -> ApiKey:
    """By prefix or name; only one of `owner`'s, unless None. Raises `ObjectNotFound`, `AmbiguousId`."""
    with store.write() as tx:
        found = [each for each in accounts.find_keys(tx, text) if owner is None or each.owner == owner]
        if not found:
            raise ObjectNotFound(f"API key {names.shown(text)} not found! `penstock auth keys` lists them.")
        if len(found) > 1:
            theirs = ", ".join(f"{each.prefix} of {each.owner or 'nobody'}" for each in found)
            raise AmbiguousId(f"There are {len(found)} API keys {names.shown(text)}: {theirs}. Name one by its prefix.")
        key = found[0]
        if key.revoked is None:
            accounts.revoke_key(tx, key.prefix, now)
            key = msgspec.structs.replace(key, revoked=now)
    return key


def _is_over(key: ApiKey, now: datetime) -> bool:
    return key.revoked is not None or (key.expires is not None and key.expires <= now)


def asker_of(store: Store, text: str, now: datetime) -> Asker:
    """Whoever has this key; notes its use, now and then. Raises `NotSignedIn`."""
    digest = digest_of(text)
    with store.read() as tx:
        found = accounts.key_by_digest(tx, digest)
        if found is None or not hmac.compare_digest(found[1], digest):
            raise NotSignedIn("This server does not know this API key. `penstock auth login` gets another one.")
        key = found[0]
        user = None if key.owner is None else accounts.get_user(tx, key.owner)
    called = f"The API key {key.name!r} ({key.prefix}…)"
    if key.revoked is not None:
        raise NotSignedIn(f"{called} was revoked. Use another one: `penstock auth login`.")
    if key.expires is not None and key.expires <= now:
        raise NotSignedIn(f"{called} has expired. Use another one: `penstock auth login`.")
    if key.owner is not None and (user is None or user.disabled):
        raise NotSignedIn(f"{called} is of the user {key.owner!r}, who is disabled. Ask an admin.")
    if key.last_used is None or now - key.last_used >= SEEN_AGAIN:
        with store.write() as tx:
            accounts.note_use(tx, key.prefix, now)
    return Asker(
        who=f"key {key.name}" if user is None else f"user {user.name} by key {key.name}",
        role=key.role if user is None else lower(key.role, user.role),
        user=key.owner,
        key=key.prefix,
        scopes=key.scopes,
    )


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
