"""The driver of Kubernetes: each run a job of its own, with one pod that is never replaced.

Law: a job's name follows from its launch's key, so that launching twice is launching once, whoever does it. What a pod
is doing is read from the cluster, and never assumed: a pod that is being deleted runs until the cluster says that it
has ended.
"""

from __future__ import annotations

import contextlib
import copy
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ..domain.errors import (
    InfrastructureError,
    InfrastructureNotAvailable,
    InfrastructureNotFound,
    InfrastructureRefused,
)
from ..domain.launches import Place
from ..domain.stops import GONE, KILLED, RETURNED
from .container_logs import Follower
from .contract import Ended, Exists, Job, Stopped
from .kubernetes_api import Cluster, Expired
from .kubernetes_logs import follow
from .kubernetes_pods import CONTAINER, Pod, end_of_job, explained_pod, problem_of, problem_of_events
from .kubernetes_template import KUBERNETES_TEMPLATE
from .subprocesses import LAST_LINES

Json = dict[str, Any]

KEY = "penstock.dev/launch-key"
WATCH_TIMEOUT = "penstock.dev/pod-watch-timeout-seconds"
# How long one question for changes is open; what more than its grace a pod may take to be gone.
WATCH_SECONDS = 60.0
KILL_SECONDS = 30.0
# How often a pod whose lines are followed is looked at.
LOOK_SECONDS = 30.0
_GONE = Ended(None, "its job was deleted by somebody else", gone=True)
# What may be in a label's value, of at most 63 characters.
_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_NAME = re.compile(r"[^a-z0-9]+")


class KubernetesDriver:
    """Launches runs as jobs of the cluster that this process is in, or that a kubeconfig names."""

    type = "kubernetes"
    base_job_template: Json = KUBERNETES_TEMPLATE

    def __init__(self) -> None:
        self._clusters: dict[tuple[str | None, str | None], Cluster] = {}
        self._uids: dict[tuple[str | None, str | None], str] = {}
        self._followers: dict[str, Follower] = {}
        self._lock = threading.Lock()

    def scope(self) -> str:
        return self._scope(None, None)

    # --- launching ---------------------------------------------------------------------------------------------------

    def launch(self, job: Job) -> Place:
        configuration = job.configuration
        which = configuration.get("kubeconfig"), configuration.get("context")
        cluster = self._cluster(*which)
        namespace = str(configuration.get("namespace") or cluster.namespace)
        manifest = manifest_of(job, namespace)
        scope = self._scope(*which)
        place = Place(self.type, scope, f"{namespace}:{manifest['metadata']['name']}")
        try:
            # By its key, and not by its name: the run may have another name by now.
            found = cluster.ask(
                "GET", _jobs(namespace), {"labelSelector": f"{KEY}={value_of(job.key)}"},
                right=f"list jobs in namespace {namespace}",
            )  # fmt: skip
            for each in found.get("items") or []:
                if (each["metadata"].get("annotations") or {}).get(KEY) == job.key:
                    return Place(self.type, scope, f"{namespace}:{each['metadata']['name']}")
            cluster.ask("POST", _jobs(namespace), None, manifest, right=f"create jobs in namespace {namespace}")
        except Exists:
            there = self._job(place)
            if there is None or (there["metadata"].get("annotations") or {}).get(KEY) != job.key:
                raise
        except InfrastructureNotFound:
            raise InfrastructureRefused(f"There is no namespace {namespace!r} in the cluster.") from None
        return place

    # --- watching ----------------------------------------------------------------------------------------------------

    def wait(self, place: Place, timeout: float, line: Callable[[str], None] | None = None) -> Ended | None:
        deadline = time.monotonic() + timeout
        while True:
            pod, version = self._pod(place)
            if pod is not None and pod.has_ended:
                return self._ended(place, pod, line)
            left = math.inf
            if pod is None or not pod.has_begun:
                job = self._job(place)
                # (A job that has failed stays when its pod is gone, and gets no other.)
                over = _GONE if job is None else end_of_job(job)
                if pod is None and over is not None:
                    return over
                left = _left_to_begin(job)
            if left <= 0:
                return self._given_up(place)
            now = time.monotonic()
            if now >= deadline:
                return None
            begun = line if pod is not None and pod.has_begun else None
            # (With a look at the pod now and then: what streams from a node that was lost does not end.)
            if begun is not None and not self._follower(place).follow(begun, min(deadline, now + LOOK_SECONDS)):
                continue
            self._await_change(place, version, min(deadline - time.monotonic(), left, WATCH_SECONDS))

    def _given_up(self, place: Place) -> Ended:
        why = self.problem(place)
        self.stop(place, 0)
        return Ended(None, "its pod did not begin in time" + ("" if why is None else f": {why}"))

    def _ended(self, place: Place, pod: Pod, line: Callable[[str], None] | None) -> Ended:
        if line is not None and pod.has_begun:
            self._follower(place).follow(line, time.monotonic() + 5.0)
        namespace, _ = _parts(place)
        lines: tuple[str, ...] = ()
        with contextlib.suppress(InfrastructureError):  # a pod that was evicted has no log any more
            said = self._cluster_of(place).text(
                _log_of(place, pod), {"container": pod.container_name, "tailLines": LAST_LINES},
                right=f"get pods/log in namespace {namespace}",
            )  # fmt: skip
            lines = tuple(said.splitlines())
        return Ended(pod.exit_code, explained_pod(pod), lines)

    def _await_change(self, place: Place, version: str, seconds: float) -> None:
        """Returns when something of the pod has changed, or when that time is over."""
        namespace, name = _parts(place)
        whole = max(1, round(seconds))
        query = {
            "watch": "true", "labelSelector": f"job-name={name}", "resourceVersion": version, "timeoutSeconds": whole,
        }  # fmt: skip
        if seconds < 1.0:  # the cluster's own timeouts are in whole seconds
            time.sleep(max(0.0, min(seconds, 0.1)))
            return
        try:
            right = f"watch pods in namespace {namespace}"
            with self._cluster_of(place).stream(_pods(namespace), query, whole + 5.0, right=right) as answer:
                for piece in answer.stream(1 << 16):
                    if piece.strip():
                        return
        except Expired:
            return

    def started(self, place: Place) -> datetime | None:
        pod, _ = self._pod(place)
        return None if pod is None or pod.started is None else _moment(pod.started)

    def problem(self, place: Place) -> str | None:
        pod, _ = self._pod(place)
        found = None if pod is None else problem_of(pod)
        if found is not None or (pod is not None and pod.has_begun):
            return found
        namespace, name = _parts(place)
        query = {"fieldSelector": f"involvedObject.name={name if pod is None else pod.name},type=Warning"}
        try:
            events = self._cluster_of(place).ask(
                "GET", f"/api/v1/namespaces/{quote(namespace)}/events", query,
                right=f"list events in namespace {namespace}",
            )  # fmt: skip
        except InfrastructureRefused:  # without the right to read events there is less to be said
            return None
        return problem_of_events(events.get("items") or [])

    # --- ending ------------------------------------------------------------------------------------------------------

    def stop(self, place: Place, grace: float) -> Stopped:
        began = time.monotonic()
        pod, _ = self._pod(place)
        job = self._job(place) if pod is None else None
        if pod is None and (job is None or end_of_job(job) is not None):
            return Stopped(GONE, Ended(gone=True), time.monotonic() - began)
        if pod is not None and pod.has_ended:
            return Stopped(GONE, Ended(pod.exit_code, explained_pod(pod)), time.monotonic() - began)
        # The pod first, so that the grace is the one asked for; the job with it, so that no other pod comes. A grace is
        # in whole seconds, and one of none would have the cluster forget the pod before it has ended.
        whole = max(1, math.ceil(grace))
        told: set[str] = set()
        if pod is not None:
            self._delete_pod(place, pod, whole, told)
        self._delete_job(place, "Foreground")
        last = self._until_gone(place, pod, whole, told)
        seconds = time.monotonic() - began
        if last is None:  # it had not begun
            return Stopped(RETURNED, Ended(), seconds)
        # (One that is removed at once when it has ended was seen alive last: then time alone tells.)
        killed = last.exit_code == 137 if last.has_ended else last.has_begun and seconds >= whole
        return Stopped(KILLED if killed else RETURNED, Ended(last.exit_code, explained_pod(last)), seconds)

    def _delete_pod(self, place: Place, pod: Pod, grace: int, told: set[str]) -> None:
        namespace, _ = _parts(place)
        told.add(pod.name)
        with contextlib.suppress(InfrastructureNotFound):
            self._cluster_of(place).ask(
                "DELETE", f"{_pods(namespace)}/{quote(pod.name)}", None,
                {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": grace},
                right=f"delete pods in namespace {namespace}",
            )  # fmt: skip

    def _until_gone(self, place: Place, last: Pod | None, grace: int, told: set[str]) -> Pod | None:
        deadline = time.monotonic() + grace + KILL_SECONDS
        while True:
            found, version = self._pod(place)
            # A pod may have been made in the moment before its job was deleted.
            if found is None and (last is not None or self._job(place) is None):
                return last
            if found is not None:
                last = found
                if found.has_ended:
                    return last
                if found.name not in told:
                    self._delete_pod(place, found, grace, told)
            left = deadline - time.monotonic()
            if left <= 0:
                what = "A job" if found is None else f"Pod {found.name}"
                where = f" (is node {found.node} reachable?)" if found is not None and found.node else ""
                raise InfrastructureError(f"{what} is told to end, and has not ended{where}.")
            self._await_change(place, version, min(left, 1.0 if found is None else WATCH_SECONDS))

    def _delete_job(self, place: Place, how: str) -> None:
        namespace, name = _parts(place)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": how}
        with contextlib.suppress(InfrastructureNotFound):
            self._cluster_of(place).ask(
                "DELETE", f"{_jobs(namespace)}/{quote(name)}", None, options,
                right=f"delete jobs in namespace {namespace}",
            )  # fmt: skip

    def by_hand(self, place: Place) -> str:
        namespace, name = _parts(place)
        return f"kubectl --namespace {namespace} delete job {name}"

    def forget(self, place: Place) -> None:
        with self._lock:
            follower = self._followers.pop(str(place), None)
        if follower is not None:
            follower.close()
        job = self._job(place)
        if job is not None and job["spec"].get("ttlSecondsAfterFinished") is None:
            self._delete_job(place, "Background")

    # --- the cluster -------------------------------------------------------------------------------------------------

    def _cluster(self, kubeconfig: str | None, context: str | None) -> Cluster:
        with self._lock:
            cluster = self._clusters.get((kubeconfig, context))
            if cluster is None:
                cluster = self._clusters[kubeconfig, context] = Cluster(kubeconfig, context)
            return cluster

    def _scope(self, kubeconfig: str | None, context: str | None) -> str:
        """The uid of its system's namespace is what a cluster is known by, wherever it is asked from."""
        which = kubeconfig, context
        if which not in self._uids:
            found = self._cluster(*which).ask(
                "GET",
                "/api/v1/namespaces/kube-system",
                right="get namespace kube-system (a cluster is known by its uid)",
            )
            self._uids[which] = str(found["metadata"]["uid"])
        return self._uids[which]

    def _cluster_of(self, place: Place) -> Cluster:
        for which, uid in list(self._uids.items()):
            if uid == place.scope:
                return self._cluster(*which)
        if self.scope() == place.scope:
            return self._cluster(None, None)
        raise InfrastructureNotAvailable(f"The cluster {place.scope} cannot be reached from here.")

    def _job(self, place: Place) -> Json | None:
        namespace, name = _parts(place)
        try:
            return self._cluster_of(place).ask(
                "GET", f"{_jobs(namespace)}/{quote(name)}", right=f"get jobs in namespace {namespace}"
            )
        except InfrastructureNotFound:
            return None

    def _pod(self, place: Place) -> tuple[Pod | None, str]:
        """The newest pod of a job, and the version of the list it was in."""
        namespace, name = _parts(place)
        found = self._cluster_of(place).ask(
            "GET", _pods(namespace), {"labelSelector": f"job-name={name}"}, right=f"list pods in namespace {namespace}"
        )
        pods = sorted(found.get("items") or [], key=lambda each: str(each["metadata"].get("creationTimestamp")))
        return (Pod(pods[-1]) if pods else None), str(found["metadata"].get("resourceVersion") or "")

    def _follower(self, place: Place) -> Follower:
        with self._lock:
            follower = self._followers.get(str(place))
            if follower is None:
                follower = self._followers[str(place)] = Follower(lambda: self._log(place))
            return follower

    def _log(self, place: Place) -> Iterator[bytes]:
        def opened(pod: Pod, since: str | None) -> Any:
            query = {"container": pod.container_name, "follow": "true", "timestamps": "true"}
            query |= {} if since is None else {"sinceTime": since}
            right = f"get pods/log in namespace {_parts(place)[0]}"
            return self._cluster_of(place).stream(_log_of(place, pod), query, WATCH_SECONDS, right=right)

        return follow(lambda: self._pod(place)[0], opened)


def _left_to_begin(job: Json | None) -> float:
    limit = None if job is None else (job["metadata"].get("annotations") or {}).get(WATCH_TIMEOUT)
    if job is None or limit is None:
        return math.inf
    return float(limit) - (time.time() - _moment(job["metadata"]["creationTimestamp"]).timestamp())


def manifest_of(job: Job, namespace: str) -> Json:
    """The job as the cluster takes it. What the template says of itself (a name, variables by `valueFrom`) stays."""
    configuration = job.configuration
    manifest = copy.deepcopy(configuration.get("job_manifest") or {})
    try:
        template = manifest["spec"]["template"]
        container = template["spec"]["containers"][0]
    except (KeyError, IndexError, TypeError):
        raise InfrastructureRefused("The template's `job_manifest` has no spec.template.spec.containers.") from None
    labels = {**labels_of(job.labels), KEY: value_of(job.key)}
    metadata = _sub(manifest, "metadata")
    metadata.pop("generateName", None)
    metadata["name"], metadata["namespace"] = job.unique_name(36), namespace
    metadata["labels"] = {**labels_of(metadata.get("labels") or {}), **labels}
    annotations = {**(metadata.get("annotations") or {}), KEY: job.key}
    if configuration.get("pod_watch_timeout_seconds") is not None:
        annotations[WATCH_TIMEOUT] = str(configuration["pod_watch_timeout_seconds"])
    metadata["annotations"] = annotations
    manifest.update(apiVersion="batch/v1", kind="Job")
    # A run is a run once: whether there is another is not the cluster's business.
    manifest["spec"].update(backoffLimit=0, completions=1, parallelism=1)
    for name in ("podFailurePolicy", "backoffLimitPerIndex", "completionMode", "successPolicy", "maxFailedIndexes"):
        manifest["spec"].pop(name, None)
    template["spec"]["restartPolicy"] = "Never"
    below = _sub(template, "metadata")
    below["labels"] = {**labels_of(below.get("labels") or {}), **labels}
    below["annotations"] = {**(below.get("annotations") or {}), CONTAINER: container.setdefault("name", "penstock-job")}
    container["command"] = list(job.command)
    container.pop("args", None)
    container["env"] = _environment(container.get("env"), {**(configuration.get("env") or {}), **job.env})
    return manifest


def _sub(part: Json, name: str) -> Json:
    made: Json = part.get(name) or {}
    part[name] = made
    return made


def _environment(own: Any, env: dict[str, str]) -> list[Json]:
    """What a container is given. A template may have its own as a mapping; what it takes from elsewhere stays."""
    if isinstance(own, dict):
        own = [{"name": name, "value": str(value)} for name, value in own.items() if value is not None]
    kept = [each for each in own or [] if each.get("name") not in env or "valueFrom" in each]
    taken = {each.get("name") for each in kept}
    return [*kept, *({"name": name, "value": value} for name, value in env.items() if name not in taken)]


def value_of(text: str) -> str:
    """As much of a text as the value of a label can be."""
    return _LABEL.sub("-", str(text)).strip("-_.")[:63].rstrip("-_.")


def labels_of(labels: Mapping[str, Any]) -> dict[str, str]:
    """Labels as a cluster takes them; one without a name that can be taken is left out."""
    made = {}
    for key, text in labels.items():
        prefix, _, name = str(key).rpartition("/")
        parts = (_NAME.sub("-", part).strip("-") for part in prefix.lower()[:253].split("."))
        prefix = ".".join(part for part in parts if part)
        name = value_of(name)
        if name and text is not None:
            made[f"{prefix}/{name}" if prefix else name] = value_of(text)
    return made


def _parts(place: Place) -> tuple[str, str]:
    namespace, colon, name = place.id.partition(":")
    if not colon:
        raise InfrastructureError(f"{place.id!r} names no job of a cluster.")
    return namespace, name


def _jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{quote(namespace, safe='')}/jobs"


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"


def _log_of(place: Place, pod: Pod) -> str:
    return f"{_pods(_parts(place)[0])}/{quote(pod.name)}/log"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
