"""Asking a vendor's management API: the vendor's package proves who we are, questions and answers are plain JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from ..domain.errors import InfrastructureNotAvailable, InfrastructureNotFound, InfrastructureRefused
from .contract import Exists, one_line

Json = dict[str, Any]

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0


class CloudApi:
    """An API at `url`; `token()` gives what proves who asks, renewed where it has run out; errors name `vendor`."""

    def __init__(self, vendor: str, url: str, token: Callable[[], str]) -> None:
        import urllib3

        self._vendor = vendor
        self._url = url.rstrip("/")
        self._token = token
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS), retries=False, maxsize=8
        )

    def ask(self, method: str, path: str, query: Json | None = None, body: Json | None = None, *, right: str) -> Json:
        """`right` is what has to be allowed, by the vendor's name for it. Raises `InfrastructureNotFound`, `Exists`,
        `InfrastructureRefused` or `InfrastructureNotAvailable`."""
        import urllib3

        try:
            answer = self._pool.request(
                method,
                f"{self._url}{path}{'?' + urlencode(query) if query else ''}",
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token()}"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise InfrastructureNotAvailable(f"{self._vendor} cannot be reached: {one_line(error)}") from None
        if answer.status >= 400:
            raise self._refused(answer.status, answer.data, right)
        try:
            found: Json = json.loads(answer.data) if answer.data else {}
        except ValueError:
            raise InfrastructureNotAvailable(f"{self._vendor} answered with what is no JSON.") from None
        return found

    def _refused(self, status: int, data: bytes, right: str) -> Exception:
        try:
            error = json.loads(data).get("error") or {}
            said = f"{error.get('status') or error.get('code') or status}: {error.get('message') or ''}"
        except (ValueError, AttributeError):
            said = data.decode("utf-8", "replace")
        said = one_line(said, 1000)
        if status in (401, 403):
            return InfrastructureRefused(f"{self._vendor} does not let the worker do this: it needs {right}. {said}")
        if status == 404:
            return InfrastructureNotFound(f"{self._vendor} has no such thing ({right}): {said}")
        if status == 409:
            return Exists(f"{self._vendor} refused ({right}): {said}")
        if status == 429 or status >= 500:
            return InfrastructureNotAvailable(f"{self._vendor} could not do it now ({right}): {said}")
        return InfrastructureRefused(f"{self._vendor} refused ({right}): {said}")
