"""What all routes of one server share, and what of a request is looked at before anything else."""

from __future__ import annotations

from functools import partial

import msgspec
from starlette.types import Receive, Scope

from ..domain.accounts import Asker
from ..domain.errors import BadRequest, TooLarge
from ..services.desk import Desk
from .gate import Approach, Gate
from .hub import Hub
from .meters import Meters
from .pool import Pool

REST_LIMIT = 1_000_000


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """`desk` is nobody's: who asks is put before it for each request. `body_limit` is in bytes."""

    desk: Desk
    gate: Gate
    pool: Pool
    hub: Hub
    meters: Meters
    body_limit: int = REST_LIMIT

    async def asker_of(self, scope: Scope, *, anyone: bool = False) -> tuple[Approach, Asker]:
        """Who asks. Raises `NotSignedIn`, `NotAllowed` or `TooMuch`."""
        approach = self.gate.approach(scope)
        self.gate.check_origin(approach)
        asker = self.gate.known(approach)
        if asker is None:
            asker = await self.pool.run(partial(self.gate.admit, approach, anyone))
        return approach, asker


def header(scope: Scope, wanted: bytes) -> str | None:
    """One header's value, the first of several."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """All of a request's body. Raises `TooLarge`, or `BadRequest` when the other end has gone."""
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise _too_large(limit)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("The request ended before its body did.")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {limit:,} bytes that this server takes here. Send less at once.")
