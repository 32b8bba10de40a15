"""What is secret is in nothing that runs record, and what is kept of it is encrypted."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import threading
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import SecretBytes, SecretStr

from penstock import connect, flow, get_run_logger, task
from penstock.cache_policies import INPUTS
from penstock.domain.masking import MASK, Masker
from penstock.engine import sealing
from penstock.engine.masking import MASKER
from penstock.engine.results import StoredResult
from penstock.exceptions import DecryptionError, ParameterTypeError
from penstock.flow_runs import cancel_flow_run
from penstock.logging import mask_pattern, mask_secret
from penstock.serializers import CompressedSerializer, JSONSerializer
from penstock.settings import temporary_settings
from penstock.states import Completed, Failed

from .kit import Record, everything, until

SECRET = "hunter2-Ünï/code"


class Login(pydantic.BaseModel):
    user: str
    password: SecretStr


@dataclasses.dataclass
class Deep:
    logins: list[dict[str, Any]]


class Client:
    """What is in it is not looked for; but pickled it would be."""

    def __init__(self, password: Any) -> None:
        self.password = password


@pytest.fixture
def nowhere(penstock_home: Path, record: Record) -> Any:
    """Checks, when asked and at the end, that a text is in no file."""
    texts = [SECRET]

    def check(*more: str) -> None:
        texts.extend(more)
        record.flow_runs()  # waits for what is not recorded yet
        data = everything(penstock_home)
        for text in texts:
            assert text.encode() not in data
            assert repr(text)[1:-1].encode() not in data

    yield check
    check()


# --- what is said and recorded ---------------------------------------------------------------------------------------


def test_all_that_a_run_says_of_itself_is_masked(record: Record, nowhere: Any) -> None:
    assert mask_secret(SECRET)

    @task(task_run_name="work-{x}", tags=["tag-" + SECRET], retries=1)
    def work(x: str) -> None:
        print("printed", x)
        get_run_logger().warning("logged %s", {"x": x})
        raise ValueError(f"no good: {x}")

    @flow(flow_run_name="{x} run", log_prints=True)
    def body(x: str, many: list[str]) -> Any:
        work(x, return_state=True)
        return Failed(message=f"said {x}", details={"with": [x]})

    assert body(SECRET, ["y" * 190, SECRET], return_state=True).is_failed()
    run, inner = record.flow_run(), record.task_run()
    assert run.name == f"{MASK} run"
    assert run.parameters["x"] == f"'{MASK}'"
    assert run.state.message == f"said {MASK}"
    assert run.state.details == {"with": [MASK]}
    assert inner.name == f"work-{MASK}"
    assert inner.tags == (f"tag-{MASK}",)
    assert inner.state.message == f"Task run encountered an exception: ValueError: no good: {MASK}"
    messages = record.messages()
    assert f"printed {MASK}" in messages
    assert f"logged {{'x': '{MASK}'}}" in messages
    assert any("Traceback" in message and f"ValueError: no good: {MASK}" in message for message in messages)


@pytest.mark.parametrize("place", range(1980, 2001, 3))
def test_no_text_is_shortened_within_a_secret(place: int, record: Record, nowhere: Any) -> None:
    mask_secret(SECRET)
    text = "x" * (place - len("ValueError: ")) + SECRET + "y" * 100

    @flow
    def body(text: str, short: str) -> None:
        raise ValueError(text)

    body(text, "x" * (place - 1800) + SECRET + "y" * 100, return_state=True)
    nowhere(SECRET[:5])


def test_a_line_is_cut_behind_a_secret_and_not_in_it(record: Record, nowhere: Any) -> None:
    mask_secret(SECRET)
    with temporary_settings({"PENSTOCK_LOGGING_MAX_LINE_BYTES": 100}):

        @flow(log_prints=True)
        def body() -> None:
            for place in range(80, 102):
                print("x" * place + SECRET + "y" * 200)
            print(SECRET * 500)

        body()
    nowhere(SECRET[:5], SECRET[-5:])


def test_patterns_of_the_settings_and_of_the_program_hold(record: Record) -> None:
    mask_pattern(r"id-\d+")
    with temporary_settings({"PENSTOCK_LOGGING_MASK_PATTERNS": r"token=(?P<secret>\w+)"}):

        @flow(log_prints=True)
        def body(of: str) -> None:
            print("token=abc id-77")
            raise ValueError("token=abcdef")

        body("token=xyz", return_state=True)
    run = record.flow_run()
    assert f"token={MASK} {MASK}" in record.messages(run)
    assert run.parameters == {"of": f"'token={MASK}'"}
    assert run.state.message == f"Flow run encountered an exception: ValueError: token={MASK}"

    @flow(log_prints=True)
    def later() -> None:
        print("token=abc id-77")

    later()
    assert f"token=abc {MASK}" in record.messages(record.flow_run("later"))


def test_secrets_of_the_settings_are_masked(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    monkeypatch.setenv("PENSTOCK_ENCRYPTION_KEY", key)

    @flow(log_prints=True)
    def body() -> None:
        print(os.environ["PENSTOCK_ENCRYPTION_KEY"])

    body()
    assert MASK in record.messages()


def test_who_masks_too_short_a_value_is_told() -> None:
    assert not mask_secret("abc")
    assert not mask_secret(SecretStr(""))
    assert mask_secret(SecretBytes(b"\xff\xfeabc"))
    with pytest.raises(TypeError, match="NoneType"):
        mask_secret(None)


@pytest.mark.parametrize("given", [b"id-[0-9]+", re.compile("id-[0-9]+"), None])
def test_a_pattern_is_text(given: Any) -> None:
    with pytest.raises(TypeError, match=f"as text; it was given a {type(given).__name__}"):
        mask_pattern(given)
    assert not MASKER.active


def test_requests_to_stop_a_run_and_its_limit_are_masked(record: Record, nowhere: Any) -> None:
    mask_secret(SECRET)
    began = threading.Event()

    @flow(flow_run_name="{name}")
    def body(name: str) -> None:
        began.set()
        threading.Event().wait(20)

    def cancel() -> None:
        assert began.wait(20)
        cancel_flow_run(until(lambda: record.flow_runs())[0].id)

    thread = threading.Thread(target=cancel)
    thread.start()
    body(SECRET, return_state=True)
    thread.join()

    @task(timeout_seconds=0.05, task_run_name="{name}")
    def slow(name: str) -> None:
        threading.Event().wait(20)

    slow(SECRET, return_state=True)
    assert record.task_run().state_name == "TimedOut"
    assert record.flow_run().state_name == "Cancelled"


# --- pydantic's secrets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        SecretStr(SECRET),
        SecretBytes(SECRET.encode()),
        Login(user="ada", password=SecretStr(SECRET)),
        Deep([{"a": (Login(user="ada", password=SecretStr(SECRET)),)}]),
    ],
)
def test_secrets_among_the_arguments_are_masked_from_the_beginning(given: Any, record: Record, nowhere: Any) -> None:
    @task
    def work(given: Any) -> str:
        return SECRET

    @flow(log_prints=True)
    def body(given: Any) -> list[str]:
        print(SECRET)
        return [work(given)]

    assert body(given) == [SECRET]
    assert MASK in record.messages()


def test_what_is_taken_out_of_a_secret_is_masked_while_runs_are_under_way(record: Record, nowhere: Any) -> None:
    before = SecretStr.get_secret_value

    @flow(log_prints=True)
    def body() -> None:
        print(SecretStr(SECRET).get_secret_value())

    body()
    assert record.messages()[1] == MASK
    assert SecretStr.get_secret_value is before


class Locked:
    """Looks like a secret, and gives none."""

    def get_secret_value(self) -> str:
        raise RuntimeError("locked")


class Closed:
    __attrs_attrs__ = (dataclasses.field(),)  # what has no name

    def __reduce__(self) -> Any:
        raise TypeError("closed")


@pytest.mark.parametrize("value", [Locked(), Closed(), [Locked(), SecretStr(SECRET)]])
def test_a_value_that_fails_when_it_is_looked_at_is_passed_on(value: Any, record: Record, nowhere: Any) -> None:
    @task
    def work(value: Any) -> Any:
        return value

    @flow(log_prints=True)
    def body(value: Any) -> Any:
        print(SECRET if isinstance(value, list) else "nothing")
        return work(value)

    assert body(value) is value


def test_an_argument_that_becomes_a_secret_is_one(record: Record, nowhere: Any) -> None:
    @flow
    def body(login: Login, token: SecretStr) -> str:
        return login.password.get_secret_value()

    given: Any = {"user": "ada", "password": SECRET}
    other: Any = "another-secret"
    assert body(given, other) == SECRET
    nowhere("another-secret")


def test_an_argument_that_does_not_fit_tells_no_secret(record: Record, nowhere: Any) -> None:
    @flow
    def body(login: Login) -> None: ...

    given: Any = {"password": SECRET}
    with pytest.raises(ParameterTypeError):
        body(given)
    assert record.flow_run().state_name == "Failed"


# --- what is kept ----------------------------------------------------------------------------------------------------


PICKLED = [SECRET, "plain-ascii-secret", {"a": [SECRET]}, SecretStr(SECRET), SECRET.encode()]
WRITTEN = [
    *((value, serializer) for value in PICKLED for serializer in (None, "pickle", "compressed/pickle")),
    *((value, serializer) for value in PICKLED[:3] for serializer in ("json", CompressedSerializer("json"))),
]


@pytest.mark.parametrize(("value", "serializer"), WRITTEN)
@pytest.mark.parametrize("padding", [0, 100_000])
def test_a_result_that_holds_a_secret_is_encrypted(
    value: Any, padding: int, serializer: Any, record: Record, nowhere: Any, penstock_home: Path
) -> None:
    mask_secret(SECRET)
    mask_secret("plain-ascii-secret")

    @task(persist_result=None if serializer is None and not padding else True, result_serializer=serializer)
    def work() -> Any:
        return [value, "x" * padding]

    work()
    ref = record.task_run().result
    assert ref is not None
    assert ref.serializer.startswith("sealed/")
    assert (ref.inline is None) == (padding > 0 and "compressed" not in ref.serializer)
    assert StoredResult(ref, "it", connect.vault()).load()[0] == value
    nowhere("plain-ascii-secret")


@pytest.mark.parametrize("serializer", [None, "pickle", "compressed/pickle"])
def test_a_secret_within_any_object_is_known_when_that_is_kept(serializer: Any, record: Record, nowhere: Any) -> None:
    @task(persist_result=serializer and True, result_serializer=serializer)
    def work(client: Client) -> Client:
        return client

    @flow
    def body(client: Client) -> list[Client]:
        return [work(client)]

    body(Client(Client(SecretStr(SECRET))))
    for ref in (record.flow_run().result, record.task_run().result):
        assert ref is not None
        assert ref.serializer.startswith("sealed/")


def test_a_serializer_of_the_users_hides_no_secret(record: Record, penstock_home: Path, tmp_path: Path) -> None:
    class Backwards:
        type = "backwards"

        def dumps(self, value: Any) -> bytes:
            return pickle.dumps(value)[::-1]

        def loads(self, data: bytes) -> Any:
            return pickle.loads(data[::-1])

    mask_secret(SECRET)

    @task(
        result_serializer=Backwards(), result_storage=tmp_path / "mine", result_storage_key=f"of-{SECRET[:7]}-{SECRET}"
    )
    def work(value: str) -> str:
        return value

    work(SECRET)
    ref = record.task_run().result
    assert ref is not None
    assert ref.serializer == "sealed/backwards"
    (file,) = (tmp_path / "mine").iterdir()
    assert SECRET not in file.name
    assert SECRET.encode()[::-1] not in file.read_bytes()


@pytest.mark.parametrize("serializer", ["pickle", "json", "compressed/pickle", "compressed/json"])
def test_a_result_brings_its_secrets_along(serializer: str, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    mask_secret(SECRET)

    @task(persist_result=True, result_serializer=serializer)
    def work() -> list[str]:
        return [SECRET] * 10

    work()
    reader = Masker()  # as another process has it
    monkeypatch.setattr(sealing, "MASKER", reader)
    assert StoredResult(record.task_run().result, "it", connect.vault()).load() == [SECRET] * 10
    assert reader.text(f"say {SECRET}") == f"say {MASK}"


def test_a_result_without_a_secret_is_kept_as_ever(record: Record, penstock_home: Path) -> None:
    mask_secret(SECRET)

    @task(persist_result=True, result_serializer=JSONSerializer())
    def work() -> str:
        return "nothing"

    work()
    ref = record.task_run().result
    assert ref is not None
    assert (ref.serializer, ref.inline) == ("json", b'"nothing"')
    assert not (penstock_home / "secret.key").exists()


def test_a_cached_result_that_holds_a_secret_is_found_by_a_key_that_does_not(record: Record, nowhere: Any) -> None:
    mask_secret(SECRET)
    calls = []

    @task(cache_key_fn=lambda context, parameters: f"key of {parameters['x']}")
    def work(x: str) -> str:
        calls.append(x)
        return x

    @task(cache_policy=INPUTS)
    def other(x: str) -> str:
        calls.append(x)
        return x

    for _ in range(2):
        assert work(SECRET) == SECRET
        assert other(SECRET) == SECRET
    assert calls == [SECRET, SECRET]
    assert [run.state_name for run in record.task_runs("work")] == ["Completed", "Cached"]


def test_what_cannot_be_encrypted_is_not_kept_and_that_is_said(
    record: Record, nowhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_ENCRYPTION_KEY", "no key at all")
    mask_secret(SECRET)

    @task
    def work() -> str:
        return SECRET

    @task(persist_result=True)
    def asked() -> str:
        return SECRET

    @flow
    def body(x: str) -> None:
        work()
        asked(return_state=True)

    body(SECRET)
    assert record.task_run("work").result is None
    assert any("is not kept, for it cannot be encrypted" in message for message in record.messages())
    asked_run = record.task_run("asked")
    assert asked_run.state_name == "Failed"
    assert "holds a secret, and cannot be encrypted" in (asked_run.state.message or "")


def test_a_result_of_another_key_is_not_read(record: Record, penstock_home: Path) -> None:
    mask_secret(SECRET)

    @task
    def work() -> str:
        return SECRET

    work()
    (penstock_home / "secret.key").unlink()
    with pytest.raises(DecryptionError, match="The result of it"):
        StoredResult(record.task_run().result, "it", connect.vault()).load()


def test_a_state_with_a_secret_as_its_data_keeps_none(record: Record, nowhere: Any) -> None:
    mask_secret(SECRET)

    @flow
    def body() -> Any:
        return Completed(message=SECRET, data=SECRET)

    assert body() == SECRET
    assert record.flow_run().state.message == MASK
