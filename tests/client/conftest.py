"""Each test of the client asks twice: the record of this process, and a real server's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.client import SyncPenstockClient, get_client
from penstock.settings import refresh
from penstock.store.sqlite import SqliteStore

from ..cli.records import Records
from ..flows.fixtures import disconnected, threads_allowed
from ..served.kit import ServerProcess, serving

__all__ = ["client", "disconnected", "home", "module_server", "records", "threads_allowed"]


# What runs and people leave in a record.
TABLES = (
    "flow_run", "task_run", "log", "flow", "variable", "block_document", "request", "pause", "holder",
)  # fmt: skip


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of a file: it is on no record of theirs until they make one."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(params=["embedded", "served"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, penstock_home: Path) -> Iterator[Path]:
    """The folder with the record that is asked."""
    folder = penstock_home
    if request.param == "served":
        server = request.getfixturevalue("module_server")
        monkeypatch.setenv("PENSTOCK_API_URL", server.url)
        folder = server.home
    refresh()
    yield folder
    refresh()


@pytest.fixture
def records(home: Path) -> Iterator[Records]:
    """The record that is asked, to be written to, as engines would."""
    made = Records(SqliteStore(home / "penstock.db"))
    yield made
    with made.store.write() as tx:
        for table in (
            "flow_run",
            "task_run",
            "log",
            "flow",
            "variable",
            "block_document",
            "request",
            "pause",
            "holder",
        ):
            tx.run(f"DELETE FROM {table}")
    made.store.close()


@pytest.fixture
def client(home: Path) -> Iterator[SyncPenstockClient]:
    with get_client(sync_client=True) as made:
        yield made
