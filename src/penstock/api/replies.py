"""Answers as they go over the wire: a status, a few headers, a body."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
from starlette.types import Message, Send

from ..domain.errors import PenstockError
from ..protocol.problems import Problem, Problems, problem_of, status_of
from .gate import CHALLENGE

JSON = b"application/json"
Headers = Iterable[tuple[bytes, bytes]]
_encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    kind: bytes = JSON


def reply_to(error: PenstockError) -> Reply:
    """An error as an answer."""
    problem = problem_of(error)
    status: int = getattr(error, "status", 0) or status_of(error)
    wait = problem.retry_after if problem.retry_after is not None else 1.0 if status == 503 else None
    headers = [] if wait is None else [(b"retry-after", b"%d" % math.ceil(wait))]
    if status == 401:
        headers.extend((name.encode(), value.encode()) for name, value in CHALLENGE)
    return trouble(status, problem, headers)


def trouble(status: int, problem: Problem, headers: Headers = ()) -> Reply:
    return Reply(status, _encode(Problems(problem)), tuple(headers))


async def send_reply(send: Send, reply: Reply, *, bodiless: bool = False) -> None:
    """`bodiless`: the answer to a HEAD."""
    headers = [*reply.headers]
    if reply.status != 204:
        headers += [(b"content-type", reply.kind), (b"content-length", b"%d" % len(reply.body))]
    start: Message = {"type": "http.response.start", "status": reply.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": b"" if bodiless else reply.body})
