"""How a message gets to a service: one request, one answer, and what went wrong in a sentence.

Law: whatever goes wrong is a `NotificationFailed` whose text names the host and nothing else of the address: a part of
a webhook's path is its password, and the mask knows only the whole.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from ..domain.errors import NotificationFailed

if TYPE_CHECKING:
    from email.message import EmailMessage

# A service that is there answers sooner; who waits is a run.
TIMEOUT = 10.0
# So much of an answer is read, and so much of it told.
MOST_READ, MOST_TOLD = 10_000, 200


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. `json` and `form` are bodies; one of them, or none."""

    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    json: Any = None
    form: dict[str, str] | None = None


def send(request: Request, *, timeout: float = TIMEOUT, private: bool = True) -> None:
    """Sends it, once; redirects are not followed. With `private=False` not into the own network.

    Raises `NotificationFailed` for whatever is no success.
    """
    import urllib3

    host = _check(request.url, private)
    headers, body = dict(request.headers), None
    if request.json is not None:
        body = json.dumps(request.json).encode()
        headers.setdefault("Content-Type", "application/json")
    elif request.form is not None:
        body = urlencode(request.form).encode()
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    try:
        with urllib3.PoolManager(retries=False) as pool:
            answer = pool.request(
                request.method, request.url, body=body, headers=headers, preload_content=False, redirect=False,
                timeout=urllib3.Timeout(total=timeout),
            )  # fmt: skip
            said = answer.read(MOST_READ, decode_content=True)
            answer.release_conn()
    except urllib3.exceptions.NewConnectionError as error:  # which is a TimeoutError, too
        raise NotificationFailed(f"{host} cannot be reached ({type(error).__name__}).") from None
    except urllib3.exceptions.TimeoutError:
        raise NotificationFailed(f"{host} did not answer within {timeout:g} s.") from None
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        # (Its text has the whole address in it.)
        raise NotificationFailed(f"{host} cannot be reached ({type(error).__name__}).") from None
    if not 200 <= answer.status < 300:
        raise NotificationFailed(f"{host} answered with status {answer.status}{_told(said)}.")


def _check(url: str, private: bool) -> str:
    """The host of an address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:
        host = None
    if not host:
        raise NotificationFailed("The address of the service is no http(s) URL.")
    if not private and _is_private(host):
        raise NotificationFailed(f"{host} is in a private network, where this block may send nothing.")
    return host


def _is_private(host: str) -> bool:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # nothing can be sent there either
    return any(not ipaddress.ip_address(str(each).partition("%")[0]).is_global for each in found)


def _told(body: bytes) -> str:
    text = " ".join(body.decode("utf-8", "replace").split())[:MOST_TOLD]
    return f": {text}" if text else ""


def send_mail(
    message: EmailMessage, *, host: str, port: int, username: str | None, password: str | None, security: str,
    timeout: float = TIMEOUT,
) -> None:  # fmt: skip
    """Hands a mail to a server; `security` is starttls, tls or none. Raises `NotificationFailed`."""
    import smtplib
    import ssl

    try:
        context = ssl.create_default_context()
        if security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=timeout)
        with server:
            if security == "starttls":
                server.starttls(context=context)
            if username is not None:
                server.login(username, password or "")
            server.send_message(message)
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise NotificationFailed(f"{host} refused the mail: {error.smtp_code} {text[:MOST_TOLD]}.") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise NotificationFailed(f"{host} refused the recipients {', '.join(error.recipients)}.") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotificationFailed(f"{host} cannot be reached ({type(error).__name__}).") from None
