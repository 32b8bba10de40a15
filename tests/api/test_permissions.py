"""Who may ask for what: every operation, for every role, and for whoever has lost the right to ask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import inspect
from starlette.testclient import TestClient

from penstock.api.app import make_app
from penstock.api.gate import COOKIE, Gate
from penstock.api.hub import Hub
from penstock.api.meters import Meters
from penstock.api.pool import Pool
from penstock.api.service import Service
from penstock.domain.accounts import ADMIN, OPERATOR, VIEWER, Role
from penstock.domain.audit import AuditFilter
from penstock.protocol.operation import OPERATIONS, Operation
from penstock.services import accounts, answers, api_keys, audit, passwords, signing_in
from penstock.services.desk import Desk
from penstock.store.sqlite import SqliteStore
from penstock.transport import request_of
from penstock.vault import Vault

from .test_gate import Said

assert answers
PASSWORD = "correct horse"
ROLES = {"vera": VIEWER, "otto": OPERATOR, "ada": ADMIN}
NAMES = sorted(OPERATIONS)

# What is decided by more than the role: whose password or key it is.
OF_ONES_OWN = {"set_password"}


def now() -> datetime:
    return datetime.now(UTC)


class Site:
    """A server in this process, with a user and a key of each role, and keys that are worth nothing (any more)."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder / "penstock.db")
        self.keys: dict[str, str] = {}
        for name, role in sorted(ROLES.items()):
            accounts.create_user(self.store, name, role, PASSWORD, now())
            self.keys[name] = self.key(name)
        accounts.create_user(self.store, "dora", ADMIN, PASSWORD, now())
        self.keys["disabled"] = self.key("dora")
        accounts.update_user(self.store, "dora", disabled=True, now=now())
        past = now() - timedelta(days=2)
        self.keys["expired"] = self.key("ada", "old", expires=past + timedelta(days=1), now=past)
        self.keys["revoked"] = self.key("ada", "gone")
        api_keys.revoke_key(self.store, "gone", owner=None, now=now())
        self.keys["unknown"] = "pnsk_" + "x" * 43
        self.keys["scoped"] = self.key("ada", "scoped", scopes=("nothing_at_all",))
        self.keys["reader"] = self.key("ada", "reader", scopes=("read",))
        desk = Desk(self.store, Vault(folder / "secret.key", None), now, lambda holder: None, "the server")
        hub = Hub(self.store)
        gate = Gate(self.store, Said(), now)
        service = Service(desk=desk, gate=gate, pool=Pool(), hub=hub, meters=Meters())
        self.client = TestClient(make_app(service), base_url="http://testserver", raise_server_exceptions=True)

    def key(self, owner: str, name: str = "key", **more: Any) -> str:
        fields = {"role": None, "scopes": (), "expires": None, "now": now(), **more}
        return api_keys.create_key(self.store, name, owner=owner, **fields)[1]

    def status(self, operation: Operation[Any, Any], key: str | None, **headers: str) -> int:
        """Of the answer to something that the operation takes."""
        method, path, body = request_of(operation, example(operation.takes))
        if key is not None:
            headers["authorization"] = f"Bearer {self.keys[key]}"
        if body is not None:
            headers["content-type"] = "application/json"
        answer = self.client.request(method, f"/api{path}", content=body, headers=headers)
        assert answer.status_code < 500, answer.text
        return int(answer.status_code)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "N", 16)
        patch.setattr(signing_in, "SAME_BOTH", 10_000)
        patch.setattr(signing_in, "SAME_ADDRESS", 10_000)
        made = Site(tmp_path_factory.mktemp("site"))
        with made.client:
            yield made
        made.store.close()


@pytest.fixture
def threads_allowed() -> tuple[str, ...]:
    """The site lives as long as this module's tests."""
    return ("penstock",)


def example(kind: Any) -> Any:
    """Something of this type, as plain as it may be: what has a default has that."""
    return msgspec.convert(_plain(inspect.type_info(kind)), kind)


def _plain(info: Any) -> Any:
    match info:
        case inspect.StructType(fields=fields, tag_field=str(kind), tag=tag):
            return {kind: tag, **{each.encode_name: _plain(each.type) for each in fields if each.required}}
        case inspect.StructType(fields=fields):
            return {each.encode_name: _plain(each.type) for each in fields if each.required}
        case inspect.StrType(min_length=least):
            return "x" * max(least or 0, 1)
        case inspect.IntType(ge=least, gt=above):
            return least or (above + 1 if above is not None else 1)
        case inspect.FloatType() | inspect.DecimalType():
            return 1.0
        case inspect.BoolType():
            return True
        case inspect.UUIDType():
            return str(UUID(int=7))
        case inspect.DateTimeType():
            return "2030-01-01T00:00:00Z"
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.UnionType(types=types):
            return _plain(next(each for each in types if not isinstance(each, inspect.NoneType)))
        case inspect.Metadata(type=inner):
            return _plain(inner)
        case inspect.ListType(item_type=item, min_length=least):
            return [_plain(item)] * (least or 0)
        case inspect.VarTupleType(item_type=item, min_length=least):
            return [_plain(item)] * (least or 0)
        case inspect.DictType():
            return {}
        case inspect.AnyType():
            return "x"
        case _:
            raise NotImplementedError(f"an example of {info}")


# --- every operation, every role -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("user", sorted(ROLES))
def test_a_role_may_what_it_may_and_nothing_else(site: Site, name: str, user: str) -> None:
    operation, role = OPERATIONS[name], ROLES[user]
    status = site.status(operation, user)
    if operation.role is None:
        assert status != 403
    elif role.includes(operation.role):
        assert status != 401
        assert status != 403 or name in OF_ONES_OWN
    else:
        assert status == 403


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", [None, "disabled", "expired", "revoked", "unknown"])
def test_whoever_proves_nothing_may_what_anyone_may(site: Site, name: str, key: str | None) -> None:
    operation = OPERATIONS[name]
    status = site.status(operation, key)
    if operation.role is None:
        # Signing in with a wrong password is refused as well.
        assert status != 401 or name in ("login", "login_for_key")
    else:
        assert status == 401


@pytest.mark.parametrize("name", NAMES)
def test_a_key_may_nothing_beyond_its_scopes(site: Site, name: str) -> None:
    operation = OPERATIONS[name]
    if operation.role is None:
        return
    assert site.status(operation, "scoped") == 403
    if operation.reads:
        assert site.status(operation, "reader") not in (401, 403)
    else:
        assert site.status(operation, "reader") == 403


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_another_site_changes_nothing(site: Site, name: str) -> None:
    operation = OPERATIONS[name]
    if operation.method != "GET":
        assert site.status(operation, "ada", origin="https://evil.example") == 403


@pytest.mark.parametrize("name", NAMES)
def test_a_cookie_alone_changes_nothing(site: Site, name: str) -> None:
    operation = OPERATIONS[name]
    token, _ = signing_in.open_session(site.store, accounts.get_user(site.store, "ada"), now())
    if operation.method != "GET" and operation.role is not None:
        assert site.status(operation, None, cookie=f"{COOKIE}={token}") == 403


PLACES = [
    ("POST", "/api/journal", OPERATOR), ("GET", "/metrics", VIEWER), ("GET", "/api/metrics", VIEWER),
    ("GET", "/api/signals?holder=x", VIEWER), ("GET", "/api/stream?cursor=x", VIEWER),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "role"), PLACES)
def test_what_is_no_operation_asks_as_well(site: Site, method: str, path: str, role: Role) -> None:
    def status(key: str | None) -> int:
        headers = {} if key is None else {"authorization": f"Bearer {site.keys[key]}"}
        return int(site.client.request(method, path, headers=headers, content=b"").status_code)

    for key in (None, "disabled", "expired", "revoked", "unknown"):
        assert status(key) == 401
    assert status("scoped") == 403
    for user, its in ROLES.items():
        assert (status(user) == 403) == (not its.includes(role))


# --- signing in, over HTTP -------------------------------------------------------------------------------------------


@pytest.fixture
def browser(site: Site) -> Iterator[TestClient]:
    """One that keeps cookies, as browsers do."""
    made = TestClient(site.client.app, base_url="http://testserver")
    with contextlib.closing(made):
        yield made


def login(browser: TestClient, name: str = "otto", password: str = PASSWORD) -> Any:
    return browser.post("/api/auth/login", json={"name": name, "password": password})


def test_a_session_from_its_beginning_to_its_end(browser: TestClient) -> None:
    assert browser.get("/api/auth/me").status_code == 401
    answer = login(browser)
    assert answer.status_code == 200
    assert answer.json()["role"] == "operator"
    token = browser.cookies[COOKIE]
    assert token not in answer.text
    me = browser.get("/api/auth/me").json()
    assert (me["name"], me["csrf"]) == ("otto", answer.json()["csrf"])
    assert browser.post("/api/auth/logout").status_code == 403
    assert browser.post("/api/auth/logout", headers={"penstock-csrf": me["csrf"]}).status_code == 204
    assert COOKIE not in browser.cookies


def test_a_session_that_somebody_laid_out_is_not_taken(browser: TestClient, site: Site) -> None:
    browser.cookies.set(COOKIE, "laid-out-by-somebody")
    assert login(browser).status_code == 200
    first = browser.cookies[COOKIE] if len(browser.cookies) == 1 else [*browser.cookies.jar][-1].value
    assert first != "laid-out-by-somebody"
    other = TestClient(site.client.app, base_url="http://testserver", cookies={COOKIE: "laid-out-by-somebody"})
    assert other.get("/api/auth/me").status_code == 401


def test_each_session_has_a_token_of_its_own(browser: TestClient) -> None:
    tokens = set()
    for _ in range(3):
        login(browser)
        tokens.add(browser.cookies[COOKIE])
    assert len(tokens) == 3


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(browser: TestClient) -> None:
    wrong, unknown = login(browser, password="wrong"), login(browser, name="nobody")
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert wrong.status_code == 401
    assert not browser.cookies


def test_too_many_attempts_are_told_when_to_come_again(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_in, "SAME_BOTH", 2)
    codes = [login(browser, name="throttled").status_code for _ in range(3)]
    assert codes == [401, 401, 429]
    assert int(login(browser, name="throttled").headers["retry-after"]) > 0


def test_a_new_key_is_answered_once_and_kept_nowhere(site: Site) -> None:
    headers = {"authorization": f"Bearer {site.keys['ada']}", "idempotency-key": "again"}
    made = [site.client.post("/api/auth/keys", json={"name": f"ci{n}"}, headers=headers).json() for n in range(2)]
    everything = b"".join(path.read_bytes() for path in site.store.path.parent.iterdir() if path.is_file())
    for each in made:
        assert each["prefix"].encode() in everything
        assert each["text"].encode() not in everything


def test_a_limited_key_makes_no_other_keys(site: Site) -> None:
    text = site.key("ada", "maker", scopes=("*",))
    answer = site.client.post("/api/auth/keys", json={"name": "more"}, headers={"authorization": f"Bearer {text}"})
    assert answer.status_code == 403
    assert "limited by its scopes" in answer.text


def test_a_key_is_made_with_no_more_than_its_makers_role(site: Site) -> None:
    less = site.key("ada", "less", role=OPERATOR)
    headers = {"authorization": f"Bearer {less}"}
    assert site.client.post("/api/auth/keys", json={"name": "a", "role": "admin"}, headers=headers).status_code == 403
    assert site.client.post("/api/auth/keys", json={"name": "a"}, headers=headers).json()["role"] == "operator"
    for_another = {"name": "b", "owner": "otto"}
    assert site.client.post("/api/auth/keys", json=for_another, headers=headers).status_code == 403


def test_ones_own_password_is_changed_with_the_current_one(site: Site) -> None:
    accounts.create_user(site.store, "paul", VIEWER, PASSWORD, now())
    headers = {"authorization": f"Bearer {site.key('paul', 'pauls')}"}

    def change(**fields: str) -> int:
        return int(site.client.post("/api/auth/users/paul/set_password", json=fields, headers=headers).status_code)

    assert change(password="battery staple") == 401
    assert change(password="battery staple", current="wrong") == 401
    assert change(password="battery staple", current=PASSWORD) == 204
    answer = site.client.post("/api/auth/users/ada/set_password", json={"password": "xxyyzz123"}, headers=headers)
    assert answer.status_code == 403


def test_what_was_refused_is_in_the_audit_log(site: Site) -> None:
    before = site.status(OPERATIONS["create_variable"], "vera")
    assert before == 403
    (line,) = audit.list_entries(site.store, AuditFilter(operation="create_variable", who="vera"), None, 1)
    assert (line.who, line.outcome, line.address) == ("user vera by key key", "not-allowed", "testclient")
    assert line.agent == "testclient"
