"""What a pod's status says, in values and in sentences. Values only."""

from __future__ import annotations

from typing import Any

from .contract import Ended
from .subprocesses import explained

Json = dict[str, Any]

# Which of a pod's containers is meant, where there are several: `kubectl` goes by it as well.
CONTAINER = "kubectl.kubernetes.io/default-container"
# Why a container waits, when that is more than a step on its way.
_WAITING = {
    "ErrImagePull": "Image {image} cannot be pulled",
    "ImagePullBackOff": "Image {image} cannot be pulled",
    "ErrImageNeverPull": "Image {image} is not on the node, and its pull policy is Never",
    "InvalidImageName": "Image {image} is no name of an image",
    "CreateContainerConfigError": "The container cannot be made as it is configured",
    "CreateContainerError": "The container cannot be made",
    "RunContainerError": "The container cannot be started",
    "CrashLoopBackOff": "The container ends again and again",
}
_POD_REASONS = {
    "Evicted": "its node evicted the pod",
    "DeadlineExceeded": "the job's own deadline (activeDeadlineSeconds) passed",
    "NodeLost": "its node was lost",
    "NodeAffinity": "its node did not take it",
    "Preempting": "the pod was preempted by one that matters more",
    "Terminated": "its node was shut down",
    "Shutdown": "its node was shut down",
    "NodeShutdown": "its node was shut down",
}


class Pod:
    """A pod as the cluster described it."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw
        self.name = str(raw["metadata"]["name"])
        self.status: Json = raw.get("status") or {}
        self.node: str | None = (raw.get("spec") or {}).get("nodeName")
        self.is_deleted = raw["metadata"].get("deletionTimestamp") is not None
        containers: list[Json] = (raw.get("spec") or {}).get("containers") or [{}]
        named = (raw["metadata"].get("annotations") or {}).get(CONTAINER)
        # (Others may be put before ours, by what is added to each pod of a cluster; statuses are in no order.)
        self.spec = next((each for each in containers if each.get("name") == named), containers[0])
        self.container_name = str(self.spec.get("name") or "")
        about = next((each for each in self._statuses() if each.get("name") == self.container_name), {})
        self.container: Json = about.get("state") or {}
        self.image = str(self.spec.get("image") or about.get("image") or "")

    def _statuses(self, kind: str = "containerStatuses") -> list[Json]:
        found: list[Json] = self.status.get(kind) or []
        return found

    @property
    def first_failed(self) -> Json | None:
        """How a container ended that was to end well before ours begins."""
        ended = [
            (each, (each.get("state") or {}).get("terminated")) for each in self._statuses("initContainerStatuses")
        ]
        return next(({"name": each.get("name"), **how} for each, how in ended if how and how.get("exitCode")), None)

    @property
    def waiting(self) -> tuple[str, Json]:
        """The image of the container that waits, and why."""
        for each in self._statuses("initContainerStatuses"):
            why = (each.get("state") or {}).get("waiting")
            if why and why.get("reason") in _WAITING:
                return str(each.get("image") or ""), why
        return self.image, self.container.get("waiting") or {}

    @property
    def terminated(self) -> Json | None:
        return self.container.get("terminated")

    @property
    def has_ended(self) -> bool:
        return self.terminated is not None or self.status.get("phase") in ("Succeeded", "Failed")

    @property
    def has_begun(self) -> bool:
        return self.container.get("running") is not None or self.terminated is not None

    @property
    def started(self) -> str | None:
        running = self.container.get("running") or self.terminated or {}
        at: str | None = running.get("startedAt")
        # (What could not be started was started in 1970.)
        return None if at is None or at.startswith("1970-") else at

    @property
    def exit_code(self) -> int | None:
        if self.terminated is not None and self.terminated.get("exitCode") is not None:
            return int(self.terminated["exitCode"])
        return 0 if self.status.get("phase") == "Succeeded" else None


def explained_pod(pod: Pod) -> str | None:
    """How a pod ended, where that is no matter of the program."""
    reason = str(pod.status.get("reason") or "")
    if reason:
        said = str(pod.status.get("message") or "").strip()
        return _POD_REASONS.get(reason, reason) + (f": {said}" if said else "")
    for each in pod.status.get("conditions") or []:
        if each.get("type") == "DisruptionTarget" and each.get("status") == "True":
            return f"the cluster took its place away: {each.get('message') or each.get('reason')}"
    ended = pod.terminated
    if ended is None:
        first = pod.first_failed
        return None if first is None else f"its init container {first['name']!r} ended with code {first['exitCode']}"
    if ended.get("reason") == "OOMKilled":
        limit = ((pod.spec.get("resources") or {}).get("limits") or {}).get("memory")
        return "killed by the kernel: out of memory" + (f" (its limit is {limit})" if limit else "")
    said = str(ended.get("message") or "").strip()
    if ended.get("reason") in ("StartError", "ContainerCannotRun", "ContainerStatusUnknown") and said:
        return said
    why = explained(int(ended.get("exitCode") or 0))
    return f"{why}: its pod was deleted" if why and pod.is_deleted else why


def end_of_job(job: Json) -> Ended | None:
    """How a job ended that has no pod (any more); None: it may get one still."""
    for each in (job.get("status") or {}).get("conditions") or []:
        if each.get("status") != "True":
            continue
        if each.get("type") == "Complete":
            return Ended(0)
        if each.get("type") == "Failed" and each.get("reason") == "DeadlineExceeded":
            limit = (job.get("spec") or {}).get("activeDeadlineSeconds")
            return Ended(None, f"it took longer than its job may: {limit} s (activeDeadlineSeconds)")
        if each.get("type") == "Failed":
            said = str(each.get("message") or each.get("reason") or "").rstrip(".")
            return Ended(None, "its pod was deleted by somebody else" + (f" ({said})" if said else ""), gone=True)
    if job["metadata"].get("deletionTimestamp"):
        return Ended(None, "its job was deleted by somebody else", gone=True)
    return None


def problem_of(pod: Pod) -> str | None:
    """What keeps a pod from beginning."""
    image, waiting = pod.waiting
    sentence = _WAITING.get(str(waiting.get("reason")))
    if sentence is not None:
        said = str(waiting.get("message") or waiting.get("reason"))
        return f"{sentence.format(image=repr(image))}: {said.rstrip('.')}."
    for each in pod.status.get("conditions") or []:
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return f"No node takes the pod: {str(each.get('message') or each.get('reason')).rstrip('.')}."
    return None


def problem_of_events(events: list[Json]) -> str | None:
    """The last warning."""
    if not events:
        return None
    last = max(events, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    said = str(last.get("message") or "").strip().rstrip(".")
    return f"{last.get('reason')}: {said}." if said else None
