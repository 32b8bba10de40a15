"""The driver of Docker containers: each run a container of its own, known by its launch's key in a label.

Law: what was launched depends on nobody: the worker may end, and another finds the container by its label. A container
is removed by us, after its end was seen, and never by the engine itself, which would take its exit code along.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..domain.errors import InfrastructureError, InfrastructureNotAvailable, InfrastructureRefused
from ..domain.launches import Place
from ..domain.stops import GONE, KILLED, RETURNED
from .container_logs import Follower
from .contract import Ended, Job, Stopped, one_line
from .docker_template import DOCKER_TEMPLATE
from .subprocesses import LAST_LINES, explained

Json = dict[str, Any]

KEY, REMOVED = "penstock.launch-key", "penstock.auto-remove"
HOST = "host.docker.internal"
# How long the engine may take for one answer; and to be sure that a container that was killed is gone.
ANSWER_SECONDS = 60.0
KILL_SECONDS = 30.0
_NEVER = "0001-01-01T00:00:00Z"
# What the engine says of what can never be, with a number that says that it is the engine's own fault.
_NEVER_SO = ("executable file not found", "no such file or directory", "invalid mode")


class DockerDriver:
    """Launches runs as containers of the engine that DOCKER_HOST names (or the machine's own)."""

    type = "docker"
    base_job_template: Json = DOCKER_TEMPLATE

    def __init__(self) -> None:
        self._clients = threading.local()
        self._followers: dict[str, Follower] = {}
        self._lock = threading.Lock()
        self._scope: str | None = None

    def scope(self) -> str:
        if self._scope is None:
            with _told("The Docker engine cannot be asked who it is"):
                self._scope = str(self._client().info()["ID"])
        return self._scope

    # --- launching ---------------------------------------------------------------------------------------------------

    def launch(self, job: Job) -> Place:
        client, configuration = self._client(), job.configuration
        there = self._found(job.key)
        if there is None:
            image = configuration.get("image")
            if not image:
                raise InfrastructureRefused("The job names no image: set `image` in its job variables, or the pool's.")
            self._have_image(str(image), str(configuration.get("image_pull_policy") or "IfNotPresent"))
            there = self._create(job, str(image))
        id = str(there["Id"])
        if there.get("State") in (None, "created"):
            try:
                with _told(f"A container of image {configuration.get('image')!r} could not be started"):
                    client.start(id)
            except InfrastructureRefused:
                self._remove(id)
                raise
        return Place(self.type, self.scope(), id)

    def _create(self, job: Job, image: str) -> Json:
        import docker

        client, configuration = self._client(), job.configuration
        told = f"A container of image {image!r} could not be created"
        env = {**(configuration.get("env") or {}), **job.env}
        network = configuration.get("network_mode")
        if network != "host":
            env = {name: _from_inside(value) if name == "PENSTOCK_API_URL" else value for name, value in env.items()}
        networks = list(configuration.get("networks") or [])
        labels = {**job.labels, KEY: job.key, REMOVED: str(configuration.get("auto_remove", True)).lower()}
        try:
            host = client.create_host_config(**_host_config(configuration, networks))
        except (docker.errors.DockerException, TypeError, ValueError) as error:  # the engine was not asked yet
            raise InfrastructureRefused(f"{told}: {one_line(error)}") from None
        try:
            with _told(told):
                made = client.create_container(
                    image, list(job.command), name=_name(job), environment=env, labels=labels, host_config=host,
                    user=configuration.get("user"), working_dir=configuration.get("working_dir"), detach=True,
                )  # fmt: skip
        except InfrastructureRefused:
            # Another worker may have been faster; its container has the same name.
            there = self._found(job.key)
            if there is None:
                raise
            return there
        for name in networks[1:]:
            with _told(f"The container could not be connected to network {name!r}"):
                client.connect_container_to_network(made["Id"], name)
        return {"Id": made["Id"], "State": "created"}

    def _have_image(self, image: str, policy: str) -> None:
        import docker

        client = self._client()
        if policy != "Always":
            try:
                with _told(f"Image {image!r} could not be looked for"):
                    client.inspect_image(image)
                return
            except _NotThere:
                if policy == "Never":
                    raise InfrastructureRefused(
                        f"Image {image!r} is not there, and `image_pull_policy` is Never: build it, or have it pulled."
                    ) from None
        with _told(f"Image {image!r} could not be pulled", refuses=True):
            repository, tag = docker.utils.parse_repository_tag(image)
            client.pull(repository, tag=tag or "latest")

    def _found(self, key: str) -> Json | None:
        with _told("The engine's containers could not be listed"):
            found = self._client().containers(all=True, filters={"label": f"{KEY}={key}"})
        return found[0] if found else None

    # --- watching ----------------------------------------------------------------------------------------------------

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        deadline = time.monotonic() + timeout
        try:
            if line is not None and not self._follower(place.id).follow(line, deadline):
                return None
            if not self._has_ended(place.id, deadline):
                return None
            return self._ended(place.id)
        except _NotThere:
            return Ended(None, "its container was removed by somebody else", gone=True)

    def _has_ended(self, id: str, deadline: float) -> bool:
        while True:
            left = max(0.05, deadline - time.monotonic())
            try:
                with _told("The container could not be waited for"):
                    self._client().wait(id, timeout=min(left, 3600.0))
                return True
            except _Slow:
                if time.monotonic() >= deadline:
                    return False

    def _ended(self, id: str) -> Ended:
        about = self._inspect(id)
        state = about["State"]
        code = int(state["ExitCode"])
        why = explained(code)
        if state.get("OOMKilled"):
            limit = about.get("HostConfig", {}).get("Memory")
            why = "killed by the kernel: out of memory" + (f" (its limit is {limit:,} bytes)" if limit else "")
        elif state.get("Error"):
            why = str(state["Error"])
        written = b""
        with contextlib.suppress(InfrastructureRefused), _told("What the container wrote could not be read"):
            written = self._client().logs(id, stdout=True, stderr=True, tail=LAST_LINES)  # refused: it is being removed
        return Ended(code, why, tuple(written.decode("utf-8", "replace").splitlines()))

    def started(self, place: Place) -> datetime | None:
        try:
            at = self._inspect(place.id)["State"].get("StartedAt") or _NEVER
        except _NotThere:
            return None
        return None if at == _NEVER else datetime.fromisoformat(at)

    def problem(self, place: Place) -> str | None:
        return None

    # --- ending ------------------------------------------------------------------------------------------------------

    def stop(self, place: Place, grace: float) -> Stopped:
        began = time.monotonic()
        try:
            state = self._inspect(place.id)["State"]
            if not (state.get("Running") or state.get("Paused")):
                return Stopped(GONE, self._ended(place.id), time.monotonic() - began)
            how = self._end(place.id, grace, paused=bool(state.get("Paused")))
            return Stopped(how, self._ended(place.id), time.monotonic() - began)
        except _NotThere:
            return Stopped(GONE, Ended(gone=True), time.monotonic() - began)

    def _end(self, id: str, grace: float, *, paused: bool) -> str:
        client = self._client()
        if paused:
            with _told("The container could not be woken"):
                client.unpause(id)
        how = RETURNED
        with contextlib.suppress(InfrastructureRefused), _told("The container could not be told to stop"):
            client.kill(id, "SIGTERM")  # refused: it has ended in this moment
        if not self._has_ended(id, time.monotonic() + grace):
            how = KILLED
            with contextlib.suppress(InfrastructureRefused), _told("The container could not be killed"):
                client.kill(id, "SIGKILL")
            if not self._has_ended(id, time.monotonic() + KILL_SECONDS):
                raise InfrastructureError(f"Container {id[:12]} could not be killed: it does not end by SIGKILL.")
        return how

    def by_hand(self, place: Place) -> str:
        return f"docker stop {place.id[:12]}  # at the engine {place.scope}"

    def forget(self, place: Place) -> None:
        with self._lock:
            follower = self._followers.pop(place.id, None)
        if follower is not None:
            follower.close()
        try:
            removed = self._inspect(place.id)["Config"]["Labels"].get(REMOVED)
        except _NotThere:
            return
        if removed != "false":
            self._remove(place.id)

    def _remove(self, id: str) -> None:
        with contextlib.suppress(_NotThere), _told("The container could not be removed"):
            self._client().remove_container(id, v=True, force=True)

    # --- the engine --------------------------------------------------------------------------------------------------

    def _client(self) -> Any:
        """One for each thread: a connection is used by one at a time."""
        client = getattr(self._clients, "client", None)
        if client is None:
            try:
                import docker
            except ImportError:
                raise InfrastructureRefused(
                    "Docker is reached by a package that is not installed: pip install 'penstock[docker]'."
                ) from None
            with _told("The Docker engine cannot be reached"):
                client = docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=ANSWER_SECONDS)
            self._clients.client = client
        return client

    def _inspect(self, id: str) -> Json:
        with _told("The container could not be looked at"):
            about: Json = self._client().inspect_container(id)
            return about

    def _follower(self, id: str) -> Follower:
        with self._lock:
            follower = self._followers.get(id)
            if follower is None:
                follower = self._followers[id] = Follower(lambda: self._stream(id))
            return follower

    def _stream(self, id: str) -> Iterator[bytes]:
        """What it writes, from the first byte; in the follower's thread, whose client waits as long as it takes."""
        import docker

        client = docker.APIClient(**docker.utils.kwargs_from_env(), version="auto", timeout=None)
        with contextlib.closing(client):
            yield from client.logs(id, stdout=True, stderr=True, stream=True, follow=True)


class _NotThere(InfrastructureRefused):
    """The engine knows no such thing."""


class _Slow(InfrastructureNotAvailable):
    """No answer in time."""


@contextlib.contextmanager
def _told(what: str, *, refuses: bool = False) -> Iterator[None]:
    """What the engine's client raises, as our own. `refuses`: what is not there is the job's fault."""
    import docker
    import requests

    try:
        yield
    except docker.errors.NotFound as error:
        raise (InfrastructureRefused if refuses else _NotThere)(
            f"{what}: {one_line(error.explanation or error, 1000)}"
        ) from None
    except docker.errors.APIError as error:
        status = error.status_code or 500
        said = one_line(error.explanation or error, 1000)
        never = status < 500 or any(each in said for each in _NEVER_SO)
        raise (InfrastructureRefused if never else InfrastructureNotAvailable)(f"{what}: {said}") from None
    except requests.exceptions.ReadTimeout:
        raise _Slow(f"{what}: the engine did not answer in time.") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        if "PermissionError" in repr(error):
            raise InfrastructureNotAvailable(
                f"{what}: this user may not use the Docker engine (is it in the group `docker`?)."
            ) from None
        if "Read timed out" in str(error):
            raise _Slow(f"{what}: the engine did not answer in time.") from None
        raise InfrastructureNotAvailable(f"{what}: is the engine running? {one_line(error)}") from None


def _name(job: Job) -> str:
    """Readable, and unique by the key: who comes second finds the name taken."""
    slug = re.sub(r"[^a-zA-Z0-9_.-]+", "-", job.name).strip("-_.")[:40]
    run, _, epoch = job.key.partition("-")
    return f"{slug or 'run'}-{run[-16:]}{'-' if epoch else ''}{epoch}"


def _host_config(configuration: Json, networks: list[str]) -> Json:
    """What a container is given of its host."""
    cpus = configuration.get("cpus")
    found: Json = {
        "binds": list(configuration.get("volumes") or []) or None,
        "network_mode": configuration.get("network_mode") or (networks[0] if networks else None),
        "mem_limit": configuration.get("mem_limit"),
        "memswap_limit": configuration.get("memswap_limit"),
        "nano_cpus": None if cpus is None else math.ceil(float(cpus) * 1e9),
        "privileged": bool(configuration.get("privileged")),
        # A first process has no default for SIGTERM, and would not be ended by it.
        "init": True,
    }
    if found["network_mode"] in (None, "bridge") or networks:
        found["extra_hosts"] = {HOST: "host-gateway"}
    return {name: value for name, value in found.items() if value is not None}


def _from_inside(url: str) -> str:
    """The address of a server of this machine, as a container of it reaches it."""
    parts = urlsplit(url)
    if parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return url
    host = HOST if parts.port is None else f"{HOST}:{parts.port}"
    return urlunsplit(parts._replace(netloc=host))
