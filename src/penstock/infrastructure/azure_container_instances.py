"""The driver of Azure Container Instances: each run a container group of its own, with one container.

Law: a group's name follows from its launch's key: launching twice is launching once. The environment is given as secure
values, which Azure shows to nobody.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..domain.errors import InfrastructureError, InfrastructureNotFound, InfrastructureRefused
from ..domain.launches import Place
from ..domain.stops import GONE, KILLED, RETURNED
from .cloud_rest import CloudApi
from .contract import Ended, Job, Stopped, one_line
from .polling import Poller
from .subprocesses import LAST_LINES, explained
from .template_fields import IMAGE, LIST, common, kept, template

Json = dict[str, Any]

URL = "https://management.azure.com"
TOKEN_FOR = "https://management.azure.com/.default"
VERSION = "2023-05-01"
PROVIDER = "Microsoft.ContainerInstance/containerGroups"
CONTAINER = "penstock"
# How long Azure may take to stop a group: it decides the grace by itself.
STOP_SECONDS = 300.0
_FIELDS: Json = {
    **common(env="the container", labels="Tags of the container group."),
    "image": IMAGE,
    "subscription_id": {"type": "string", "description": "The subscription; none: AZURE_SUBSCRIPTION_ID."},
    "resource_group_name": {"type": "string", "description": "The resource group; none: AZURE_RESOURCE_GROUP."},
    "location": {"type": "string", "default": "westeurope", "description": "Where the group is."},
    "cpu": {"type": "number", "default": 1.0, "description": "Processors."},
    "memory": {"type": "number", "default": 1.0, "description": "Memory in GB."},
    "subnet_ids": {**LIST, "description": "Subnets of the group."},
    "identities": {**LIST, "description": "User-assigned identities that the flow's code has."},
    "image_registry": {
        "type": "object",
        "description": '{"server": …, "identity": …}, or with "username" and "password".',
    },
    "keep_container_group": kept("the group"),
}


class AzureContainerInstancesDriver:
    """Launches runs as container groups, by the credentials that azure-identity finds."""

    type = "azure-container-instances"
    base_job_template = template(_FIELDS, required=["image"])

    def __init__(self, api: CloudApi | None = None, poller: Poller | None = None) -> None:
        self._api = api
        self._poller = poller or Poller()
        self._lock = threading.Lock()
        self._read: dict[str, int] = {}

    def scope(self) -> str:
        return self._scope({})

    def _scope(self, configuration: Json) -> str:
        subscription = configuration.get("subscription_id") or os.environ.get("AZURE_SUBSCRIPTION_ID")
        group = configuration.get("resource_group_name") or os.environ.get("AZURE_RESOURCE_GROUP")
        if not subscription or not group:
            what = (
                "subscription (AZURE_SUBSCRIPTION_ID)" if not subscription else "resource group (AZURE_RESOURCE_GROUP)"
            )
            raise InfrastructureRefused(f"It is not said in which {what} container groups are.")
        return f"azure:{subscription}:{group}"

    # --- launching ---------------------------------------------------------------------------------------------------

    def launch(self, job: Job) -> Place:
        place = Place(self.type, self._scope(job.configuration), job.unique_name(30))
        if self._group(place) is None:
            try:
                self._ask("PUT", place, "", group_of(job), "containerGroups/write")
            except InfrastructureNotFound as error:
                raise InfrastructureRefused(str(error)) from None
        return place

    # --- watching ----------------------------------------------------------------------------------------------------

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        def look() -> Ended | None:
            group = self._group(place)
            if group is None:
                return Ended(None, "its container group was deleted by somebody else", gone=True)
            state = _state(group)
            if line is not None and state.get("state") in ("Running", "Terminated"):
                self._lines(place, line)
            if _is_over(group):
                return self._ended(place, state)
            failed = (group.get("properties") or {}).get("provisioningState") == "Failed"
            return Ended(None, _event(group) or "Azure could not provide the container group") if failed else None

        return self._poller.until(look, timeout)

    def _ended(self, place: Place, state: Json) -> Ended:
        code, detail = state.get("exitCode"), str(state.get("detailStatus") or "")
        why = None if code is None else explained(int(code))
        if "OOM" in detail:
            why = "killed by the kernel: out of memory"
        elif why is None and detail not in ("", "Completed", "Error"):
            why = detail
        return Ended(None if code is None else int(code), why, tuple(self._log(place)[-LAST_LINES:]))

    def _lines(self, place: Place, line: Callable[[str], None]) -> None:
        found = self._log(place)
        for each in found[self._read.get(place.id, 0) :]:
            line(each)
        self._read[place.id] = max(len(found), self._read.get(place.id, 0))

    def _log(self, place: Place) -> list[str]:
        with contextlib.suppress(InfrastructureError):
            found = self._ask("GET", place, f"/containers/{CONTAINER}/logs", None, "containers/logs/read")
            return str(found.get("content") or "").splitlines()
        return []

    def started(self, place: Place) -> datetime | None:
        group = self._group(place)
        at = None if group is None else _state(group).get("startTime")
        return None if at is None else datetime.fromisoformat(str(at))

    def problem(self, place: Place) -> str | None:
        group = self._group(place)
        if group is None or _state(group).get("startTime"):
            return None
        return _event(group)

    def _group(self, place: Place) -> Json | None:
        try:
            return self._ask("GET", place, "", None, "containerGroups/read")
        except InfrastructureNotFound:
            return None

    # --- ending ------------------------------------------------------------------------------------------------------

    def stop(self, place: Place, grace: float) -> Stopped:
        began = self._poller.clock()
        group = self._group(place)
        if group is None or _is_over(group):
            ended = Ended(gone=True) if group is None else self._ended(place, _state(group))
            return Stopped(GONE, ended, self._poller.clock() - began)
        with contextlib.suppress(InfrastructureNotFound):
            self._ask("POST", place, "/stop", None, "containerGroups/stop/action")
        ended_then = self._poller.until(lambda: self._stopped(place), STOP_SECONDS)
        if ended_then is None:
            raise InfrastructureError(f"Container group {place.id} was told to stop, and has not stopped.")
        return Stopped(KILLED if ended_then.code == 137 else RETURNED, ended_then, self._poller.clock() - began)

    def _stopped(self, place: Place) -> Ended | None:
        group = self._group(place)
        if group is None:
            return Ended(gone=True)
        return self._ended(place, _state(group)) if _is_over(group) else None

    def by_hand(self, place: Place) -> str:
        _, subscription, group = place.scope.split(":")
        return f"az container stop --subscription {subscription} --resource-group {group} --name {place.id}"

    def forget(self, place: Place) -> None:
        self._read.pop(place.id, None)
        group = self._group(place)
        if group is not None and (group.get("tags") or {}).get("penstock.keep") != "true":
            with contextlib.suppress(InfrastructureNotFound):
                self._ask("DELETE", place, "", None, "containerGroups/delete")

    # --- the API -----------------------------------------------------------------------------------------------------

    def _ask(self, method: str, place: Place, below: str, body: Json | None, right: str) -> Json:
        scope = place.scope.split(":")
        if len(scope) != 3 or not re.fullmatch(r"[a-z0-9-]{1,63}", place.id):
            raise InfrastructureError(f"{place.id!r} names no container group.")
        path = f"/subscriptions/{scope[1]}/resourceGroups/{scope[2]}/providers/{PROVIDER}/{place.id}{below}"
        right = f"Microsoft.ContainerInstance/{right}"
        return self._azure().ask(method, path, {"api-version": VERSION}, body, right=right)

    def _azure(self) -> CloudApi:
        with self._lock:
            if self._api is None:
                self._api = CloudApi("Azure", URL, _token())
            return self._api


def _token() -> Callable[[], str]:
    try:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise InfrastructureRefused(
            "Azure is reached by a package that is not installed: pip install 'penstock[azure]'."
        ) from None
    credential, lock = DefaultAzureCredential(), threading.Lock()
    held: list[Any] = []

    def token() -> str:
        with lock:
            if not held or held[0].expires_on - time.time() < 300:
                try:
                    held[:] = [credential.get_token(TOKEN_FOR)]
                except ClientAuthenticationError as error:
                    said = one_line(error)
                    raise InfrastructureRefused(f"Azure does not know who asks: {said}") from None
            return str(held[0].token)

    return token


def group_of(job: Job) -> Json:
    """The container group as the API takes it."""
    configuration = job.configuration
    env = {**(configuration.get("env") or {}), **job.env}
    container: Json = {
        "image": configuration["image"],
        "command": list(job.command),
        "environmentVariables": [{"name": name, "secureValue": value} for name, value in env.items()],
        "resources": {"requests": {"cpu": float(configuration["cpu"]), "memoryInGB": float(configuration["memory"])}},
    }
    properties: Json = {
        "containers": [{"name": CONTAINER, "properties": container}],
        "osType": "Linux",
        "restartPolicy": "Never",
    }
    if configuration.get("subnet_ids"):
        properties["subnetIds"] = [{"id": each} for each in configuration["subnet_ids"]]
    if configuration.get("image_registry"):
        properties["imageRegistryCredentials"] = [configuration["image_registry"]]
    tags = {re.sub(r"[<>%&\\?/]", "-", key)[:512]: value[:256] for key, value in job.labels.items()}
    tags["penstock.keep"] = str(bool(configuration.get("keep_container_group"))).lower()
    made: Json = {"location": configuration["location"], "tags": tags, "properties": properties}
    if configuration.get("identities"):
        made["identity"] = {
            "type": "UserAssigned",
            "userAssignedIdentities": {e: {} for e in configuration["identities"]},
        }
    return made


def _state(group: Json) -> Json:
    containers = (group.get("properties") or {}).get("containers") or [{}]
    view = (containers[0].get("properties") or {}).get("instanceView") or {}
    found: Json = view.get("currentState") or {}
    return found


def _is_over(group: Json) -> bool:
    view = (group.get("properties") or {}).get("instanceView") or {}
    return _state(group).get("state") == "Terminated" or view.get("state") == "Stopped"


def _event(group: Json) -> str | None:
    """The last warning of the container or its group, as a sentence."""
    properties = group.get("properties") or {}
    containers = properties.get("containers") or [{}]
    view = (containers[0].get("properties") or {}).get("instanceView") or {}
    events = [*((properties.get("instanceView") or {}).get("events") or []), *(view.get("events") or [])]
    warned = [each for each in events if each.get("type") == "Warning" and each.get("message")]
    if not warned:
        return None
    last = max(warned, key=lambda each: str(each.get("lastTimestamp") or ""))
    return f"{str(last['message']).rstrip('.')}."
