"""Users and API keys: who may what is decided by what is so now, and nobody locks everybody out."""

from __future__ import annotations

import pytest

from penstock.domain.accounts import ADMIN, OPERATOR, VIEWER, Role
from penstock.exceptions import (
    AmbiguousId,
    InvalidName,
    NameTaken,
    NotAllowed,
    NotSignedIn,
    ObjectNotFound,
    UnstorableValue,
)
from penstock.services import accounts, api_keys, passwords, signing_in
from penstock.store import accounts as stored
from penstock.store.contract import Store

from ..store.kit import at

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowness is tested by itself; the way is the same."""
    monkeypatch.setattr(passwords, "N", 16)


def user(store: Store, name: str = "ann", role: Role = ADMIN) -> None:
    accounts.create_user(store, name, role, PASSWORD, at(0))


def key(store: Store, name: str = "ci", **more: object) -> tuple[str, str]:
    fields = {"owner": None, "role": None, "scopes": (), "expires": None, "now": at(0), **more}
    made, text = api_keys.create_key(store, name, **fields)  # type: ignore[arg-type]
    return made.prefix, text


# --- users -----------------------------------------------------------------------------------------------------------


def test_a_password_is_not_in_the_record(store: Store) -> None:
    user(store)
    with store.read() as tx:
        kept = stored.get_password(tx, "ann")
    assert kept is not None
    assert PASSWORD not in kept
    assert kept.startswith("scrypt$16$8$5$")
    assert passwords.fits(PASSWORD, kept)
    assert not passwords.fits(PASSWORD + "x", kept)


def test_the_same_password_is_kept_differently_each_time() -> None:
    assert passwords.kept(PASSWORD) != passwords.kept(PASSWORD)


def test_a_password_is_as_slow_to_try_as_was_said_when_it_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    old = passwords.kept(PASSWORD)
    monkeypatch.setattr(passwords, "N", 32)
    assert passwords.fits(PASSWORD, old)


def test_an_accent_may_be_typed_in_two_ways() -> None:
    assert passwords.fits("cafe\u0301 au lait", passwords.kept("caf\u00e9 au lait"))


@pytest.mark.parametrize("bad", ["short", "x" * 1025, "aaaaaaaa", "annannannann"])
def test_passwords_that_would_be_guessed_are_refused(store: Store, bad: str) -> None:
    with pytest.raises(UnstorableValue):
        accounts.create_user(store, "annannannann", ADMIN, bad, at(0))
    with store.read() as tx:
        assert not stored.is_anybody(tx)


@pytest.mark.parametrize("bad", ["", "Ann", "a b", ".ann", "ann/x", "a\0", "é", "a" * 65])
def test_names_that_could_be_mistaken_are_refused(store: Store, bad: str) -> None:
    with pytest.raises(InvalidName):
        accounts.create_user(store, bad, ADMIN, PASSWORD, at(0))


def test_a_name_is_one_users_for_ever(store: Store) -> None:
    user(store)
    user(store, "bob")
    accounts.update_user(store, "bob", disabled=True, now=at(1))
    with pytest.raises(NameTaken):
        user(store, "bob")


def test_the_first_user_is_an_admin(store: Store) -> None:
    with pytest.raises(NotAllowed, match="must be an admin"):
        user(store, "bob", OPERATOR)
    user(store)
    user(store, "bob", OPERATOR)


@pytest.mark.parametrize("change", [{"role": OPERATOR}, {"disabled": True}])
def test_the_last_admin_stays_one(store: Store, change: dict[str, object]) -> None:
    user(store)
    user(store, "bob")
    accounts.update_user(store, "bob", **change, now=at(1))  # type: ignore[arg-type]
    with pytest.raises(NotAllowed, match="last admin"):
        accounts.update_user(store, "ann", **change, now=at(1))  # type: ignore[arg-type]
    assert accounts.get_user(store, "ann").role is ADMIN
    assert not accounts.get_user(store, "ann").disabled


def test_a_wrong_name_is_told_with_one_that_is_near(store: Store) -> None:
    user(store)
    with pytest.raises(ObjectNotFound, match="Did you mean 'ann'"):
        accounts.update_user(store, "anne", role=VIEWER, now=at(1))


def test_another_password_or_role_or_none_at_all_ends_a_users_sessions(store: Store) -> None:
    user(store)
    user(store, "bob", OPERATOR)
    changes = (
        lambda: accounts.set_password(store, "bob", "battery staple", at(1)),
        lambda: accounts.update_user(store, "bob", role=VIEWER, now=at(1)),
        lambda: accounts.update_user(store, "bob", disabled=True, now=at(1)),
    )
    for change in changes:
        bobs, _ = signing_in.open_session(store, accounts.get_user(store, "bob"), at(0))
        anns, _ = signing_in.open_session(store, accounts.get_user(store, "ann"), at(0))
        change()
        with pytest.raises(NotSignedIn):
            signing_in.asker_of(store, bobs, at(2))
        assert signing_in.asker_of(store, anns, at(2)).user == "ann"


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_says_whose_it_is_and_is_not_in_the_record(store: Store) -> None:
    user(store)
    prefix, text = key(store, owner="ann")
    asker = api_keys.asker_of(store, text, at(1))
    assert (asker.who, asker.user, asker.role, asker.key) == ("user ann by key ci", "ann", ADMIN, prefix)
    assert text.startswith(prefix)
    assert len(text) == 48
    with store.read() as tx:
        rows = list(tx.rows("SELECT * FROM api_key"))
    assert prefix in str(rows)
    assert text[len(prefix) :] not in str(rows)


def test_a_key_without_an_owner_stands_for_itself(store: Store) -> None:
    asker = api_keys.asker_of(store, key(store, role=VIEWER)[1], at(1))
    assert (asker.who, asker.user, asker.role) == ("key ci", None, VIEWER)


def test_a_key_is_never_worth_more_than_its_owner_is_now(store: Store) -> None:
    user(store)
    user(store, "bob", OPERATOR)
    with pytest.raises(NotAllowed):
        key(store, owner="bob", role=ADMIN)
    _, text = key(store, owner="bob", role=OPERATOR)
    accounts.update_user(store, "bob", role=VIEWER, now=at(1))
    assert api_keys.asker_of(store, text, at(2)).role is VIEWER
    accounts.update_user(store, "bob", role=ADMIN, now=at(3))
    assert api_keys.asker_of(store, text, at(4)).role is OPERATOR
    accounts.update_user(store, "bob", disabled=True, now=at(5))
    with pytest.raises(NotSignedIn, match="disabled"):
        api_keys.asker_of(store, text, at(6))


def test_an_expired_a_revoked_and_an_unknown_key_are_refused(store: Store) -> None:
    _, old = key(store, "old", expires=at(10))
    assert api_keys.asker_of(store, old, at(9)).who == "key old"
    with pytest.raises(NotSignedIn, match="expired"):
        api_keys.asker_of(store, old, at(10))
    prefix, bad = key(store, "bad")
    api_keys.revoke_key(store, prefix, owner=None, now=at(1))
    with pytest.raises(NotSignedIn, match="revoked"):
        api_keys.asker_of(store, bad, at(2))
    for unknown in ("", "pnsk_", prefix, bad[:-1], bad + "x", "x" * 5000, "\0", "\udcff"):
        with pytest.raises(NotSignedIn, match="does not know"):
            api_keys.asker_of(store, unknown, at(2))


def test_a_revoked_key_stays_so_from_the_first_time(store: Store) -> None:
    prefix, _ = key(store)
    first = api_keys.revoke_key(store, "ci", owner=None, now=at(1))
    assert api_keys.revoke_key(store, prefix, owner=None, now=at(5)).revoked == first.revoked == at(1)


def test_a_name_is_free_again_when_its_key_is_worthless(store: Store) -> None:
    key(store, expires=at(5))
    with pytest.raises(NameTaken):
        key(store, now=at(4))
    key(store, now=at(5))
    with pytest.raises(AmbiguousId):
        api_keys.revoke_key(store, "ci", owner=None, now=at(6))


def test_others_keys_are_not_there_for_somebody(store: Store) -> None:
    user(store)
    user(store, "bob")
    prefix, text = key(store, owner="ann")
    with pytest.raises(ObjectNotFound):
        api_keys.revoke_key(store, prefix, owner="bob", now=at(1))
    assert api_keys.list_keys(store, "bob", "", 10) == []
    assert [each.prefix for each in api_keys.list_keys(store, "ann", "", 10)] == [prefix]
    assert api_keys.asker_of(store, text, at(2)).user == "ann"


def test_the_use_of_a_key_is_noted_now_and_then(store: Store) -> None:
    _, text = key(store)

    def used() -> object:
        return api_keys.list_keys(store, None, "", 10)[0].last_used

    assert used() is None
    api_keys.asker_of(store, text, at(1))
    api_keys.asker_of(store, text, at(100))
    assert used() == at(1)
    api_keys.asker_of(store, text, at(1 + 30 * 60))
    assert used() == at(1 + 30 * 60)


def test_a_key_of_the_past_and_scopes_that_are_none_are_refused(store: Store) -> None:
    with pytest.raises(UnstorableValue):
        key(store, expires=at(0))
    for scope in ("", "Read", "a b", "x" * 65, "read;"):
        with pytest.raises(InvalidName):
            key(store, scopes=(scope,))
