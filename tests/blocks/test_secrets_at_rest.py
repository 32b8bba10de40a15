"""No clear secret is in any file, whatever was done with blocks; another key cannot read them; and what this process
has seen of secrets, its mask knows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import SecretStr

from penstock.blocks import Block, Secret, core
from penstock.domain.masking import Masker
from penstock.exceptions import ConfigurationError, DecryptionError, UnreadableBlock, UnstorableValue
from penstock.settings import PENSTOCK_ENCRYPTION_KEY, temporary_settings
from penstock.store.sqlite import SqliteStore
from penstock.vault import new_key

from ..flows.kit import Programs
from .test_blocks import Everything, everything


def found(home: Path, *texts: str) -> list[tuple[str, str]]:
    """(file, text) of each text that any file of the home has in it."""
    return [
        (path.name, text)
        for path in sorted(home.rglob("*"))
        if path.is_file()
        for text in texts
        if text.encode() in path.read_bytes() or text.encode("utf-16-le") in path.read_bytes()
    ]


def test_no_file_ever_holds_a_clear_value(penstock_home: Path) -> None:
    clear = ("secret-", "hunter2", "correct horse", "12345")
    # Another connection is open all the time, so that the write-ahead log stays.
    penstock_home.mkdir()
    watcher = SqliteStore(penstock_home / "penstock.db")
    try:
        Secret(value="hunter2").save("it")
        everything().save("all")
        assert not found(penstock_home, *clear)
        assert (penstock_home / "penstock.db-wal").stat().st_size > 0

        Secret(value={"phrase": "correct horse"}).save("it", overwrite=True)
        with pytest.raises(ValueError, match="already"):
            Secret(value="hunter2").save("it")
        assert Everything.load("all").text.get_secret_value() == "secret-text"
        assert not found(penstock_home, *clear)

        Secret.delete("it")
        Block.delete("every-thing/all")
        assert not found(penstock_home, *clear)
        assert (penstock_home / "secret.key").exists()
    finally:
        watcher.close()
    assert not found(penstock_home, *clear)


def test_what_is_no_secret_can_be_read(penstock_home: Path) -> None:
    everything().save("all")

    assert found(penstock_home, "seen")


def test_a_text_that_is_put_into_a_secret_field_is_a_secret(penstock_home: Path) -> None:
    made = Secret(value="first")
    made.value = "hunter2"  # type: ignore[assignment]
    made.save("it")

    assert "hunter2" not in repr(made)
    assert Secret.load("it").get() == "hunter2"
    assert not found(penstock_home, "hunter2")


def test_what_came_around_validation_is_not_stored_in_clear(penstock_home: Path) -> None:
    class Database(Block):
        login: Secret[str] | None = None
        password: SecretStr | None

    for made in (
        Secret.model_construct(value="hunter2"),
        Secret(value="x").model_copy(update={"value": "hunter2"}),
        Database.model_construct(password="hunter2"),
        Database.model_construct(login=Secret.model_construct(value="hunter2"), password=None),
    ):
        with pytest.raises(UnstorableValue, match="is a secret, but holds a plain str"):
            made.save("it")
    assert not found(penstock_home, "hunter2")


class Odd(Block):
    model_config = pydantic.ConfigDict(extra="allow")
    anything: Any = None
    text: str | SecretStr = ""
    keyed: dict[SecretStr, int] = {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"anything": SecretStr("hunter2")}, "'anything' of Odd holds a secret, but its annotation does not say so"),
        ({"anything": {"a": [SecretStr("hunter2")]}}, "'anything' of Odd holds a secret"),
        ({"more": SecretStr("hunter2")}, "'more' of Odd holds a secret"),
        ({"text": SecretStr("hunter2")}, "'text' of Odd holds a secret"),
        ({"keyed": {SecretStr("hunter2"): 1}}, "is the key of a dictionary"),
    ],
)
def test_what_would_be_loaded_as_no_secret_is_not_saved_as_one(
    fields: dict[str, Any], said: str, penstock_home: Path
) -> None:
    with pytest.raises(UnstorableValue, match=said):
        Odd(**fields).save("it")
    assert not found(penstock_home, "hunter2")


def test_secrets_that_the_annotation_tells_are_loaded_as_secrets(penstock_home: Path) -> None:
    class Told(Block):
        maybe: SecretStr | int | None = None
        many: dict[str, list[SecretStr]] = {}
        pair: tuple[int, SecretStr] = (1, SecretStr(""))
        whatever: Any = None

    Told(maybe="hunter2", many={"a": ["hunter2"]}, pair=(2, "hunter2"), whatever=[5]).save("it")
    again = Told.load("it")
    again.save(overwrite=True)
    assert Told.load("it") == again
    assert isinstance(again.maybe, SecretStr)
    assert again.many["a"][0].get_secret_value() == again.pair[1].get_secret_value() == "hunter2"
    assert not found(penstock_home, "hunter2")


# --- keys ------------------------------------------------------------------------------------------------------------


def test_another_key_cannot_open_a_block_and_the_error_names_both(penstock_home: Path) -> None:
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: new_key()}):
        Secret(value="hunter2").save("it")

    with pytest.raises(
        DecryptionError, match=r"Block 'secret/it' was encrypted with the key [0-9a-f]{8}, and there is"
    ):
        Secret.load("it")
    with (
        temporary_settings({PENSTOCK_ENCRYPTION_KEY: new_key()}),
        pytest.raises(DecryptionError, match=r"key [0-9a-f]{8}, which is not in PENSTOCK_ENCRYPTION_KEY"),
    ):
        Secret.load("it")
    assert not (penstock_home / "secret.key").exists()


def test_a_lost_key_file_loses_secrets_and_nothing_else(penstock_home: Path) -> None:
    Secret(value="hunter2").save("it")
    kept = (penstock_home / "secret.key").read_bytes()
    (penstock_home / "secret.key").unlink()

    with pytest.raises(DecryptionError, match=r"no key file .*secret\.key.*from a backup"):
        Secret.load("it")
    assert not (penstock_home / "secret.key").exists()

    (penstock_home / "secret.key").write_bytes(kept)
    (penstock_home / "secret.key").chmod(0o600)
    assert Secret.load("it").get() == "hunter2"


def test_a_broken_key_saves_nothing() -> None:
    with temporary_settings({PENSTOCK_ENCRYPTION_KEY: "hunter2"}), pytest.raises(ConfigurationError) as raised:
        Secret(value="value").save("it")
    assert "hunter2" not in str(raised.value)
    Secret(value="other").save("it")


def test_blocks_without_secrets_need_no_key(penstock_home: Path) -> None:
    core.block_type("string")(value="hello").save("it")

    assert Block.load("string/it").value == "hello"  # type: ignore[attr-defined]
    assert not (penstock_home / "secret.key").exists()


@pytest.mark.parametrize(
    ("column", "content"),
    [
        ("data", "nonsense"),
        ("data", "[1]"),
        ("data", "null"),
        ("secrets", "nonsense"),
        ("secrets", "[1]"),
        ("secrets", '[[["value", "deeper"], "penstock1:"]]'),
        ("secrets", '[[[], "penstock1:"]]'),
        ("secrets", '[[["value"], 5]]'),
    ],
)
def test_a_damaged_row_is_an_error_that_names_the_block(penstock_home: Path, column: str, content: Any) -> None:
    Secret(value="hunter2").save("it")
    store = SqliteStore(penstock_home / "penstock.db")
    with store.write() as tx:
        tx.run(f"UPDATE block_document SET {column} = ?", (content,))
    store.close()

    with pytest.raises((UnreadableBlock, DecryptionError), match="'secret/it'"):
        Secret.load("it")
    Secret.delete("it")


def test_a_secret_cannot_take_the_place_of_another(penstock_home: Path) -> None:
    Secret(value="hunter2").save("one")
    Secret(value="hunter3").save("other")
    store = SqliteStore(penstock_home / "penstock.db")
    with store.write() as tx:
        tx.run(
            "UPDATE block_document SET secrets = (SELECT secrets FROM block_document WHERE name = 'one') "
            "WHERE name = 'other'"
        )
    store.close()

    assert Secret.load("one").get() == "hunter2"
    with pytest.raises(DecryptionError, match=r"'secret/other' is damaged: .* 'secret/one', field 'value'"):
        Secret.load("other")


# --- the mask --------------------------------------------------------------------------------------------------------


def test_a_secret_that_was_made_is_masked(masker: Masker) -> None:
    Secret(value="hunter2")
    assert masker.text("pass hunter2 on") == "pass ******** on"


def test_a_secret_that_was_loaded_is_masked(masker: Masker, monkeypatch: pytest.MonkeyPatch) -> None:
    everything().save("all")
    later = Masker()
    monkeypatch.setattr("penstock.blocks.secrets.MASKER", later)
    assert later.text("secret-text") == "secret-text"

    Everything.load("all")

    for secret in ("secret-text", "secret-login", "secret-bob", "secret-one", "secret-two", "secret-left",
                   "secret-deep", "12345", "secret-nested"):  # fmt: skip
        assert secret not in later.text(f"is it {secret}?"), secret
    assert later.holds(b"\xff\x00secret-bytes")
    assert later.text("seen") == "seen"


def test_a_secret_of_a_block_that_no_longer_fits_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Database(Block):
        password: SecretStr

    Database(password="hunter2").save("it")

    class Database(Block):  # type: ignore[no-redef]
        password: SecretStr
        port: int

    later = Masker()
    monkeypatch.setattr("penstock.blocks.secrets.MASKER", later)
    with pytest.raises(UnreadableBlock):
        Database.load("it")
    assert later.text("hunter2") != "hunter2"


def test_a_secret_that_was_assigned_or_unpickled_is_masked(masker: Masker, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Secret(value="first-value")
    made.value = pydantic.Secret("second-value")
    assert masker.text("second-value") != "second-value"

    later = Masker()
    monkeypatch.setattr("penstock.blocks.secrets.MASKER", later)
    pickle.loads(pickle.dumps(made))
    assert later.text("second-value") != "second-value"


def test_a_run_that_spreads_a_secret_leaves_it_in_no_file(programs: Programs, penstock_home: Path) -> None:
    Secret(value="hunter2-the-long").save("it")

    done = programs.run("""
        from penstock import flow, get_run_logger, task
        from penstock.blocks.system import Secret

        @task(persist_result=True)
        def pass_on(password):
            print("it is", password)
            get_run_logger().warning("still %s", password)
            return {"password": password}

        @task
        def fails(password):
            raise ValueError(f"{password} is wrong")

        @flow(log_prints=True)
        def leaky():
            password = Secret.load("it").get()
            fails(pass_on(password)["password"], return_state=True)
            return password

        assert leaky() == "hunter2-the-long"
    """)

    assert done.code == 0, done.stderr
    assert "it is ********" in done.stderr
    assert not found(penstock_home, "hunter2-the-long", "hunter2")
