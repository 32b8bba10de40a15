"""Signing in: wrong is wrong in one way only, cannot be tried at will, and a session ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from penstock.domain.accounts import ADMIN, OPERATOR, SESSION_IDLE, SESSION_MOST
from penstock.exceptions import NotSignedIn, TooMuch
from penstock.services import accounts, passwords, signing_in
from penstock.services.signing_in import SAME_ADDRESS, SAME_BOTH, SAME_NAME, WINDOW
from penstock.store.contract import Store

from ..store.kit import at

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def people(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 16)
    accounts.create_user(store, "ann", ADMIN, PASSWORD, at(0))
    accounts.create_user(store, "dis", OPERATOR, PASSWORD, at(0))
    accounts.update_user(store, "dis", disabled=True, now=at(0))
    accounts.create_user(store, "keys-only", OPERATOR, None, at(0))


def tried(
    store: Store, name: str = "ann", password: str = "wrong", address: str = "10.0.0.1", second: float = 1
) -> str:
    try:
        return signing_in.prove(store, name, password, address=address, now=at(second)).name
    except (NotSignedIn, TooMuch) as error:
        return error.code


def test_whoever_knows_the_password_gets_in(store: Store) -> None:
    assert tried(store, password=PASSWORD) == "ann"


def test_of_all_that_is_wrong_the_answer_is_the_same_and_the_work_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, work = set(), []
    real = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *given: work.append(given[2:]) or real(*given))
    cases = [("ann", "wrong"), ("nobody", PASSWORD), ("dis", PASSWORD), ("keys-only", ""), ("", ""), ("\0", "\udcff")]
    for case in cases:
        with pytest.raises(NotSignedIn) as raised:
            signing_in.prove(store, *case, address="10.0.0.1" + case[0], now=at(1))
        answers.add(str(raised.value))
    assert answers == {"The name or the password is wrong."}
    assert work == [(16, 8, 5)] * len(cases)


def test_one_name_from_one_address_is_tried_a_few_times(store: Store) -> None:
    assert [tried(store) for _ in range(SAME_BOTH + 1)] == ["not-signed-in"] * SAME_BOTH + ["too-much"]
    assert tried(store, password=PASSWORD) == "too-much"
    assert tried(store, password=PASSWORD, address="10.0.0.2") == "ann"
    assert tried(store, password=PASSWORD, second=1 + WINDOW.total_seconds()) == "ann"


def test_it_is_said_when_to_try_again_and_then_it_is_so(store: Store) -> None:
    for second in range(SAME_BOTH):
        tried(store, second=10.0 * second)
    with pytest.raises(TooMuch) as raised:
        signing_in.prove(store, "ann", PASSWORD, address="10.0.0.1", now=at(100))
    wait = raised.value.retry_after
    assert wait == WINDOW.total_seconds() - 100
    assert tried(store, second=100 + wait - 1) == "too-much"
    assert tried(store, second=100 + wait, password=PASSWORD) == "ann"


def test_one_address_may_not_try_many_names(store: Store) -> None:
    codes = [tried(store, name=f"name{n}") for n in range(SAME_ADDRESS + 1)]
    assert codes == ["not-signed-in"] * SAME_ADDRESS + ["too-much"]


def test_one_name_is_not_tried_from_everywhere(store: Store) -> None:
    codes = [tried(store, address=f"10.1.{n}.1") for n in range(SAME_NAME + 1)]
    assert codes == ["not-signed-in"] * SAME_NAME + ["too-much"]


def test_whoever_got_in_had_only_mistyped(store: Store) -> None:
    for _ in range(3):
        for _ in range(SAME_BOTH - 1):
            assert tried(store) == "not-signed-in"
        assert tried(store, password=PASSWORD) == "ann"


def test_many_attempts_at_once_are_counted_before_they_are_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(passwords, "_places", threading.BoundedSemaphore(100))
    monkeypatch.setattr(passwords, "fits", lambda *given: bool(looked.append(given)))
    begin = threading.Barrier(20)
    codes: list[str] = []

    def attack() -> None:
        begin.wait()
        codes.append(tried(store))

    threads = [threading.Thread(target=attack) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == SAME_BOTH
    assert sorted(codes) == ["not-signed-in"] * SAME_BOTH + ["too-much"] * (20 - SAME_BOTH)


def test_attempts_do_not_keep_a_server_from_its_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Semaphore(0), threading.Event()

    def slowly(*_: object) -> bool:
        inside.release()
        return not go_on.wait(20)

    monkeypatch.setattr(passwords, "fits", slowly)
    threads = [threading.Thread(target=tried, args=(store, f"name{n}"), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=20)
    assert inside.acquire(timeout=20)
    until(lambda: passwords._places._value == 0)  # type: ignore[attr-defined]
    with pytest.raises(TooMuch, match="Others are just signing in"):
        signing_in.prove(store, "ann", PASSWORD, address="10.0.0.7", now=at(1))
    assert not inside.acquire(blocking=False)
    go_on.set()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert accounts.get_user(store, "ann").name == tried(store, password=PASSWORD)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_name_that_was_tried_is_not_in_the_record(store: Store) -> None:
    tried(store, name="hunter2-in-the-wrong-field")
    with store.read() as tx:
        assert "hunter2" not in str(list(tx.rows("SELECT * FROM login_attempt")))


# --- sessions --------------------------------------------------------------------------------------------------------


def opened(store: Store) -> str:
    return signing_in.open_session(store, accounts.get_user(store, "ann"), at(0))[0]


def is_in(store: Store, token: str, after: timedelta) -> bool:
    try:
        return signing_in.asker_of(store, token, at(0) + after).user == "ann"
    except NotSignedIn:
        return False


def test_a_session_ends_when_it_is_not_used(store: Store) -> None:
    assert is_in(store, opened(store), SESSION_IDLE - timedelta(seconds=1))
    assert not is_in(store, opened(store), SESSION_IDLE)


def test_a_session_that_is_used_goes_on_but_not_for_ever(store: Store) -> None:
    token, after = opened(store), timedelta()
    while after + timedelta(hours=11) < SESSION_MOST:
        after += timedelta(hours=11)
        assert is_in(store, token, after)
    assert not is_in(store, token, SESSION_MOST)


def test_a_session_that_was_ended_is_gone_and_no_other_one(store: Store) -> None:
    one, other = opened(store), opened(store)
    session = signing_in.asker_of(store, one, at(1)).session
    assert session is not None
    signing_in.end_session(store, session)
    assert not is_in(store, one, timedelta(seconds=2))
    assert is_in(store, other, timedelta(seconds=2))


def test_the_cookie_of_a_session_is_not_in_the_record(store: Store) -> None:
    token = opened(store)
    with store.read() as tx:
        rows = list(tx.rows("SELECT digest, account FROM login_session"))
    assert len(rows) == 1
    assert token.encode() not in bytes(rows[0][0])


def test_sessions_that_are_over_leave_the_record(store: Store) -> None:
    opened(store)
    signing_in.open_session(store, accounts.get_user(store, "ann"), at(0) + SESSION_MOST + timedelta(seconds=1))
    with store.read() as tx:
        assert len(list(tx.rows("SELECT digest FROM login_session"))) == 1
