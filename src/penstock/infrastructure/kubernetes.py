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
from collections.abc import Callable, Iterator
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
from .contract import Ended, Job, Stopped
from .kubernetes_api import Cluster, Exists, Expired
from .kubernetes_pods import Pod, explained_pod, problem_of, problem_of_events
from .kubernetes_template import KUBERNETES_TEMPLATE
from .subprocesses import LAST_LINES

Json = dict[str, Any]

KEY = "penstock.dev/launch-key"
WATCH_TIMEOUT = "penstock.dev/pod-watch-timeout-seconds"
# How long one question for changes is open; what more than its grace a pod may take to be gone.
WATCH_SECONDS = 60.0
KILL_SECONDS = 30.0
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
        cluster, namespace = self._cluster(*which), str(configuration.get("namespace") or "default")
        manifest = manifest_of(job, namespace)
        name = manifest["metadata"]["name"]
        place = Place(self.type, self._scope(*which), f"{namespace}:{name}")
        try:
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
            if pod is None and self._job(place) is None:
                return Ended(None, "its job was deleted by somebody else", gone=True)
            if pod is not None and pod.has_ended:
                return self._ended(place, pod, line)
            left = math.inf if pod is not None and pod.has_begun else self._left_to_begin(place)
            if left <= 0:
                return self._given_up(place)
            if time.monotonic() >= deadline:
                return None
            if pod is not None and pod.has_begun and line is not None:
                if not self._follower(place).follow(line, deadline):
                    return None
                deadline = max(deadline, time.monotonic() + 1.0)  # what was said last is followed by its end
            self._await_change(place, version, min(deadline - time.monotonic(), left, WATCH_SECONDS))

    def _left_to_begin(self, place: Place) -> float:
        job = self._job(place)
        limit = None if job is None else (job["metadata"].get("annotations") or {}).get(WATCH_TIMEOUT)
        if job is None or limit is None:
            return math.inf
        return float(limit) - (time.time() - _moment(job["metadata"]["creationTimestamp"]).timestamp())

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
                f"{_pods(namespace)}/{quote(pod.name)}/log", {"tailLines": LAST_LINES},
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
        if seconds < 1.0:
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
        if pod is None or pod.has_ended:
            self._delete_job(place, "Background")
            ended = Ended(gone=True) if pod is None else Ended(pod.exit_code, explained_pod(pod))
            return Stopped(GONE, ended, time.monotonic() - began)
        namespace, _ = _parts(place)
        # The pod first, so that the grace is the one asked for; the job with it, so that no other pod comes. A grace is
        # in whole seconds, and one of none would have the cluster forget the pod before it has ended.
        whole = max(1, math.ceil(grace))
        with contextlib.suppress(InfrastructureNotFound):
            self._cluster_of(place).ask(
                "DELETE", f"{_pods(namespace)}/{quote(pod.name)}", None,
                {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": whole},
                right=f"delete pods in namespace {namespace}",
            )  # fmt: skip
        self._delete_job(place, "Foreground")
        last = self._until_gone(place, pod, began + whole + KILL_SECONDS)
        seconds = time.monotonic() - began
        # (One that is removed at once when it has ended was seen alive last: then time alone tells.)
        killed = last.exit_code == 137 if last.has_ended else seconds >= whole
        return Stopped(KILLED if killed else RETURNED, Ended(last.exit_code, explained_pod(last)), seconds)

    def _until_gone(self, place: Place, pod: Pod, deadline: float) -> Pod:
        last = pod
        while True:
            found, version = self._pod(place)
            if found is None:
                return last
            last = found
            if found.has_ended:
                return last
            left = deadline - time.monotonic()
            if left <= 0:
                where = f" (is node {found.node} reachable?)" if found.node else ""
                raise InfrastructureError(f"Pod {found.name} is told to end, and has not ended{where}.")
            self._await_change(place, version, min(left, WATCH_SECONDS))

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
            follower = self._followers.pop(place.id, None)
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
            follower = self._followers.get(place.id)
            if follower is None:
                follower = self._followers[place.id] = Follower(lambda: self._log(place))
            return follower

    def _log(self, place: Place) -> Iterator[bytes]:
        """What the pod writes, also when the stream breaks off in between; each line once, by the time that it has."""
        namespace, _ = _parts(place)
        last = ""
        while True:
            pod, _ = self._pod(place)
            if pod is None:
                return
            query = {"follow": "true", "timestamps": "true", **({"sinceTime": _second(last)} if last else {})}
            path, right = f"{_pods(namespace)}/{quote(pod.name)}/log", f"get pods/log in namespace {namespace}"
            with (
                contextlib.suppress(InfrastructureNotAvailable),
                self._cluster_of(place).stream(path, query, WATCH_SECONDS, right=right) as answer,
            ):
                for line in _lines(answer):
                    at, _, text = line.partition(b" ")
                    if at.decode("ascii", "replace") > last:
                        last = at.decode("ascii", "replace")
                        yield text + b"\n"
            if pod.has_ended:
                return
            self._await_change(place, "", 1.0)


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    for piece in answer.stream(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest


def manifest_of(job: Job, namespace: str) -> Json:
    """The job as the cluster takes it. What the template says of itself (a name, variables by `valueFrom`) stays."""
    configuration = job.configuration
    manifest = copy.deepcopy(configuration.get("job_manifest") or {})
    try:
        containers = manifest["spec"]["template"]["spec"]["containers"]
        container = containers[0]
    except (KeyError, IndexError, TypeError):
        raise InfrastructureRefused("The template's `job_manifest` has no spec.template.spec.containers.") from None
    labels = {_key(key): _value(value) for key, value in job.labels.items()}
    metadata = manifest.setdefault("metadata", {})
    metadata.pop("generateName", None)
    metadata["name"], metadata["namespace"] = _job_name(job), namespace
    metadata["labels"] = {**labels, **(metadata.get("labels") or {})}
    annotations = {**(metadata.get("annotations") or {}), KEY: job.key}
    if configuration.get("pod_watch_timeout_seconds") is not None:
        annotations[WATCH_TIMEOUT] = str(configuration["pod_watch_timeout_seconds"])
    metadata["annotations"] = annotations
    below = manifest["spec"]["template"].setdefault("metadata", {})
    below["labels"] = {**labels, **(below.get("labels") or {})}
    container["command"] = list(job.command)
    own = container.get("env") or []
    named = {each["name"] for each in own}
    env = {**(configuration.get("env") or {}), **job.env}
    container["env"] = [*own, *({"name": name, "value": env[name]} for name in env if name not in named)]
    return manifest


def _job_name(job: Job) -> str:
    """Readable, and unique by the key; at most 63 characters, as a label's value is."""
    slug = _NAME.sub("-", job.name.lower()).strip("-")[:36].strip("-")
    run, _, epoch = job.key.lower().partition("-")
    return "-".join(each for each in (slug or "run", run[-16:], epoch) if each)


def _value(text: str) -> str:
    return _LABEL.sub("-", text)[:63].strip("-_.")


def _key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    return f"{prefix}{slash}{_value(name) or 'label'}"


def _parts(place: Place) -> tuple[str, str]:
    namespace, colon, name = place.id.partition(":")
    if not colon:
        raise InfrastructureError(f"{place.id!r} names no job of a cluster.")
    return namespace, name


def _jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{quote(namespace, safe='')}/jobs"


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _second(at: str) -> str:
    """A time with nanoseconds as the cluster takes it: whole seconds."""
    return f"{at[:19]}Z"
