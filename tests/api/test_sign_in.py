"""Sign-in at real servers: the command line, two servers on one record, and the doors that must stay shut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .kit import Server

PASSWORD = "correct horse"


def penstock(*arguments: str, given: str = "", code: int = 0, **environment: str) -> str:
    """What a command prints: its output, or, where it must fail, its error."""
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], input=given, capture_output=True, text=True, timeout=60,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture
def admin(penstock_home: Path) -> str:
    """An API key of the admin ann, made at the record itself."""
    penstock("auth", "create-user", "ann", "--role", "admin", given=PASSWORD)
    return penstock("auth", "create-key", "anns", "--user", "ann").strip()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_server_that_others_reach_does_not_start_while_nobody_signs_in(start_server: Callable[..., Server]) -> None:
    refused = penstock("server", "start", "--port", "0", "--host", "0.0.0.0", code=1)
    assert refused.startswith("Error: At 0.0.0.0 others can reach this server")
    assert "--allow-anonymous" in refused
    open_to_all = start_server("--host", "0.0.0.0", "--allow-anonymous")
    assert open_to_all.ask("GET", "/auth/me").json["sign_in"] is False
    open_to_all.stop()
    penstock("auth", "create-user", "ann", "--role", "admin", given=PASSWORD)
    assert start_server("--host", "0.0.0.0").ask("GET", "/auth/me").status == 401


def test_a_stranger_cannot_make_themselves_the_first_admin(start_server: Callable[..., Server]) -> None:
    server = start_server("--host", "0.0.0.0", "--allow-anonymous")
    for path, body in (("/auth/users", {"name": "eve", "role": "admin"}), ("/auth/keys", {"name": "eve"})):
        assert server.ask("POST", path, body).status == 403


def test_signing_in_on_the_command_line_and_out_again(server: Server, admin: str, penstock_home: Path) -> None:
    url = {"PENSTOCK_API_URL": server.url}
    time.sleep(1.6)  # the server has seen that nobody had to sign in; it believes that for a moment
    assert "penstock auth login" in penstock("auth", "users", code=1, **url)
    assert "wrong" in penstock("auth", "login", "ann", given="wrong", code=1, **url)
    assert "Signed in at" in penstock("auth", "login", "ann", given=PASSWORD, **url)
    profiles = penstock_home / "profiles.toml"
    assert profiles.stat().st_mode & 0o077 == 0
    assert PASSWORD not in profiles.read_text()
    me = json.loads(penstock("auth", "whoami", "--output", "json", **url))
    assert (me["name"], me["role"]) == ("ann", "admin")
    key = next(line.split("=")[1].strip().strip("\"'") for line in profiles.read_text().splitlines() if "pnsk_" in line)
    assert server.ask("GET", "/auth/users", **bearer(key)).status == 200
    assert "was revoked" in penstock("auth", "logout", **url)
    time.sleep(1.6)
    assert server.ask("GET", "/auth/users", **bearer(key)).status == 401


def test_a_key_that_is_revoked_at_one_server_is_refused_by_the_other_within_two_seconds(
    start_server: Callable[..., Server], admin: str
) -> None:
    one, other = start_server(), start_server("--no-loops")
    made = one.ask("POST", "/auth/keys", {"name": "ci"}, **bearer(admin)).json
    assert other.ask("GET", "/auth/me", **bearer(made["text"])).json["who"] == "user ann by key ci"
    assert one.ask("DELETE", "/auth/keys/ci", **bearer(admin)).json["revoked"] is not None
    deadline = time.monotonic() + 2
    while other.ask("GET", "/auth/me", **bearer(made["text"])).status != 401:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_servers_count_attempts_together(start_server: Callable[..., Server], admin: str) -> None:
    servers = [start_server(), start_server("--no-loops")]
    wrong = {"name": "ann", "password": "wrong"}
    codes = [servers[n % 2].ask("POST", "/auth/login", wrong).status for n in range(7)]
    assert codes == [401] * 5 + [429] * 2


def test_what_was_done_is_in_the_log_with_the_address_it_came_from(server: Server, admin: str) -> None:
    answer = server.ask("POST", "/variables", {"name": "x", "value": "hunter2"}, user_agent="test/1", **bearer(admin))
    assert answer.status in (200, 201)
    (line,) = server.ask("GET", "/audit?operation=create_variable", **bearer(admin)).json["items"]
    assert (line["who"], line["address"], line["agent"]) == ("user ann by key anns", "127.0.0.1", "test/1")
    assert admin.startswith(line["key"])
    assert "hunter2" not in str(line)


def test_of_a_proxy_only_a_trusted_one_says_where_somebody_is(start_server: Callable[..., Server], admin: str) -> None:
    for trusted, seen in (("127.0.0.1", "203.0.113.7"), ("10.0.0.1", "127.0.0.1"), ("", "127.0.0.1")):
        server = start_server(PENSTOCK_SERVER_TRUSTED_PROXIES=trusted)
        name = f"x_{seen.replace('.', '_')}_{len(trusted)}"
        server.ask("POST", "/variables", {"name": name, "value": 1}, x_forwarded_for="203.0.113.7", **bearer(admin))
        line = server.ask("GET", "/audit?operation=create_variable&limit=1", **bearer(admin)).json["items"][0]
        assert line["address"] == seen
        server.stop()


def test_the_auth_string_is_for_both_sides(start_server: Callable[..., Server]) -> None:
    both = {"PENSTOCK_API_AUTH_STRING": "robot:correct horse"}
    server = start_server("--host", "0.0.0.0", **both)
    url = {"PENSTOCK_API_URL": f"http://127.0.0.1:{server.parts.port}/api"}
    assert "robot by the auth string" in penstock("auth", "whoami", **both, **url)
    assert "penstock auth login" in penstock("auth", "whoami", code=1, **url)
    penstock("auth", "create-user", "ann", "--role", "admin", given=PASSWORD, **both, **url)
