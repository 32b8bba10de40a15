"""What a pod's status says, in values and in sentences. Values only."""

from __future__ import annotations

from typing import Any

from .subprocesses import explained

Json = dict[str, Any]

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
        containers = self.status.get("containerStatuses") or []
        self.container: Json = (containers[0].get("state") or {}) if containers else {}
        self.image = str(containers[0].get("image") or "") if containers else ""
        if not self.image:
            self.image = str(((raw.get("spec") or {}).get("containers") or [{}])[0].get("image") or "")

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
        return running.get("startedAt")

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
        return None
    if ended.get("reason") == "OOMKilled":
        return "killed by the kernel: out of memory"
    said = str(ended.get("message") or "").strip()
    if ended.get("reason") in ("StartError", "ContainerCannotRun", "ContainerStatusUnknown") and said:
        return said
    return explained(int(ended.get("exitCode") or 0))


def problem_of(pod: Pod) -> str | None:
    """What keeps a pod from beginning."""
    waiting = pod.container.get("waiting") or {}
    sentence = _WAITING.get(str(waiting.get("reason")))
    if sentence is not None:
        said = str(waiting.get("message") or waiting.get("reason"))
        return f"{sentence.format(image=repr(pod.image))}: {said.rstrip('.')}."
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
