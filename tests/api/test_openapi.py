"""The server keeps what its OpenAPI document promises, whatever it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from penstock.protocol.operation import OPERATIONS
from penstock.services import answers

from .kit import Server

assert answers  # loads all operations

# What waits, waits for as long as it was told to.
WAITING = frozenset(each.name for each in OPERATIONS.values() if each.waits)
NO_OPERATIONS = frozenset({"stream", "signals", "report"})
# Whoever makes a user or a key must sign in from then on, and asks nothing more.
CLOSING = frozenset({"create_user", "create_api_key"})
EXAMPLES = 6


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home: Path = tmp_path_factory.mktemp("openapi")
    server = Server(home, ["--no-loops"], {"PENSTOCK_HOME": str(home)})
    yield server
    server.close()


@pytest.fixture(scope="module")
def api(module_server: Server) -> OpenApiSchema:
    document = module_server.ask("GET", "/openapi.json").json
    document["servers"] = [{"url": module_server.url}]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=module_server.url)
    return schema


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TRIED = sorted(set(OPERATIONS) - WAITING - CLOSING)


@pytest.mark.parametrize("name", TRIED)
def test_whatever_is_sent_is_answered_as_the_document_says(api: OpenApiSchema, name: str) -> None:
    """Fitting and unfitting alike, always the same."""
    operation = api.find_operation_by_id(name)
    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )

    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(cases)
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=20)

    send()


def test_every_operation_is_in_the_document(module_server: Server) -> None:
    document = module_server.ask("GET", "/openapi.json").json
    named = {each["operationId"] for methods in document["paths"].values() for each in methods.values()}
    assert named == set(OPERATIONS) | NO_OPERATIONS | {"read_metrics", "download_flow_run_logs"}
    assert document["openapi"].startswith("3.1")


def test_every_reference_in_the_document_leads_somewhere(module_server: Server) -> None:
    document = module_server.ask("GET", "/openapi.json").json
    text = json.dumps(document)
    for place in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        found = document
        for name in place.split("/"):
            assert name in found, place
            found = found[name]


def test_the_page_for_people_needs_nothing_from_elsewhere(module_server: Server) -> None:
    answer = module_server.ask("GET", "/docs", root=True)
    page = answer.body.decode()
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert all(each.name in page for each in OPERATIONS.values())
