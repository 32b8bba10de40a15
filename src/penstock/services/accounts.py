"""Users: making them, and changing what they may.

Law: whoever loses a right loses it at once: with another password or role, or disabled, a user's sessions end; keys are
never worth more than their owner is now. There is always an admin who can sign in, once there was one.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ..domain import names
from ..domain.accounts import ADMIN, USER, Role, User, check_name
from ..domain.errors import NameTaken, NotAllowed, ObjectNotFound
from ..store import accounts, sessions
from ..store.contract import Store, Tx
from . import passwords


def create_user(store: Store, name: str, role: Role, password: str | None, now: datetime) -> User:
    """Without a password it can only have keys. Raises `InvalidName`, `NameTaken`, `UnstorableValue`, `NotAllowed`."""
    check_name(name, USER)
    kept = None
    if password is not None:
        passwords.check(password, name)
        kept = passwords.kept(password)
    user = User(
        name=name, role=role, disabled=False, has_password=kept is not None, created=now, updated=now
    )  # fmt: skip
    with store.write() as tx:
        if accounts.get_user(tx, name) is not None:
            raise NameTaken(f"There is a user {name!r} already. (One that is disabled keeps its name.)")
        if role is not ADMIN and not accounts.is_anybody(tx):
            raise NotAllowed(
                "The first user must be an admin (`--role admin`): from then on everybody has to sign in, and somebody "
                "must be able to let them."
            )
        accounts.add_user(tx, user, kept)
    return user


def get_user(store: Store, name: str) -> User:
    """Raises `ObjectNotFound`, with names that are near."""
    with store.read() as tx:
        return _user(tx, name)


def list_users(store: Store, after: str, limit: int) -> list[User]:
    """By name, those behind `after`."""
    with store.read() as tx:
        return list(accounts.select_users(tx, after, limit))


def update_user(
    store: Store, name: str, *, role: Role | None = None, disabled: bool | None = None, now: datetime
) -> User:
    """What is None stays as it is. Raises `ObjectNotFound`, `NotAllowed`."""
    with store.write() as tx:
        user = _user(tx, name)
        changed = msgspec.structs.replace(
            user,
            role=user.role if role is None else role,
            disabled=user.disabled if disabled is None else disabled,
            updated=now,
        )
        if (changed.role, changed.disabled) == (user.role, user.disabled):
            return user
        may_admit, may_admit_then = _is_working_admin(user), _is_working_admin(changed)
        if may_admit and not may_admit_then and accounts.count_users(tx, ADMIN) == 1:
            raise NotAllowed(f"{name!r} is the last admin. Make another user an admin first.")
        accounts.set_user(tx, changed)
        sessions.end_all_of(tx, name)
    return changed


def set_password(store: Store, name: str, password: str, now: datetime) -> None:
    """Raises `ObjectNotFound`, `UnstorableValue`."""
    passwords.check(password, name)
    kept = passwords.kept(password)
    with store.write() as tx:
        _user(tx, name)
        accounts.set_password(tx, name, kept, now)
        sessions.end_all_of(tx, name)


def _is_working_admin(user: User) -> bool:
    return user.role is ADMIN and not user.disabled


def _user(tx: Tx, name: str) -> User:
    user = accounts.get_user(tx, name)
    if user is None:
        raise ObjectNotFound(
            f"User {names.shown(name)} not found!{names.suggestion(name, accounts.user_names(tx))}"
        )  # fmt: skip
    return user


def is_anybody(store: Store) -> bool:
    """Whether there ever was a user or a key: from then on everybody has to sign in."""
    with store.read() as tx:
        return accounts.is_anybody(tx)
