"""Results: small ones are in the record, those that were asked for are kept whatever their size."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from penstock import connect, flow, task
from penstock.engine.results import StoredResult
from penstock.exceptions import DefinitionError, MissingResult, SerializationError
from penstock.serializers import CompressedSerializer, JSONSerializer

from .kit import Programs, Record

LARGE = "x" * 100_000


def files(home: Path) -> list[Path]:
    storage = home / "storage"
    return [path for path in storage.rglob("*") if path.is_file()] if storage.exists() else []


def load(run: Any) -> Any:
    """The value as another process would read it."""
    return StoredResult(run.result, run.name, connect.vault()).load()


@pytest.mark.parametrize(
    "value", [None, True, 0, 2**70, -1.5, float("inf"), "text", "ü\ud800", b"\0", [1, (2,)], {1: {2}}, range(3), 1 + 2j]
)
def test_a_small_value_is_kept_in_the_record_as_it_was(value: Any, record: Record, penstock_home: Path) -> None:
    @task
    def work() -> Any:
        return value

    @flow
    def main() -> Any:
        return work()

    assert main() == value
    for run in (record.task_run(), record.flow_run()):
        kept = load(run)
        assert kept == value
        assert type(kept) is type(value)
    assert not files(penstock_home)


def test_a_large_value_is_not_kept_unless_that_is_asked_for(record: Record, penstock_home: Path) -> None:
    @task
    def work() -> str:
        return LARGE

    assert work() == LARGE
    assert record.task_run().result is None
    assert not files(penstock_home)
    with pytest.raises(MissingResult, match="persist_result"):
        load(record.task_run())


def test_a_value_that_cannot_be_kept_is_no_error_unless_that_was_asked_for(record: Record) -> None:
    lock = threading.Lock()

    @task
    def work() -> Any:
        return lock

    @flow
    def main() -> Any:
        return work()

    assert main() is lock
    assert record.task_run().result is None


def test_a_value_of_any_size_is_kept_in_a_file_where_that_is_asked_for(record: Record, penstock_home: Path) -> None:
    @task(persist_result=True)
    def work() -> str:
        return LARGE

    @flow(persist_result=True)
    def main() -> str:
        return work()

    main()
    assert load(record.task_run()) == load(record.flow_run()) == LARGE
    assert len(files(penstock_home)) == 2
    assert all(
        path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0 for path in files(penstock_home)
    )


def test_no_value_is_kept_where_that_is_refused(record: Record, penstock_home: Path) -> None:
    @task(persist_result=False)
    def work() -> str:
        return "a-secret-value"

    @flow(persist_result=False)
    def main() -> str:
        return work()

    assert main() == "a-secret-value"
    assert record.task_run().result is None
    assert record.flow_run().result is None
    everything = b"".join(path.read_bytes() for path in penstock_home.rglob("*") if path.is_file())
    assert b"a-secret-value" not in everything


def test_the_settings_have_a_say(record: Record, monkeypatch: pytest.MonkeyPatch, penstock_home: Path) -> None:
    monkeypatch.setenv("PENSTOCK_RESULTS_PERSIST_BY_DEFAULT", "true")
    monkeypatch.setenv("PENSTOCK_RESULTS_DEFAULT_SERIALIZER", "json")
    monkeypatch.setenv("PENSTOCK_RESULTS_INLINE_LIMIT", "10")

    @task
    def work() -> str:
        return "longer than ten"

    work()
    (file,) = files(penstock_home)
    assert json.loads(file.read_bytes()) == "longer than ten"
    assert load(record.task_run()) == "longer than ten"


@pytest.mark.parametrize(
    ("serializer", "type_"),
    [
        ("json", "json"),
        ("pickle", "pickle"),
        ("compressed/json", "compressed/json"),
        ("compressed/pickle", "compressed/pickle"),
        (JSONSerializer(), "json"),
        (CompressedSerializer("json"), "compressed/json"),
    ],
)
@pytest.mark.parametrize("value", [{"a": [1, None, "ü"]}, [LARGE]], ids=["small", "large"])
def test_a_value_is_written_as_was_asked_for(value: Any, serializer: Any, type_: str, record: Record) -> None:
    @task(persist_result=True, result_serializer=serializer)
    def work() -> Any:
        return value

    work()
    run = record.task_run()
    assert run.result is not None
    assert run.result.serializer == type_
    assert load(run) == value


@pytest.mark.parametrize("kind", ["task", "flow"])
def test_a_value_that_cannot_be_written_fails_the_run_and_names_it(kind: str, record: Record) -> None:
    def work() -> Any:
        return threading.Lock()

    decorated: Any = (task if kind == "task" else flow)(persist_result=True)(work)
    with pytest.raises(SerializationError) as raised:
        decorated()
    for part in (f"{kind} 'work'", "lock", "pickle", "result_serializer", "persist_result=False"):
        assert part in str(raised.value)
    (run,) = record.task_runs() if kind == "task" else record.flow_runs()
    assert run.state_name == "Failed"


def test_a_value_that_json_does_not_know_fails_the_run(record: Record) -> None:
    @task(result_serializer="json")
    def work() -> Any:
        return object()

    with pytest.raises(SerializationError, match="'json' serializer"):
        work()


def test_an_unknown_serializer_is_named_with_those_there_are(record: Record) -> None:
    with pytest.raises((SerializationError, DefinitionError), match="yaml") as raised:
        task(result_serializer="yaml")(lambda: 1)()
    assert "pickle" in str(raised.value)
    assert all(run.state.is_final() for run in record.task_runs())


def test_a_failing_write_is_not_tried_again(record: Record) -> None:
    calls: list[int] = []

    @task(persist_result=True, retries=3)
    def work() -> Any:
        calls.append(1)
        return threading.Lock()

    with pytest.raises(SerializationError):
        work()
    assert len(calls) == 1


# --- where -----------------------------------------------------------------------------------------------------------


def test_a_file_has_the_name_that_was_asked_for(record: Record, penstock_home: Path, tmp_path: Path) -> None:
    @task(result_storage_key="tables/{table}-{parameters[day]}.pkl")
    def work(table: str, day: int) -> str:
        return f"{table}{day}"

    @task(result_storage_key=lambda: "by-function", result_storage=tmp_path / "elsewhere")
    def other() -> int:
        return 1

    work("a", 3)
    other()
    assert pickle.loads((penstock_home / "storage" / "tables" / "a-3.pkl").read_bytes()) == "a3"
    assert (tmp_path / "elsewhere" / "by-function").exists()
    assert [load(run) for run in record.task_runs()] == ["a3", 1]


@pytest.mark.parametrize("key", ["../outside", "/etc/outside", "a/../../outside", "..", ".", "{name}"])
def test_a_name_outside_the_storage_is_refused(key: str, record: Record, penstock_home: Path) -> None:
    @task(result_storage_key=key, persist_result=True)
    def work(name: str) -> int:
        return 1

    @flow
    def main() -> None:
        work("../../outside")

    with pytest.raises((SerializationError, DefinitionError)):
        main()
    assert not list(penstock_home.parent.rglob("outside"))
    assert record.task_run().state_name == "Failed"


def test_a_symbolic_link_does_not_lead_out_of_the_storage(record: Record, penstock_home: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (penstock_home / "storage").mkdir(parents=True)
    (penstock_home / "storage" / "link").symlink_to(tmp_path / "target")

    @task(result_storage_key="link/file")
    def work() -> int:
        return 1

    with pytest.raises(SerializationError):
        work()
    assert not list((tmp_path / "target").iterdir())


def test_a_template_that_cannot_be_filled_fails_the_run_and_names_itself(record: Record) -> None:
    @task(result_storage_key="{nothing}")
    def work() -> int:
        return 1

    @flow
    def main() -> None:
        work()

    with pytest.raises(DefinitionError, match=r"\{nothing\}"):
        main()
    assert record.task_run().state_name == "Failed"


def test_a_result_that_cannot_be_written_to_its_place_fails_the_run(record: Record, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    @task(result_storage=tmp_path / "file", persist_result=True)
    def work() -> str:
        return LARGE

    @flow
    def main() -> None:
        work()

    with pytest.raises(Exception, match="file"):
        main()
    assert record.task_run().state_name == "Failed"
    assert record.flow_run().state_name == "Failed"


def test_a_result_whose_file_is_gone_is_said_to_be_missing(record: Record, penstock_home: Path) -> None:
    @task(persist_result=True)
    def work() -> str:
        return LARGE

    work()
    files(penstock_home)[0].unlink()
    with pytest.raises(MissingResult, match="gone"):
        load(record.task_run())


def test_a_result_that_was_damaged_is_said_to_be(record: Record, penstock_home: Path) -> None:
    @task(persist_result=True)
    def work() -> str:
        return LARGE

    work()
    files(penstock_home)[0].write_bytes(b"\x80\x05damaged")
    with pytest.raises(SerializationError, match="cannot be read"):
        load(record.task_run())


def test_a_file_is_there_wholly_or_not_at_all(programs: Programs, penstock_home: Path) -> None:
    done = programs.run("""
        import os, pathlib
        from penstock import task
        write_bytes = pathlib.Path.write_bytes

        def dies(self, data):
            write_bytes(self, data[: len(data) // 2])
            os._exit(0)

        pathlib.Path.write_bytes = dies

        @task(result_storage_key="result")
        def work():
            return "x" * 100_000

        work()
    """)
    assert done.code == 0, done.stderr
    assert not (penstock_home / "storage" / "result").exists()


def test_a_value_of_the_programs_own_class_is_read_by_the_program(record: Record, programs: Programs) -> None:
    done = programs.run("""
        from dataclasses import dataclass
        from penstock import connect, task
        from penstock.engine.results import StoredResult
        from penstock.store import task_runs

        @dataclass
        class Row:
            number: int

        @task(persist_result=True)
        def work():
            return Row(5)

        state = work(return_state=True)
        connect.disconnect()
        store = connect.open_store()
        with store.read() as tx:
            (run,) = task_runs.select(tx, "1 = 1", [], "id", 10)
        assert StoredResult(run.result, "work", connect.vault()).load() == Row(5)
    """)
    assert done.code == 0, done.stderr


def test_an_object_that_has_a_load_method_is_a_value_as_any_other(record: Record) -> None:
    class Model:
        def load(self) -> str:
            return "something else"

    model = Model()

    @task
    def work() -> Any:
        return model

    @flow
    def main() -> Any:
        assert work() is model
        assert work(return_state=True).result() is model
        future = work.submit()
        assert future.result() is model
        assert future.state.result() is model
        return future.result()

    assert main() is model
