"""What a request is refused for, and how: a 4xx with a code and a sentence, never a fault."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest

from .kit import Record, Server

FILTER = "/flow_runs/filter"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"{", 400, id="cut off"),
        pytest.param(b"no", 400, id="no JSON"),
        pytest.param(b'{"limit": NaN}', 400, id="NaN"),
        pytest.param(b'{"filter": {"name_contains": "\xff"}}', 400, id="no UTF-8"),
        pytest.param(b'{"filter": {"name_contains": "\\ud800"}}', 400, id="half a character"),
        pytest.param(b"[" * 100_000, 400, id="deeper than any stack"),
        pytest.param(b'{"filter": {"tags": %b}}' % (b"[" * 80 + b"]" * 80), 400, id="too deep"),
        pytest.param(b'{"limit": "many"}', 422, id="another type"),
        pytest.param(b'{"limit": 0}', 422, id="out of bounds"),
        pytest.param(b'{"limit": 1e400}', 422, id="a number beyond floats"),
        pytest.param(b'{"limit": 99999999999999999999999}', 422, id="a number beyond 64 bits"),
        pytest.param(b'{"limitt": 5}', 422, id="an unknown field"),
        pytest.param(b'{"filter": {"flow": "f"}}', 422, id="an unknown field inside"),
        pytest.param(b'{"filter": {"name_contains": "a\\u0000b"}}', 422, id="a NUL character"),
        pytest.param(b'{"cursor": "no cursor"}', 422, id="a cursor of another's"),
        pytest.param(b"[]", 422, id="a list"),
        pytest.param(b'{"filter": {"after": "yesterday"}}', 422, id="no time"),
    ],
)
def test_bodies_that_are_not_understood(server: Server, raw: bytes, status: int) -> None:
    answer = server.ask("POST", FILTER, raw=raw)
    assert answer.status == status
    assert answer.json["error"]["message"].endswith(".")
    assert answer.headers["penstock-protocol"] == "1"


def test_an_error_names_the_place(server: Server) -> None:
    answer = server.ask("POST", FILTER, {"filter": {"state_types": ["GONE"]}})
    assert "$.filter.state_types[0]" in answer.json["error"]["message"]


def test_deep_text_is_not_deep(server: Server) -> None:
    """Brackets in a text are text."""
    assert server.ask("POST", FILTER, {"filter": {"name_contains": '["' * 500}}).status == 200


def test_long_digits_in_a_text_are_text(server: Server) -> None:
    assert server.ask("POST", FILTER, {"filter": {"name_contains": "9" * 50}}).status == 200


def test_a_filter_of_ten_thousand_elements(server: Server) -> None:
    answer = server.ask("POST", FILTER, {"filter": {"tags": [f"tag-{number}" for number in range(10_000)]}})
    assert answer.status < 500


def test_a_body_larger_than_the_limit(start_server: Callable[..., Server]) -> None:
    server = start_server(PENSTOCK_SERVER_BODY_LIMIT="1000")
    assert server.ask("POST", FILTER, {"filter": {"name_contains": "x" * 900}}).status == 200
    refused = server.ask("POST", FILTER, {"filter": {"name_contains": "x" * 1000}})
    assert (refused.status, refused.code) == (413, "too-large")


def test_a_body_that_does_not_say_how_large_it_is(start_server: Callable[..., Server]) -> None:
    server = start_server(PENSTOCK_SERVER_BODY_LIMIT="1000")
    with contextlib.closing(server.connection()) as connection:
        connection.request("POST", f"/api{FILTER}", iter([b" " * 600] * 3), {"content-type": "application/json"})
        assert connection.getresponse().status == 413


def test_another_kind_of_body(server: Server) -> None:
    assert server.ask("POST", FILTER, {}, content_type="text/plain").status == 415
    assert server.ask("POST", FILTER, {}, content_type="application/json; charset=utf-8").status == 200


def test_no_body_is_an_empty_one(server: Server) -> None:
    assert server.ask("POST", FILTER).json == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/", 404),
        ("/flow_runs/../../etc/passwd", 404),
        ("/flow_runs/..%2f..%2fetc", 422),
        ("/flow_runs/no-id", 422),
        ("/flow_runs/%ff", 400),
        ("/flow_runs/a%00b", 422),
        ("/flow_runs/00000000-0000-0000-0000-000000000000", 404),
        ("/flow_runs/00000000-0000-0000-0000-000000000000/wait?seen=x", 422),
        ("/flow_runs/00000000-0000-0000-0000-000000000000/wait?wait=nan", 422),
        ("/flow_runs/00000000-0000-0000-0000-000000000000/wait?seen=1&seen=2", 422),
        ("/flow_runs/00000000-0000-0000-0000-000000000000/wait?seem=1", 422),
    ],
)
def test_paths_and_queries(server: Server, path: str, status: int) -> None:
    assert server.ask("GET", path).status == status


def test_a_wrong_method_is_told_the_right_ones(server: Server) -> None:
    answer = server.ask("PUT", "/version")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert server.ask("POST", "/stream").headers["allow"] == "GET, HEAD"
    assert server.ask("GET", "/journal").headers["allow"] == "POST"


def test_head_is_get_without_a_body(server: Server) -> None:
    answer = server.ask("HEAD", "/version")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 10


def test_a_name_may_hold_what_separates_paths(server: Server) -> None:
    """The name is one part of the path, whatever is in it."""
    assert "'a/b' not found" in server.ask("GET", "/flows/name/a%2Fb").json["error"]["message"]


# --- who asks from where ---------------------------------------------------------------------------------------------


def test_a_loopback_server_is_not_asked_under_another_name(server: Server) -> None:
    """A page of a foreign site can give its own name the address 127.0.0.1, and read what it gets."""
    assert server.ask("GET", "/version", host="evil.example").status == 403
    assert server.ask("GET", "/version", host="evil.example:4200").status == 403
    assert server.ask("GET", "/version", host=f"localhost:{server.parts.port}").status == 200
    assert server.ask("GET", "/version", host=f"[::1]:{server.parts.port}").status == 200


def test_other_names_can_be_allowed(start_server: Callable[..., Server]) -> None:
    server = start_server(PENSTOCK_SERVER_ALLOWED_HOSTS="penstock.example")
    assert server.ask("GET", "/version", host="penstock.example:80").status == 200
    assert server.ask("GET", "/version", host="evil.example").status == 403


def test_a_page_of_another_site_changes_nothing(server: Server, record: Record) -> None:
    run = record.flow_run()
    answer = server.ask("POST", f"/flow_runs/{run.id}/cancel", {}, origin="http://evil.example")
    assert (answer.status, answer.code) == (403, "not-allowed")
    assert server.ask("GET", f"/flow_runs/{run.id}").json["state_name"] == "Running"
    assert "access-control-allow-origin" not in answer.headers


def test_a_client_of_another_age_is_told_so(server: Server) -> None:
    assert server.ask("GET", "/version", penstock_protocol="99").code == "version-skew"
    assert server.ask("GET", "/version", penstock_protocol="x" * 100).status == 426
    assert server.ask("GET", "/version", penstock_protocol="1").status == 200


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_run_is_answered_with_what_its_states_say(server: Server, record: Record) -> None:
    run = record.flow_run("Pending", "Running", "Completed")
    answer = server.ask("GET", f"/flow_runs/{run.id}").json
    assert answer["state"] == answer["states"][-1]
    assert (answer["state_type"], answer["state_name"]) == ("COMPLETED", "Completed")
    assert answer["total_run_time"] == pytest.approx(0.001)
    assert answer["end_time"] > answer["start_time"]


def test_lists_leave_the_bytes_of_results_out(server: Server, record: Record) -> None:
    from penstock.domain.runs import ResultRef

    run = record.flow_run("Completed", result=ResultRef("json", inline=b"secret", size=6))
    assert server.ask("GET", f"/flow_runs/{run.id}").json["result"]["inline"] == "c2VjcmV0"
    listed = server.ask("POST", FILTER, {}).json["items"][0]
    assert (listed["result"]["inline"], listed["result"]["size"]) == (None, 6)


def test_a_list_is_read_page_by_page(server: Server, record: Record) -> None:
    made = [str(record.flow_run().id) for _ in range(5)]
    read, cursor = [], None
    while True:
        page = server.ask("POST", FILTER, {"limit": 2, "cursor": cursor}).json
        read += [run["id"] for run in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert read == sorted(made, reverse=True)


def test_large_answers_are_compressed_for_who_asks(server: Server, record: Record) -> None:
    for _ in range(10):
        record.flow_run()
    assert server.ask("POST", FILTER, {}, accept_encoding="gzip").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in server.ask("POST", FILTER, {}).headers


def test_nothing_secret_is_in_the_settings(start_server: Callable[..., Server]) -> None:
    server = start_server(PENSTOCK_ENCRYPTION_KEY="A" * 43 + "=", PENSTOCK_API_KEY="penstock-abc")
    answer = server.ask("GET", "/admin/settings")
    shown = {each["name"]: each for each in answer.json["settings"]}
    assert shown["PENSTOCK_ENCRYPTION_KEY"]["value"] == "********"
    assert b"penstock-abc" not in answer.body
    assert shown["PENSTOCK_SERVER_API_PORT"]["value"] == "0"


def test_metrics_count_what_was_asked(server: Server, record: Record) -> None:
    record.flow_run()
    server.ask("POST", FILTER, {})
    server.ask("POST", FILTER, {"limit": 0})
    text = server.ask("GET", "/metrics", root=True).body.decode()
    assert 'penstock_requests_total{operation="filter_flow_runs",status="200"} 1' in text
    assert 'penstock_requests_total{operation="filter_flow_runs",status="422"} 1' in text
    assert 'penstock_request_seconds_count{operation="filter_flow_runs"} 2' in text
    assert 'penstock_flow_runs{state_type="RUNNING"} 1' in text
    assert "process_resident_memory_bytes" in text
    assert server.ask("GET", "/metrics").status == 200


# --- what waits, and what is done once -------------------------------------------------------------------------------


def test_waiting_ends_with_the_change_that_is_waited_for(server: Server, record: Record) -> None:
    run = record.flow_run()
    with contextlib.closing(server.connection()) as connection:
        connection.request("GET", f"/api/flow_runs/{run.id}/wait?seen={run.version}&wait=20")
        record.flow_run()  # another one is no reason to answer
        record.enter(run, "Completed")
        assert json.load(connection.getresponse())["state_name"] == "Completed"


def test_waiting_ends_with_patience(server: Server, record: Record) -> None:
    run = record.flow_run()
    answer = server.ask("GET", f"/flow_runs/{run.id}/wait?seen={run.version}&wait=0.05")
    assert (answer.status, answer.json["state_name"]) == (200, "Running")


def test_what_is_asked_twice_with_a_key_is_done_once(server: Server, record: Record) -> None:
    body = {"name": "once", "value": 1}
    first = server.ask("POST", "/variables", body, idempotency_key="k-1")
    again = server.ask("POST", "/variables", body, idempotency_key="k-1")
    assert first.status < 300
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    without = server.ask("POST", "/variables", body)
    assert (without.status, without.code) == (409, "name-taken")


def test_a_key_is_of_one_request(server: Server) -> None:
    server.ask("POST", "/variables", {"name": "one", "value": 1}, idempotency_key="k-2")
    other = server.ask("POST", "/variables", {"name": "two", "value": 1}, idempotency_key="k-2")
    assert other.status == 422
    assert server.ask("GET", "/variables/name/two").status == 404


def test_who_asks_at_the_same_time_with_one_key_gets_one_answer(server: Server) -> None:
    body = json.dumps({"name": "race", "value": 1}).encode()
    headers = {"content-type": "application/json", "idempotency-key": "k-3"}
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(server.connection())) for _ in range(12)]
        for each in connections:
            each.request("POST", "/api/variables", body, headers)
        answers = [each.getresponse() for each in connections]
        bodies = {answer.read() for answer in answers}
    assert {answer.status for answer in answers} < {200, 201}
    assert len(bodies) == 1


def test_a_key_must_be_one(server: Server) -> None:
    assert server.ask("POST", "/variables", {"name": "x", "value": 1}, idempotency_key="k" * 201).status == 422


def test_a_refusal_is_an_answer_as_well(server: Server) -> None:
    server.ask("POST", "/variables", {"name": "taken", "value": 1})
    refused = server.ask("POST", "/variables", {"name": "taken", "value": 2}, idempotency_key="k-4")
    server.ask("DELETE", "/variables/name/taken")
    again = server.ask("POST", "/variables", {"name": "taken", "value": 2}, idempotency_key="k-4")
    assert (refused.status, again.status, again.body) == (409, 409, refused.body)
    assert server.ask("POST", "/variables", {"name": "taken", "value": 2}, idempotency_key="k-5").status < 300
