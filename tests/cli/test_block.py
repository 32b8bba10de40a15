"""`penstock block`: secrets go in by standard input or a prompt, and come out only when asked for."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from penstock.blocks import JSON, Block, DateTime, Secret, String, core
from penstock.cli.main import root
from penstock.settings import PENSTOCK_ENCRYPTION_KEY, temporary_settings
from penstock.vault import new_key

from .records import Records

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def types_of_this_test() -> Iterator[None]:
    """Types that a test defines are forgotten with it."""
    before = dict(core._types)
    yield
    core._types.clear()
    core._types.update(before)


def feed(data: str | bytes, *arguments: str) -> Result:
    return CliRunner().invoke(root, arguments, input=data)


# --- create ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("hunter2\n", "hunter2"),
        ("hunter2", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("  spaces \n", "  spaces "),
        ("-----BEGIN KEY-----\nabc\n-----END KEY-----\n", "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"),
        ("two\n\n", "two\n\n"),
        ("ü😀\x00\n", "ü😀\x00"),
        ('{"a": 1}', '{"a": 1}'),
    ],
    ids=lambda it: ascii(it)[:12],
)
def test_a_secret_is_read_from_standard_input(data: str, value: str) -> None:
    done = feed(data.encode(), "block", "create", "secret", "api-key")

    assert (done.exit_code, done.stdout) == (0, "Saved block 'secret/api-key'.\n")
    assert Secret.load("api-key").get() == value


def test_each_kind_can_be_made() -> None:
    assert feed("hello", "block", "create", "string", "s").exit_code == 0
    assert feed('{"a": [1]}', "block", "create", "json", "j").exit_code == 0
    assert feed("2026-01-01T00:00:00Z", "blocks", "create", "date-time", "d").exit_code == 0
    assert feed('{"pin": 1234}', "block", "create", "secret", "p", "--json").exit_code == 0

    assert (String.load("s").value, JSON.load("j").value) == ("hello", {"a": [1]})
    assert DateTime.load("d").value.year == 2026
    assert Secret.load("p").get() == {"pin": 1234}


def test_a_block_is_replaced_only_when_asked() -> None:
    Secret(value="first").save("it")

    done = feed("second", "block", "create", "secret", "it")
    assert (done.exit_code, Secret.load("it").get()) == (1, "first")
    assert done.stderr == "Error: There is a block 'secret/it' already; `--overwrite` replaces it.\n"
    assert feed("second", "block", "create", "secret", "it", "--overwrite").exit_code == 0
    assert Secret.load("it").get() == "second"


@pytest.mark.parametrize(
    ("data", "arguments", "code", "said"),
    [
        (b"", ["secret", "x"], 2, "standard input is empty"),
        (b"\n", ["secret", "x"], 2, "standard input is empty"),
        (b"\xff\xfe", ["secret", "x"], 2, "not UTF-8"),
        (b"hunter2", ["secret", "My_Key"], 1, "'my-key' would do"),
        (b"hunter2", ["secret", "../x"], 1, "cannot be the name of a block"),
        (b"hunter2", ["sercet", "x"], 1, "Did you mean 'secret'?"),
        (b"hunter2", ["json", "x"], 1, "not JSON"),
        (b"[" * 100_000, ["json", "x"], 1, "not JSON"),
        (b"x" * (1 << 20) + b"x", ["secret", "x"], 2, "more than 1,048,576 bytes"),
        (b"hunter2", ["secret", "x", "--json"], 1, "not JSON"),
        (b"hunter2", ["date-time", "x"], 1, "no value for a block of the type 'date-time'"),
    ],
)
def test_what_cannot_be_made_is_told_without_the_value(data: bytes, arguments: list[str], code: int, said: str) -> None:
    done = feed(data, "block", "create", *arguments)

    assert done.exit_code == code
    assert said in done.stderr
    assert "hunter2" not in done.output
    assert feed("", "block", "ls", "-o", "json").stdout == "[]\n"


def test_a_short_secret_comes_with_a_remark() -> None:
    assert "not masked" in feed("abc", "block", "create", "secret", "short").stderr
    assert "not masked" in feed("    ", "block", "create", "secret", "blank").stderr
    assert "not masked" in feed('{"pin": 123}', "block", "create", "secret", "part", "--json").stderr
    assert feed("abcd", "block", "create", "secret", "longer").stderr == ""
    assert feed('{"pin": 1234}', "block", "create", "secret", "whole", "--json").stderr == ""


def typed(line: bytes) -> tuple[int, bytes]:
    """Types a value where one is asked for: the exit code, and what the terminal showed."""
    keyboard, terminal = pty.openpty()
    program = [sys.executable, "-m", "penstock", "block", "create", "secret", "typed"]
    process = subprocess.Popen(
        program, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, env={**os.environ}
    )
    os.close(terminal)
    shown = b""
    while b"Value:" not in shown:
        shown += os.read(keyboard, 1024)
    os.write(keyboard, line + b"\n")
    while True:
        try:
            more = os.read(keyboard, 1024)
        except OSError:  # the terminal's other end was closed
            break
        if not more:
            break
        shown += more
    os.close(keyboard)
    return process.wait(timeout=30), shown


def test_on_a_terminal_the_value_is_asked_for_and_not_shown(penstock_home: Path) -> None:
    code, shown = typed(b"hunter2")

    assert code == 0
    assert b"Saved block 'secret/typed'." in shown
    assert b"hunter2" not in shown
    assert Secret.load("typed").get() == "hunter2"


@pytest.mark.parametrize(("line", "said"), [(b"\xff\xfehunter2", b"not UTF-8"), (b"hunter2" * 1000, b"4,095 bytes")])
def test_what_a_terminal_does_not_pass_on_is_told(line: bytes, said: bytes, penstock_home: Path) -> None:
    code, shown = typed(line)

    assert code == 2
    assert said in shown
    assert b"hunter2" not in shown


# --- looking ---------------------------------------------------------------------------------------------------------


def test_inspect_shows_no_secret_unless_asked(run: Run) -> None:
    Secret(value="hunter2").save("it")

    for arguments in (["secret/it"], ["secret/it", "-o", "json"], ["secret/it", "--hide-secrets"]):
        done = run("block", "inspect", *arguments)
        assert done.exit_code == 0
        assert "hunter2" not in done.output
        assert "********" in done.stdout
    assert "value:  hunter2" in run("block", "inspect", "secret/it", "--show-secrets").stdout
    shown = json.loads(run("block", "inspect", "secret/it", "--show-secrets", "-o", "json").stdout)
    assert shown["data"] == {"value": "hunter2"}
    assert (shown["type"], shown["name"]) == ("secret", "it")


def test_inspect_shows_fields_of_types_that_it_does_not_know(run: Run) -> None:
    class Database(Block):
        host: str
        password: SecretStr
        options: dict[str, int]

    Database(host="\x1b[2Jdb", password="hunter2", options={"a": 1}).save("orders")

    text = run("block", "inspect", "database/orders").stdout

    assert "host:      \\x1b[2Jdb" in text or "host:      db" in text
    assert "\x1b" not in text
    assert 'options:   {"a": 1}' in text
    assert "password:  ********" in text


def test_inspect_needs_no_key_but_for_secrets(run: Run) -> None:
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: new_key()}):
        Secret(value="hunter2").save("it")

    assert run("block", "inspect", "secret/it").exit_code == 0
    done = run("block", "inspect", "secret/it", "--show-secrets")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: Block 'secret/it' was encrypted with the key ")


def test_ls(run: Run) -> None:
    assert run("block", "ls").stderr.startswith("There are no blocks yet. To make the first: `penstock block create")
    assert run("block", "ls").stdout == ""
    Secret(value="hunter2").save("it")
    String(value="a").save("b")

    lines = run("blocks", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["Block", "secret/it", "string/b"]
    assert run("block", "ls", "--type", "string").stdout.splitlines()[1].startswith("string/b")
    assert run("block", "ls", "--type", "nothing").stderr == "No blocks fit.\n"
    listed = json.loads(run("block", "ls", "-o", "json", "--limit", "1").stdout)
    assert [(each["type"], each["name"], sorted(each)) for each in listed] == [
        ("secret", "it", ["created", "id", "name", "type", "updated"])
    ]


def test_type_ls(run: Run) -> None:
    Secret(value="hunter2").save("it")

    listed = json.loads(run("block", "type", "ls", "-o", "json").stdout)
    kinds = {each["slug"]: each for each in listed}
    assert {"secret", "string", "json", "date-time"} <= set(kinds)
    assert (kinds["secret"]["name"], kinds["secret"]["blocks"]) == ("Secret", 1)
    lines = [" ".join(line.split()) for line in run("block", "type", "ls").stdout.splitlines()]
    assert lines[0] == "Type Name Blocks Description"
    assert "secret Secret 1 A value that nobody may see: text or JSON." in lines


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("secret/api-kye", "'secret/api-kye' not found! Did you mean 'api-key'?"),
        ("string/api-key", "There is 'secret/api-key'."),
        ("api-key", "named by type and name"),
        ("../../etc/passwd", "cannot be the name of a block type"),
        ("secret/x'; DROP TABLE block_document; --", "cannot be the name of a block"),
        ("x" * 10_000, "named by type and name"),
    ],
)
def test_what_is_not_there_is_told(run: Run, address: str, said: str) -> None:
    Secret(value="hunter2").save("api-key")

    for command in (["inspect"], ["delete", "--yes"]):
        done = run("block", *command, address)
        assert done.exit_code == 1
        assert said in done.stderr
        assert len(done.stderr) < 500
    assert Secret.load("api-key").get() == "hunter2"


# --- deleting, keys --------------------------------------------------------------------------------------------------


def test_delete_deletes_all_or_none(run: Run) -> None:
    for name in ("a", "b", "c"):
        Secret(value="hunter2").save(name)

    assert run("block", "delete", "secret/a", "secret/nothing").exit_code == 1
    assert Secret.load("a").get() == "hunter2"
    done = run("block", "delete", "secret/a", "secret/b")
    assert done.stdout == "Deleted block 'secret/a'.\nDeleted block 'secret/b'.\n"
    assert [each["name"] for each in json.loads(run("block", "ls", "-o", "json").stdout)] == ["c"]


def test_a_damaged_block_is_told_and_can_be_deleted(run: Run, records: Records) -> None:
    Secret(value="hunter2").save("it")
    with records.store.write() as tx:
        tx.run("UPDATE block_document SET data = 'nonsense'")

    for command in (["inspect", "secret/it"], ["ls"]):
        done = run("block", *command)
        assert done.exit_code == 1
        assert "`penstock block delete secret/it`" in done.stderr
    assert run("block", "delete", "secret/it").exit_code == 0
    assert run("block", "ls", "-o", "json").stdout == "[]\n"


def test_an_old_key_can_go_after_reencrypting(run: Run) -> None:
    old, new = (run("block", "key").stdout.strip() for _ in range(2))
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: old}):
        Secret(value="hunter2").save("it")
        Secret(value=b"\xff").save("bytes")
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: f"{new},{old}"}):
        Secret(value="new").save("new")
        String(value="plain").save("plain")
        assert run("block", "reencrypt").stdout == "Encrypted 2 blocks anew, of 4.\n"
        assert run("block", "reencrypt").stdout == "Encrypted 0 blocks anew, of 4.\n"
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: new}):
        assert (Secret.load("it").get(), Secret.load("bytes").get()) == ("hunter2", b"\xff")
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: old}):
        done = run("block", "reencrypt")
        assert done.exit_code == 1
        assert "was encrypted with the key" in done.stderr


def test_a_block_that_cannot_be_opened_keeps_no_other_from_being_reencrypted(run: Run) -> None:
    lost, old, new = (run("block", "key").stdout.strip() for _ in range(3))
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: lost}):
        Secret(value="hunter1").save("a")
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: old}):
        Secret(value="hunter2").save("b")
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: f"{new},{old}"}):
        done = run("block", "reencrypt")
    assert done.exit_code == 1
    assert "Of 2 blocks 1 were encrypted anew, and 1 cannot be opened: Block 'secret/a'" in done.stderr
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: new}):
        assert Secret.load("b").get() == "hunter2"
