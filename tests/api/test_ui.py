"""The UI's page and files: sent as they were built, to the paths that it has, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from penstock.api.ui import Built, Ui, read_built

SCRIPT = b"console.log('a script')"
PAGE = b"<!doctype html><title>Penstock</title>"
BUILT = {
    "index.html": Built(PAGE, gzip.compress(PAGE)),
    "app-1.js": Built(SCRIPT, gzip.compress(SCRIPT)),
}


def ask(ui: Ui, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    scope = {
        "type": "http", "path": path, "method": method,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing of a request's body is wanted")

    asyncio.run(ui.handle(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"]


def matches(path: str, kind: str = "http") -> bool:
    return Ui(BUILT).matches({"type": kind, "path": path})[0].value > 0


@pytest.mark.parametrize("path", ["/", "/runs", "/flow-runs/flow-run/1", "/runs/flow-run/1", "/system", "/assets/x"])
def test_the_uis_paths_are_its_own(path: str) -> None:
    assert matches(path)
    assert not matches(path, "websocket")


@pytest.mark.parametrize("path", ["/api", "/api/runs", "/docs", "/metrics", "/decide/x", "/runsx", "/nowhere"])
def test_others_are_not(path: str) -> None:
    assert not matches(path)


def test_the_page_may_load_nothing_from_elsewhere_and_is_asked_for_again() -> None:
    status, headers, body = ask(Ui(BUILT), "/runs")
    assert (status, body) == (200, PAGE)
    assert headers["cache-control"] == "no-cache"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_files_are_kept_for_ever_and_sent_gzipped_to_who_takes_it() -> None:
    status, headers, body = ask(Ui(BUILT), "/assets/app-1.js", accept_encoding="gzip, br")
    assert (status, gzip.decompress(body)) == (200, SCRIPT)
    assert headers["content-encoding"] == "gzip"
    assert "immutable" in headers["cache-control"]
    status, headers, body = ask(Ui(BUILT), "/assets/app-1.js")
    assert (status, body, "content-encoding" in headers) == (200, SCRIPT, False)


@pytest.mark.parametrize(
    "name", ["nothing.js", "../ui.py", "%2e%2e/ui.py", "/etc/passwd", "index.html", "app-1.js.gz", ""]
)
def test_no_path_reaches_any_other_file(name: str) -> None:
    status, _, body = ask(Ui(BUILT), f"/assets/{name}")
    assert status == 404
    assert b"not-found" in body


def test_a_page_takes_no_post_and_a_head_has_no_body() -> None:
    status, headers, _ = ask(Ui(BUILT), "/runs", "POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    status, headers, body = ask(Ui(BUILT), "/runs", "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(PAGE)), b"")


def test_where_it_is_not_built_a_page_says_how() -> None:
    status, _, body = ask(Ui({}), "/runs")
    assert status == 503
    assert b"make ui" in body


def test_what_was_built_is_read_with_its_gzipped_form() -> None:
    found = read_built()
    assert all(gzip.decompress(each.gzipped) == each.plain for each in found.values())
