"""The audit log: no change without its line, no line with a secret."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from penstock.domain.accounts import ADMIN, OPERATOR, VIEWER, Asker
from penstock.domain.audit import AuditEntry, AuditFilter, harmless
from penstock.exceptions import NotAllowed, NotSignedIn, ObjectNotFound, TooMuch
from penstock.protocol import accounts as asked
from penstock.protocol import flow_runs, variables
from penstock.protocol.operation import OPERATIONS
from penstock.services import accounts, answers, audit, passwords, signing_in
from penstock.services.desk import Desk
from penstock.store import audit as stored
from penstock.store.contract import Store

from ..store.kit import at

assert answers
SECRET = "hunter2-hunter2"
ANN = Asker(who="user ann by key ci", role=ADMIN, user="ann", key="pnsk_abcdefgh", address="10.1.2.3", agent="curl/8")


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 16)


def desk(store: Store, asker: Asker | None = ANN) -> Desk:
    made = Desk(store, None, lambda: at(5), lambda holder: None, "ann@laptop via CLI")  # type: ignore[arg-type]
    return made if asker is None else made.asked_by(asker)


def lines(store: Store, **filter: Any) -> list[AuditEntry]:
    return audit.list_entries(store, AuditFilter(**filter), None, 1000)


def set_x(store: Store, value: str = "1", asker: Asker | None = ANN) -> None:
    desk(store, asker).answer(variables.CREATE_VARIABLE, variables.SetVariable(name="x", value=value))


def test_a_change_has_a_line_that_says_who_what_when_and_from_where(store: Store) -> None:
    set_x(store)
    (line,) = lines(store)
    assert line.n > 0
    assert msgspec.structs.replace(line, n=0) == AuditEntry(
        at=at(5), who="user ann by key ci", role="admin", operation="create_variable", outcome="done",
        arguments={"name": "x", "value": "(text of 1)", "overwrite": False}, address="10.1.2.3", agent="curl/8",
        key="pnsk_abcdefgh",
    )  # fmt: skip


def test_a_change_by_somebody_at_the_record_itself_has_one_too(store: Store) -> None:
    set_x(store, asker=None)
    assert [(line.who, line.address) for line in lines(store)] == [("ann@laptop via CLI", "")]


def test_a_change_whose_line_cannot_be_written_is_not_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(stored, "add", fails)
    with pytest.raises(RuntimeError):
        set_x(store)
    with store.read() as tx:
        assert tx.row("SELECT count(*) FROM variable") == (0,)


def test_looking_leaves_no_line(store: Store) -> None:
    desk(store).answer(flow_runs.COUNT_FLOW_RUNS, flow_runs.CountRuns())
    desk(store).answer(asked.LIST_USERS, asked.ListUsers())
    assert lines(store) == []


def test_what_was_refused_has_a_line_with_the_reason(store: Store) -> None:
    with pytest.raises(NotAllowed):
        set_x(store, asker=msgspec.structs.replace(ANN, role=VIEWER))
    with pytest.raises(ObjectNotFound):
        desk(store).answer(asked.UPDATE_USER, asked.UpdateUser(name="bob", role=VIEWER))
    assert [(line.operation, line.outcome, line.objects) for line in lines(store)] == [
        ("update_user", "not-found", ("bob",)),
        ("create_variable", "not-allowed", ()),
    ]


def test_strangers_cannot_fill_the_log(store: Store) -> None:
    with pytest.raises(NotSignedIn):
        set_x(store, asker=Asker(who="nobody", role=VIEWER, signed_in=False))
    assert lines(store) == []


def test_signing_in_has_a_line_either_way_and_no_name_that_may_be_a_password(store: Store) -> None:
    accounts.create_user(store, "ann", ADMIN, "correct horse", at(0))
    stranger = desk(store, Asker(who="nobody", role=VIEWER, signed_in=False, address="10.9.9.9"))
    stranger.answer(asked.LOGIN, asked.Login(name="Ann", password="correct horse"))
    for name in ("ann", SECRET):
        with pytest.raises(NotSignedIn):
            stranger.answer(asked.LOGIN, asked.Login(name=name, password=SECRET))
    assert [(line.who, line.outcome, line.objects, line.address) for line in lines(store)] == [
        ("nobody", "not-signed-in", (), "10.9.9.9"),
        ("nobody", "not-signed-in", ("ann",), "10.9.9.9"),
        ("user ann", "done", ("ann",), "10.9.9.9"),
    ]
    assert SECRET not in str(lines(store))


SECRETS: list[Callable[[Desk], object]] = [
    lambda desk: desk.answer(asked.CREATE_USER, asked.CreateUser(name="bob", role=ADMIN, password=SECRET)),
    lambda desk: desk.answer(asked.SET_PASSWORD, asked.SetPassword(name="bob", password=SECRET, current=SECRET)),
    lambda desk: desk.answer(variables.CREATE_VARIABLE, variables.SetVariable(name="x", value={"a": [SECRET]})),
]


@pytest.mark.parametrize("change", SECRETS)
def test_no_secret_is_in_a_line(store: Store, change: Callable[[Desk], object]) -> None:
    accounts.create_user(store, "ann", ADMIN, "correct horse", at(0))
    with contextlib.suppress(ObjectNotFound):
        change(desk(store))
    assert len(lines(store)) == 1
    assert SECRET not in str(lines(store))


def test_a_new_key_is_not_in_its_line(store: Store) -> None:
    accounts.create_user(store, "ann", ADMIN, "correct horse", at(0))
    made = desk(store).answer(asked.CREATE_API_KEY, asked.CreateKey(name="ci", scopes=("read",)))
    assert made.text not in str(lines(store))
    assert lines(store)[0].arguments == {"name": "ci", "scopes": ["read"]}


def test_texts_that_are_no_names_are_not_kept_however_deep_they_are() -> None:
    found = harmless(
        {
            "labels": {"a": SECRET, "password": 1234, "b": [SECRET, {"name": "fine", "c": SECRET}]},
            "state": {"type": "CANCELLED", "message": SECRET},
            "free text": SECRET, "value": 1234, "data": {"x": 1}, "many": list(range(1000)), "empty": (),
            "bytes": SECRET.encode(), SECRET[:0]: None,
        }
    )  # fmt: skip
    assert SECRET not in str(found)
    assert "1234" not in str(found)
    assert found["state"] == {"type": "CANCELLED", "message": "(text of 15)"}
    assert len(str(found)) < 600


def test_all_that_changes_is_audited_but_what_runs_report_and_signing_in() -> None:
    not_audited = {each.name for each in OPERATIONS.values() if not each.reads and not each.audited}
    journal = {each.name for each in OPERATIONS.values() if each.journal}
    assert not_audited - journal == {"login", "login_for_key"}
    assert all(each.role is not None for each in OPERATIONS.values() if each.journal)


def test_the_log_is_read_by_who_what_and_when(store: Store) -> None:
    for second, who in enumerate(["user ann", "user Bo_b", "user bob", "key ci"]):
        audit.note(store, audit.entry(Asker(who=who, role=OPERATOR), f"op{second % 2}", at(second)))
    assert [line.who for line in lines(store)] == ["key ci", "user bob", "user Bo_b", "user ann"]
    assert [line.who for line in lines(store, who="BO_")] == ["user Bo_b"]
    assert [line.who for line in lines(store, operation="op0")] == ["user bob", "user ann"]
    assert [line.who for line in lines(store, since=at(1), until=at(3))] == ["user bob", "user Bo_b"]


def test_the_log_is_read_in_pages_while_it_grows(store: Store) -> None:
    for second in range(7):
        audit.note(store, audit.entry(ANN, f"op{second}", at(second)))
    seen, cursor = [], None
    while True:
        page = desk(store).answer(asked.READ_AUDIT_LOG, asked.ReadAudit(limit=2, cursor=cursor))
        seen += [line.operation for line in page.items]
        audit.note(store, audit.entry(ANN, "new", at(9)))
        cursor = page.next
        if cursor is None:
            break
    assert seen == [f"op{n}" for n in reversed(range(7))]


@pytest.mark.parametrize("cursor", ["?", "LTE", "MTI 3", "AA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "x" * 200])
def test_a_cursor_is_not_believed(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        desk(store).answer(asked.READ_AUDIT_LOG, asked.ReadAudit(cursor=cursor))


def test_lines_that_are_old_are_pruned_in_pieces(store: Store) -> None:
    for second in range(10):
        audit.note(store, audit.entry(ANN, f"op{second}", at(second)))
    with store.write() as tx:
        assert stored.count(tx, at(8)) == 8
        assert [stored.prune(tx, at(8), 5) for _ in range(3)] == [5, 3, 0]
    assert [line.operation for line in lines(store)] == ["op9", "op8"]


def test_what_may_be_answered_another_time_has_no_line_yet(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_in, "SAME_BOTH", 2)
    accounts.create_user(store, "ann", ADMIN, "correct horse", at(0))
    for _ in range(5):
        with pytest.raises((NotSignedIn, TooMuch)):
            desk(store).answer(asked.SET_PASSWORD, asked.SetPassword(name="ann", password=SECRET, current="wrong"))
    assert [line.outcome for line in lines(store)] == ["not-signed-in"] * 2
