"""The gate: who asks, from a request's headers. Everything that a server answers goes through it.

Law: nothing is believed of a request but what a key, a session or a password proves; and who proved it a moment ago is
known without asking the record (`MOMENT` seconds, after which a revoked key is refused on every server).

For each request::

    approach = gate.approach(scope)                 # an ASGI scope, http or websocket
    gate.check_origin(approach)                     # raises NotAllowed
    asker = gate.known(approach)                    # microseconds, on the event loop; None: the record must be asked
    if asker is None:
        asker = await in_thread(gate.admit, approach, operation.role is None)  # NotSignedIn, NotAllowed, TooMuch
    desk = server_desk.asked_by(asker)
    answer = desk.answer(operation, argument)       # raises NotSignedIn, NotAllowed by the operation's role
    headers += gate.cookie_headers(approach, desk.cookies)

What is no operation (the journal, streams, metrics) asks `asker.check(name, role, reads=…, journal=…)` itself. An
answer of status 401 has the headers of `CHALLENGE`. An identity provider (OIDC) would stand here as well: its callback
opens a session for a user, as a password does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ..domain.accounts import ADMIN, Asker
from ..store.contract import Store

CHALLENGE = (("www-authenticate", 'Bearer realm="penstock"'),)


class SignInSettings(Protocol):
    """What of the settings says who may ask."""

    @property
    def server_sign_in(self) -> bool | None: ...
    @property
    def server_allow_anonymous(self) -> bool: ...
    @property
    def api_auth_string(self) -> str | None: ...


class Approach(msgspec.Struct, frozen=True):
    """Of a request, what says who comes. `headers` have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    address: str
    secure: bool
    websocket: bool


class Gate:
    """The gate of a server; one for all its requests."""

    def __init__(self, store: Store, settings: SignInSettings, now: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._now = now

    def approach(self, scope: Mapping[str, Any]) -> Approach:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        return Approach(
            scope.get("method", "GET"), scope["path"], headers, client[0] if client else "",
            scope.get("scheme") in ("https", "wss"), scope["type"] == "websocket",
        )  # fmt: skip

    def check_origin(self, approach: Approach) -> None: ...

    def known(self, approach: Approach) -> Asker | None:
        return None

    def admit(self, approach: Approach, anyone: bool = False) -> Asker:
        return Asker(who="anonymous", role=ADMIN, anonymous=True, address=approach.address)

    def cookie_headers(self, approach: Approach, cookies: Mapping[str, str | None]) -> list[tuple[str, str]]:
        return []


def check_exposure(settings: SignInSettings, host: str, store: Store) -> None:
    """Raises `ConfigurationError` when a server that listens at `host` would let strangers in unasked."""
