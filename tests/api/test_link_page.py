"""The page behind a link: it shows what is asked as text, decides by a click only, and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from penstock.domain.pauses import Pause
from penstock.domain.runs import FlowRun
from penstock.engine.clock import SYSTEM
from penstock.protocol.journal import BeginPause
from penstock.services import pausing

from .kit import Answer, Record, Server
from .test_streams import ME

SCHEMA = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "reason": {"type": "string", "title": "Why", "description": "In <b>words</b>"},
        "places": {"type": "integer"},
        "kind": {"enum": ["red", "blue"]},
    },
    "required": ["approved", "reason"],
}
HOSTILE = "Delete <script>alert(1)</script>?\n{{ 7 * 7 }} {% raw %} ${jndi} <b>"


def waits(record: Record, **fields: Any) -> FlowRun:
    run = record.flow_run(holder=ME)
    now = SYSTEM.now()
    pause = Pause(id=SYSTEM.new_id(), flow_run_id=run.id, key="1", begun=now, **fields)
    with record.store.write() as tx:
        pausing.begin(tx, BeginPause(pause, run.epoch, now))
    return run


def link(server: Server, run: FlowRun, **fields: Any) -> str:
    answer = server.ask("POST", f"/flow_runs/{run.id}/links", fields)
    assert answer.status == 200, answer.body
    return f"/decide/{answer.json['token']}"


def click(server: Server, path: str, **fields: str) -> Answer:
    raw = urlencode(fields).encode()
    kind = "application/x-www-form-urlencoded"
    return server.ask("POST", path, raw=raw, root=True, content_type=kind)


def state(server: Server, run: FlowRun) -> str:
    return str(server.ask("GET", f"/flow_runs/{run.id}").json["state_name"])


def test_what_people_wrote_is_shown_as_text_and_looking_decides_nothing(server: Server, record: Record) -> None:
    run = waits(record, text=HOSTILE, approval=True, schema=SCHEMA, initial={"reason": '"><script>'})
    path = link(server, run, to="<i>ann</i>")
    for _ in range(2):
        shown = server.ask("GET", path, root=True)
        text = shown.body.decode()
        assert shown.status == 200
        assert "<script>" not in text
        assert "<i>" not in text
        assert "<b>words" not in text
        assert "{{ 7 * 7 }} {% raw %} ${jndi}" in text
        assert 'value="reject"' in text
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert (shown.headers["referrer-policy"], shown.headers["cache-control"]) == ("no-referrer", "no-store")
    assert server.ask("HEAD", path, root=True).status == 200
    assert state(server, run) == "Paused"


def test_a_click_decides_once_with_what_was_filled_in(server: Server, record: Record) -> None:
    run = waits(record, text="Sure?", approval=True, schema=SCHEMA)
    path = link(server, run, to="ann")
    fields = {"verdict": "approve", "f.reason": "because <b>", "f.places": "3", "f.kind": "red", "comment": "go"}
    refused = click(server, path, **fields | {"f.places": "many"})
    assert refused.status == 422
    text = refused.body.decode()
    assert "places is a number" in text
    assert 'value="because &lt;b&gt;"' in text  # what was written is not to be written again
    assert 'value="many"' in text
    assert '<form method="post"><button disabled hidden></button>' in text  # Enter in a field decides nothing
    assert click(server, path, **fields | {"f.places": "9" * 5000}).status == 422
    refused = click(server, path, **fields | {"f.kind": "green"})
    assert refused.status == 422
    assert state(server, run) == "Paused"
    done = click(server, path, **fields)
    assert done.status == 200
    assert "Approved" in done.body.decode()
    pause = server.ask("POST", "/pauses/filter", {"flow_run_id": str(run.id)}).json["items"][0]["pause"]
    assert pause["answer"]["input"] == {"approved": False, "reason": "because <b>", "places": 3, "kind": "red"}
    assert pause["decisions"][0]["who"] == "ann at 127.0.0.1 via link (made by anonymous)"
    for again in (click(server, path, verdict="reject"), server.ask("GET", path, root=True)):
        assert again.status == 410
        assert "was used at" in again.body.decode()


def test_an_input_that_is_more_than_simple_fields_is_written_as_json(server: Server, record: Record) -> None:
    schema = {"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}}}
    run = waits(record, schema=schema, initial={"names": ["a"]})
    path = link(server, run)
    assert "[\n    &quot;a&quot;\n  ]" in server.ask("GET", path, root=True).body.decode()
    for bad in ("{", "[" * 10_000, '{"names": [1]}'):
        assert click(server, path, whole=bad).status == 422
    assert click(server, path, whole='{"names": ["x"]}').status == 200
    assert state(server, run) == "Resuming"


@pytest.mark.parametrize("path", ["/decide/", "/decide/nobody", "/decide/" + "x" * 200, "/decide/a/b", "/decide/%00"])
def test_a_link_that_is_none_is_said_so(server: Server, path: str) -> None:
    answer = server.ask("GET", path, root=True)
    assert answer.status in (404, 410)
    assert click(server, path, verdict="approve").status in (404, 410)


def test_a_page_of_another_site_cannot_click(server: Server, record: Record) -> None:
    run = waits(record)
    path = link(server, run)
    answer = server.ask("POST", path, raw=b"verdict=approve", root=True, origin="https://evil.example")
    assert answer.status == 403
    assert state(server, run) == "Paused"


def test_a_link_works_without_signing_in_and_making_one_does_not(
    start_server: Callable[..., Server], record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_API_AUTH_STRING", "ann:secret")
    server = start_server()
    run = waits(record, text="Sure?")
    assert server.ask("POST", f"/flow_runs/{run.id}/links", {}).status == 401
    signed_in = {"authorization": "Basic YW5uOnNlY3JldA=="}
    token = server.ask("POST", f"/flow_runs/{run.id}/links", {"to": "bob"}, **signed_in).json["token"]
    assert server.ask("POST", "/pause_links/read", {"token": token}).json["pause"]["text"] == "Sure?"
    used = server.ask("POST", "/pause_links/use", {"token": token, "comment": "go"})
    assert used.status == 200
    assert used.json["state_name"] == "Resuming"
    assert server.ask("POST", "/pause_links/use", {"token": token}).json["error"]["code"] == "link-refused"
    audit = server.ask("GET", "/audit", **signed_in).body.decode()
    assert "use_pause_link" in audit
    assert token not in audit
    assert token not in server.log.read_text()
