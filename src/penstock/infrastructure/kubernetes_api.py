"""Asking a cluster: the vendor's client finds it and proves who we are, and questions and answers are plain JSON.

Law: a manifest is data, and the cluster alone says what is wrong with it: a field that this version of the client does
not know may be one that the cluster does.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ..domain.errors import InfrastructureNotAvailable, InfrastructureNotFound, InfrastructureRefused
from .contract import Exists, one_line

Json = dict[str, Any]

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 30.0
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Expired(InfrastructureNotAvailable):
    """What is asked for is older than what the cluster remembers."""


class Cluster:
    """An API server, as a kubeconfig's context names it; neither given: the cluster that this process is in, else what
    KUBECONFIG, or the user's own file, says."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        try:
            from kubernetes import client
        except ImportError:
            raise InfrastructureRefused(
                "Kubernetes is reached by a package that is not installed: pip install 'penstock[kubernetes]'."
            ) from None
        self._configuration, self.namespace = _configuration(client, kubeconfig, context)
        self._client = client.ApiClient(self._configuration)
        self._pool: Any = self._client.rest_client.pool_manager
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, query: Json | None = None, body: Json | None = None, *, right: str) -> Json:
        """The answer as JSON. `right` says what has to be allowed, as `create jobs in namespace x`. Raises
        `InfrastructureNotFound`, `Exists`, `Expired`, `InfrastructureRefused` or `InfrastructureNotAvailable`."""
        with self._answered(method, path, query, body, right, ANSWER_SECONDS) as answer:
            data = answer.data
        try:
            found: Json = json.loads(data)
        except ValueError:
            raise InfrastructureNotAvailable(f"The cluster's answer is no JSON (asked to {right}).") from None
        return found

    @contextlib.contextmanager
    def stream(self, path: str, query: Json, seconds: float, *, right: str) -> Iterator[Any]:
        """An answer that comes bit by bit; `seconds` is how long nothing may come."""
        with self._answered("GET", path, query, None, right, seconds) as answer:
            yield answer

    def text(self, path: str, query: Json, *, right: str) -> str:
        with self._answered("GET", path, query, None, right, ANSWER_SECONDS) as answer:
            data: bytes = answer.data
            return data.decode("utf-8", "replace")

    @contextlib.contextmanager
    def _answered(
        self, method: str, path: str, query: Json | None, body: Json | None, right: str, seconds: float
    ) -> Iterator[Any]:
        import urllib3

        url = f"{self._configuration.host.rstrip('/')}{path}{'?' + urlencode(query) if query else ''}"
        try:
            answer = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers={"Accept": "application/json", "Content-Type": "application/json", **self._who()},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
                retries=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            said = one_line(error)
            raise InfrastructureNotAvailable(f"The cluster {self._configuration.host} is away: {said}") from None
        try:
            if answer.status >= 400:
                raise _refused(answer.status, answer.data, right)
            yield answer
        except urllib3.exceptions.HTTPError as error:
            raise InfrastructureNotAvailable(f"The cluster's answer broke off: {type(error).__name__}.") from None
        finally:
            answer.close()
            answer.release_conn()

    def _who(self) -> dict[str, str]:
        """The headers that prove who asks; tokens that run out are renewed by the vendor's client."""
        with self._lock:
            settings = self._configuration.auth_settings()
        return {
            each["key"]: each["value"] for each in settings.values() if each.get("in") == "header" and each.get("value")
        }


def _configuration(client: Any, kubeconfig: str | None, context: str | None) -> tuple[Any, str]:
    """How the cluster is reached, and the namespace that is meant where none is named."""
    from kubernetes import config as loading

    config: Any = loading
    made = client.Configuration()
    try:
        # (The vendor's client reads the variable when it is imported, and never again.)
        file = kubeconfig or os.environ.get("KUBECONFIG") or None
        if file is None and context is None:
            try:
                config.load_incluster_config(client_configuration=made)
                return made, _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else "default"
            except config.ConfigException:  # this process is in no cluster
                pass
        config.load_kube_config(
            config_file=file, context=context, client_configuration=made, persist_config=False
        )  # a user's file is read, and never written
        contexts, active = config.list_kube_config_contexts(file)
        chosen = active if context is None else next(each for each in contexts if each["name"] == context)
        return made, str(chosen["context"].get("namespace") or "default")
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise InfrastructureRefused(
            f"There is no way to a cluster: {one_line(error)} (kubeconfig: {kubeconfig or 'none'}, "
            f"context: {context or 'none'})."
        ) from None


def _refused(status: int, data: bytes, right: str) -> Exception:
    try:
        said = str(json.loads(data).get("message") or "")
    except (ValueError, AttributeError):
        said = data.decode("utf-8", "replace")
    said = one_line(said, 1000)
    if status == 401:
        return InfrastructureNotAvailable(f"The cluster does not know who asks (asked to {right}): {said}")
    if status == 403 and "exceeded quota" not in said:
        return InfrastructureRefused(f"The worker may not {right}: give its role that right. The cluster said: {said}")
    if status == 404:
        return InfrastructureNotFound(f"The cluster has no such thing (asked to {right}): {said}")
    if status == 409:
        return Exists(f"The cluster refused to {right}: {said}")
    if status == 410:
        return Expired(f"The cluster does not remember (asked to {right}): {said}")
    if status == 429 or status >= 500 or status == 403:
        return InfrastructureNotAvailable(f"The cluster could not {right}: {said}")
    return InfrastructureRefused(f"The cluster refused to {right}: {said}")
