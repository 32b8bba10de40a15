"""What user code asks of the record, it asks of the server: variables, blocks, cancelling, clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretBytes, SecretStr

from penstock import cancel_flow_run, cancel_task_run, connect, flow, task
from penstock.blocks import Block, Secret
from penstock.client import get_client
from penstock.domain.errors import BadRequest, BlockNotFound, NameTaken, ObjectNotFound, TransitionRefused
from penstock.domain.ids import InvalidId
from penstock.settings import refresh
from penstock.variables import Variable

from ..flows.fixtures import disconnected, threads_allowed
from ..flows.kit import Programs, taking_less_than, until
from .kit import ServerProcess, serving

__all__ = ["disconnected", "threads_allowed"]


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(autouse=True)
def served(module_server: ServerProcess, monkeypatch: pytest.MonkeyPatch, penstock_home: Path) -> Iterator[Path]:
    """This process's home; its record is the server's."""
    monkeypatch.setenv("PENSTOCK_API_URL", module_server.url)
    refresh()
    yield penstock_home
    refresh()


def test_variables_are_the_servers(served: Path) -> None:
    assert Variable.get("rows", default=7) == 7
    Variable.set("rows", {"a": [1, None, "ü"]}, tags=["x"])
    assert Variable.get("rows") == {"a": [1, None, "ü"]}
    with pytest.raises(NameTaken):
        Variable.set("rows", 1)
    assert Variable.set("rows", 2, overwrite=True).tags == []
    assert Variable.unset("rows")
    assert not Variable.unset("rows")
    with pytest.raises(BadRequest, match="cannot be sent to a server"):
        Variable.set("half", "\ud800")
    assert not (served / "penstock.db").exists()


class Warehouse(Block):
    host: str
    password: SecretStr
    keys: list[SecretBytes] = []


def test_blocks_are_the_servers_and_so_is_their_key(served: Path, module_server: ServerProcess) -> None:
    Secret(value="open sesame").save("token", overwrite=True)
    assert Secret.load("token").get() == "open sesame"
    Warehouse(host="h", password=SecretStr("open sesame"), keys=[SecretBytes(b"\xff sesame")]).save("db")
    loaded = Warehouse.load("db")
    assert (loaded.host, loaded.password.get_secret_value()) == ("h", "open sesame")
    assert [key.get_secret_value() for key in loaded.keys] == [b"\xff sesame"]
    assert Block.load("warehouse/db") == loaded
    with pytest.raises(NameTaken):
        loaded.save("db")
    Warehouse.delete("db")
    with pytest.raises(BlockNotFound):
        Warehouse.load("db")
    assert not (served / "secret.key").exists()
    assert (module_server.home / "secret.key").exists()
    kept = b"".join(path.read_bytes() for path in module_server.home.rglob("*") if path.is_file())
    assert b"sesame" not in kept


def test_a_secret_that_was_loaded_from_a_server_is_masked(module_server: ServerProcess) -> None:
    Secret(value="open sesame").save("masked", overwrite=True)

    @flow(log_prints=True)
    def tells() -> None:
        print("it is", Secret.load("masked").get())

    tells()
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(limit=1)
        messages = [line.message for line in client.read_logs(run.id)]
    assert [message for message in messages if message.startswith("it is")] == ["it is ********"]


def test_what_a_run_has_reported_is_seen_by_its_own_questions() -> None:
    @task
    def work(number: int) -> int:
        return number

    @flow
    def asks() -> int:
        for number in range(3):
            work(number)
        with get_client(sync_client=True) as client:
            (run,) = client.read_flow_runs(limit=1)
            return sum(client.count_task_runs_of_flow_run(run.id).values())

    assert asks() == 3


WAITS = """
    import time
    from penstock import flow

    @flow(flow_run_name="waits-for-it")
    def waits():
        time.sleep(60)

    waits()
"""


def test_a_run_elsewhere_is_cancelled_and_its_end_awaited(module_server: ServerProcess, programs: Programs) -> None:
    process = programs.start(WAITS, PENSTOCK_API_URL=module_server.url)
    with get_client(sync_client=True) as client:

        def running() -> bool:
            try:
                return client.find_flow_run("waits-for-it").state.is_running()
            except ObjectNotFound:
                return False

        until(running)
        run = client.find_flow_run("waits-for-it")
    with taking_less_than(5.0):
        ended = cancel_flow_run(run.id, wait=True, timeout=20)
    assert ended.state.is_cancelled()
    assert (ended.state.details or {})["stopped"] == "raised"
    assert programs.finish(process).code != 0
    with pytest.raises(TransitionRefused):
        cancel_flow_run(run.id)
    with pytest.raises(InvalidId):
        cancel_task_run("no id")


def test_a_flow_that_cancels_itself_hears_it_at_once() -> None:
    @flow
    def gives_up() -> None:
        from penstock.runtime import flow_run

        cancel_flow_run(flow_run.id)
        raise AssertionError("the code went on")

    with taking_less_than(5.0):
        state = gives_up(return_state=True)
    assert state.is_cancelled()
    connect.settle()
