"""The driver of Google Cloud Run: each run a job of its own, with one execution that is never repeated.

Law: a job's name follows from its launch's key, so that launching twice is launching once. The environment, which may
have a key in it, is given to the execution and is not in the job.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..domain.errors import InfrastructureError, InfrastructureNotFound, InfrastructureRefused
from ..domain.launches import Place
from ..domain.stops import GONE, KILLED, RETURNED
from .cloud_rest import CloudApi
from .contract import Ended, Exists, Job, Stopped, one_line
from .polling import Poller
from .subprocesses import explained
from .template_fields import IMAGE, common, kept, template

Json = dict[str, Any]

URL = "https://run.googleapis.com/v2"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# How long Cloud Run may take to make a job, and to end an execution (it kills after ten seconds).
MAKE_SECONDS, STOP_SECONDS = 120.0, 120.0
KEPT = "penstock-keep"
# Names begin with a letter, and have less than 50 characters.
LETTER = "p"
_FIELDS: Json = {
    **common(env="the container", labels="Labels of the job."),
    "image": IMAGE,
    "project": {"type": "string", "description": "The project; none: that of the worker's credentials."},
    "region": {"type": "string", "description": "The region; none: GOOGLE_CLOUD_REGION."},
    "cpu": {"type": "string", "default": "1", "description": 'Processors, such as "1" or "2".'},
    "memory": {"type": "string", "default": "512Mi", "description": 'Memory, such as "512Mi" or "2Gi".'},
    "timeout": {"type": "integer", "default": 3600, "description": "Seconds after which Cloud Run ends the job."},
    "service_account_name": {"type": "string", "description": "The service account that the flow's code is."},
    "vpc_connector_name": {"type": "string", "description": "The connector to a VPC."},
    "keep_job": kept("the job"),
}


class CloudRunDriver:
    """Launches runs as Cloud Run jobs, by the credentials that google-auth finds."""

    type = "cloud-run"
    base_job_template = template(_FIELDS, required=["image"])

    def __init__(self, api: CloudApi | None = None, poller: Poller | None = None) -> None:
        self._api = api
        self._poller = poller or Poller()
        self._lock = threading.Lock()
        self._project: str | None = None

    def scope(self) -> str:
        return self._scope({})

    def _scope(self, configuration: Json) -> str:
        self._cloud()  # which knows the project of its credentials
        project = configuration.get("project") or os.environ.get("GOOGLE_CLOUD_PROJECT") or self._project
        region = configuration.get("region") or os.environ.get("GOOGLE_CLOUD_REGION")
        if not project or not region:
            what = "project (GOOGLE_CLOUD_PROJECT)" if not project else "region (GOOGLE_CLOUD_REGION)"
            raise InfrastructureRefused(f"It is not said in which {what} Cloud Run jobs are.")
        return f"gcp:{project}:{region}"

    # --- launching ---------------------------------------------------------------------------------------------------

    def launch(self, job: Job) -> Place:
        scope = self._scope(job.configuration)
        _, project, region = scope.split(":")
        parent, name = f"projects/{project}/locations/{region}", job.unique_name(20, LETTER)
        path = f"/{parent}/jobs/{name}"
        try:
            made = self._cloud().ask(
                "POST",
                f"/{parent}/jobs",
                {"jobId": name},
                job_of(job),
                right="run.jobs.create and iam.serviceAccounts.actAs",
            )
            self._done(made)
        except Exists:  # by a worker that came no further, or came first
            found = self._cloud().ask("GET", f"{path}/executions", right="run.executions.list").get("executions")
            if found:
                return Place(self.type, scope, str(found[0]["name"]))
        env = {**(job.configuration.get("env") or {}), **job.env}
        over = {"env": [{"name": key, "value": value} for key, value in env.items()], "args": list(job.command[1:])}
        started = self._cloud().ask(
            "POST",
            f"{path}:run",
            None,
            {"overrides": {"taskCount": 1, "containerOverrides": [over]}},
            right="run.jobs.run",
        )
        execution = (started.get("metadata") or {}).get("name") or (started.get("response") or {}).get("name")
        if not execution:
            raise InfrastructureError(f"Cloud Run did not say which execution of job {name!r} it began.")
        return Place(self.type, scope, str(execution))

    def _done(self, operation: Json) -> None:
        """Waits until something that takes time is done."""

        def look() -> Json | None:
            found = operation
            if not found.get("done"):
                found = self._cloud().ask("GET", f"/{operation['name']}", right="run.operations.get")
            return found if found.get("done") else None

        done = operation if operation.get("done") else self._poller.until(look, MAKE_SECONDS)
        error = None if done is None else done.get("error")
        if done is None or error:
            said = "it took too long" if error is None else str(error.get("message"))
            raise InfrastructureRefused(f"Cloud Run could not make the job: {said}")

    # --- watching ----------------------------------------------------------------------------------------------------

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        def look() -> Ended | None:
            execution = self._execution(place)
            if execution is None:
                return Ended(None, "its execution was deleted by somebody else", gone=True)
            return self._ended(place, execution) if execution.get("completionTime") else None

        return self._poller.until(look, timeout)

    def _ended(self, place: Place, execution: Json) -> Ended:
        last: Json = {}
        with contextlib.suppress(InfrastructureError):
            tasks = self._cloud().ask("GET", f"/{place.id}/tasks", right="run.tasks.list").get("tasks") or [{}]
            last = tasks[0].get("lastAttemptResult") or {}
        code = last.get("exitCode")
        said = str((last.get("status") or {}).get("message") or "")
        condition = _completed(execution)
        if code is None and execution.get("succeededCount"):
            code = 0
        why = None if code is None else explained(int(code))
        if "memory" in said.lower():
            why = f"out of memory: {said}"
        elif (code is None or why is None) and condition.get("state") == "CONDITION_FAILED" and code != 0:
            why = said or str(condition.get("message") or "") or None
        return Ended(None if code is None else int(code), why)

    def started(self, place: Place) -> datetime | None:
        execution = self._execution(place)
        at = None if execution is None or not _has_begun(execution) else execution.get("startTime")
        return None if at is None else datetime.fromisoformat(str(at))

    def problem(self, place: Place) -> str | None:
        execution = self._execution(place)
        if execution is None or _has_begun(execution):
            return None
        for each in execution.get("conditions") or []:
            if each.get("state") in ("CONDITION_FAILED", "CONDITION_PENDING") and each.get("message"):
                return f"{str(each['message']).rstrip('.')}."
        return None

    def _execution(self, place: Place) -> Json | None:
        if place.id.count("/") != 7 or not place.id.startswith("projects/"):
            raise InfrastructureError(f"{place.id!r} names no execution of Cloud Run.")
        try:
            return self._cloud().ask("GET", f"/{place.id}", right="run.executions.get")
        except InfrastructureNotFound:
            return None

    # --- ending ------------------------------------------------------------------------------------------------------

    def stop(self, place: Place, grace: float) -> Stopped:
        began = self._poller.clock()
        execution = self._execution(place)
        if execution is None or execution.get("completionTime"):
            ended = Ended(gone=True) if execution is None else self._ended(place, execution)
            return Stopped(GONE, ended, self._poller.clock() - began)
        self._cloud().ask("POST", f"/{place.id}:cancel", None, {}, right="run.executions.cancel")
        ended_then = self.wait(place, STOP_SECONDS)
        if ended_then is None:
            raise InfrastructureError(f"Execution {place.id} was cancelled, and has not ended.")
        return Stopped(KILLED if ended_then.code == 137 else RETURNED, ended_then, self._poller.clock() - began)

    def by_hand(self, place: Place) -> str:
        _, project, region = place.scope.split(":")
        name = place.id.rpartition("/")[2]
        return f"gcloud run jobs executions cancel {name} --project {project} --region {region}"

    def forget(self, place: Place) -> None:
        path = "/" + place.id.partition("/executions/")[0]
        with contextlib.suppress(InfrastructureNotFound):
            job = self._cloud().ask("GET", path, right="run.jobs.get")
            if (job.get("labels") or {}).get(KEPT) != "true":
                self._cloud().ask("DELETE", path, right="run.jobs.delete")

    def _cloud(self) -> CloudApi:
        with self._lock:
            if self._api is None:
                self._api, self._project = _google()
            return self._api


def _google() -> tuple[CloudApi, str | None]:
    try:
        import google.auth
        import google.auth.transport.requests as transport
    except ImportError:
        raise InfrastructureRefused(
            "Cloud Run is reached by a package that is not installed: pip install 'penstock[cloud-run]'."
        ) from None
    try:
        found: Any = google.auth.default(scopes=SCOPES)
        credentials, project = found
    except google.auth.exceptions.DefaultCredentialsError as error:
        raise InfrastructureRefused(f"Google does not know who asks: {one_line(error)}") from None
    lock = threading.Lock()

    def token() -> str:
        with lock:
            if not credentials.valid:
                credentials.refresh(transport.Request())
            return str(credentials.token)

    return CloudApi("Google Cloud Run", URL, token), project


def job_of(job: Job) -> Json:
    """The job as the API takes it; nothing that may be secret is in it."""
    configuration = job.configuration
    container: Json = {
        "image": configuration["image"],
        "command": [job.command[0]],
        "resources": {"limits": {"cpu": str(configuration["cpu"]), "memory": str(configuration["memory"])}},
    }
    task: Json = {"maxRetries": 0, "timeout": f"{int(configuration['timeout'])}s", "containers": [container]}
    if configuration.get("service_account_name"):
        task["serviceAccount"] = configuration["service_account_name"]
    if configuration.get("vpc_connector_name"):
        task["vpcAccess"] = {"connector": configuration["vpc_connector_name"]}
    labels = {_label(key): _label(value) for key, value in job.labels.items()}
    labels[KEPT] = str(bool(configuration.get("keep_job"))).lower()
    return {"labels": labels, "template": {"taskCount": 1, "template": task}}


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63].strip("-_")


def _completed(execution: Json) -> Json:
    return next((each for each in execution.get("conditions") or [] if each.get("type") == "Completed"), {})


def _has_begun(execution: Json) -> bool:
    counts = ("runningCount", "succeededCount", "failedCount", "cancelledCount")
    return any(execution.get(name) for name in counts)
