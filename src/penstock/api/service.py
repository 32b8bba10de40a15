"""What all routes of one server share, and what of a request is looked at before anything else."""

from __future__ import annotations

import asyncio
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
# The largest batch comes in it over a slow line; who takes longer holds a place that others want.
BODY_SECONDS = 120.0


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
            asker = await self.pool.run(partial(self.gate.admit, approach, anyone), reads=True)
        return approach, asker


def header(scope: Scope, wanted: bytes) -> str | None:
    """One header's value, the first of several."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


class TooSlow(BadRequest):
    """The body did not come in time."""

    status = 408


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """All of a request's body. Raises `TooLarge`, `TooSlow`, or `BadRequest` when the other end has gone."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_body(scope, receive, limit)
    except TimeoutError:
        raise TooSlow(f"The body did not come within {BODY_SECONDS:g} seconds. Send less at once.") from None


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
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
