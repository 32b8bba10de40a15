"""The gate: who asks, from a request's headers. Everything that a server answers goes through it.

Law: nothing is believed of a request but what a key, a session or a password proves; and who proved it a moment ago is
known without asking the record (`MOMENT`, after which a revoked key is refused by every server).

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

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from ..domain.accounts import ADMIN, SESSION_MOST, VIEWER, Asker
from ..domain.errors import ConfigurationError, NotAllowed, NotSignedIn
from ..services import accounts, api_keys, signing_in
from ..store.contract import Store

CHALLENGE = (("www-authenticate", 'Bearer realm="penstock"'),)
CSRF_HEADER = "penstock-csrf"
COOKIE = "penstock_session"
# Browsers take a cookie of this prefix from the very host only, over TLS, for all paths.
SECURE_COOKIE = f"__Host-{COOKIE}"
# How long it is believed what the record said of a credential.
MOMENT = timedelta(seconds=1.5)
MOST_KNOWN = 10_000
LONGEST_CREDENTIAL = 2_000
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
NOBODY = Asker(who="nobody", role=VIEWER, signed_in=False)
ANYBODY = Asker(who="anonymous", role=ADMIN, anonymous=True)


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

    @property
    def changes(self) -> bool:
        return self.method not in _LOOKING


class Gate:
    """The gate of a server; one for all its requests. Safe to use from several threads."""

    def __init__(self, store: Store, settings: SignInSettings, now: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._known: dict[bytes, tuple[Asker, datetime]] = {}
        self._open_until: datetime | None = None
        # Of whom somebody is asking the record anew, and until when the others need not.
        self._asking: dict[bytes, datetime] = {}
        self._closed = wants_sign_in(settings)

    def approach(self, scope: Mapping[str, Any]) -> Approach:
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1").lower()
            # A cookie header may come in parts; of any other only the first counts.
            if name == "cookie" and name in headers:
                headers[name] += "; " + value.decode("latin-1")
            headers.setdefault(name, value.decode("latin-1"))
        client = scope.get("client")
        return Approach(
            scope.get("method", "GET"), scope["path"], headers, client[0][:64] if client else "",
            scope.get("scheme") in ("https", "wss"), scope["type"] == "websocket",
        )  # fmt: skip

    def check_origin(self, approach: Approach) -> None:
        """Pages of other sites may neither change anything nor listen, whatever their browser sends along. Raises
        `NotAllowed`."""
        if not approach.changes and not approach.websocket:
            return
        origin = approach.headers.get("origin")
        foreign = approach.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign or (origin is not None and urlsplit_host(origin) != approach.headers.get("host", "").lower()):
            raise NotAllowed(f"A page of {origin or 'another site'} may not ask this server.")

    def known(self, approach: Approach) -> Asker | None:
        """Who asks, if the record said so a moment ago; None: `admit` must be asked."""
        now = self._now()
        if not self._closed:
            until = self._open_until
            if until is None or now >= until or self._is_to_ask(b"", until, now):
                return None
            return _coming(ANYBODY, approach)
        credential = _credential(approach)
        if credential is None:
            return _coming(NOBODY, approach)
        digest = _digest(credential)
        found = self._known.get(digest)
        if found is None or now >= found[1] or (found[0].session and not _has_csrf(approach, found[0].session)):
            return None
        return None if self._is_to_ask(digest, found[1], now) else _coming(found[0], approach)

    def _is_to_ask(self, of: bytes, until: datetime, now: datetime) -> bool:
        """Whether this one asks the record before what it said is too old, for the hundred others who come."""
        if until - now > MOMENT / 2 or self._asking.get(of, now) > now:
            return False
        if len(self._asking) >= MOST_KNOWN:
            self._asking.clear()
        self._asking[of] = until
        return True

    def admit(self, approach: Approach, anyone: bool = False) -> Asker:
        """Who asks, also nobody. May ask the record. Raises `NotSignedIn` for a credential that is not good (unless
        `anyone` may ask), `NotAllowed` without the session's CSRF token, `TooMuch`."""
        if self._is_open():
            return _coming(ANYBODY, approach)
        credential = _credential(approach)
        if credential is None:
            return _coming(NOBODY, approach)
        try:
            asker = self._asker(credential, approach)
        except (NotSignedIn, NotAllowed):
            if not anyone:
                raise
            return _coming(NOBODY, approach)
        return _coming(asker, approach)

    def cookie_headers(self, approach: Approach, cookies: Mapping[str, str | None]) -> list[tuple[str, str]]:
        """The headers that set, or with None take away, the session's cookie."""
        found = []
        for token in cookies.values():
            name = SECURE_COOKIE if approach.secure else COOKIE
            age = 0 if token is None else int(SESSION_MOST.total_seconds())
            secure = "; Secure" if approach.secure else ""
            found.append(
                ("set-cookie", f"{name}={token or ''}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{secure}")
            )
        return found

    def _is_open(self) -> bool:
        """Whether nobody has to sign in. What once was closed stays so, to the server's end."""
        if self._closed:
            return False
        now = self._now()
        if self._open_until is None or self._open_until - now <= MOMENT / 2:
            if self._settings.server_sign_in is None and accounts.is_anybody(self._store):
                self._closed = True
                return False
            self._open_until = now + MOMENT
        return True

    def _asker(self, credential: str, approach: Approach) -> Asker:
        digest, now = _digest(credential), self._now()
        kind, _, text = credential.partition(" ")
        if kind == "bearer":
            asker = api_keys.asker_of(self._store, text, now)
        elif kind == "basic":
            asker = self._basic(text, approach, now)
        else:
            asker = signing_in.asker_of(self._store, text, now)
            assert asker.session is not None
            if not _has_csrf(approach, asker.session):
                raise NotAllowed(
                    f"The header {CSRF_HEADER} is missing or wrong: `csrf` of GET /api/auth/me goes there."
                )
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[digest] = (asker, now + MOMENT)
        return asker

    def _basic(self, text: str, approach: Approach, now: datetime) -> Asker:
        """By PENSTOCK_API_AUTH_STRING. Users' own passwords are not taken here: each request would cost their check."""
        wanted = self._settings.api_auth_string
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            given = b""
        if wanted is None:
            raise NotSignedIn("This server takes no user and password with a request. Use an API key.")
        tried = _digest("auth string")
        if not hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted.encode()).digest()):
            signing_in.attempt(self._store, tried, approach.address, now)
            raise NotSignedIn("User or password is not that of this server's PENSTOCK_API_AUTH_STRING.")
        signing_in.check_attempts(self._store, tried, approach.address, now)
        return Asker(who=f"{wanted.partition(':')[0]} by the auth string", role=ADMIN)


def wants_sign_in(settings: SignInSettings) -> bool:
    """Whether the settings alone say that everybody has to sign in."""
    return settings.server_sign_in or settings.api_auth_string is not None


def check_exposure(settings: SignInSettings, host: str, store: Store) -> None:
    """Raises `ConfigurationError` when a server that listens at `host` would let strangers in unasked, or its settings
    contradict each other."""
    auth_string = settings.api_auth_string
    if auth_string is not None:
        user, colon, password = auth_string.partition(":")
        if not (user and colon and password):
            raise ConfigurationError("PENSTOCK_API_AUTH_STRING is 'user:password'; one of the two is missing.")
        if settings.server_sign_in is False:
            raise ConfigurationError(
                "PENSTOCK_API_AUTH_STRING says who may ask, and PENSTOCK_SERVER_SIGN_IN=false that nobody is asked. "
                "Unset one of them."
            )
    if settings.server_allow_anonymous or is_loopback(host) or wants_sign_in(settings):
        return
    if settings.server_sign_in is None and accounts.is_anybody(store):
        return
    raise ConfigurationError(
        f"At {host} others can reach this server, and nobody would have to sign in. Make the first admin (`penstock "
        "auth create-user NAME --role admin`) or set PENSTOCK_API_AUTH_STRING. If everybody who reaches it may do "
        "everything: --allow-anonymous."
    )


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach it there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def urlsplit_host(origin: str) -> str:
    """`host:port` of an origin, as a Host header has it; empty for what is none (`null`)."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _coming(asker: Asker, approach: Approach) -> Asker:
    agent = approach.headers.get("user-agent", "")[:100]
    return msgspec.structs.replace(asker, address=approach.address, agent=agent)


def _credential(approach: Approach) -> str | None:
    """`bearer KEY`, `basic TEXT` or `session TOKEN`; None where there is none. A header goes before a cookie: only
    programs send it."""
    header = approach.headers.get("authorization")
    if header is not None:
        kind, _, text = header.strip().partition(" ")
        kind, text = kind.lower(), text.strip()
        if kind not in ("bearer", "basic") or not text or len(text) > LONGEST_CREDENTIAL:
            return "bearer "  # which nobody has
        return f"{kind} {text}"
    wanted = SECURE_COOKIE if approach.secure else COOKIE
    for part in approach.headers.get("cookie", "").split(";"):
        name, _, token = part.strip().partition("=")
        if name == wanted and 0 < len(token) <= LONGEST_CREDENTIAL:
            return f"session {token}"
    return None


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "replace")).digest()


def _has_csrf(approach: Approach, session: bytes) -> bool:
    """Whether the request is the session's own: a page of another site cannot read the token that it must send."""
    if not approach.changes:
        return True
    sent = approach.headers.get(CSRF_HEADER, "")
    return hmac.compare_digest(sent.encode("utf-8", "replace"), signing_in.csrf_token(session).encode())
