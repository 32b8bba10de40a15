"""A whole log as text, from a real server."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from uuid import uuid4

import pytest

from penstock.store.sqlite import SqliteStore

from ..cli.records import Records
from ..served.kit import ServerProcess, serving


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def records(module_server: ServerProcess) -> Iterator[Records]:
    made = Records(SqliteStore(module_server.home / "penstock.db"))
    yield made
    made.store.close()


def get(server: ServerProcess, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, f"/api/flow_runs/{path}/logs/download")
    answer = connection.getresponse()
    return answer, answer.read()


def test_a_long_log_comes_whole_and_in_order(module_server: ServerProcess, records: Records) -> None:
    made = records.flow_run(name="shy-owl")
    task = records.task_run(made)
    records.lines(made, *(f"line {number}" for number in range(2500)))
    records.lines(task, "two\nlines\x1b[2J", start=2500, level=40)
    answer, body = get(module_server, str(made.id))
    assert answer.status == 200
    assert answer.getheader("content-type") == "text/plain; charset=utf-8"
    assert answer.getheader("content-disposition") == f'attachment; filename="flow-run-{made.id}.log"'
    lines = body.decode().splitlines()
    assert [line.rpartition(" - ")[2] for line in lines[:2500]] == [f"line {number}" for number in range(2500)]
    assert "+00:00 | INFO    | Flow run 'shy-owl' - line 0" in lines[0]
    assert lines[2500].endswith("| ERROR   | Task run 'load-0' - two")
    assert lines[2501:] == ["lines\\x1b[2J"]


def test_a_log_that_is_not_there_is_an_error_like_others(module_server: ServerProcess, records: Records) -> None:
    made = records.flow_run()
    assert [get(module_server, path)[0].status for path in (str(uuid4()), "nobody", "..%2f..")] == [404, 422, 404]
    answer, body = get(module_server, str(made.id))
    assert (answer.status, body) == (200, b"")
    answer, body = get(module_server, str(made.id), "HEAD")
    assert (answer.status, body) == (200, b"")
    answer, _ = get(module_server, str(made.id), "POST")
    assert (answer.status, answer.getheader("allow")) == (405, "GET, HEAD")
