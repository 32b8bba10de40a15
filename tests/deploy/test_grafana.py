"""The ready dashboard asks for what a server says, by the labels that it says it with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.protocol.operation import OPERATIONS
from penstock.services import answers

from ..api.kit import Server

FILE = Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json"
# A metric and the labels that are asked of it; labels that Prometheus itself adds are known to it.
ASKED = re.compile(r"\b((?:penstock|process)_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([\w, ]+)\)")
PROMETHEUS = {"job", "instance"}


def queries() -> list[str]:
    panels = json.loads(FILE.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Each metric of a server in which something of all is, and the labels it has."""
    home = tmp_path_factory.mktemp("home")
    server = Server(home, environment={"PENSTOCK_HOME": str(home)})
    try:
        assert server.ask("POST", "/work_pools", {"name": 'a"b', "type": "process"}).status < 300
        limit = {"name": "db", "limit": 3}
        assert server.ask("POST", "/concurrency_limits", limit).status < 300
        found: dict[str, set[str]] = {}
        while "penstock_loop_seconds_total" not in found or not found["penstock_loop_seconds_total"]:
            text = server.ask("GET", "/metrics", root=True).body.decode()
            for line in text.splitlines():
                if line.startswith("# TYPE"):
                    found.setdefault(line.split()[2], set())
                elif not line.startswith("#"):
                    name = re.match(r"\w+", line)
                    assert name is not None
                    found.setdefault(name[0], set()).update(re.findall(r'(\w+)="', line))
        yield found
    finally:
        server.close()


def test_each_query_of_the_dashboard_names_metrics_and_labels_that_a_server_has(said: dict[str, set[str]]) -> None:
    assert len(queries()) > 30
    for query in queries():
        asked = ASKED.findall(query)
        assert asked, query
        known = set(PROMETHEUS)
        for name, wanted in asked:
            assert name in said or name in COUNTED, f"{name} of {query!r} is not in /metrics"
            known |= said.get(name, set())
            assert set(re.findall(r"(\w+)[=!~]+\"", wanted)) <= known, f"{query!r} asks {name} for a label it has not"
        for grouped in GROUPED.findall(query):
            assert {each.strip() for each in grouped.split(",")} <= known, query


# Counters that a server has since the first batch that was reported to it.
COUNTED = {"penstock_ingested_task_runs_total", "penstock_ingested_lines_total"}


def test_times_of_requests_leave_out_those_that_wait_on_purpose() -> None:
    assert answers  # loads all operations
    waiting = {name for name, operation in OPERATIONS.items() if operation.waits}
    left_out = [set(part.split("|")) for query in queries() for part in re.findall(r'operation!~"([^"]+)"', query)]
    assert left_out
    assert all(names == waiting for names in left_out)


def test_panels_have_their_own_ids_and_places_and_a_data_source_that_can_be_chosen() -> None:
    board: dict[str, Any] = json.loads(FILE.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(places) == len(set(places))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])
    sources = {panel["datasource"]["uid"] for panel in board["panels"] if panel["type"] != "row"}
    assert sources == {"${datasource}"}
