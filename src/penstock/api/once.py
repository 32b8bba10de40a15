"""`Idempotency-Key`: a request that may be sent again, and is done once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable

from ..domain.errors import PenstockError
from ..protocol.problems import Problem
from ..services.desk import Desk
from ..services.once import Given, UnderWay, once
from .arguments import Unfitting
from .replies import Reply, reply_to, trouble
from .service import Service

# How long is waited for the answer to the same request that is under way elsewhere.
PATIENCE = 30.0
LOOK_AGAIN = 0.05
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_UNKNOWN = (
    "What was asked with this Idempotency-Key was begun, and its answer is not known: the server was ended in between. "
    "Look what has become of it before you ask with another key."
)


async def answer_once(service: Service, desk: Desk, key: str, asked: bytes, work: Callable[[Desk], Reply]) -> Reply:
    """`work(desk)`, once for each asker and key; `asked` is all that was asked."""
    if not _KEY.fullmatch(key):
        raise Unfitting("An Idempotency-Key has 1 to 200 visible ASCII characters.")
    name = "rest:" + hashlib.sha256(f"{desk.who}\n{key}".encode()).hexdigest()
    # Keyed: what was asked may have a short secret in it, which could be found by trying from a plain digest.
    digest = hmac.digest(key.encode(), asked, "sha256")

    def attempt() -> Reply:
        given, again = once(desk, name, digest, lambda marked: _given(digest, work, marked))
        return Reply(given.status, given.body, ((b"idempotency-replayed", b"true"),) if again else ())

    began = time.monotonic()
    while True:
        try:
            return await service.pool.run(attempt)
        except UnderWay:
            if time.monotonic() - began > PATIENCE:
                return trouble(409, Problem("outcome-unknown", _UNKNOWN))
        await asyncio.sleep(LOOK_AGAIN)


def _given(digest: bytes, work: Callable[[Desk], Reply], desk: Desk) -> Given:
    """An error that is the asker's is an answer as well; one of the server is raised."""
    try:
        reply = work(desk)
    except PenstockError as error:
        reply = reply_to(error)
        if reply.status >= 500 or reply.status == 429:
            raise
    return Given(digest, reply.status, reply.body)
