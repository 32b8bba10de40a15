"""Inputs of runs over REST: who waits for one gets it when it comes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .kit import Answer, Record, Server
from .test_streams import ME, either_database

assert either_database


def test_who_waits_gets_it_when_it_comes_and_the_next_after_it(server: Server, record: Record) -> None:
    run = record.flow_run(holder=ME)
    path = f"/flow_runs/{run.id}/input"
    answers: list[Answer] = []

    def wait() -> None:
        answers.append(server.ask("POST", f"{path}/filter", {"key": "str", "wait": 15}))

    waiting = threading.Thread(target=wait)
    waiting.start()
    for key in ("int", "str", "str"):
        sent = server.ask("POST", path, {"key": key, "value": {"value": key}, "sender": "a person"})
        assert sent.status == 201
    waiting.join(14)
    (answer,) = answers
    first = answer.json[0]
    assert (first["key"], first["seq"], first["sender"], first["who"]) == ("str", 2, "a person", "anonymous")
    behind = server.ask("POST", f"{path}/filter", {"seen": first["seq"]})
    assert [each["seq"] for each in behind.json] == [3]


@pytest.mark.parametrize(
    "fields",
    [{}, {"key": ""}, {"key": "k" * 300, "value": 1}, {"key": "k"}, {"key": 7, "value": 1},
     {"key": "k", "value": 1, "x": 1}, {"key": "k", "value": 1, "sender": "s" * 300}],
)  # fmt: skip
def test_what_is_no_input_is_refused(server: Server, record: Record, fields: dict[str, Any]) -> None:
    run = record.flow_run(holder=ME)
    answer = server.ask("POST", f"/flow_runs/{run.id}/input", fields)
    assert 400 <= answer.status < 500
    assert server.ask("POST", f"/flow_runs/{run.id}/input/filter", {}).json == []
