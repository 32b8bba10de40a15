"""The gate: what proves who asks, what does not, and for how long it is believed."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from penstock.api.gate import COOKIE, CSRF_HEADER, MOMENT, SECURE_COOKIE, Approach, Gate, check_exposure, is_loopback
from penstock.api.meters import Meters
from penstock.api.pool import Pool
from penstock.api.service import Service
from penstock.api.streams import _Right
from penstock.domain.accounts import ADMIN, OPERATOR, VIEWER, Asker
from penstock.exceptions import ConfigurationError, NotAllowed, NotSignedIn, TooMuch
from penstock.services import accounts, api_keys, passwords, signing_in
from penstock.store.contract import Store

from ..store.kit import START

AUTH = "robot:correct horse"
HOST = "flows.example.org:4200"


class Said(msgspec.Struct):
    """The settings that a gate looks at."""

    server_sign_in: bool | None = None
    server_allow_anonymous: bool = False
    api_auth_string: str | None = None


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, span: timedelta) -> None:
        self.at += span


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 16)


@pytest.fixture
def gate(store: Store, clock: Clock) -> Gate:
    """Of a server with an admin ann and an operator otto."""
    accounts.create_user(store, "ann", ADMIN, "correct horse", START)
    accounts.create_user(store, "otto", OPERATOR, "battery staple", START)
    return Gate(store, Said(), clock)


def key(store: Store, **more: Any) -> tuple[str, str]:
    fields = {"owner": "otto", "role": None, "scopes": (), "expires": None, "now": START, **more}
    made, text = api_keys.create_key(store, "ci", **fields)
    return made.prefix, text


def coming(gate: Gate, method: str = "GET", *, kind: str = "http", scheme: str = "http", **headers: str) -> Approach:
    named = {"host": HOST, "user-agent": "curl/8.9", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return gate.approach(
        {
            "type": kind, "method": method, "path": "/api/flow_runs/filter", "scheme": scheme,
            "client": ("10.0.0.9", 1234),
            "headers": [(name.encode(), text.encode("latin-1")) for name, text in named.items()],
        }
    )  # fmt: skip


def asker(gate: Gate, approach: Approach) -> Asker:
    return gate.known(approach) or gate.admit(approach)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


# --- whether anybody is asked ----------------------------------------------------------------------------------------


def test_nobody_signs_in_until_there_was_a_user_and_then_everybody_for_ever(store: Store, clock: Clock) -> None:
    gate = Gate(store, Said(), clock)
    first = asker(gate, coming(gate))
    assert (first.who, first.role, first.anonymous, first.address) == ("anonymous", ADMIN, True, "10.0.0.9")
    accounts.create_user(store, "ann", ADMIN, "correct horse", START)
    clock.pass_by(MOMENT)
    assert not asker(gate, coming(gate)).signed_in
    accounts.create_user(store, "bob", ADMIN, None, START)
    accounts.update_user(store, "ann", disabled=True, now=START)
    clock.pass_by(MOMENT)
    assert not asker(gate, coming(gate)).signed_in
    assert not asker(Gate(store, Said(), clock), coming(gate)).signed_in


def test_a_key_alone_is_enough_that_everybody_signs_in_even_when_it_is_revoked(store: Store, clock: Clock) -> None:
    prefix, _ = key(store, owner=None)
    api_keys.revoke_key(store, prefix, owner=None, now=START)
    gate = Gate(store, Said(), clock)
    assert not asker(gate, coming(gate)).signed_in


def test_settings_say_it_for_a_record_without_users(store: Store, clock: Clock) -> None:
    for said in (Said(server_sign_in=True), Said(api_auth_string=AUTH)):
        gate = Gate(store, said, clock)
        assert not asker(gate, coming(gate)).signed_in


def test_a_setting_says_that_nobody_is_asked(store: Store, clock: Clock) -> None:
    accounts.create_user(store, "ann", ADMIN, "correct horse", START)
    gate = Gate(store, Said(server_sign_in=False), clock)
    assert asker(gate, coming(gate, **bearer("pnsk_old"))).anonymous


LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"]
REACHABLE = ["0.0.0.0", "::", "10.0.0.1", "flows.example.org", "", "localhost.example.org", "1270.0.0.1"]


def test_what_only_this_machine_reaches() -> None:
    assert [host for host in LOOPBACK + REACHABLE if is_loopback(host)] == LOOPBACK


@pytest.mark.parametrize("host", REACHABLE)
def test_a_server_that_others_reach_does_not_start_unless_they_must_sign_in(store: Store, host: str) -> None:
    for said in (Said(), Said(server_sign_in=False)):
        with pytest.raises(ConfigurationError, match="create-user NAME --role admin"):
            check_exposure(said, host, store)
    for said in (Said(server_sign_in=True), Said(api_auth_string=AUTH), Said(server_allow_anonymous=True)):
        check_exposure(said, host, store)
    check_exposure(Said(), "127.0.0.1", store)
    accounts.create_user(store, "ann", ADMIN, "correct horse", START)
    check_exposure(Said(), host, store)
    with pytest.raises(ConfigurationError):
        check_exposure(Said(server_sign_in=False), host, store)


@pytest.mark.parametrize("text", ["robot", "robot:", ":password", ":"])
def test_half_an_auth_string_is_none(store: Store, text: str) -> None:
    with pytest.raises(ConfigurationError, match="user:password"):
        check_exposure(Said(api_auth_string=text), "127.0.0.1", store)
    with pytest.raises(ConfigurationError, match="Unset one"):
        check_exposure(Said(api_auth_string=AUTH, server_sign_in=False), "127.0.0.1", store)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_says_who_asks_and_from_where(gate: Gate, store: Store) -> None:
    prefix, text = key(store)
    approach = coming(gate, **bearer(text))
    assert gate.known(approach) is None
    first = gate.admit(approach)
    assert first == Asker(
        who="user otto by key ci", role=OPERATOR, user="otto", key=prefix, address="10.0.0.9", agent="curl/8.9"
    )
    assert gate.known(approach) == first


def test_who_asked_a_moment_ago_costs_the_record_nothing(gate: Gate, store: Store) -> None:
    approach = coming(gate, **bearer(key(store)[1]))
    gate.admit(approach)
    store.close()
    for _ in range(100):
        assert asker(gate, approach).user == "otto"


def test_of_many_who_come_one_asks_the_record_anew(gate: Gate, store: Store, clock: Clock) -> None:
    approach = coming(gate, **bearer(key(store)[1]))
    gate.admit(approach)
    clock.pass_by(MOMENT * 3 / 4)
    assert [gate.known(approach) is None for _ in range(100)] == [True] + [False] * 99
    gate.admit(approach)  # as that one does
    clock.pass_by(MOMENT / 4)
    assert gate.known(approach) is not None


def test_a_key_that_is_revoked_is_refused_within_two_seconds(gate: Gate, store: Store, clock: Clock) -> None:
    prefix, text = key(store)
    approach = coming(gate, **bearer(text))
    asker(gate, approach)
    api_keys.revoke_key(store, prefix, owner=None, now=START)
    assert timedelta(0) < MOMENT <= timedelta(seconds=2)
    clock.pass_by(MOMENT)
    with pytest.raises(NotSignedIn, match="revoked"):
        asker(gate, approach)


def test_a_role_that_is_taken_away_is_gone_within_two_seconds(gate: Gate, store: Store, clock: Clock) -> None:
    approach = coming(gate, **bearer(key(store)[1]))
    assert asker(gate, approach).role is OPERATOR
    accounts.update_user(store, "otto", role=VIEWER, now=START)
    clock.pass_by(MOMENT)
    assert asker(gate, approach).role is VIEWER


def test_what_the_gate_remembers_does_not_grow_for_ever(
    gate: Gate, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.api.gate.MOST_KNOWN", 3)
    for n in range(5):
        _, text = api_keys.create_key(
            store, f"key{n}", owner="otto", role=None, scopes=(), expires=None, now=START
        )  # fmt: skip
        asker(gate, coming(gate, **bearer(text)))
    assert len(gate._known) <= 3


BAD = ["", "Bearer", "Bearer ", "bearer pnsk_x", "Bearer " + "x" * 5000, "Token pnsk_x", "Basic", "Basic !!!", "\xff",
       "Basic Og==", "Digest username=ann", "session x", "Bearer  \t"]  # fmt: skip


@pytest.mark.parametrize("header", BAD)
def test_a_header_that_proves_nothing_is_refused_and_anyone_may_is_nobody(gate: Gate, header: str) -> None:
    approach = coming(gate, authorization=header)
    with pytest.raises(NotSignedIn):
        asker(gate, approach)
    assert gate.admit(approach, anyone=True).signed_in is False


def test_without_any_proof_it_is_nobody_who_may_nothing(gate: Gate) -> None:
    nobody = asker(gate, coming(gate))
    with pytest.raises(NotSignedIn, match="penstock auth login"):
        nobody.check("count_flow_runs", VIEWER, reads=True)
    nobody.check("health", None)


# --- scopes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "may", "may_not"),
    [
        (("read",), ["read"], ["cancel_flow_run", "journal"]),
        (("journal",), ["journal"], ["read", "cancel_flow_run"]),
        (("cancel_*",), ["cancel_flow_run"], ["read", "journal", "xcancel_flow_run"]),
        (("read", "cancel_flow_run"), ["read", "cancel_flow_run"], ["cancel_flow_runs", "journal"]),
        (("*",), ["read", "cancel_flow_run", "journal"], []),
    ],
)
def test_a_key_may_what_its_scopes_name(scopes: tuple[str, ...], may: list[str], may_not: list[str]) -> None:
    limited = Asker(who="key ci", role=ADMIN, scopes=scopes)

    def ask(name: str) -> None:
        limited.check(f"x_{name}" if name in ("read", "journal") else name, VIEWER, reads=name == "read",
                      journal=name == "journal")  # fmt: skip

    for name in may:
        ask(name)
    for name in may_not:
        with pytest.raises(NotAllowed, match="scopes"):
            ask(name)


def test_scopes_do_not_raise_the_role() -> None:
    with pytest.raises(NotAllowed, match="wants operator"):
        Asker(who="key ci", role=VIEWER, scopes=("*",)).check("cancel_flow_run", OPERATOR)


# --- the auth string -------------------------------------------------------------------------------------------------


def test_the_auth_string_is_an_admins(store: Store, clock: Clock) -> None:
    gate = Gate(store, Said(api_auth_string=AUTH), clock)
    known = asker(gate, coming(gate, **basic(AUTH)))
    assert (known.who, known.role, known.user) == ("robot by the auth string", ADMIN, None)


@pytest.mark.parametrize("text", ["robot:wrong", "robot", "", AUTH + " ", "Robot:correct horse", ":"])
def test_any_other_is_refused(store: Store, clock: Clock, text: str) -> None:
    gate = Gate(store, Said(api_auth_string=AUTH), clock)
    with pytest.raises(NotSignedIn):
        asker(gate, coming(gate, **basic(text)))


def test_the_auth_string_is_not_guessed_at_will(store: Store, clock: Clock) -> None:
    gate = Gate(store, Said(api_auth_string=AUTH), clock)
    for _ in range(signing_in.SAME_BOTH):
        with pytest.raises(NotSignedIn):
            asker(gate, coming(gate, **basic("robot:guess")))
    for text in ("robot:guess", AUTH):
        with pytest.raises(TooMuch):
            asker(gate, coming(gate, **basic(text)))
    clock.pass_by(signing_in.WINDOW)
    assert asker(gate, coming(gate, **basic(AUTH))).role is ADMIN


def test_users_passwords_are_not_taken_with_each_request(gate: Gate) -> None:
    with pytest.raises(NotSignedIn, match="API key"):
        asker(gate, coming(gate, **basic("ann:correct horse")))


# --- sessions --------------------------------------------------------------------------------------------------------


def session(store: Store) -> tuple[str, str]:
    """(token, CSRF token)."""
    token, digest = signing_in.open_session(store, accounts.get_user(store, "ann"), START)
    return token, signing_in.csrf_token(digest)


def test_a_session_looks_without_and_changes_with_the_csrf_token(gate: Gate, store: Store) -> None:
    token, csrf = session(store)
    cookie = f"theme=dark; {COOKIE}={token}"
    assert asker(gate, coming(gate, "GET", cookie=cookie)).who == "user ann"
    for wrong in ({}, {CSRF_HEADER: "x"}, {CSRF_HEADER: session(store)[1]}, {CSRF_HEADER: token}):
        for method in ("POST", "PATCH", "PUT", "DELETE", "BREW"):
            with pytest.raises(NotAllowed, match="csrf"):
                asker(gate, coming(gate, method, cookie=cookie, **wrong))
    assert asker(gate, coming(gate, "POST", cookie=cookie, **{CSRF_HEADER: csrf})).who == "user ann"


def test_a_key_needs_no_csrf_token_and_goes_before_a_cookie(gate: Gate, store: Store) -> None:
    token, _ = session(store)
    approach = coming(gate, "POST", cookie=f"{COOKIE}={token}", **bearer(key(store)[1]))
    assert asker(gate, approach).user == "otto"


def test_a_session_that_ended_is_refused_within_two_seconds(gate: Gate, store: Store, clock: Clock) -> None:
    token, _ = session(store)
    approach = coming(gate, cookie=f"{COOKIE}={token}")
    ended = asker(gate, approach).session
    assert ended is not None
    signing_in.end_session(store, ended)
    clock.pass_by(MOMENT)
    with pytest.raises(NotSignedIn):
        asker(gate, approach)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(gate: Gate) -> None:
    ((name, plain),) = gate.cookie_headers(coming(gate), {"session": "abc"})
    assert name == "set-cookie"
    assert plain == f"{COOKIE}=abc; Max-Age=604800; Path=/; HttpOnly; SameSite=Strict"
    ((_, secure),) = gate.cookie_headers(coming(gate, scheme="https"), {"session": "abc"})
    assert secure == f"{SECURE_COOKIE}=abc; Max-Age=604800; Path=/; HttpOnly; SameSite=Strict; Secure"
    ((_, gone),) = gate.cookie_headers(coming(gate), {"session": None})
    assert gone.startswith(f"{COOKIE}=; Max-Age=0;")


def test_over_tls_a_cookie_that_was_set_without_it_is_nothing(gate: Gate, store: Store) -> None:
    token, _ = session(store)
    assert asker(gate, coming(gate, scheme="https", cookie=f"{SECURE_COOKIE}={token}")).user == "ann"
    assert not asker(gate, coming(gate, scheme="https", cookie=f"{COOKIE}={token}")).signed_in
    assert not asker(gate, coming(gate, cookie=f"{SECURE_COOKIE}={token}")).signed_in


@pytest.mark.parametrize(
    "cookie", ["", "=", ";;", f"{COOKIE}=", f"{COOKIE}", f"x{COOKIE}=a", f"{COOKIE}=" + "x" * 5000]
)
def test_cookies_that_are_none_are_nobodys(gate: Gate, cookie: str) -> None:
    assert not asker(gate, coming(gate, cookie=cookie)).signed_in


# --- pages of other sites --------------------------------------------------------------------------------------------

FOREIGN = [
    {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}, {"origin": "http://flows.example.org"},
    {"origin": "http://flows.example.org:4201"}, {"origin": "http://[::1"}, {"origin": f"http://{HOST}.evil.example"},
    {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site", "origin": f"http://{HOST}"},
]  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_neither_changes_anything_nor_listens(gate: Gate, headers: dict[str, str]) -> None:
    for approach in (
        coming(gate, "POST", **headers),
        coming(gate, "DELETE", **headers),
        coming(gate, "GET", kind="websocket", scheme="ws", **headers),
    ):
        with pytest.raises(NotAllowed, match="may not ask"):
            gate.check_origin(approach)
    gate.check_origin(coming(gate, "GET", **headers))


@pytest.mark.parametrize("headers", [{}, {"origin": f"http://{HOST}"}, {"origin": f"https://{HOST}"},
                                     {"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}])  # fmt: skip
def test_the_servers_own_pages_and_programs_do(gate: Gate, headers: dict[str, str]) -> None:
    gate.check_origin(coming(gate, "POST", **headers))
    gate.check_origin(coming(gate, kind="websocket", **headers))


# --- live streams ----------------------------------------------------------------------------------------------------


def test_a_stream_ends_soon_after_the_key_that_it_was_opened_with(
    gate: Gate, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.protocol.stream.HEARTBEAT_SECONDS", 0.0)
    prefix, text = key(store)
    headers = [(b"authorization", f"Bearer {text}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/api/stream", "headers": headers}

    async def listen() -> None:
        pool = Pool()
        service = Service(desk=None, gate=gate, pool=pool, hub=None, meters=Meters())  # type: ignore[arg-type]
        right = _Right(service, scope, "stream")
        try:
            await right.ask()
            assert await right.still()
            api_keys.revoke_key(store, prefix, owner=None, now=START)
            clock.pass_by(MOMENT)
            assert not await right.still()
        finally:
            pool.close()

    asyncio.run(listen())
