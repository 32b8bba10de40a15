"""How this process reaches a server: HTTP, for operations, the journal and signals.

Law: nothing here knows what is asked. What can safely be asked twice is tried again, with growing pauses; anything
else is not. `urllib3` is used (and not httpx) because a script that reports to a server loads it at every start and
uses it for every batch: it takes half the time for both.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import urllib3

from .domain.errors import BadRequest, ConfigurationError, PenstockError, ServerUnavailableError, TooLarge, TooMuch
from .protocol.operation import Operation
from .protocol.problems import Problem, Problems, error_of
from .protocol.version import HEADER, PROTOCOL, check_server

R = TypeVar("R")

JSON = "application/json"
PREFIX = "/api"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# Of a server that is starting, stopping, or behind a gateway that waits for it.
AWAY = frozenset({502, 503, 504})
# Said by gateways as well, whose limits are often smaller than a server's.
REFUSED = {413: TooLarge, 429: TooMuch}
_problems = msgspec.json.Decoder(Problems)
_encode = msgspec.json.Encoder().encode

_open: weakref.WeakSet[Transport] = weakref.WeakSet()


class Transport:
    """A server at `url` (`http://host:4200/api`, with or without `/api`), asked with an API `key`, or with `basic`
    ("user:password"). `patience` is for how many seconds what is safe is tried again. `carry` puts what else there is
    to say into the headers of each request (the trace that it is of). Safe to use from several threads.

    Raises `ConfigurationError` for a URL that cannot be one.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        basic: str | None = None,
        patience: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
        carry: Callable[[dict[str, str]], None] | None = None,
    ) -> None:
        self.url = api_url(url)
        self._carry = carry
        self._patience = patience
        self._sleep = sleep
        self._known = False
        self.headers = {HEADER: str(PROTOCOL), "accept": JSON}
        if key is not None:
            self.headers["authorization"] = f"Bearer {key}"
        elif basic is not None:
            self.headers |= urllib3.make_headers(basic_auth=basic)
        self.forget()
        _open.add(self)

    def forget(self) -> None:
        """In a forked child: the connections are the parent's."""
        self._lock = threading.Lock()
        self._pool: Any = None

    def _connections(self) -> Any:
        with self._lock:
            if self._pool is None:
                proxy = _proxy_for(self.url)
                options: dict[str, Any] = {"maxsize": 16, "retries": False, "headers": None}
                self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            return self._pool

    def call(self, operation: Operation[Any, R], argument: msgspec.Struct, *, key: str | None = None) -> R:
        """The answer to an operation; `key` makes one that is not safe safe, by being asked once however often it is
        sent. Raises the error that was answered, or `ServerUnavailableError`."""
        method, path, body = request_of(operation, argument)
        patience = getattr(argument, "wait", 0.0) + ANSWER_SECONDS
        headers = {} if key is None else {"idempotency-key": key}
        if self._carry is not None:
            self._carry(headers)
        if body is not None:
            headers["content-type"] = JSON
        again = self._patience if operation.safe or key is not None else 0.0
        answer = self.send(method, path, body, headers, timeout=patience, try_for=again)
        if operation.gives is None:
            return None  # type: ignore[return-value]
        try:
            return msgspec.json.decode(answer, type=operation.gives)
        except msgspec.MsgspecError as error:
            raise ServerUnavailableError(
                f"What {self.url} answered to {operation.name} is not understood: {error}."
            ) from None

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        timeout: float = ANSWER_SECONDS,
        try_for: float = 0.0,
    ) -> bytes:
        """One request and its answer's body, tried again for `try_for` seconds. Raises what was answered."""
        deadline = time.monotonic() + try_for
        pause = FIRST_PAUSE
        while True:
            try:
                return self._send_once(method, path, body, headers, timeout)
            except (ServerUnavailableError, TooMuch) as error:
                wait = max(pause * random.uniform(0.5, 1.0), getattr(error, "retry_after", 0.0))  # not for secrets
                if time.monotonic() + wait > deadline:
                    raise
                self._sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _send_once(self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float) -> bytes:
        try:
            answer = self._connections().request(
                method,
                self.url + path,
                body=body,
                headers=self.headers | headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout),
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        self._check(answer)
        data: bytes = answer.data
        return data

    @contextlib.contextmanager
    def stream(self, path: str, *, silence: float) -> Iterator[Lines]:
        """The lines of an answer that goes on; raises `ServerUnavailableError` when nothing comes for `silence`
        seconds."""
        try:
            answer = self._connections().request(
                "GET", self.url + path, headers=self.headers | {"accept": "text/event-stream"}, preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=silence), redirect=False,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        try:
            if answer.status != 200:
                answer.read()
            self._check(answer)
            yield Lines(answer, self._unreachable)
        finally:
            answer.close()

    def _check(self, answer: Any) -> None:
        if answer.status in AWAY and HEADER not in answer.headers:
            raise ServerUnavailableError(f"The server at {self.url} is away (status {answer.status}).")
        if answer.status in REFUSED and HEADER not in answer.headers:
            raise REFUSED[answer.status](f"A gateway before {self.url} does not let this pass ({answer.status}).")
        self._check_who(answer.headers.get(HEADER), answer.status)
        if answer.status < 300:
            return
        try:
            problem = _problems.decode(answer.data).error
        except msgspec.MsgspecError:
            problem = Problem("server", f"The server at {self.url} answered with status {answer.status}.")
        error: PenstockError = error_of(problem)
        if answer.status in AWAY and not isinstance(error, ServerUnavailableError):
            error = ServerUnavailableError(problem.message)
        raise error

    def _check_who(self, protocol: str | None, status: int) -> None:
        """Where a Penstock server has answered before, something else that answers (a gateway, the page of a hotel's
        network, half of an answer) stands in its way."""
        if protocol is None and self._known:
            raise ServerUnavailableError(f"Something else answers at {self.url} for the server (status {status}).")
        check_server(protocol, self.url)
        self._known = True

    def _unreachable(self, error: Exception) -> ServerUnavailableError:
        reason: Any = getattr(error, "reason", None) or error
        while len(reason.args) > 1 and isinstance(reason.args[-1], Exception):
            reason = reason.args[-1]
        said = str(reason).rsplit(": ", 1)[-1].strip("<>") or type(reason).__name__
        return ServerUnavailableError(
            f"The server at {self.url} does not answer ({said}). Is it running (`penstock server start`), and is "
            "PENSTOCK_API_URL right?"
        )

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()


class Lines:
    """The lines of an answer that goes on. `stop`, from any thread, ends them."""

    def __init__(self, answer: Any, unreachable: Callable[[Exception], Exception]) -> None:
        self._answer = answer
        self._unreachable = unreachable
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            self._answer.shutdown()

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        try:
            while not self._stopped and (chunk := self._answer.read1(65_536)):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not self._stopped:
                raise self._unreachable(error) from None


def api_url(url: str) -> str:
    """The URL that paths of operations go behind. Raises `ConfigurationError`."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} is not the URL of a server's API; write PENSTOCK_API_URL like http://127.0.0.1:4200/api."
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith(PREFIX) else path + PREFIX}"


def request_of(operation: Operation[Any, Any], argument: msgspec.Struct) -> tuple[str, str, bytes | None]:
    """(method, path with its query, body) of an operation. Raises `BadRequest` for what cannot be sent."""
    try:
        return _request_of(operation, argument)
    except (UnicodeEncodeError, RecursionError, OverflowError, TypeError) as error:
        why = "is nested too deeply" if isinstance(error, RecursionError) else f"is not JSON ({error})"
        raise BadRequest(f"What {operation.name} is to be given {why}, so it cannot be sent to a server.") from None


def _request_of(operation: Operation[Any, Any], argument: msgspec.Struct) -> tuple[str, str, bytes | None]:
    fields: dict[str, Any] = msgspec.to_builtins(argument)
    path = operation.path
    for field in operation.path_fields:
        path = path.replace("{" + field + "}", quote(str(fields.pop(field)), safe=""))
    if not operation.in_query:
        return operation.method, path, _encode(fields)
    query = "&".join(
        f"{name}={quote(_in_query(each), safe='')}"
        for name, value in fields.items()
        if value is not None
        for each in (value if isinstance(value, list) else [value])
    )
    return operation.method, f"{path}?{query}" if query else path, None


def _in_query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment asks for, as the field's programs read it."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if not any(name.lower().endswith("_proxy") for name in os.environ) or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


def _forget() -> None:
    for transport in list(_open):
        transport.forget()


with contextlib.suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget)
