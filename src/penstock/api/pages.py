"""The OpenAPI document, and a page for people that is made of it: plain HTML, nothing from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from starlette.types import Receive, Scope, Send

from .openapi import document
from .replies import Reply, send_reply

CSP = b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STYLE = b"""
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c1f24 }
h1 { margin-bottom: 0 } h2 { margin-top: 3rem; border-bottom: 1px solid #d5d9df; text-transform: capitalize }
article { margin: 1.5rem 0; padding: .2rem 1rem; border-left: 4px solid #1860c4; background: #f6f7f9 }
code, pre { font: 14px ui-monospace, monospace } pre { overflow-x: auto; background: #fff; padding: .6rem }
.method { display: inline-block; min-width: 4rem; font-weight: 700; color: #1860c4 }
table { border-collapse: collapse } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
.quiet { color: #5d636f } nav a { margin-right: 1rem }
[role=alert]:not(:empty) { border-left: 4px solid #b3261e; padding-left: 1rem }
input:not([type=checkbox]), select, textarea { font: inherit; padding: .3rem .5rem; max-width: 100%; width: 30rem;
  border: 1px solid #8a919c; border-radius: 4px; box-sizing: border-box; background: inherit; color: inherit }
input[type=checkbox] { width: 1.2rem; height: 1.2rem }
button { font: inherit; font-weight: 600; padding: .5rem 1.4rem; border-radius: 4px; border: 1px solid #1860c4;
  background: #1860c4; color: #fff; cursor: pointer }
button[value=reject] { background: none; color: #b3261e; border-color: #b3261e }
@media (prefers-color-scheme: dark) {
  body { background: #15181d; color: #e4e7eb } article { background: #1d2128 } pre { background: #15181d }
  a, .method { color: #7fb0ff } button[value=reject] { color: #f2a29b; border-color: #f2a29b }
  .quiet { color: #9aa2ae } h2 { border-color: #333a44 }
}
"""


class Pages:
    """The two pages of one server; each is made when it is first asked for."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._made: dict[str, bytes] = {}

    async def openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "openapi" not in self._made:
            self._made["openapi"] = json.dumps(document(self._version), separators=(",", ":")).encode()
        await _send(scope, send, self._made["openapi"], b"application/json")

    async def docs(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "docs" not in self._made:
            self._made["docs"] = page(document(self._version)).encode()
        await _send(scope, send, self._made["docs"], b"text/html; charset=utf-8")

    async def style(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send(scope, send, STYLE, b"text/css; charset=utf-8")


async def _send(scope: Scope, send: Send, body: bytes, kind: bytes) -> None:
    headers = ((b"content-security-policy", CSP), (b"referrer-policy", b"no-referrer"))
    await send_reply(send, Reply(200, body, headers, kind), bodiless=scope["method"] == "HEAD")


def page(api: dict[str, Any]) -> str:
    """The document as HTML."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_article(path, method, operation, api["components"]))
    links = "".join(f'<a href="#{escape(tag)}">{escape(_words(tag))}</a>' for tag in by_tag)
    sections = "".join(
        f'<section id="{escape(tag)}"><h2>{escape(_words(tag))}</h2>{"".join(articles)}</section>'
        for tag, articles in by_tag.items()
    )
    about = "".join(f"<p>{_prose(part)}</p>" for part in api["info"]["description"].split("\n\n"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Penstock API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head><body>'
        f'<h1>Penstock API</h1><p class="quiet">Version {escape(api["info"]["version"])} · '
        f'<a href="/api/openapi.json">openapi.json</a></p>{about}<nav>{links}</nav>{sections}</body></html>'
    )


def _article(path: str, method: str, operation: dict[str, Any], components: dict[str, Any]) -> str:
    parts = [
        f'<article id="{escape(operation["operationId"])}"><p><span class="method">{method.upper()}</span> '
        f"<code>/api{escape(path)}</code></p><p>{_prose(operation['summary'])}</p>"
    ]
    if operation.get("description"):
        parts.append(f'<p class="quiet">{_prose(operation["description"])}</p>')
    rows = [(each["name"], each["in"], each["schema"], each["required"]) for each in operation["parameters"]]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = _resolved(content.get("schema", {}), components)
    rows += [
        (name, "body", schema, name in body.get("required", ())) for name, schema in body.get("properties", {}).items()
    ]
    if rows:
        cells = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{place}{', required' if required else ''}</td>"
            f"<td><code>{escape(type_of(schema))}</code></td></tr>"
            for name, place, schema, required in rows
        )
        parts.append(f"<table>{cells}</table>")
    if "example" in content:
        parts.append(f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>")
    for status, answer in operation["responses"].items():
        for kind in answer.get("content", {}).values():
            parts.append(f'<p class="quiet">Gives {status}: <code>{escape(type_of(kind["schema"]))}</code></p>')
    return "".join(parts) + "</article>"


def type_of(schema: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(type_of(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = components["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    return found


def _words(tag: str) -> str:
    return tag.replace("_", " ")


def _prose(text: str) -> str:
    """Text with `code` and **bold** as Markdown has them."""
    parts = escape(text).split("`")
    marked = "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
    bold = marked.split("**")
    return "".join(f"<strong>{part}</strong>" if place % 2 else part for place, part in enumerate(bold))
