"""The page behind a link by which somebody answers a pause without signing in.

Law: looking decides nothing (programs that preview links look); a person's click does. What it shows is text, whatever
is in it; the page has no script, and sends the link to nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from ..domain.errors import InputRefused, PenstockError
from ..domain.pauses import Verdict
from ..protocol import pause_links as asked
from ..protocol.problems import Problem, status_of
from ..services.desk import Desk
from .replies import Reply, send_reply, trouble
from .service import Service, read_body

PREFIX = "/decide/"
BODY_LIMIT = 300_000
MOST_FIELDS = 200
CSP = b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HEADERS = (
    (b"content-security-policy", CSP), (b"referrer-policy", b"no-referrer"), (b"cache-control", b"no-store"),
    (b"x-robots-tag", b"noindex"),
)  # fmt: skip
_KINDS = {"string": "text", "integer": "number", "number": "number", "boolean": "checkbox"}
# All of the input as one text, where its schema is more than a list of simple fields.
WHOLE = "whole"


class LinkPage(BaseRoute):
    """`/decide/{token}`: GET shows what is asked, POST decides."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        token = scope["path"].removeprefix(PREFIX)
        fits = scope["type"] == "http" and scope["path"].startswith(PREFIX) and 0 < len(token) <= 100
        return (Match.FULL if fits and "/" not in token else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        token, method = scope["path"].removeprefix(PREFIX), scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            problem = Problem("method-not-allowed", f"A link does not take {method}; it takes GET, HEAD, POST.")
            await send_reply(send, trouble(405, problem, [(b"allow", b"GET, HEAD, POST")]))
            return
        _, asker = await self._service.asker_of(scope, anyone=True)
        desk = self._service.desk.asked_by(asker)
        if method == "POST":
            body = await read_body(scope, receive, BODY_LIMIT)
            page = await self._service.pool.run(lambda: _decided(desk, token, body))
        else:
            page = await self._service.pool.run(lambda: _shown(desk, token), reads=True)
        status, text = page
        await send_reply(
            send, Reply(status, text.encode(), _HEADERS, b"text/html; charset=utf-8"), bodiless=method == "HEAD"
        )


Typed = dict[str, str]


def _shown(desk: Desk, token: str, problem: str = "", status: int = 200, typed: Typed | None = None) -> tuple[int, str]:
    """The question; again, with what was `typed` and cannot be taken."""
    try:
        shown = desk.answer(asked.READ_PAUSE_LINK, asked.LookAtLink(token=token))
    except PenstockError as error:
        return status_of(error), _page("This link is of no use", f"<p>{escape(str(error))}</p>")
    return status, _page(f"{shown.flow_name}: {shown.run_name}", _question(shown, problem, typed))


def _decided(desk: Desk, token: str, body: bytes) -> tuple[int, str]:
    fields: Typed = {}
    try:
        shown = desk.answer(asked.READ_PAUSE_LINK, asked.LookAtLink(token=token))
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        verdict = Verdict.REJECT if fields.get("verdict") == Verdict.REJECT else Verdict.APPROVE
        given = None
        if verdict is Verdict.APPROVE and shown.pause is not None and shown.pause.schema is not None:
            given = _input(shown.pause.schema, fields)
        query = asked.UseLink(token=token, verdict=verdict, run_input=given, comment=fields.get("comment") or None)
        run = desk.answer(asked.USE_PAUSE_LINK, msgspec.convert(msgspec.to_builtins(query), asked.UseLink))
    except (PenstockError, ValueError) as error:
        return _shown(desk, token, str(error), status_of(error) if isinstance(error, PenstockError) else 422, fields)
    word = "Rejected" if verdict is Verdict.REJECT else "Approved"
    state = escape(f"{run.name} is {run.state_name}: {run.state.message}")
    return 200, _page(f"{word}. Thank you.", f"<p>{state}</p>")


# --- the form --------------------------------------------------------------------------------------------------------


def _question(shown: asked.LinkShown, problem: str, typed: Typed | None) -> str:
    pause = shown.pause
    if pause is None:
        return f"<p>The run is {escape(str(shown.state_name))}: it does not wait for anybody now.</p>"
    until = "" if pause.deadline is None else f" until {pause.deadline:%Y-%m-%d %H:%M} UTC"
    parts = [
        f'<p role="alert"><strong>{escape(problem)}</strong></p>' if problem else "",
        f'<p class="quiet">It waits{until}. This link is for {escape(shown.to)}, and for one answer.</p>',
        f"<article><p>{_lines(pause.text or 'It waits to be resumed.')}</p></article>",
        # The first button is what the Enter key presses: it decides nothing.
        '<form method="post"><button disabled hidden></button>',
        "" if pause.schema is None else _fields(pause.schema, pause.initial, typed),
        '<p><label>Comment<br><input name="comment" size="60" maxlength="10000" '
        f'value="{escape((typed or {}).get("comment", ""))}"></label></p>',
        f'<p><button name="verdict" value="approve">{"Approve" if pause.approval else "Resume"}</button> ',
        '<button name="verdict" value="reject">Reject</button>' if pause.approval else "",
        "</p></form>",
    ]
    return "".join(parts)


def _fields(schema: dict[str, Any], initial: Any, typed: Typed | None) -> str:
    simple = _simple(schema)
    initial = initial if isinstance(initial, dict) else {}
    if simple is None:
        text = json.dumps(initial, indent=2, ensure_ascii=False) if typed is None else typed.get(WHOLE, "")
        text = escape(text)
        return f'<p><label>Input, as JSON<br><textarea name="{WHOLE}" rows="10" cols="60">{text}</textarea></label></p>'
    if typed is not None:
        initial = {name: typed.get(f"f.{name}") for name in simple}
    return "".join(_field(name, each, initial.get(name, each.get("default"))) for name, each in simple.items())


def _field(name: str, schema: dict[str, Any], value: Any) -> str:
    title = escape(str(schema.get("title") or name))
    told = f'<br><span class="quiet">{escape(str(schema["description"]))}</span>' if schema.get("description") else ""
    key = escape(f"f.{name}")
    if "enum" in schema:
        chosen = "".join(
            f"<option{' selected' if each == value else ''}>{escape(str(each))}</option>" for each in schema["enum"]
        )
        control = f'<select name="{key}">{chosen}</select>'
    elif schema["type"] == "boolean":
        control = f'<input type="checkbox" name="{key}" value="true"{" checked" if value in (True, "true") else ""}>'
    else:
        kind = _KINDS[schema["type"]]
        step = ' step="any"' if schema["type"] == "number" else ""
        shown = "" if value is None else escape(str(value))
        control = f'<input type="{kind}" name="{key}" value="{shown}" size="40"{step}>'
    return f"<p><label>{title}<br>{control}{told}</label></p>"


def _simple(schema: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Its properties, where each is one text, number, choice, or yes and no."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not all(isinstance(each, dict) for each in properties.values()):
        return None
    for each in properties.values():
        choice = isinstance(each.get("enum"), list) and all(isinstance(one, str) for one in each["enum"])
        if not choice and ("enum" in each or str(each.get("type")) not in _KINDS):
            return None
    return properties


def _input(schema: dict[str, Any], fields: dict[str, str]) -> Any:
    """What was filled in, as JSON has it. Raises `InputRefused`."""
    simple = _simple(schema)
    if simple is None or WHOLE in fields:
        try:
            return msgspec.json.decode(fields.get(WHOLE, "{}").encode())
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputRefused(f"The input is not JSON: {error}.") from None
    found: dict[str, Any] = {}
    for name, each in simple.items():
        text = fields.get(f"f.{name}")
        if "enum" not in each and each["type"] == "boolean":
            found[name] = text == "true"
        elif text is not None and (text or name in schema.get("required", ())):
            found[name] = text if "enum" in each else _READ[each["type"]](name, text)
    return found


def _number(kind: Callable[[str], Any]) -> Callable[[str, str], Any]:
    def read(name: str, text: str) -> Any:
        try:
            number = kind(text)
            if not isfinite(number):  # JSON has none
                raise ValueError
            return number
        except (ValueError, OverflowError):
            raise InputRefused(f"{name} is a number; this is {text[:40]!r}.") from None

    return read


_READ: dict[str, Callable[[str, str], Any]] = {
    "string": lambda name, text: text, "integer": _number(int), "number": _number(float),
}  # fmt: skip


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/docs/style.css"></head><body><h1>{escape(title)}'
        f"</h1>{body}</body></html>"
    )
