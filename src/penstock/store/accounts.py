"""SQL of users and API keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..domain.accounts import ApiKey, Role, User
from . import codec
from .contract import Row, Tx, Value

_USER = "name, role, disabled, password IS NOT NULL, created, updated"
_KEY = "prefix, name, owner, role, scopes, created, expires, revoked, last_used"


# --- users -----------------------------------------------------------------------------------------------------------


def get_user(tx: Tx, name: str) -> User | None:
    row = tx.row(f"SELECT {_USER} FROM account WHERE name = ?", (name,))
    return None if row is None else _user(row)


def get_password(tx: Tx, name: str) -> str | None:
    """What is kept of a user's password; None where there is none, or no such user."""
    row = tx.row("SELECT password FROM account WHERE name = ?", (name,))
    return None if row is None else row[0]


def select_users(tx: Tx, after: str, limit: int) -> Iterator[User]:
    """By name, those behind `after`."""
    return map(_user, tx.rows(f"SELECT {_USER} FROM account WHERE name > ? ORDER BY name LIMIT ?", (after, limit)))


def user_names(tx: Tx) -> list[str]:
    return [str(name) for (name,) in tx.rows("SELECT name FROM account ORDER BY name")]


def add_user(tx: Tx, user: User, password: str | None) -> None:
    created, updated = codec.micros(user.created), codec.micros(user.updated)
    tx.run(
        "INSERT INTO account (name, role, password, disabled, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
        (user.name, user.role.value, password, int(user.disabled), created, updated),
    )


def set_user(tx: Tx, user: User) -> None:
    """Its role, and whether it is disabled."""
    tx.run(
        "UPDATE account SET role = ?, disabled = ?, updated = ? WHERE name = ?",
        (user.role.value, int(user.disabled), codec.micros(user.updated), user.name),
    )


def set_password(tx: Tx, name: str, password: str, now: datetime) -> None:
    tx.run("UPDATE account SET password = ?, updated = ? WHERE name = ?", (password, codec.micros(now), name))


def count_users(tx: Tx, role: Role) -> int:
    """How many have this role and are not disabled."""
    row = tx.row("SELECT count(*) FROM account WHERE role = ? AND disabled = 0", (role.value,))
    return int(row[0]) if row else 0


def is_anybody(tx: Tx) -> bool:
    """Whether there ever was a user or a key."""
    tables = ("account", "api_key")
    return any(tx.row(f"SELECT 1 FROM {table} LIMIT 1") is not None for table in tables)


def _user(row: Row) -> User:
    name, role, disabled, has_password, created, updated = row
    return User(
        name=name,
        role=Role(role),
        disabled=bool(disabled),
        has_password=bool(has_password),
        created=codec.exact_moment(created),
        updated=codec.exact_moment(updated),
    )


# --- keys ------------------------------------------------------------------------------------------------------------


def add_key(tx: Tx, key: ApiKey, digest: bytes) -> None:
    tx.run(
        f"INSERT INTO api_key ({_KEY}, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.prefix,
            key.name,
            key.owner,
            key.role.value,
            codec.text(key.scopes),
            codec.micros(key.created),
            codec.micros(key.expires),
            codec.micros(key.revoked),
            codec.micros(key.last_used),
            digest,
        ),
    )


def key_by_digest(tx: Tx, digest: bytes) -> tuple[ApiKey, bytes] | None:
    """The key, and the digest as it is stored."""
    row = tx.row(f"SELECT {_KEY}, digest FROM api_key WHERE digest = ?", (digest,))
    return None if row is None else (_key(row[:-1]), bytes(row[-1]))


def find_keys(tx: Tx, text: str) -> list[ApiKey]:
    """The one with this prefix; else those of this name that are not revoked."""
    by_prefix = tx.row(f"SELECT {_KEY} FROM api_key WHERE prefix = ?", (text,))
    if by_prefix is not None:
        return [_key(by_prefix)]
    return list(map(_key, tx.rows(f"SELECT {_KEY} FROM api_key WHERE name = ? AND revoked IS NULL", (text,))))


def select_keys(tx: Tx, owner: str | None, after: str, limit: int) -> Iterator[ApiKey]:
    """By prefix, those behind `after`; of everybody when `owner` is None."""
    where, params = "prefix > ?", [after]
    if owner is not None:
        where, params = f"{where} AND owner = ?", [after, owner]
    values: list[Value] = [*params, limit]
    return map(_key, tx.rows(f"SELECT {_KEY} FROM api_key WHERE {where} ORDER BY prefix LIMIT ?", values))


def revoke_key(tx: Tx, prefix: str, now: datetime) -> None:
    """The first time counts."""
    tx.run("UPDATE api_key SET revoked = ? WHERE prefix = ? AND revoked IS NULL", (codec.micros(now), prefix))


def note_use(tx: Tx, prefix: str, now: datetime) -> None:
    tx.run("UPDATE api_key SET last_used = ? WHERE prefix = ?", (codec.micros(now), prefix))


def _key(row: Row) -> ApiKey:
    prefix, name, owner, role, scopes, created, expires, revoked, last_used = row
    return ApiKey(
        prefix=prefix,
        name=name,
        owner=owner,
        role=Role(role),
        scopes=None if scopes is None else tuple(codec.untext(scopes, [])),
        created=codec.exact_moment(created),
        expires=codec.moment(expires),
        revoked=codec.moment(revoked),
        last_used=codec.moment(last_used),
    )
