"""Blocks are saved and loaded by name, types are known by being defined, and errors say what is meant."""

from __future__ import annotations

import asyncio
import pickle
from abc import ABC
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import SecretBytes, SecretStr

from penstock import flow, task
from penstock.blocks import JSON, Block, DateTime, Secret, String
from penstock.blocks.core import Block as CoreBlock
from penstock.blocks.core import block_types
from penstock.exceptions import (
    BlockNotFound,
    DefinitionError,
    InvalidName,
    NameTaken,
    ObjectNotFound,
    UnknownBlockType,
    UnreadableBlock,
    UnstorableValue,
)

from ..flows.kit import Programs

HOSTILE = [
    "", " ", "My-Key", "my_key", "a b", "../../etc/passwd", "a/../b", "a\x00b", "x'; DROP TABLE block_document; --",
    "ключ", "a\n", "\ud800", "x" * 10_000, "-" * 256, 5, None, b"bytes",
]  # fmt: skip


class Login(pydantic.BaseModel):
    user: str
    password: SecretStr


class Everything(Block):
    _block_type_name = "Every Thing"

    plain: str
    text: SecretStr
    data: SecretBytes
    held: pydantic.Secret[dict[str, Any]]
    login: Login
    logins: dict[int, Login]
    listed: list[SecretStr]
    pair: tuple[SecretStr, str]
    maybe: SecretStr | None = None
    path: Path = Path("/tmp")
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ratio: float = float("inf")
    nested: Secret[str] | None = None


def everything() -> Everything:
    return Everything(
        plain="seen",
        text="secret-text",
        data=b"\xff\x00secret-bytes",
        held={"user": "ann", "pins": [12345, {"deep": "secret-deep"}]},
        login={"user": "ann", "password": "secret-login"},
        logins={7: {"user": "bob", "password": "secret-bob"}},
        listed=["secret-one", "secret-two"],
        pair=("secret-left", "right"),
        nested=Secret(value="secret-nested"),
    )


# --- saving and loading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["hunter2", "", "123", '{"a": 1}', "a\nb\x00ü\ud800", {"a": [1, None]}, [1], 5, 1.5, True, None, b"\xff\x00"])  # fmt: skip  # noqa: E501
def test_a_secret_comes_back_as_it_was_saved(value: object) -> None:
    Secret(value=value).save("it")

    assert Secret.load("it").get() == value
    assert type(Secret.load("it").get()) is type(value)


def test_every_kind_of_field_comes_back() -> None:
    made = everything()
    made.save("all")

    loaded = Everything.load("all")

    assert loaded == made
    assert loaded.held.get_secret_value()["pins"] == [12345, {"deep": "secret-deep"}]
    assert loaded.logins[7].password.get_secret_value() == "secret-bob"
    assert loaded.nested is not None
    assert loaded.nested.get() == "secret-nested"


def test_the_plain_kinds_come_back() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    String(value="hello").save("s")
    JSON(value={"a": [1, 2]}).save("j")
    DateTime(value=moment).save("d")

    assert (String.load("s").value, JSON.load("j").value, DateTime.load("d").value) == ("hello", {"a": [1, 2]}, moment)


def test_a_block_is_loaded_by_its_address_as_what_it_is() -> None:
    Secret(value="hunter2").save("it")
    DateTime(value="2026-01-01T00:00:00Z").save("it")

    loaded = Block.load("secret/it")

    assert isinstance(loaded, Secret)
    assert loaded.get() == "hunter2"
    assert isinstance(Block.load("date-time/it"), DateTime)
    assert Secret.load("secret/it").get() == "hunter2"
    assert Secret[str].load("it").get() == "hunter2"


def test_a_name_that_is_taken_is_kept_unless_it_is_to_be_overwritten() -> None:
    id = Secret(value="first").save("it")

    with pytest.raises(NameTaken, match=r"'secret/it' already.*overwrite=True"):
        Secret(value="second").save("it")
    assert Secret.load("it").get() == "first"

    assert Secret(value="second").save("it", overwrite=True) == id
    assert Secret.load("it").get() == "second"
    String(value="another type").save("it")


def test_a_block_that_was_saved_or_loaded_knows_its_name() -> None:
    made = String(value="a")
    with pytest.raises(InvalidName, match="save\\('my-name'\\)"):
        made.save()
    made.save("it")
    loaded = String.load("it")
    loaded.value = "b"

    loaded.save(overwrite=True)

    assert String.load("it").value == "b"


def test_a_deleted_block_is_gone() -> None:
    Secret(value="a").save("it")
    Secret(value="b").save("other")
    Secret.delete("it")
    Block.delete("secret/other")

    for name in ("it", "other"):
        with pytest.raises(BlockNotFound):
            Secret.load(name)
        with pytest.raises(BlockNotFound):
            Secret.delete(name)
    Secret(value="a").save("it")


def test_all_can_be_awaited() -> None:
    async def use() -> str:
        await Secret(value="hunter2").asave("it")
        loaded = await Secret.aload("it")
        await Secret.adelete("it")
        return str(loaded.get())

    assert asyncio.run(use()) == "hunter2"
    with pytest.raises(BlockNotFound):
        Secret.load("it")


def test_blocks_are_there_in_flows_tasks_and_other_processes(programs: Programs) -> None:
    @task
    def read() -> str:
        return str(Secret.load("it").get())

    @flow
    def etl() -> tuple[str, str]:
        Secret(value="hunter2").save("it")
        return read(), read.submit().result()

    assert etl() == ("hunter2", "hunter2")
    done = programs.run("""
        from penstock import flow
        from penstock.blocks.system import Secret

        @flow
        def other():
            assert Secret.load("it").get() == "hunter2"
            Secret(value="from there").save("there")

        other()
    """)
    assert done.code == 0, done.stderr
    assert Secret.load("there").get() == "from there"


# --- errors ----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_lists_what_is_near() -> None:
    Secret(value="a").save("api-key")

    with pytest.raises(BlockNotFound, match="'secret/api-keys' not found! Did you mean 'api-key'"):
        Secret.load("api-keys")
    with pytest.raises(BlockNotFound, match="'string/api-key' not found! There is 'secret/api-key'"):
        String.load("api-key")
    with pytest.raises(ValueError, match="not found"):  # as in Prefect
        Secret.load("nothing-like-it")
    with pytest.raises(ObjectNotFound):
        Block.load("secrt/api-key")


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:20])
def test_a_name_is_lowercase_letters_digits_and_dashes(name: Any) -> None:
    Secret(value="kept").save("kept")
    for use in (lambda: Secret(value="a").save(name), lambda: Secret.load(name), lambda: Secret.delete(name)):
        with pytest.raises(InvalidName) as raised:
            use()
        assert len(str(raised.value)) < 400
        assert str(raised.value).isprintable()
    if isinstance(name, str):
        for address in (f"secret/{name}", f"{name}/kept"):
            with pytest.raises(InvalidName):
                Block.load(address)
    assert Secret.load("kept").get() == "kept"


def test_a_wrong_name_comes_with_one_that_would_do() -> None:
    with pytest.raises(InvalidName, match="'my-api-key' would do"):
        Secret(value="a").save("My API_key")


def test_an_address_is_of_the_type_that_is_asked() -> None:
    with pytest.raises(InvalidName, match=r"Secret loads .* 'secret'; 'string/x' names another one"):
        Secret.load("string/x")
    with pytest.raises(InvalidName, match="'secret/api-key'; not 'x'"):
        Block.load("x")


def test_a_type_that_this_process_does_not_know_is_told(programs: Programs) -> None:
    done = programs.run("""
        from penstock.blocks import Block

        class Database(Block):
            host: str

        Database(host="h").save("orders")
    """)
    assert done.code == 0, done.stderr

    with pytest.raises(UnknownBlockType, match=r"no block type 'database' in this process.*is imported"):
        Block.load("database/orders")


def test_a_block_that_no_longer_fits_its_type_is_told_without_its_values() -> None:
    class Database(Block):
        host: str
        password: SecretStr

    Database(host="db.example.org", password="hunter2").save("orders")

    class Database(Block):  # type: ignore[no-redef]
        host: int
        password: SecretStr
        port: int

    with pytest.raises(UnreadableBlock) as raised:
        Database.load("orders")
    assert "'database/orders'" in str(raised.value)
    assert "host: Input should be a valid integer" in str(raised.value)
    assert "port: Field required" in str(raised.value)
    assert "example" not in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_field_that_is_new_takes_its_default() -> None:
    class Database(Block):
        host: str
        gone: str = "x"

    Database(host="h").save("orders")

    class Database(Block):  # type: ignore[no-redef]
        host: str
        port: int = 5432

    assert Database.load("orders").port == 5432


def test_what_cannot_be_stored_is_told() -> None:
    class Odd(Block):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        thing: Any

    with pytest.raises(UnstorableValue, match="A Odd cannot be stored"):
        Odd(thing=object()).save("it")
    with pytest.raises(UnstorableValue, match="A Secret cannot be stored"):
        Secret(value=object()).save("it")
    with pytest.raises(BlockNotFound):
        Secret.load("it")


def test_a_secret_is_not_lost_behind_a_wider_annotation() -> None:
    class Holder(Block):
        inner: pydantic.BaseModel

    with pytest.raises(UnstorableValue, match="narrower class"):
        Holder(inner=Login(user="ann", password="hunter2")).save("it")


# --- types -----------------------------------------------------------------------------------------------------------


def test_names_and_slugs_of_types() -> None:
    class MyKey(Block):
        """What it is for.

        More of it."""

    class S3Bucket(Block):
        _block_type_name = "S3 Bucket"
        _description = "Files."

    class Named(S3Bucket):
        _block_type_slug = "my-own"

    class Child(Named):
        pass

    assert (MyKey.get_block_type_name(), MyKey.get_block_type_slug()) == ("MyKey", "mykey")
    assert (S3Bucket.get_block_type_name(), S3Bucket.get_block_type_slug()) == ("S3 Bucket", "s3-bucket")
    assert (MyKey.get_description(), S3Bucket.get_description()) == ("What it is for.", "Files.")
    assert (Named.get_block_type_slug(), Child.get_block_type_slug()) == ("my-own", "child")
    assert Secret[dict[str, str]].get_block_type_slug() == "secret"
    assert {"mykey", "s3-bucket", "my-own", "child", "secret", "json", "string", "date-time"} <= {
        each.get_block_type_slug() for each in block_types()
    }


def test_a_type_needs_a_slug_that_is_not_one_of_ours() -> None:
    with pytest.raises(DefinitionError, match=r"_block_type_slug = 'my-type'"):

        class Ключ(Block):
            pass

    with pytest.raises(DefinitionError, match="needs a slug"):

        class Odd(Block):
            _block_type_slug = "Not A Slug"

    with pytest.raises(DefinitionError, match=r"'secret', which is Penstock's own"):
        type("Secret", (Block,), {"__module__": __name__})

    class Interface(Block, ABC):
        pass

    assert Interface not in block_types()
    assert CoreBlock is Block


def test_a_subclass_may_prepare_itself() -> None:
    class Client(Block):
        url: str
        _ready: bool = False

        def block_initialization(self) -> None:
            self._ready = True

    Client(url="u").save("it")

    assert Client(url="u")._ready
    assert Client.load("it")._ready


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_no_text_of_a_block_shows_a_secret() -> None:
    made = everything()
    for text in (repr(made), str(made), f"{made}", made.model_dump_json(), repr(made.model_dump()), repr(made.login)):
        assert "secret-" not in text
        assert "12345" not in text
    assert "hunter2" not in repr(Secret(value="hunter2"))
    assert "seen" in repr(made)


def test_no_error_of_a_field_shows_another_or_itself() -> None:
    class Database(Block):
        password: SecretStr
        port: int

    for fields in ({"password": "hunter2"}, {"password": "hunter2", "port": "hunter2"}, {"password": ["hunter2"]}):
        with pytest.raises(pydantic.ValidationError) as raised:
            Database(**fields)
        assert "hunter2" not in str(raised.value)


def test_a_block_is_a_value_that_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(Secret(value="hunter2"))).get() == "hunter2"
    assert Secret(value=SecretStr("hunter2")).get() == "hunter2"
    assert Secret(value=pydantic.Secret[str]("hunter2")).get() == "hunter2"
