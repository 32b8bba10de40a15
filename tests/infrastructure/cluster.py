"""A small Kubernetes API server for tests, with a kubelet that runs the containers' commands as processes of this
machine.

Every object that it is sent is checked against the published schema (from which the models of the vendor's client are
made), and every path and query parameter is one that the API has. Some images make
what a cluster may do to a pod: see `IMAGES`.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import yaml
from kubernetes import client

Json = dict[str, Any]

# What becomes of a pod of these images; of all others the command is run.
IMAGES = {
    "missing": {"waiting": {"reason": "ErrImagePull", "message": 'pull access denied for "missing"'}},
    "unschedulable": {"conditions": "0/3 nodes are available: 3 Insufficient memory."},
    "oom": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    "evicted": {"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."},
    "preempted": {"disruption": "preempted by a pod of priority 9"},
    "refused": {"event": 'pods "x" is forbidden: exceeded quota: team'},
}
TOKEN = "the-token-of-the-worker"
_PATH = re.compile(
    r"^/(?:api/v1|apis/batch/v1)/namespaces/(?P<namespace>[^/]+)(?:/(?P<resource>jobs|pods|events))?"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>log))?$"
)
_QUERIES = {
    ("list", "pods"): {"labelSelector", "fieldSelector", "limit"},
    ("watch", "pods"): {"watch", "labelSelector", "resourceVersion", "timeoutSeconds"},
    ("list", "jobs"): {"labelSelector"},
    ("get", "pods/log"): {"container", "follow", "timestamps", "sinceTime", "tailLines"},
    ("list", "events"): {"fieldSelector"},
}
LOG_POLL = 0.02
_TYPES: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float)}


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message


class Cluster:
    """`forbidden` are rights, as `create jobs`, that nobody has; `used` those that were made use of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uid = str(uuid4())
        self.namespaces = {"default", "team-a"}
        self.forbidden: set[str] = set()
        self.used: set[str] = set()
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.version = 1
        self.changes: list[tuple[int, str, Json]] = []
        self.changed = threading.Condition(threading.RLock())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.broken = 0  # so many more answers of logs break off after their first line
        self.closed = False
        self.forgotten = 0  # versions up to this one are answered by 410
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"cluster": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), name="cluster", daemon=True).start()
        self.kubeconfig = folder / "kubeconfig"
        self.write_kubeconfig()

    def write_kubeconfig(self, token: str = TOKEN) -> None:
        url = f"http://127.0.0.1:{self.server.server_port}"
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "worker", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "worker"}}],
        }  # fmt: skip
        self.kubeconfig.write_text(yaml.safe_dump(content))

    def close(self) -> None:
        self.closed = True
        self.server.shutdown()
        self.server.server_close()
        for process in self.processes.values():
            _kill(process, signal.SIGKILL)
            process.wait()

    def all(self, resource: str) -> list[Json]:
        with self.changed:
            return [each for (kind, _, _), each in self.objects.items() if kind == resource]

    # --- objects -----------------------------------------------------------------------------------------------------

    def put(self, resource: str, object: Json, kind: str = "MODIFIED") -> None:
        with self.changed:
            self.version += 1
            object["metadata"]["resourceVersion"] = str(self.version)
            metadata = object["metadata"]
            self.objects[resource, metadata["namespace"], metadata["name"]] = object
            self._tell(resource, kind, object)

    def remove(self, resource: str, namespace: str, name: str) -> None:
        with self.changed:
            object = self.objects.pop((resource, namespace, name), None)
            if object is not None:
                self.version += 1
                self._tell(resource, "DELETED", object)

    def _tell(self, resource: str, kind: str, object: Json) -> None:
        if resource == "pods":
            self.changes.append((self.version, kind, json.loads(json.dumps(object))))
        self.changed.notify_all()

    def need(self, resource: str, namespace: str, name: str) -> Json:
        with self.changed:
            found = self.objects.get((resource, namespace, name))
        if found is None:
            raise Refused(404, "NotFound", f'{resource} "{name}" not found')
        return found

    def create_job(self, namespace: str, body: Json) -> Json:
        _check(client.V1Job, body)
        if namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        name = body["metadata"]["name"]
        _check_label(name)
        for labels in (body["metadata"].get("labels") or {}, body["spec"]["template"]["metadata"].get("labels") or {}):
            for value in labels.values():
                _check_label(value)
        with self.changed:
            if ("jobs", namespace, name) in self.objects:
                raise Refused(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
            job = {**body, "metadata": {**body["metadata"], "namespace": namespace, **_born()}, "status": {}}
            self.put("jobs", job, "ADDED")
        threading.Thread(target=self._run, args=(namespace, job), name="kubelet", daemon=True).start()
        return job

    def delete(self, resource: str, namespace: str, name: str, body: Json | None) -> Json:
        _check(client.V1DeleteOptions, body or {})
        found = self.need(resource, namespace, name)
        options = body or {}
        pods = [found] if resource == "pods" else self._pods_of(namespace, name)
        if resource == "jobs":
            if options.get("propagationPolicy") not in ("Foreground", "Background"):
                raise Refused(422, "Invalid", "propagationPolicy")
            if options["propagationPolicy"] == "Background" or not pods:
                self.remove("jobs", namespace, name)
            else:
                found["metadata"]["deletionTimestamp"] = _now()
                self.put("jobs", found)
        for pod in pods:
            grace = options.get("gracePeriodSeconds") if resource == "pods" else None
            own = pod["spec"].get("terminationGracePeriodSeconds", 30)
            threading.Thread(
                target=self._end, args=(pod, own if grace is None else grace), name="kubelet", daemon=True
            ).start()
        return found

    def _pods_of(self, namespace: str, job: str) -> list[Json]:
        return [
            pod
            for pod in self.all("pods")
            if pod["metadata"]["namespace"] == namespace and pod["metadata"]["labels"]["job-name"] == job
        ]

    # --- the kubelet -------------------------------------------------------------------------------------------------

    def _run(self, namespace: str, job: Json) -> None:
        name, template = job["metadata"]["name"], job["spec"]["template"]
        container = template["spec"]["containers"][0]
        image = container["image"]
        if image == "refused":
            self._event(namespace, name, "FailedCreate", IMAGES["refused"]["event"])
            return
        labels = {**template["metadata"].get("labels", {}), "job-name": name}
        pod = {
            "apiVersion": "v1", "kind": "Pod", "spec": {**template["spec"]}, "status": {"phase": "Pending"},
            "metadata": {"name": f"{name}-abcde", "namespace": namespace, "labels": labels, **_born()},
        }  # fmt: skip
        with self.changed:
            if ("jobs", namespace, name) not in self.objects:
                return
            self.put("pods", pod, "ADDED")
        special = IMAGES.get(image)
        if special is not None:
            self._misfortune(pod, image, special)
            return
        self._start(pod, container)

    def _misfortune(self, pod: Json, image: str, special: Json) -> None:
        status: Json = {"phase": "Pending"}
        if "waiting" in special:
            status["containerStatuses"] = [_container(image, waiting=special["waiting"])]
        if "terminated" in special:
            ended = {**special["terminated"], "startedAt": _now(), "finishedAt": _now()}
            status = {"phase": "Failed", "containerStatuses": [_container(image, terminated=ended)]}
        if "conditions" in special:
            status["conditions"] = [
                {
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": special["conditions"],
                }
            ]  # fmt: skip
        if "reason" in special:
            status = {"phase": "Failed", "reason": special["reason"], "message": special["message"]}
        if "disruption" in special:
            status = {
                "phase": "Failed",
                "conditions": [
                    {
                        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                        "message": special["disruption"],
                    }
                ],
            }  # fmt: skip
        pod["status"] = status
        self.put("pods", pod)

    def _start(self, pod: Json, container: Json) -> None:
        uid = pod["metadata"]["uid"]
        pod["spec"]["nodeName"] = "node-1"
        env = {**os.environ, **{each["name"]: each.get("value", "") for each in container.get("env") or []}}
        command = [*container["command"], *(container.get("args") or [])]
        began = _now()
        with self.changed:
            if pod["metadata"].get("deletionTimestamp"):
                return
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                    cwd=self.folder, start_new_session=True,
                )  # fmt: skip
            except FileNotFoundError:
                message = f'exec: "{command[0]}": executable file not found in $PATH: unknown'
                ended = {
                    "exitCode": 128, "reason": "StartError", "message": message, "startedAt": began,
                    "finishedAt": _now(),
                }  # fmt: skip
                status = [_container(container["image"], terminated=ended)]
                pod["status"] = {"phase": "Failed", "containerStatuses": status}
                self.put("pods", pod)
                return
            self.processes[uid] = process
        log = self._log(uid)
        log.touch()
        pod["status"] = {
            "phase": "Running",
            "containerStatuses": [_container(container["image"], running={"startedAt": began})],
        }
        self.put("pods", pod)
        assert process.stdout is not None
        with open(log, "ab", buffering=0) as file:
            for line in process.stdout:
                file.write(f"{_nanoseconds()} ".encode() + line)
        code = process.wait()
        code = 128 - code if code < 0 else code
        ended = {
            "exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": began,
            "finishedAt": _now(),
        }  # fmt: skip
        pod["status"] = {
            "phase": "Succeeded" if code == 0 else "Failed",
            "containerStatuses": [_container(container["image"], terminated=ended)],
        }
        if ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]) in self.objects:
            self.put("pods", pod)

    def _end(self, pod: Json, grace: float) -> None:
        with self.changed:
            pod["metadata"]["deletionTimestamp"] = _now()
            process = self.processes.get(pod["metadata"]["uid"])
            self.put("pods", pod)
        if process is not None:
            _kill(process, signal.SIGTERM)
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                _kill(process, signal.SIGKILL)
                process.wait()
            _kill(process, signal.SIGKILL)  # a container's processes end with its first
        namespace = pod["metadata"]["namespace"]
        self.remove("pods", namespace, pod["metadata"]["name"])
        job = self.objects.get(("jobs", namespace, pod["metadata"]["labels"]["job-name"]))
        if job is None:
            return
        if job["metadata"].get("deletionTimestamp"):
            self.remove("jobs", namespace, job["metadata"]["name"])
        elif not job["status"]:
            message = "Job has reached the specified backoff limit"
            failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": message}
            job["status"] = {"failed": 1, "conditions": [failed]}
            self.put("jobs", job)

    def _event(self, namespace: str, name: str, reason: str, message: str) -> None:
        event = {
            "metadata": {"name": f"{name}.1", "namespace": namespace}, "type": "Warning", "reason": reason,
            "message": message, "involvedObject": {"name": name}, "lastTimestamp": _now(),
        }  # fmt: skip
        self.put("events", event, "ADDED")

    # --- what is read ------------------------------------------------------------------------------------------------

    def listed(self, resource: str, namespace: str, query: Json) -> Json:
        with self.changed:
            found = [
                each for each in self.all(resource) if each["metadata"]["namespace"] == namespace and _fits(each, query)
            ]
            return {"kind": "List", "metadata": {"resourceVersion": str(self.version)}, "items": found}

    def watched(self, namespace: str, query: Json) -> Iterator[bytes]:
        # (Without a version a watch begins with all that is there.)
        since, deadline = int(query.get("resourceVersion") or 0), time.monotonic()
        deadline += float(query.get("timeoutSeconds") or 30)
        if since <= self.forgotten:
            raise Refused(410, "Expired", "too old resource version")
        while True:
            with self.changed:
                new = [
                    (version, kind, pod)
                    for version, kind, pod in self.changes
                    if version > since and pod["metadata"]["namespace"] == namespace and _fits(pod, query)
                ]
                left = deadline - time.monotonic()
                if not new:
                    if left <= 0:
                        return
                    self.changed.wait(min(left, 0.5))
            for version, kind, pod in new:
                since = version
                yield json.dumps({"type": kind, "object": pod}).encode() + b"\n"

    def log(self, namespace: str, name: str, query: Json) -> Iterator[bytes]:
        pod = self.need("pods", namespace, name)
        path = self._log(pod["metadata"]["uid"])
        if not path.exists():
            raise Refused(400, "BadRequest", f'container in pod "{name}" is waiting to start')
        process = self.processes[pod["metadata"]["uid"]]
        if "container" not in query and len(pod["spec"]["containers"]) > 1:
            raise Refused(400, "BadRequest", f"a container name must be specified for pod {name}")
        position = 0
        while True:
            ended = process.poll() is not None
            lines = path.read_bytes().split(b"\n")[:-1]
            if "tailLines" in query:
                lines = lines[-int(query["tailLines"]) :]
            for line in lines[position:]:
                at, _, text = line.partition(b" ")
                if at.decode()[:19] >= query.get("sinceTime", "")[:19]:
                    yield (line if query.get("timestamps") == "true" else text) + b"\n"
                    if self.broken and not ended:
                        self.broken -= 1
                        return
            position = len(lines)
            if ended or query.get("follow") != "true":
                return
            time.sleep(LOG_POLL)

    def _log(self, uid: str) -> Path:
        return self.folder / f"{uid}.log"


class Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer("create")

    def do_DELETE(self) -> None:
        self._answer("delete")

    def _answer(self, verb: str) -> None:
        if self.cluster.closed:  # a connection that was kept
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            self._do(verb, body)
        except Refused as refused:
            self._json(
                refused.status,
                {"kind": "Status", "status": "Failure", "reason": refused.reason, "message": refused.message},
            )
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _do(self, verb: str, body: Json | None) -> None:
        cluster, parts = self.cluster, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Unauthorized", "Unauthorized")
        found = _PATH.match(parts.path)
        if found is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        namespace, resource = found["namespace"], found["resource"] or "namespaces"
        name, sub = found["name"], found["sub"]
        if verb == "get" and resource in ("jobs", "pods", "events") and name is None:
            verb = "watch" if query.get("watch") == "true" else "list"
        kind = f"{resource}/{sub}" if sub else resource
        cluster.used.add(f"{verb} {kind}")
        if f"{verb} {kind}" in cluster.forbidden:
            raise Refused(403, "Forbidden", f'{kind} is forbidden: User "worker" cannot {verb} resource "{kind}"')
        strange = query.keys() - _QUERIES.get((verb, kind), set())
        if strange:
            raise Refused(400, "BadRequest", f"unknown query parameters: {sorted(strange)}")
        if resource == "namespaces":
            self._json(200, {"metadata": {"name": namespace, "uid": cluster.uid}})
        elif verb == "create":
            self._json(201, cluster.create_job(namespace, body or {}))
        elif verb == "delete":
            self._json(200, cluster.delete(resource, namespace, name, body))
        elif sub == "log":
            self._stream(cluster.log(namespace, name, query))
        elif verb == "watch":
            self._stream(cluster.watched(namespace, query))
        elif verb == "list":
            self._json(200, cluster.listed(resource, namespace, query))
        else:
            self._json(200, cluster.need(resource, namespace, name))

    def _json(self, status: int, content: Json) -> None:
        with self.cluster.changed:
            data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, pieces: Iterator[bytes]) -> None:
        first = next(pieces, b"")  # what is refused is refused before the answer begins
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in itertools.chain([first], pieces):
            if piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _check(model: Any, body: Any, place: str = "") -> None:
    """As the published schema has it: no field that it does not know, none missing, none of another type."""
    if not isinstance(body, dict):
        raise _invalid(place, f"is no {model.__name__}")
    fields = {json_name: name for name, json_name in model.attribute_map.items()}
    for key, value in body.items():
        if key not in fields:
            raise _invalid(f"{place}.{key}", f"is no field of {model.__name__}: '{key}'")
        _check_type(model.openapi_types[fields[key]], value, f"{place}.{key}")
    try:
        model(**{fields[key]: value for key, value in body.items()})  # raises for what is missing
    except ValueError as error:
        raise _invalid(place, str(error)) from None


def _check_type(type_: str, value: Any, place: str) -> None:
    listed = re.fullmatch(r"[Ll]ist\[(.*)\]", type_)
    mapped = re.fullmatch(r"[Dd]ict[\[(](\w+), ?(.*)[\])]", type_)
    if listed:
        if not isinstance(value, list):
            raise _invalid(place, "is no list")
        for number, each in enumerate(value):
            _check_type(listed[1], each, f"{place}[{number}]")
    elif mapped:
        if not isinstance(value, dict):
            raise _invalid(place, "is no object")
        for key, each in value.items():
            _check_type(mapped[2], each, f"{place}.{key}")
    elif type_ in _TYPES:
        if not isinstance(value, _TYPES[type_]) or (type_ == "int" and isinstance(value, bool)):
            raise _invalid(place, f"is no {type_}: {value!r}")
    elif type_ not in ("object", "datetime"):
        _check(getattr(client, type_), value, place)


def _invalid(place: str, said: str) -> Refused:
    return Refused(422, "Invalid", f"Job is invalid: {place.lstrip('.')}: {said}")


def _check_label(text: str) -> None:
    if len(text) > 63 or (text and not re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", text)):
        raise Refused(422, "Invalid", f"{text!r} is no label")


def _fits(object: Json, query: Json) -> bool:
    labels = object["metadata"].get("labels") or {}
    for each in filter(None, str(query.get("labelSelector") or "").split(",")):
        key, _, value = each.partition("=")
        if labels.get(key) != value:
            return False
    for each in filter(None, str(query.get("fieldSelector") or "").split(",")):
        key, _, value = each.partition("=")
        field: Any = object
        for part in key.split("."):
            field = (field or {}).get(part)
        if field != value:
            return False
    return True


def _container(image: str, **state: Any) -> Json:
    return {"name": "penstock-job", "image": image, "state": state}


def _born() -> Json:
    return {"uid": str(uuid4()), "creationTimestamp": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _nanoseconds() -> str:
    at = time.time_ns()
    return f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{at % 10**9:09d}Z"


def _kill(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
