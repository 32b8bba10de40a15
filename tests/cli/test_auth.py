"""`penstock auth`: at the record itself, and at a server."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import root
from penstock.services import passwords
from penstock.settings.profiles import active_profile, read_profile

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 16)


def auth(*arguments: str, given: str = "", code: int = 0) -> str:
    """What the command prints; `given` is its standard input."""
    result: Result = CliRunner().invoke(root, ("auth", *arguments), input=given)
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


def listed(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(auth(*arguments, "--output", "json"))
    return found


def admin(name: str = "ann") -> None:
    auth("create-user", name, "--role", "admin", given=PASSWORD + "\n")


def test_the_first_user_is_made_at_the_record_and_is_an_admin() -> None:
    assert "There are no users yet" in auth("users") or listed("users") == []
    assert "must be an admin" in auth("create-user", "ann", given=PASSWORD, code=1)
    assert auth("create-user", "ann", "--role", "admin", given=PASSWORD) == "Created user 'ann' with the role admin.\n"
    assert [(each["name"], each["role"], each["has_password"]) for each in listed("users")] == [("ann", "admin", True)]


def test_a_password_is_in_no_option_no_output_and_no_file(penstock_home: Path) -> None:
    admin()
    output = auth("users") + auth("audit") + auth("audit", "--output", "json")
    assert PASSWORD not in output
    for path in penstock_home.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()


def test_nothing_on_standard_input_is_no_password() -> None:
    assert "nothing in standard input" in auth("create-user", "ann", "--role", "admin", code=1)


def test_users_are_changed() -> None:
    admin()
    auth("create-user", "bob", "--role", "operator", "--no-password")
    auth("set-role", "bob", "viewer")
    auth("disable", "bob")
    bob = listed("users")[1]
    assert (bob["role"], bob["disabled"], bob["has_password"]) == ("viewer", True, False)
    auth("enable", "bob")
    auth("set-password", "bob", given="battery staple")
    bob = listed("users")[1]
    assert (bob["disabled"], bob["has_password"]) == (False, True)
    assert "'ann' is the last admin" in auth("disable", "ann", code=1)


def test_a_key_is_shown_once() -> None:
    text = auth("create-key", "ci", "--scope", "read", "--scope", "cancel_*", "--role", "operator").strip()
    assert text.startswith("pnsk_")
    (key,) = listed("keys")
    assert (key["name"], key["role"], key["scopes"], key["expires"]) == ("ci", "operator", ["read", "cancel_*"], None)
    assert text not in auth("keys") + auth("audit")
    assert key["prefix"] in auth("keys")


def test_a_key_expires_after_a_span_or_at_a_time() -> None:
    made = json.loads(auth("create-key", "a", "--expires", "90d", "--output", "json"))
    assert made["expires"] > made["created"]
    good_for = datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["created"])
    assert timedelta(days=89) < good_for <= timedelta(days=90)
    assert json.loads(auth("create-key", "b", "--expires", "2099-01-31", "--output", "json"))["expires"] > "2099-01-30"
    assert "would have expired" in auth("create-key", "c", "--expires", "2020-01-31", code=1)
    assert "is not a time" in auth("create-key", "c", "--expires", "soon", code=1)


def test_a_revoked_key_is_listed_when_asked_for() -> None:
    auth("create-key", "ci")
    assert auth("revoke-key", "ci").startswith("Revoked API key 'ci' (pnsk_")
    assert listed("keys") == []
    assert [key["name"] for key in listed("keys", "--all")] == ["ci"]
    assert "not found" in auth("revoke-key", "other", code=1)


def test_who_changed_what_is_listed_the_newest_first() -> None:
    admin()
    auth("create-key", "ci")
    found = listed("audit")
    assert [line["operation"] for line in found] == ["create_api_key", "create_user"]
    assert found[0]["who"].endswith(" via CLI")
    assert [line["operation"] for line in listed("audit", "--operation", "create_user")] == ["create_user"]
    assert listed("audit", "--until", "1h") == []
    assert len(listed("audit", "--since", "1h", "--limit", "1")) == 1


def test_without_a_server_there_is_nothing_to_sign_in_at() -> None:
    assert "PENSTOCK_API_URL is not set" in auth("login", "ann", given=PASSWORD, code=1)


def test_at_the_record_itself_everything_may_be_done() -> None:
    me = json.loads(auth("whoami", "--output", "json"))
    assert (me["role"], me["sign_in"], me["name"]) == ("admin", False, None)


def test_on_a_servers_machine_it_is_the_servers_record(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, penstock_home: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", postgres_url)
    admin()
    assert [each["name"] for each in listed("users")] == ["ann"]
    assert not (penstock_home / "penstock.db").exists()


def test_no_command_has_an_option_for_a_secret() -> None:
    from penstock.cli.auth import auth as group

    for command in group.commands.values():
        for option in command.params:
            takes_value = getattr(option, "is_flag", False) is False and option.param_type_name == "option"
            assert not (takes_value and any(word in str(option.name) for word in ("password", "secret", "text")))


def test_the_active_profile_is_told_of_a_missing_key() -> None:
    assert read_profile(active_profile()) == {}
    assert "There is no API key in the profile" in auth("logout", code=1)
