"""The web UI, as `ui/` was built into the package: one page for all its paths, and the files that it needs.

Law: what is sent is what was built, read once; no path of a request reaches the file system. The page has nothing in
it that depends on who asks: what it shows it asks `/api` for, as anybody would.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from ..protocol.problems import Problem
from .replies import Reply, send_reply, trouble
from .service import header

ASSETS = "/assets/"
# The first part of the paths at which the UI has a view; `ui/src/route.ts` says which.
PLACES = frozenset(
    {
        "", "runs", "flow-runs", "task-runs", "deployments", "work-pools", "limits", "blocks", "approvals", "system",
        "sign-in",
    }
)  # fmt: skip
# Nothing from elsewhere, nothing inline, and in nobody's frame.
CSP = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = ((b"content-security-policy", CSP), (b"referrer-policy", b"no-referrer"))
# A name says what is in the file: it never changes.
_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
_ASK_AGAIN = (b"cache-control", b"no-cache")
_KINDS = {
    "js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8", "svg": b"image/svg+xml",
    "html": b"text/html; charset=utf-8",
}  # fmt: skip
_NOT_BUILT = b"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Penstock</title>
<link rel="stylesheet" href="/docs/style.css"></head><body><h1>The web UI is not built</h1>
<p>This server runs from a checkout in which nobody has built it yet. In the checkout: <code>make ui</code>, then start
the server again.</p><p>All else is there: <a href="/docs">the REST API</a>, and <code>penstock</code> on the command
line.</p></body></html>"""


class Built(NamedTuple):
    """A file of the UI, as it is and gzipped."""

    plain: bytes
    gzipped: bytes


class Ui(BaseRoute):
    """The UI's paths: `/assets/…`, and GET of a view's."""

    def __init__(self, built: Mapping[str, Built] | None = None) -> None:
        self._files = read_built() if built is None else built

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope["path"]
        mine = path.startswith(ASSETS) or path[1:].partition("/")[0] in PLACES
        return (Match.FULL if scope["type"] == "http" and mine else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if method not in ("GET", "HEAD"):
            problem = Problem("method-not-allowed", "This is a page of the UI: it takes GET. What is asked is at /api.")
            await send_reply(send, trouble(405, problem, [(b"allow", b"GET, HEAD")]))
        elif path.startswith(ASSETS):
            await self._send(scope, send, path.removeprefix(ASSETS), _FOR_EVER)
        else:
            await self.page(scope, send)

    async def page(self, scope: Scope, send: Send, status: int = 200) -> None:
        """The page, which finds out from its own address what it shows."""
        await self._send(scope, send, "index.html", _ASK_AGAIN, status)

    async def _send(self, scope: Scope, send: Send, name: str, cache: tuple[bytes, bytes], status: int = 200) -> None:
        bodiless = scope["method"] == "HEAD"
        built = self._files.get(name)
        if built is None and name == "index.html":
            reply = Reply(503, _NOT_BUILT, (*_NOT_BUILT_HEADERS, _ASK_AGAIN), _KINDS["html"])
        elif built is None or (name == "index.html" and scope["path"].startswith(ASSETS)):
            reply = trouble(404, Problem("not-found", "The UI has no such file: it may be of another version."))
        else:
            packed = "gzip" in (header(scope, b"accept-encoding") or "")
            encoding = ((b"content-encoding", b"gzip"),) if packed else ()
            headers = (*_HEADERS, cache, (b"vary", b"accept-encoding"), *encoding)
            kind = _KINDS[name.rpartition(".")[2]]
            reply = Reply(status, built.gzipped if packed else built.plain, headers, kind)
        await send_reply(send, reply, bodiless=bodiless)


_NOT_BUILT_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


def wants_page(scope: Scope) -> bool:
    """Whether a person's browser asks, which is better answered by a page than by JSON."""
    return scope["method"] in ("GET", "HEAD") and "text/html" in (header(scope, b"accept") or "")


def read_built() -> dict[str, Built]:
    """The files of the UI by their names; none, where it was not built."""
    folder = files(__package__) / "static"
    if not folder.is_dir():
        return {}
    found = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    return {name: Built(body, found[f"{name}.gz"]) for name, body in found.items() if f"{name}.gz" in found}
